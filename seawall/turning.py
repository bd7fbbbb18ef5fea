"""Turns of many registries, one after another in one thread: who is due is taken together.

A registry that comes due again while it waits is judged once, on the newest of its data.
"""

import asyncio
from collections.abc import Callable, Sequence

MOMENT = 0.25  # seconds from one turn's begin to the next one's
MOST = 25  # registries of one turn: when Seawall stops, one turn is waited for


class Turns:
    """Calls `turn` with the names that are due. Belongs to one event loop."""

    def __init__(self, turn: Callable[[Sequence[str]], None], moment: float = MOMENT) -> None:
        self._turn, self._moment = turn, moment
        self._due: dict[str, None] = {}
        self._work: asyncio.Task[None] | None = None
        self._stopped = False

    def depth(self) -> int:
        """Registries that wait for their turn."""
        return len(self._due)

    def due(self, registry: str) -> None:
        """Its data is fresh: judge it soon."""
        self._due[registry] = None
        if not self._stopped and (self._work is None or self._work.done()):
            self._work = asyncio.get_running_loop().create_task(self._go())

    async def _go(self) -> None:
        loop = asyncio.get_running_loop()
        while self._due and not self._stopped:
            next_at = loop.time() + self._moment
            names = list(self._due)[:MOST]
            for name in names:
                del self._due[name]
            await asyncio.to_thread(self._turn, names)
            if self._due and len(names) < MOST:
                await asyncio.sleep(next_at - loop.time())

    async def stop(self) -> None:
        """Begin no more turns, and wait for the one under way."""
        self._stopped = True
        if self._work is not None and not self._work.done():
            await asyncio.wait([self._work])
