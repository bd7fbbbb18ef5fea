"""/api/v1/actions: proposed repairs, their approval and their end; the freeze switch."""

from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from seawall import shapes
from seawall.api import models
from seawall.api.deps import Approver, Limit, Operator, ServiceDep, Viewer
from seawall.api.hops import OneHop
from seawall.api.matching import IfNoneMatch, Seen, must_match, tag, tagged
from seawall.api.paging import Cursor, walk
from seawall.core.actions import Action, ActionState
from seawall.identity.cookies import proof_of

router = APIRouter(route_class=OneHop, prefix="/api/v1", tags=["actions"])


class Decision(BaseModel):
    """A decision; with `digest`, it holds only for that preview."""

    reason: str = Field(default="", max_length=2000, examples=["the preview is what I would do by hand"])
    digest: str | None = Field(default=None, max_length=64, description="`preview.digest` of what was read")


class Consent(Decision):
    """An approval; `code` where a local user's session must prove its second factor again."""

    code: str = Field(default="", max_length=32, examples=["123456"])


class Switch(BaseModel):
    """Why the switch is set or lifted."""

    reason: str = Field(default="", max_length=2000, examples=["storage is being moved"])


@router.get("/actions", response_model=models.Page[models.Action])
def actions(
    service: ServiceDep,
    who: Viewer,
    state: ActionState | None = None,
    registry: str | None = None,
    playbook: str | None = None,
    risk: Literal["low", "medium", "high"] | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Any:
    """Actions, the newest first."""
    wanted = {"registry": registry, "playbook": playbook, "risk": risk}

    def fits(it: Action) -> bool:
        return all(value in (None, getattr(it, name)) for name, value in wanted.items())

    states = [state] if state else None
    found, following = walk(lambda at, n: service.records.actions(states, n, at), fits, limit, cursor)
    return shapes.page([shapes.action(it) for it in found], following)


@router.get("/actions/{id}", response_model=models.Action)
def action(
    id: str, response: Response, service: ServiceDep, who: Viewer, if_none_match: IfNoneMatch = None
) -> Any:
    """One action, with its ETag."""
    found = service.records.action(id)
    return tagged(response, shapes.action(found), tag(id, found.version), if_none_match)


@router.get("/actions/{id}/history", response_model=models.Page[models.StoryLine])
def history(id: str, service: ServiceDep, who: Viewer) -> Any:
    """Its story, the oldest first."""
    return shapes.page(shapes.history(service.records.action(id)))


@router.post("/actions/{id}/approve", response_model=models.Action)
def approve(
    id: str,
    request: Request,
    response: Response,
    service: ServiceDep,
    who: Approver,
    seen: Seen,
    body: Consent | None = None,
) -> Any:
    """Consent to the preview as it stands; `digest` binds exactly what was read."""
    decision = _decision(service, id, seen, body)
    proof = proof_of(request, body.code if body else "")
    return _told(response, service.approve(id, who, decision.reason, decision.digest, proof))


@router.post("/actions/{id}/reject", response_model=models.Action)
def reject(
    id: str,
    response: Response,
    service: ServiceDep,
    who: Approver,
    seen: Seen,
    body: Decision | None = None,
) -> Any:
    """It will not run; the reason is required."""
    decision = _decision(service, id, seen, body)
    return _told(response, service.repair.reject(id, who.name, decision.reason))


@router.post("/actions/{id}/revoke", response_model=models.Action)
def revoke(
    id: str,
    response: Response,
    service: ServiceDep,
    who: Approver,
    seen: Seen,
    body: Decision | None = None,
) -> Any:
    """Take an approval back before the run has begun; the reason is required."""
    decision = _decision(service, id, seen, body)
    return _told(response, service.repair.revoke(id, who.name, decision.reason))


@router.post("/actions/{id}/cancel", response_model=models.Action)
def cancel(
    id: str,
    response: Response,
    service: ServiceDep,
    who: Approver,
    seen: Seen,
    body: Decision | None = None,
) -> Any:
    """Stop a run with everything that it started, or take an approval back before it began."""
    decision = _decision(service, id, seen, body)
    return _told(response, service.repair.cancel(id, who.name, decision.reason))


@router.get("/freeze", response_model=models.Freeze)
def frozen(service: ServiceDep, who: Viewer) -> Any:
    """Is the switch set, and by whom."""
    return _frozen(service)


@router.post("/freeze", response_model=models.Freeze)
def freeze(service: ServiceDep, who: Operator, body: Switch | None = None) -> Any:
    """No run starts from now on; durable before it answers."""
    service.freeze(True, who, body.reason if body else "")
    return _frozen(service)


@router.post("/unfreeze", response_model=models.Freeze)
def unfreeze(service: ServiceDep, who: Approver, body: Switch | None = None) -> Any:
    """Lift the switch; what is approved and not expired goes on."""
    service.freeze(False, who, body.reason if body else "")
    return _frozen(service)


def _frozen(service: ServiceDep) -> dict[str, Any]:
    frozen, by = service.records.frozen()
    return {"frozen": frozen, "by": by}


def _decision(service: ServiceDep, id: str, seen: frozenset[int] | None, body: Decision | None) -> Decision:
    if seen is not None:
        must_match(seen, id, service.records.action(id).version)
    return body or Decision()


def _told(response: Response, it: Action) -> Any:
    return tagged(response, shapes.action(it), tag(it.id, it.version))
