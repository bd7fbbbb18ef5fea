"""GET /api/v1/stream: server-sent events; each names what changed, a page asks for it anew."""

import asyncio
import json
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from sse_starlette import EventSourceResponse, ServerSentEvent

from seawall.api.deps import ServiceDep, Viewer
from seawall.api.lasting import Asker, while_allowed
from seawall.core.errors import Overloaded

router = APIRouter(prefix="/api/v1", tags=["stream"])
PENDING = 100
CLIENTS = 500
KEPT = 1000
"""The newest messages, for a client that comes back."""


class Broadcast:
    """Fans messages out to the connected clients; a client too slow to read loses the oldest ones.

    An id is `EPOCH-NUMBER`; the epoch is of this process. A client that comes back with the last id it has
    seen gets what it missed, or the event `reset` where that is no longer known: ask for everything anew.
    """

    def __init__(self) -> None:
        self._clients: set[asyncio.Queue[ServerSentEvent]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._kept: deque[tuple[int, ServerSentEvent]] = deque(maxlen=KEPT)
        self._epoch, self._number = secrets.token_hex(4), 0

    def open(self) -> None:
        """Bind to the running loop."""
        self._loop = asyncio.get_running_loop()

    def say(self, kind: str, message: Mapping[str, Any]) -> None:
        """From any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._fan_out, kind, json.dumps(message))

    def _fan_out(self, kind: str, data: str) -> None:
        self._number += 1
        event = ServerSentEvent(data=data, event=kind, id=f"{self._epoch}-{self._number}")
        self._kept.append((self._number, event))
        for queue in self._clients:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

    def subscribe(self, last: str = "") -> AsyncGenerator[ServerSentEvent, None]:
        """Messages after the id `last`, or from now on. Overloaded when too many listen."""
        if len(self._clients) >= CLIENTS:
            raise Overloaded(f"{CLIENTS} clients listen already; try again later")
        queue: asyncio.Queue[ServerSentEvent] = asyncio.Queue(PENDING)
        missed = self._missed(last) if last else []
        self._clients.add(queue)
        return self._read(queue, missed)

    def _missed(self, last: str) -> list[ServerSentEvent]:
        epoch, _, number = last.rpartition("-")
        known = epoch == self._epoch and number.isascii() and number.isdigit() and len(number) < 19
        seen = int(number) if known else -1
        oldest = self._kept[0][0] if self._kept else self._number + 1
        if not known or not oldest - 1 <= seen <= self._number:
            return [ServerSentEvent(data="{}", event="reset", id=f"{self._epoch}-{self._number}")]
        return [event for at, event in self._kept if at > seen]

    async def _read(
        self, queue: asyncio.Queue[ServerSentEvent], missed: list[ServerSentEvent]
    ) -> AsyncGenerator[ServerSentEvent, None]:
        try:
            for event in missed:
                yield event
            while True:
                yield await queue.get()
        finally:
            self._clients.discard(queue)


@router.get("/stream", response_class=EventSourceResponse)
async def stream(
    request: Request,
    service: ServiceDep,
    who: Viewer,
    last_event_id: Annotated[
        str, Header(max_length=64, description="The last id that was seen: what came after it is sent first.")
    ] = "",
) -> EventSourceResponse:
    """Live: slos, incident, action, run, anomaly, freeze, and reset where a resume is no longer possible."""
    broadcast: Broadcast = request.app.state.broadcast
    events = while_allowed(broadcast.subscribe(last_event_id), Asker(request, service))
    return EventSourceResponse(events, ping=15)
