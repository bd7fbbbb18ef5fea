"""/api/v1/playbooks, /events, /audit and /tokens."""

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from seawall import shapes
from seawall.api.deps import Admin, Limit, ServiceDep, Viewer
from seawall.core.times import parse_duration, rfc3339

router = APIRouter(prefix="/api/v1", tags=["records"])
DAY = 86400.0


class NewToken(BaseModel):
    """A token to be made; `valid_for` is a duration such as 30d."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,62}$")
    role: Literal["viewer", "operator", "approver", "admin"]
    valid_for: str | None = None


@router.get("/playbooks")
def playbooks(service: ServiceDep, who: Viewer) -> dict[str, Any]:
    """The catalogue; a broken playbook is listed with its fault."""
    good = [playbook.summary_of() for playbook in service.repair.catalogue]
    bad = [{"name": fault.place, "fault": str(fault)} for fault in service.broken_playbooks]
    return shapes.page([*good, *bad])


@router.get("/events")
def events(
    service: ServiceDep, who: Viewer, registry: str | None = None, hours: float = 24.0, limit: Limit = 50
) -> dict[str, Any]:
    """The newest events first."""
    now = service.clock.now()
    found = service.events.recent(registry, now - hours * 3600, now + DAY, limit)
    return shapes.page([shapes.event(it) for it in found])


@router.get("/audit")
def audit(service: ServiceDep, who: Admin, limit: Limit = 50, cursor: str | None = None) -> dict[str, Any]:
    """The hash-chained log, the newest first."""
    found, following = service.records.audit_entries(limit, cursor)
    return shapes.page([{**entry, "at": rfc3339(entry["at"])} for entry in found], following)


@router.post("/tokens", status_code=201)
def new_token(body: NewToken, service: ServiceDep, who: Admin) -> dict[str, Any]:
    """A new token; its secret is shown this once."""
    until = service.clock.now() + parse_duration(body.valid_for) if body.valid_for else None
    secret = service.new_token(body.name, body.role, who.name, until)
    return {"name": body.name, "role": body.role, "token": secret, "until": until and rfc3339(until)}
