"""The last two hours of the samples that are asked for, held in memory beside a store: a wrapper of the port.

A turn of a hundred registries asks some hundreds of small questions about the last minutes; from memory
each costs microseconds. What is older, and what was never asked for, is the store's. So is durability: a
sample is remembered only after the store has kept it.
"""

import math
import threading
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from seawall.core.ports import Slice
from seawall.core.signals import Labels, Sample
from seawall.stores.duckdb import DuckSamples

KEEP = 7200.0  # seconds
SLACK = 600.0  # seconds beyond it before the old ones are dropped


@dataclass
class _Series:
    """Samples of one registry and signal from `since` on, complete: (at, labels) sorted, and their values."""

    since: float
    keys: list[tuple[float, Labels]] = field(default_factory=list)
    values: dict[tuple[float, Labels], float] = field(default_factory=dict)

    def add(self, sample: Sample) -> None:
        """A repeat changes nothing."""
        key = (sample.at, sample.labels)
        if sample.at < self.since or key in self.values:
            return
        if not self.keys or key > self.keys[-1]:
            self.keys.append(key)
        else:
            insort(self.keys, key)
        self.values[key] = sample.value
        if self.keys[-1][0] - self.keys[0][0] > KEEP + SLACK:
            self._drop(self.keys[-1][0] - KEEP)

    def _drop(self, before: float) -> None:
        cut = bisect_left(self.keys, (before, ()))
        for key in self.keys[:cut]:
            del self.values[key]
        del self.keys[:cut]
        self.since = before

    def between(self, start: float, end: float) -> list[tuple[float, Labels]]:
        """Keys in [start, end)."""
        return self.keys[bisect_left(self.keys, (start, ())) : bisect_left(self.keys, (end, ()))]


class RecentSamples:
    """The port SampleStore over another one. `now` is the clock."""

    def __init__(self, store: DuckSamples, now: Callable[[], float]) -> None:
        self._store, self._now = store, now
        self._series: dict[tuple[str, str], _Series] = {}
        self._lock = threading.Lock()

    def append(self, samples: Sequence[Sample]) -> None:
        """See the port."""
        self._store.append(samples)
        with self._lock:
            for sample in samples:
                series = self._series.get((sample.registry, sample.signal))
                if series is not None:
                    series.add(sample)

    def range(
        self, registry: str, signal: str, start: float, end: float, labels: Labels | None = None
    ) -> list[Sample]:
        """See the port."""
        with self._lock:
            series = self._recent(registry, signal, start)
            if series is not None:
                return [
                    Sample(registry, signal, key[0], series.values[key], key[1])
                    for key in series.between(start, end)
                    if labels in (None, key[1])
                ]
        return self._store.range(registry, signal, start, end, labels)

    def latest(self, registry: str, signal: str, since: float, until: float) -> list[Sample]:
        """See the port."""
        with self._lock:
            series = self._recent(registry, signal, since)
            if series is not None:
                newest = {key[1]: key for key in series.between(since, math.nextafter(until, math.inf))}
                return [
                    Sample(registry, signal, newest[pairs][0], series.values[newest[pairs]], pairs)
                    for pairs in sorted(newest)
                ]
        return self._store.latest(registry, signal, since, until)

    def slices(self, registry: str, signal: str, start: float, end: float) -> list[Slice]:
        """See the port."""
        with self._lock:
            series = self._recent(registry, signal, start)
            if series is not None:
                return _counted(series, start, end)
        return self._store.slices(registry, signal, start, end)

    def past(self, at: float) -> DuckSamples:
        """The store itself, as if it were `at`."""
        return self._store.past(at)

    def close(self) -> None:
        """See the port."""
        self._store.close()

    def _recent(self, registry: str, signal: str, start: float) -> _Series | None:
        """The series, if all of it from `start` on is here; read from the store when first asked for."""
        series = self._series.get((registry, signal))
        if series is None:
            since = self._now() - KEEP
            if start < since:
                return None
            series = _Series(since)
            for sample in self._store.range(registry, signal, since, math.inf):
                series.add(sample)
            self._series[registry, signal] = series
        return series if start >= series.since else None


def _counted(series: _Series, start: float, end: float) -> list[Slice]:
    good: Counter[tuple[int, str]] = Counter()
    failed: Counter[tuple[int, str]] = Counter()
    for key in series.between(start, end):
        (good if series.values[key] >= 0.5 else failed)[int(key[0] // 60), dict(key[1]).get("site", "")] += 1
    return [Slice(*key, good[key], failed[key]) for key in sorted(good.keys() | failed.keys())]
