"""/api/v1/audit: the hash-chained log, and whether it holds."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from seawall import shapes
from seawall.api.deps import Admin, Limit, ServiceDep
from seawall.api.hops import OneHop
from seawall.core.times import rfc3339

router = APIRouter(route_class=OneHop, prefix="/api/v1/audit", tags=["audit"])


class AuditEntry(BaseModel):
    """One entry; `detail` is JSON, `hash` covers the entry and the hash before it."""

    seq: int
    at: str
    actor: str = Field(examples=["ada"])
    event: str = Field(examples=["action.approved"])
    subject: str = Field(examples=["act-1"])
    detail: str
    previous: str
    hash: str


class AuditPage(BaseModel):
    """A list's envelope."""

    items: list[AuditEntry]
    next: str | None


class Verified(BaseModel):
    """`entries` hold from the first on; `fault` is the first that does not; `head` is the newest hash."""

    ok: bool
    entries: int
    fault: str | None
    seq: int
    head: str


@router.get("", response_model=AuditPage)
def audit(service: ServiceDep, who: Admin, limit: Limit = 50, cursor: str | None = None) -> dict[str, Any]:
    """The hash-chained log, the newest first."""
    found, following = service.records.audit_entries(limit, cursor)
    return shapes.page([{**entry, "at": rfc3339(entry["at"])} for entry in found], following)


@router.get("/verify", response_model=Verified)
def verify(
    service: ServiceDep, who: Admin, head: Annotated[str, Query(max_length=64)] = ""
) -> dict[str, Any]:
    """Walk the whole chain; `head`, a hash noted before, must be in it."""
    return dict(service.accounts.audit_check(head))
