"""/api/v1/incidents: what is wrong, and people's part in it."""

from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from seawall import shapes
from seawall.api import models
from seawall.api.deps import Limit, Operator, ServiceDep, Viewer
from seawall.api.hops import OneHop
from seawall.api.matching import IfNoneMatch, Seen, tag, tagged
from seawall.api.paging import Cursor, walk
from seawall.core.incidents import Incident, IncidentState

router = APIRouter(route_class=OneHop, prefix="/api/v1/incidents", tags=["incidents"])


class Reason(BaseModel):
    """Why, in a person's words."""

    reason: str = Field(default="", max_length=2000, examples=["the disk was cleaned by hand"])


class Note(BaseModel):
    """A line for the story."""

    text: str = Field(min_length=1, max_length=2000, examples=["looking at the proxy"])


class Assignee(BaseModel):
    """Who is on it from now."""

    to: str = Field(min_length=1, max_length=128, pattern=r"^\S(.*\S)?$", examples=["ann"])


@router.get("", response_model=models.Page[models.Incident])
def incidents(
    service: ServiceDep,
    who: Viewer,
    state: Literal["open", "acknowledged", "resolved"] | None = None,
    registry: str | None = None,
    slo: str | None = None,
    severity: Literal["page", "ticket"] | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Any:
    """Incidents, the newest first."""
    wanted = {"registry": registry, "slo": slo, "severity": severity}

    def fits(it: Incident) -> bool:
        return all(value in (None, getattr(it, name)) for name, value in wanted.items())

    states = [IncidentState(state)] if state else None
    found, following = walk(lambda at, n: service.records.incidents(states, n, at), fits, limit, cursor)
    return shapes.page([shapes.incident(it) for it in found], following)


@router.get("/{id}", response_model=models.Incident)
def incident(
    id: str, response: Response, service: ServiceDep, who: Viewer, if_none_match: IfNoneMatch = None
) -> Any:
    """One incident, with its ETag."""
    found = service.records.incident(id)
    return tagged(response, shapes.incident(found), tag(id, found.version), if_none_match)


@router.get("/{id}/timeline", response_model=models.Page[models.StoryLine])
def timeline(id: str, service: ServiceDep, who: Viewer) -> Any:
    """Its story, the oldest first."""
    return shapes.page(shapes.timeline(service.records.incident(id)))


@router.post("/{id}/acknowledge", response_model=models.Incident)
def acknowledge(id: str, response: Response, service: ServiceDep, who: Operator, seen: Seen) -> Any:
    """Somebody is on it."""
    return _told(response, service.acknowledge(id, who.name, seen))


@router.post("/{id}/resolve", response_model=models.Incident)
def resolve(
    id: str, response: Response, service: ServiceDep, who: Operator, seen: Seen, body: Reason | None = None
) -> Any:
    """A person closes it by hand."""
    return _told(response, service.resolve(id, who.name, body.reason if body else "", seen))


@router.post("/{id}/assign", response_model=models.Incident)
def assign(
    id: str, body: Assignee, response: Response, service: ServiceDep, who: Operator, seen: Seen
) -> Any:
    """Hand it over: somebody else is on it."""
    return _told(response, service.assign(id, who.name, body.to, seen))


@router.post("/{id}/note", response_model=models.Incident)
def note(id: str, body: Note, response: Response, service: ServiceDep, who: Operator, seen: Seen) -> Any:
    """Add a line to the story."""
    return _told(response, service.note(id, who.name, body.text, seen))


def _told(response: Response, it: Incident) -> Any:
    return tagged(response, shapes.incident(it), tag(it.id, it.version))
