"""The phases of a pull: their names, their limits, and the clock that ends each of them."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

PHASES = (
    "dns", "connect", "tls", "auth_token", "manifest_index", "manifest_child", "blob_ttfb", "blob_transfer",
    "redirect", "base",
)  # fmt: skip
# Seconds of each phase, where the configuration says nothing; blob_transfer has what is left of the pull.
LIMITS: Mapping[str, float] = {
    "dns": 3.0, "connect": 3.0, "tls": 3.0, "auth_token": 5.0, "manifest_index": 5.0, "manifest_child": 5.0,
    "blob_ttfb": 5.0, "redirect": 5.0, "base": 5.0,
}  # fmt: skip


_REACHING = ("dns", "connect", "tls")


class Slow(Exception):
    """A phase did not end within its limit."""


@dataclass(slots=True)
class Phase:
    """One phase of a pull; `start` (since the pull's start) and `seconds`; `target` is a host or digest."""

    name: str
    start: float
    seconds: float = 0.0
    bytes: int = 0
    error: str = ""
    target: str = ""


class Timeline:
    """All phases of one pull, in the order in which they began. `skews`: how many seconds the clocks of the
    servers that answered are ahead of ours, by host, where ours is given as Unix seconds at the start."""

    def __init__(self, now: float | None = None) -> None:
        self._began = time.perf_counter()
        self._now = now
        self.phases: list[Phase] = []
        self.skews: dict[str, float] = {}

    def elapsed(self) -> float:
        """Seconds since the pull began."""
        return time.perf_counter() - self._began

    def clock(self, host: str, date: float) -> None:
        """Note what a server says the time is (its Date header, Unix seconds, cut to whole ones)."""
        if self._now is not None:
            self.skews[host] = date + 0.5 - (self._now + self.elapsed())


class Steps:
    """The phases of one request: entering the next one ends the one before, and sets the alarm anew."""

    def __init__(
        self, timeline: Timeline, target: str, limits: Mapping[str, float], alarm: asyncio.Timeout
    ) -> None:
        self._timeline, self._target, self._limits, self._alarm = timeline, target, limits, alarm
        self._loop = asyncio.get_running_loop()
        self._away: tuple[str, str] | None = None
        self.current: Phase | None = None
        self._last: Phase | None = None

    def enter(self, name: str) -> Phase:
        """Begin a phase, unless it is the current one already."""
        if self.current is None or self.current.name != name:
            self.end()
            self._last = self.current = Phase(name, self._timeline.elapsed(), target=self._target)
            self._timeline.phases.append(self.current)
            self._alarm.reschedule(self._loop.time() + self.limit(name) if name in self._limits else None)
        return self.current

    def end(self, error: str = "") -> None:
        """End the current phase; an error that comes between two phases is the last one's."""
        if self.current is not None:
            self.current.seconds = self._timeline.elapsed() - self.current.start
        if error and self._last is not None and not self._last.error:
            self._last.error = error
        self.current = None

    def end_as(self, name: str) -> None:
        """End the current phase, which turned out to be a challenge or a redirect."""
        if self._last is not None:
            self._last.name = name
        self.end()

    def limit(self, name: str) -> float:
        """Seconds that a phase may take."""
        return self._limits.get(name, float("inf"))

    def elsewhere(self, phase: str, who: str) -> None:
        """From here on another server is asked, for the sake of `phase`; "" for the registry again."""
        self._away = (phase, who) if who else None

    def blame(self, words: str) -> str:
        """`words`, with the other server's name if one was asked; the phase carries them. That the other
        one could not be reached is a failure of the phase for whose sake it was asked."""
        last = self._last or self.enter("connect")
        if self._away:
            words = f"{self._away[1]}: {words}"
            last.name = self._away[0] if last.name in _REACHING else last.name
        last.error = words
        return words

    def slow(self) -> Slow:
        """The error of the phase that rang the alarm."""
        name = self._last.name if self._last else "connect"
        return Slow(self.blame(too_late(name, self.limit(name))))


def too_late(phase: str, seconds: float) -> str:
    """`no answer within 3 s`; a body that came too slowly is `not complete within 8 s`."""
    return f"{'not complete' if phase == 'blob_transfer' else 'no answer'} within {seconds:g} s"
