"""/api/v1/actions/ID/output, follow and briefing: what a run says, and what to know before it runs."""

import asyncio
import json
from collections.abc import AsyncGenerator
from itertools import islice
from typing import Any

from fastapi import APIRouter, Header, Request
from sse_starlette import EventSourceResponse, ServerSentEvent

from remediation.output import Line
from seawall import shapes
from seawall.api import models
from seawall.api.deps import Limit, ServiceDep, Viewer
from seawall.api.hops import OneHop
from seawall.api.lasting import Asker, while_allowed
from seawall.core.actions import OPEN_STATES, Action
from seawall.core.times import rfc3339
from seawall.service import Service

router = APIRouter(route_class=OneHop, prefix="/api/v1", tags=["actions"])
TURN = 0.3
"""Seconds between two looks at a run's log."""
AT_ONCE = 200


@router.get("/actions/{id}/output", response_model=models.Page[models.OutputLine])
def output(id: str, service: ServiceDep, who: Viewer, limit: Limit = 50, cursor: str = "") -> Any:
    """What its workers said, the oldest first: previews, the final check, the run, the undo."""
    found = list(islice(service.repair.output(id, cursor), limit + 1))
    following = found[limit - 1].cursor if len(found) > limit else None
    return shapes.page([_line(it) for it in found[:limit]], following)


@router.get("/actions/{id}/follow", response_class=EventSourceResponse)
async def follow(
    id: str, request: Request, service: ServiceDep, who: Viewer, last_event_id: str = Header(default="")
) -> EventSourceResponse:
    """The same, live: events `line` and `state`, and `end` when the action is over."""
    await asyncio.to_thread(service.records.action, id)
    lines = while_allowed(_follow(service, id, last_event_id), Asker(request, service))
    return EventSourceResponse(lines, ping=15)


async def _follow(service: Service, id: str, cursor: str) -> AsyncGenerator[ServerSentEvent, None]:
    state = ""
    while True:
        # The state is read before the lines: what an ended action said has been written by then.
        action, found = await asyncio.to_thread(_look, service, id, cursor)
        for line in found:
            cursor = line.cursor
            yield ServerSentEvent(data=json.dumps(_line(line)), event="line", id=cursor)
        if action.state != state:
            state = action.state
            yield ServerSentEvent(data=_state(action), event="state")
        if len(found) == AT_ONCE:
            continue
        if action.state not in OPEN_STATES:
            yield ServerSentEvent(data=_state(action), event="end")
            return
        await asyncio.sleep(TURN)


def _look(service: Service, id: str, cursor: str) -> tuple[Action, list[Line]]:
    action = service.records.action(id)
    return action, list(islice(service.repair.output(id, cursor), AT_ONCE))


def _line(it: Line) -> dict[str, Any]:
    return {"cursor": it.cursor, "at": rfc3339(it.at), "phase": it.phase, "text": it.text}


def _state(action: Action) -> str:
    return json.dumps({"id": action.id, "state": action.state, "reason": action.reason})


@router.get("/actions/{id}/briefing", response_model=models.Briefing)
def briefing(id: str, service: ServiceDep, who: Viewer) -> Any:
    """What to know before approving it: the blast radius, the risk and why, what came of it before."""
    return service.repair.briefing(id)
