"""Caches before a registry: their requests by status from log events, and the hit ratio of every cache.

The statuses are nginx's ($upstream_cache_status): of HIT, STALE, UPDATING and REVALIDATED the body came out
of the cache; MISS, EXPIRED and BYPASS went to the registry; no status is no cache's.
"""

import asyncio
from collections import Counter
from typing import Any

from seawall.core.counters import increase
from seawall.core.ports import Collector, SampleStore
from seawall.core.signals import CACHE_HIT_RATIO, CACHE_REQUESTS, Batch, Event, Sample, labels

HITS = frozenset({"hit", "stale", "updating", "revalidated"})
ANSWERS = HITS | {"miss", "expired", "bypass"}
SPAN = 3600.0  # seconds over which the hit ratio is taken
FIELD = "registry.cache_status"


class CountedLog:
    """A log collector whose events also count as requests of the cache `nginx`: a wrapper around the port.

    Counted once an event is stored, so that a batch that is collected twice counts once; a restart of Seawall
    begins at 0, as a counter does. All else is the wrapped collector's.
    """

    def __init__(self, log: Collector) -> None:
        self.name, self.registry, self.interval, self.timeout = (
            log.name,
            log.registry,
            log.interval,
            log.timeout,
        )
        self._log = log
        self._counts: Counter[str] = Counter()
        self._next: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def collect(self, now: float) -> Batch:
        """What the log brings, and the counter as it stands with it."""
        batch = await self._log.collect(now)
        self._next = self._counts + Counter(filter(None, map(status_of, batch.events)))
        batch.samples += [
            Sample(self.registry, CACHE_REQUESTS, now, float(count), labels(cache="nginx", status=status))
            for status, count in sorted(self._next.items())
        ]
        return batch

    async def stored(self) -> None:
        """The events are durable: they count."""
        self._counts = self._next
        await self._log.stored()


def status_of(event: Event) -> str | None:
    """The cache's status in lower case; None where no cache was asked."""
    status = str(event.fields.get(FIELD) or "").lower()
    return status if status in ANSWERS else None


class CacheRatios:
    """Collector of seawall_cache_hit_ratio: of the last hour, from the stored counters, restarts included.
    A cache that was not asked has no ratio."""

    def __init__(
        self, registry: str, samples: SampleStore, interval: float = 60.0, timeout: float = 30.0
    ) -> None:
        self.name, self.registry, self.interval, self.timeout = "cache", registry, interval, timeout
        self._samples = samples

    async def collect(self, now: float) -> Batch:
        """One look at the stored counters."""
        return await asyncio.to_thread(self._read, now)

    async def stored(self) -> None:
        """Nothing to advance: it is computed anew each time."""

    def _read(self, now: float) -> Batch:
        readings: dict[tuple[str, str], list[float]] = {}
        for sample in self._samples.range(self.registry, CACHE_REQUESTS, now - SPAN, now):
            pairs = dict(sample.labels)
            readings.setdefault((pairs["cache"], pairs["status"]), []).append(sample.value)
        asked: Counter[str] = Counter()
        hits: Counter[str] = Counter()
        for (cache, status), values in readings.items():
            rise = increase(values)
            asked[cache] += rise  # type: ignore[assignment]
            hits[cache] += rise if status in HITS else 0  # type: ignore[assignment]
        return Batch(
            samples=[
                Sample(self.registry, CACHE_HIT_RATIO, now, hits[cache] / count, labels(cache=cache))
                for cache, count in sorted(asked.items())
                if count > 0
            ]
        )
