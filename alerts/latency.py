"""A quantile of latencies: over pooled raw requests, or from a histogram's buckets where there are none.

Replicas' and minutes' quantiles are never averaged: raw requests, or the buckets' counts, are pooled. A
quantile from buckets is known to lie in one bucket only; its edges are the error bound and are stated. The
promise itself is judged exactly where its threshold is an edge, as 0.5 s is (registries.md section 3).
"""

import math
from dataclasses import dataclass
from itertools import pairwise

from seawall.core.ports import EventStore, SampleStore
from seawall.core.signals import MANIFEST_DURATION, Labels, Sample
from seawall.core.slos import SloRow
from seawall.core.times import format_duration

# Seconds in which the sample before a window's start is looked for: a counter's rise begins there.
SCRAPE = 300.0


@dataclass(frozen=True, slots=True)
class Latency:
    """A quantile in seconds over `count` requests of `span` seconds; `ok` None = not known. From buckets,
    the true value lies in (`lower`, `upper`] of `bound`."""

    count: int
    value: float | None
    span: float
    ok: bool | None
    reason: str
    bound: tuple[float, float] | None = None


class Latencies:
    """Answers rows of type latency over the two stores."""

    def __init__(self, samples: SampleStore, events: EventStore) -> None:
        self._samples, self._events = samples, events

    def since(self, row: SloRow, registry: str, start: float, end: float) -> Latency:
        """Over [start, end), however few requests there were."""
        if row.signal == MANIFEST_DURATION:
            found = self._events.manifest_latency(registry, start, end, row.quantile)
            if found.value is not None:
                return _raw(row, found.count, found.value, end - start)
        return self._binned(row, registry, start, end)

    def pooled(self, row: SloRow, registry: str, now: float, span: float) -> Latency:
        """Over the last `span` seconds, lengthened until there are enough requests."""
        if row.signal != MANIFEST_DURATION:
            return self._binned(row, registry, now - span, now)
        found = self._events.manifest_latency(registry, now - span, now, row.quantile)
        if found.value is not None and found.count >= row.minimum_samples:
            return _raw(row, found.count, found.value, span)
        found, oldest = self._events.manifest_latency_of_last(
            registry, now, row.minimum_samples, row.quantile
        )
        if found.value is None or oldest is None:
            return self._binned(row, registry, now - span, now)
        return _raw(row, found.count, found.value, max(span, now - oldest))

    def _binned(self, row: SloRow, registry: str, start: float, end: float) -> Latency:
        signal, span = f"{row.signal}_bucket", end - start
        before = self._samples.latest(registry, signal, start - SCRAPE, math.nextafter(start, -math.inf))
        samples = [*before, *self._samples.range(registry, signal, start, end)]
        found = quantile_of(rises(samples), row.quantile)
        if found is None:
            return Latency(0, None, span, None, f"no manifest request in {format_duration(span)}")
        count, value, lower, upper = found
        ok = _judged(row, value, lower, upper)
        bound = f"from buckets: between {_ms(lower)} and {_ms(upper)}"
        reason = f"P{row.quantile * 100:g} {_ms(value)} ({bound}) over {_requests(count, span, row)}"
        return Latency(count, value, span, ok, reason, (lower, upper))


def rises(samples: list[Sample]) -> dict[float, float]:
    """Upper edge in seconds -> how much the cumulative buckets of all series rose. A counter that falls was
    reset: what it shows is what came since."""
    series: dict[Labels, list[Sample]] = {}
    for sample in samples:
        series.setdefault(sample.labels, []).append(sample)
    pooled: dict[float, float] = {}
    for pairs, values in series.items():
        edge = float(dict(pairs).get("le", "inf"))
        rise = sum(b.value - a.value if b.value >= a.value else b.value for a, b in pairwise(values))
        pooled[edge] = pooled.get(edge, 0.0) + rise
    return pooled


def quantile_of(buckets: dict[float, float], quantile: float) -> tuple[int, float, float, float] | None:
    """(requests, value, lower, upper) of cumulative counts by upper edge; None without a request. The value
    is interpolated within its bucket, as Prometheus does; above the last edge it is that edge."""
    edges = sorted(buckets)
    total = max(buckets.values(), default=0.0)
    if total <= 0:
        return None
    lower, below = 0.0, 0.0
    for edge in edges:
        reached = max(below, buckets[edge])
        if reached >= quantile * total and reached > below:
            if math.isinf(edge):
                return round(total), lower, lower, edge
            share = (quantile * total - below) / (reached - below)
            return round(total), lower + (edge - lower) * share, lower, edge
        lower, below = edge, reached
    return round(total), lower, lower, math.inf


def _judged(row: SloRow, value: float, lower: float, upper: float) -> bool:
    """Exact where the threshold is an edge: every value of the bucket keeps the promise, or none does."""
    return row.objective.holds(upper) or (
        row.objective.holds(math.nextafter(lower, math.inf)) and row.objective.holds(value)
    )


def _raw(row: SloRow, count: int, value: float, span: float) -> Latency:
    reason = f"P{row.quantile * 100:g} {_ms(value)} over {_requests(count, span, row)}"
    return Latency(count, value, span, row.objective.holds(value), reason)


def _ms(seconds: float) -> str:
    return "infinity" if math.isinf(seconds) else f"{seconds * 1000:.0f} ms"


def _requests(count: int, span: float, row: SloRow) -> str:
    text = f"{count} requests in {format_duration(span)}"
    return text if count >= row.minimum_samples else f"only {text} (fewer than {row.minimum_samples})"
