"""GET /api/v1/stream: server-sent events; each names what changed, a page asks for it anew."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from fastapi import APIRouter, Request
from sse_starlette import EventSourceResponse, ServerSentEvent

from seawall.api.deps import Viewer
from seawall.core.errors import Overloaded

router = APIRouter(prefix="/api/v1", tags=["stream"])
PENDING = 100
CLIENTS = 500


class Broadcast:
    """Fans messages out to the connected clients; a client too slow to read loses the oldest ones."""

    def __init__(self) -> None:
        self._clients: set[asyncio.Queue[ServerSentEvent]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._number = 0

    def open(self) -> None:
        """Bind to the running loop."""
        self._loop = asyncio.get_running_loop()

    def say(self, kind: str, message: Mapping[str, Any]) -> None:
        """From any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._fan_out, kind, json.dumps(message))

    def _fan_out(self, kind: str, data: str) -> None:
        self._number += 1
        for queue in self._clients:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(ServerSentEvent(data=data, event=kind, id=str(self._number)))

    def subscribe(self) -> AsyncIterator[ServerSentEvent]:
        """Messages from now on. Overloaded when too many listen."""
        if len(self._clients) >= CLIENTS:
            raise Overloaded(f"{CLIENTS} clients listen already; try again later")
        queue: asyncio.Queue[ServerSentEvent] = asyncio.Queue(PENDING)
        self._clients.add(queue)
        return self._read(queue)

    async def _read(self, queue: asyncio.Queue[ServerSentEvent]) -> AsyncIterator[ServerSentEvent]:
        try:
            while True:
                yield await queue.get()
        finally:
            self._clients.discard(queue)


@router.get("/stream", response_class=EventSourceResponse)
async def stream(request: Request, who: Viewer) -> EventSourceResponse:
    """Live: slos, incident, action, run, anomaly and freeze."""
    broadcast: Broadcast = request.app.state.broadcast
    return EventSourceResponse(broadcast.subscribe(), ping=15)
