"""Many collections, few transactions: what arrives within a moment is kept together.

The first to come is written at once; what comes while that is under way, or less than MOMENT after it began,
is written together next. So one registry waits for nothing, and five hundred cost four transactions a second,
not fifty. A collection goes on (its position advances) only after the commit that holds it.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from seawall.core.errors import SeawallError, StoreUnavailable
from seawall.core.ports import EventStore, SampleStore
from seawall.core.signals import Event, Sample

MOMENT = 0.25  # seconds from one transaction's begin to the next one's
MOST = 20_000  # samples and events of one transaction, give or take one collection
log = logging.getLogger(__name__)
Kept = Callable[[Sequence[Sample], Sequence[Event]], None]


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    samples: Sequence[Sample]
    events: Sequence[Event]
    checkpoints: Mapping[str, str]
    done: "asyncio.Future[int]" = field(repr=False)

    def answer(self, found: "int | BaseException") -> None:
        """Wake who waits, unless it has gone away."""
        if self.done.done():
            return
        if isinstance(found, BaseException):
            self.done.set_exception(found)
        else:
            self.done.set_result(found)


class Keeper:
    """Writes samples, events and checkpoints of many collections; `kept` hears what is durable, in the
    writing thread. Belongs to one event loop at a time."""

    def __init__(self, samples: SampleStore, events: EventStore, kept: Kept, moment: float = MOMENT) -> None:
        self._samples, self._events, self._kept, self._moment = samples, events, kept, moment
        self.failing = ""  # why the store keeps nothing, "" while it does
        self._queue: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None
        self._ready = float("-inf")

    def depth(self) -> int:
        """Collections that wait; each collector has one at most."""
        return len(self._queue)

    async def keep(
        self, samples: Sequence[Sample], events: Sequence[Event], checkpoints: Mapping[str, str]
    ) -> int:
        """Returns once they are durable: 0 if no event was new, else how many (at most; where others were
        written with them, new ones of theirs may be counted for repeated ones of ours). Raises what the
        store says of these alone."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(samples, events, checkpoints, loop.create_future())
        self._queue.append(waiting)
        if self._writer is None or self._writer.done():
            self._writer = loop.create_task(self._write())
        return await waiting.done

    async def finish(self) -> None:
        """Returns once nothing waits or is being written."""
        if self._writer is not None and not self._writer.done():
            await asyncio.wait([self._writer])

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            await asyncio.sleep(min(self._moment, self._ready - loop.time()))
            self._ready = loop.time() + self._moment
            taken = self._take()
            try:
                found = await asyncio.to_thread(self._append, taken)
            except asyncio.CancelledError:
                for one in taken:
                    one.done.cancel()
                raise
            self._tell(found)
            for one, result in zip(taken, found, strict=True):
                one.answer(result)

    def _take(self) -> list[_Waiting]:
        taken, size = list[_Waiting](), 0
        while self._queue and size < MOST:
            taken.append(self._queue.pop(0))
            size += len(taken[-1].samples) + len(taken[-1].events)
        return taken

    def _append(self, taken: Sequence[_Waiting]) -> "list[int | BaseException]":
        """One answer each: how many events were new, or why these were not kept."""
        try:
            return self._together(taken)
        except Exception as error:
            if len(taken) == 1:
                return [error]
            if not isinstance(error, SeawallError):
                log.exception("%d collections could not be kept together; each is tried alone", len(taken))
        return [found for one in taken for found in self._append([one])]

    def _tell(self, found: "Sequence[int | BaseException]") -> None:
        """Once when nothing of a whole turn was kept, and once when something is again: one bad collection
        among good ones is its collector's trouble."""
        away = [str(it) for it in found if isinstance(it, StoreUnavailable)]
        failing = away[0] if len(away) == len(found) else ""
        if failing and not self.failing:
            log.error("nothing is kept: %s; probe rounds are lost, logs are read again", failing)
        elif self.failing and not failing:
            log.warning("what comes in is kept again")
        self.failing = failing

    def _together(self, taken: Sequence[_Waiting]) -> "list[int | BaseException]":
        samples = [sample for one in taken for sample in one.samples]
        events = [event for one in taken for event in one.events]
        checkpoints = {name: at for one in taken for name, at in one.checkpoints.items()}
        if samples:
            self._samples.append(samples)
        new = self._events.append(events, checkpoints) if events or checkpoints else 0
        self._kept(samples, events)
        return [min(new, len(one.events)) for one in taken]
