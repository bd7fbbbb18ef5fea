"""GET /api/v1/events: what happened, by filters."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from seawall import shapes
from seawall.api import models
from seawall.api.deps import Limit, ServiceDep, Viewer
from seawall.api.hops import OneHop
from seawall.api.paging import Cursor
from seawall.core.errors import InputError
from seawall.core.times import parse_time
from seawall.event_search import Search, find

router = APIRouter(route_class=OneHop, prefix="/api/v1", tags=["events"])
DAY = 86400.0
Time = Annotated[str | None, Query(max_length=64, description="RFC 3339", examples=["2026-11-24T03:00:00Z"])]
Text = Annotated[str | None, Query(max_length=200)]


@router.get("/events", response_model=models.Page[models.Event])
def events(
    service: ServiceDep,
    who: Viewer,
    registry: Text = None,
    action: Text = None,
    outcome: Text = None,
    repository: Text = None,
    dataset: Text = None,
    user: Text = None,
    q: Annotated[
        str, Query(max_length=200, description="Text in any field, upper and lower case alike")
    ] = "",
    since: Time = None,
    until: Time = None,
    hours: Annotated[
        float, Query(gt=0, le=1_000_000, description="How far back, where `since` is not given")
    ] = 24.0,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Any:
    """The newest events first. A page looks at 20,000 events at most: it may be short, and `next` goes on."""
    now = service.clock.now()
    fields = {
        "event.action": action,
        "event.outcome": outcome,
        "registry.repository": repository,
        "event.dataset": dataset,
        "user.name": user,
    }
    wanted = Search(
        registry,
        _time("since", since, now - hours * 3600),
        _time("until", until, now + DAY),
        {name: value for name, value in fields.items() if value is not None},
        q,
    )
    found, following = find(service.events, wanted, limit, cursor)
    return shapes.page([shapes.event(it) for it in found], following)


def _time(name: str, text: str | None, default: float) -> float:
    try:
        return parse_time(text) if text else default
    except (ValueError, OverflowError) as error:
        raise InputError(
            name, f"{text!r} is no RFC 3339 time", "write it like 2026-11-24T03:00:00Z"
        ) from error
