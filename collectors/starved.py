"""How late our event loop has been: a pull that we were too late to read says nothing of a registry."""

import asyncio
import time
from collections import deque
from weakref import WeakKeyDictionary

EVERY = 0.25  # seconds between two looks
KEPT = 480  # looks: two minutes


class Lateness:
    """By how much the looks of the running event loop came later than they were due (seconds)."""

    def __init__(self) -> None:
        self._late = deque[tuple[float, float]](maxlen=KEPT)
        self._next()

    def worst(self, since: float) -> float:
        """The longest stall (seconds) that ended after `since` (time.monotonic()), or lasts."""
        now = time.monotonic()
        return max(max((late for at, late in self._late if at >= since), default=0.0), now - self._due)

    def _next(self) -> None:
        self._due = time.monotonic() + EVERY
        asyncio.get_running_loop().call_later(EVERY, self._look)

    def _look(self) -> None:
        now = time.monotonic()
        self._late.append((now, now - self._due))
        self._next()


_lateness = WeakKeyDictionary[asyncio.AbstractEventLoop, Lateness]()


def lateness() -> Lateness:
    """The running loop's."""
    loop = asyncio.get_running_loop()
    if loop not in _lateness:
        _lateness[loop] = Lateness()
    return _lateness[loop]
