"""/api/v1/actions: proposed repairs, their approval and their end; the freeze switch."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from seawall import shapes
from seawall.api.deps import Approver, Limit, Operator, ServiceDep, Viewer
from seawall.core.actions import ActionState

router = APIRouter(prefix="/api/v1", tags=["actions"])


class Decision(BaseModel):
    """A decision; with `digest`, it holds only for that preview."""

    reason: str = Field(default="", max_length=2000)
    digest: str | None = Field(default=None, max_length=64)


class Switch(BaseModel):
    """Why the switch is set or lifted."""

    reason: str = Field(default="", max_length=2000)


@router.get("/actions")
def actions(
    service: ServiceDep,
    who: Viewer,
    state: ActionState | None = None,
    limit: Limit = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """Actions, the newest first."""
    found, following = service.records.actions([state] if state else None, limit, cursor)
    return shapes.page([shapes.action(it) for it in found], following)


@router.get("/actions/{id}")
def action(id: str, service: ServiceDep, who: Viewer) -> dict[str, Any]:
    """One action."""
    return shapes.action(service.records.action(id))


@router.get("/actions/{id}/history")
def history(id: str, service: ServiceDep, who: Viewer) -> dict[str, Any]:
    """Its story, the oldest first."""
    return shapes.page(shapes.history(service.records.action(id)))


@router.post("/actions/{id}/approve")
def approve(id: str, service: ServiceDep, who: Approver, body: Decision | None = None) -> dict[str, Any]:
    """Consent to the preview as it stands."""
    decision = body or Decision()
    return shapes.action(service.approve(id, who, decision.reason, decision.digest))


@router.post("/actions/{id}/reject")
def reject(id: str, service: ServiceDep, who: Approver, body: Decision | None = None) -> dict[str, Any]:
    """It will not run; the reason is required."""
    return shapes.action(service.repair.reject(id, who.name, body.reason if body else ""))


@router.post("/actions/{id}/revoke")
def revoke(id: str, service: ServiceDep, who: Approver, body: Decision | None = None) -> dict[str, Any]:
    """Take an approval back before the run has begun; the reason is required."""
    return shapes.action(service.repair.revoke(id, who.name, body.reason if body else ""))


@router.post("/actions/{id}/cancel")
def cancel(id: str, service: ServiceDep, who: Approver, body: Decision | None = None) -> dict[str, Any]:
    """Stop a run with everything that it started, or take an approval back before it began."""
    return shapes.action(service.repair.cancel(id, who.name, body.reason if body else ""))


@router.get("/freeze")
def frozen(service: ServiceDep, who: Viewer) -> dict[str, Any]:
    """Is the switch set, and by whom."""
    return _frozen(service)


@router.post("/freeze")
def freeze(service: ServiceDep, who: Operator, body: Switch | None = None) -> dict[str, Any]:
    """No run starts from now on; durable before it answers."""
    service.freeze(True, who, body.reason if body else "")
    return _frozen(service)


@router.post("/unfreeze")
def unfreeze(service: ServiceDep, who: Approver, body: Switch | None = None) -> dict[str, Any]:
    """Lift the switch; what is approved and not expired goes on."""
    service.freeze(False, who, body.reason if body else "")
    return _frozen(service)


def _frozen(service: ServiceDep) -> dict[str, Any]:
    frozen, by = service.records.frozen()
    return {"frozen": frozen, "by": by}
