"""How the value of each row went over the last day: what the matrix draws as a small line."""

from collections.abc import Sequence
from typing import Any

from seawall.core.ports import SampleStore
from seawall.core.signals import labels
from seawall.core.slos import SloStatus
from seawall.core.times import rfc3339

SPAN, POINTS = 86400.0, 24
OBSERVED = "seawall_observed"  # kept by each turn, by signal


def trends(samples: SampleStore, statuses: Sequence[SloStatus]) -> list[dict[str, Any]]:
    """Of each row the newest value in each hour of the day before it was judged, None where there is none."""
    return [
        {
            "name": status.name,
            "registry": status.registry,
            "start": rfc3339(status.at - SPAN),
            "end": rfc3339(status.at),
            "values": _values(samples, status),
        }
        for status in statuses
    ]


def _values(samples: SampleStore, status: SloStatus) -> list[float | None]:
    start, step = status.at - SPAN, SPAN / POINTS
    values: list[float | None] = [None] * POINTS
    pairs = labels(signal=f"slo:{status.name}")
    for sample in samples.range(status.registry, OBSERVED, start, status.at, pairs):
        values[min(POINTS - 1, int((sample.at - start) // step))] = sample.value
    return values
