"""/api/v1/incidents: what is wrong, and people's part in it."""

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from seawall import shapes
from seawall.api.deps import Limit, Operator, ServiceDep, Viewer
from seawall.core.incidents import IncidentState

router = APIRouter(prefix="/api/v1/incidents", tags=["incidents"])


class Reason(BaseModel):
    """Why, in a person's words."""

    reason: str = Field(default="", max_length=2000)


class Note(BaseModel):
    """A line for the story."""

    text: str = Field(min_length=1, max_length=2000)


class Assignee(BaseModel):
    """Who is on it from now."""

    to: str = Field(min_length=1, max_length=128, pattern=r"^\S(.*\S)?$")


@router.get("")
def incidents(
    service: ServiceDep,
    who: Viewer,
    state: Literal["open", "acknowledged", "resolved"] | None = None,
    limit: Limit = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """Incidents, the newest first."""
    found, following = service.records.incidents([IncidentState(state)] if state else None, limit, cursor)
    return shapes.page([shapes.incident(it) for it in found], following)


@router.get("/{id}")
def incident(id: str, service: ServiceDep, who: Viewer) -> dict[str, Any]:
    """One incident."""
    return shapes.incident(service.records.incident(id))


@router.get("/{id}/timeline")
def timeline(id: str, service: ServiceDep, who: Viewer) -> dict[str, Any]:
    """Its story, the oldest first."""
    return shapes.page(shapes.timeline(service.records.incident(id)))


@router.post("/{id}/acknowledge")
def acknowledge(id: str, service: ServiceDep, who: Operator) -> dict[str, Any]:
    """Somebody is on it."""
    return shapes.incident(service.acknowledge(id, who.name))


@router.post("/{id}/resolve")
def resolve(id: str, service: ServiceDep, who: Operator, body: Reason | None = None) -> dict[str, Any]:
    """A person closes it by hand."""
    return shapes.incident(service.resolve(id, who.name, body.reason if body else ""))


@router.post("/{id}/assign")
def assign(id: str, body: Assignee, service: ServiceDep, who: Operator) -> dict[str, Any]:
    """Hand it over: somebody else is on it."""
    return shapes.incident(service.assign(id, who.name, body.to))


@router.post("/{id}/note")
def note(id: str, body: Note, service: ServiceDep, who: Operator) -> dict[str, Any]:
    """Add a line to the story."""
    return shapes.incident(service.note(id, who.name, body.text))
