"""Samples and events in lists: for tests, and for a try without a disk. Scheme: memory."""

import math
from bisect import insort
from collections import Counter
from collections.abc import Mapping, Sequence

from seawall.core.ports import Quantile, Slice
from seawall.core.signals import Event, Labels, Sample
from seawall.stores.event_columns import (
    client_address,
    duration_seconds,
    is_client_manifest,
    is_client_request,
)
from seawall.stores.memory_looks import MemoryLooks
from seawall.stores.memory_pulls import MemoryPulls

SCHEMES = ("memory",)


def nearest_rank(values: Sequence[float], quantile: float) -> float | None:
    """The smallest value that at least `quantile` of all values do not exceed; None of nothing."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(quantile * len(ranked)) - 1)] if ranked else None


class MemorySamples:
    """The sample store in a sorted list."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, str, str, Labels, float]] = []
        self._known: set[tuple[float, str, str, Labels]] = set()

    def append(self, samples: Sequence[Sample]) -> None:
        """See the port."""
        for s in samples:
            key = (s.at, s.registry, s.signal, s.labels)
            if key not in self._known:
                self._known.add(key)
                insort(self._rows, (*key, s.value))

    def range(
        self, registry: str, signal: str, start: float, end: float, labels: Labels | None = None
    ) -> list[Sample]:
        """See the port."""
        return [
            Sample(name, kind, at, value, pairs)
            for at, name, kind, pairs, value in self._rows
            if start <= at < end and (name, kind) == (registry, signal) and labels in (None, pairs)
        ]

    def latest(self, registry: str, signal: str, since: float, until: float) -> list[Sample]:
        """See the port."""
        newest = {s.labels: s for s in self.range(registry, signal, since, math.nextafter(until, math.inf))}
        return [newest[key] for key in sorted(newest)]

    def slices(self, registry: str, signal: str, start: float, end: float) -> list[Slice]:
        """See the port."""
        good: Counter[tuple[int, str]] = Counter()
        failed: Counter[tuple[int, str]] = Counter()
        for s in self.range(registry, signal, start, end):
            (good if s.value >= 0.5 else failed)[int(s.at // 60), dict(s.labels).get("site", "")] += 1
        return [Slice(*key, good[key], failed[key]) for key in sorted(good.keys() | failed.keys())]

    def close(self) -> None:
        """Nothing to release."""


class MemoryEvents(MemoryPulls, MemoryLooks):
    """The event store in a dictionary by id."""

    def __init__(self) -> None:
        self._events: dict[str, Event] = {}
        self._checkpoints: dict[str, str] = {}

    def append(self, events: Sequence[Event], checkpoints: Mapping[str, str]) -> int:
        """See the port."""
        before = len(self._events)
        for event in events:
            self._events.setdefault(event.id, event)
        self._checkpoints.update(checkpoints)
        return len(self._events) - before

    def checkpoint(self, source: str) -> str | None:
        """See the port."""
        return self._checkpoints.get(source)

    def _between(self, registry: str | None, start: float, end: float) -> list[Event]:
        found = [e for e in self._events.values() if start <= e.at < end and registry in (None, e.registry)]
        return sorted(found, key=lambda e: (-e.at, e.id))

    def recent(self, registry: str | None, start: float, end: float, limit: int) -> list[Event]:
        """See the port."""
        return self._between(registry, start, end)[:limit]

    def manifest_latency(self, registry: str, start: float, end: float, quantile: float) -> Quantile:
        """See the port."""
        found = [e for e in self._between(registry, start, end) if is_client_manifest(e)]
        return _quantile(found, quantile)

    def manifest_latency_of_last(
        self, registry: str, end: float, count: int, quantile: float
    ) -> tuple[Quantile, float | None]:
        """See the port."""
        found = [e for e in self._between(registry, -math.inf, end) if is_client_manifest(e)][:count]
        return _quantile(found, quantile), min((e.at for e in found), default=None)

    def impact(self, registry: str, start: float, end: float) -> tuple[int, int, int]:
        """See the port."""
        found = [e for e in self._between(registry, start, end) if is_client_request(e)]
        failed = [e for e in found if e.fields["http.response.status_code"] >= 500]
        repositories = {e.fields.get("registry.repository") for e in found} - {None}
        clients = {client_address(e) for e in found} - {None}
        return len(failed), len(repositories), len(clients)

    def errors_by_minute(self, registry: str, start: float, end: float) -> list[tuple[int, int, int]]:
        """See the port."""
        requests: Counter[int] = Counter()
        errors: Counter[int] = Counter()
        for event in self._between(registry, start, end):
            if is_client_request(event):
                minute = int(event.at // 60)
                requests[minute] += 1
                errors[minute] += event.fields["http.response.status_code"] >= 500
        return [(minute, requests[minute], errors[minute]) for minute in sorted(requests)]

    def close(self) -> None:
        """Nothing to release."""


def _quantile(events: Sequence[Event], quantile: float) -> Quantile:
    return Quantile(len(events), nearest_rank([duration_seconds(e) or 0.0 for e in events], quantile))
