"""How fast a volume fills, and when it will be full: read from the samples that are stored.

The rate is the median of the slopes between all pairs of points (Theil 1950; Sen, JASA 63, 1968), so that
a few wild points do not move it. Garbage collection makes a saw-tooth: the readings are cut where the volume
falls, and only slopes within a tooth count, pooled as the seasonal estimator pools its seasons (Hirsch, Slack
and Smith, Water Resources Research 18, 1982). So the rate is what comes in between clean-ups, and the time to
full holds if nothing is cleaned up.

The interval of 90 % is Student's for the mean rate of up to twelve blocks of time, widened to hold the
median. Sen's own would hold one time in eight: it wants independent errors, but pushes come in bursts, and
what was pushed stays.
"""

import asyncio
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from statistics import mean, median, stdev

from seawall.core.ports import SampleStore
from seawall.core.signals import STORAGE_BYTES, STORAGE_FULL, STORAGE_GROWTH, Batch, Sample, labels
from seawall.core.times import format_duration

WINDOW = 24 * 3600.0  # seconds that are looked back
LEAST_SPAN = 3600.0  # a shorter history says nothing
POINTS = 144  # the window is thinned to so many: about 10,000 pairs
LEAST_POINTS = 6
CLEANED = 5.0  # a fall by more than so many usual steps is a clean-up, and begins a new tooth
FORESEEN = 10 * 365 * 86400.0  # farther away than this nothing is said
# Blocks -> the 0.95 quantile of Student's t with one degree of freedom less.
_STUDENT = {
    2: 6.31, 3: 2.92, 4: 2.35, 5: 2.13, 6: 2.02, 7: 1.94, 8: 1.89, 9: 1.86, 10: 1.83, 11: 1.81, 12: 1.80,
}  # fmt: skip

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Growth:
    """Bytes a second that come in between clean-ups, with the ends of the 90 % interval."""

    low: float
    likely: float
    high: float

    def full_in(self, room: float) -> dict[str, float]:
        """Seconds until `room` bytes are used: `early`, `likely` and `late`. What is not foreseen (no growth,
        or more than ten years) is not there; empty unless the volume grows at its likely rate."""
        rates = {"early": self.high, "likely": self.likely, "late": self.low}
        times = {bound: max(room, 0.0) / rate for bound, rate in rates.items() if rate > 0}
        times = {bound: seconds for bound, seconds in times.items() if seconds <= FORESEEN}
        return times if "likely" in times else {}


def growth(points: Sequence[Point]) -> Growth | None:
    """The growth of a volume, from its (seconds, used bytes) in the order of time.

    None where the history is too short: fewer than `LEAST_POINTS` points, or a span below `LEAST_SPAN`.

    >>> hourly = [(hour * 3600.0, 5e9 + hour * 3.6e6) for hour in range(12)]
    >>> growth(hourly).likely
    1000.0
    """
    thin = _thinned(points)
    if len(thin) < LEAST_POINTS or thin[-1][0] - thin[0][0] < LEAST_SPAN:
        return None
    teeth = [tooth for tooth in _teeth(thin) if len(tooth) > 1]
    steps = [(b[0] - a[0], b[1] - a[1]) for tooth in teeth for a, b in pairwise(tooth)]
    if len(steps) < LEAST_POINTS - 1:
        return None
    slopes = ((b[1] - a[1]) / (b[0] - a[0]) for tooth in teeth for a, b in combinations(tooth, 2))
    likely, (low, high) = median(slopes), _interval(steps)
    return Growth(min(likely, low), likely, max(likely, high))


def _interval(steps: Sequence[Point]) -> tuple[float, float]:
    """Student's interval of the mean over the rates of consecutive blocks of (seconds, bytes) steps."""
    blocks = min(max(_STUDENT), len(steps) // 2)
    edges = [number * len(steps) // blocks for number in range(blocks + 1)]
    rates = [
        sum(rise for _, rise in steps[a:b]) / sum(time for time, _ in steps[a:b]) for a, b in pairwise(edges)
    ]
    half = _STUDENT[blocks] * stdev(rates) / math.sqrt(blocks)
    return mean(rates) - half, mean(rates) + half


def _thinned(points: Sequence[Point]) -> list[Point]:
    """At most `POINTS` points, each the last one of its slot: no reading is made up, no fall is blurred."""
    if len(points) <= POINTS:
        return list(points)
    start, span = points[0][0], points[-1][0] - points[0][0]
    slots = {min(POINTS - 1, int((point[0] - start) / span * POINTS)): point for point in points}
    return list(slots.values())


def _teeth(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Cut where the level falls, from one point to the next, by more than `CLEANED` times the usual step."""
    usual = median(abs(after[1] - before[1]) for before, after in pairwise(points))
    tooth = [points[0]]
    for before, after in pairwise(points):
        if before[1] - after[1] > CLEANED * usual:
            yield tooth
            tooth = []
        tooth.append(after)
    yield tooth


class StorageGrowth:
    """Collector of seawall_storage_growth_bytes_per_second and seawall_storage_full_seconds of a registry's
    volumes, from the stored seawall_storage_bytes. What cannot be told has no sample."""

    def __init__(
        self, registry: str, samples: SampleStore, interval: float = 300.0, timeout: float = 60.0
    ) -> None:
        self.name, self.registry, self.interval, self.timeout = "growth", registry, interval, timeout
        self._samples = samples

    async def collect(self, now: float) -> Batch:
        """Every volume that was measured in the last `LEAST_SPAN`."""
        return await asyncio.to_thread(self._read, now)

    async def stored(self) -> None:
        """Nothing to advance: it is computed anew each time."""

    def _read(self, now: float) -> Batch:
        batch = Batch()
        latest = self._samples.latest(self.registry, STORAGE_BYTES, now - LEAST_SPAN, now)
        states: dict[str, dict[str, float]] = {}
        for sample in latest:
            pairs = dict(sample.labels)
            states.setdefault(pairs["volume"], {})[pairs["state"]] = sample.value
        for volume, sizes in states.items():
            self._volume(batch, volume, sizes, now)
        return batch

    def _volume(self, batch: Batch, volume: str, sizes: dict[str, float], now: float) -> None:
        used = self._samples.range(
            self.registry, STORAGE_BYTES, now - WINDOW, now, labels(volume=volume, state="used")
        )
        found = growth([(sample.at, sample.value) for sample in used])
        if found is None:
            batch.asides.append(
                f"{volume}: growth is unknown until it was measured for {format_duration(LEAST_SPAN)}"
            )
            return
        rates = {"low": found.low, "likely": found.likely, "high": found.high}
        times = found.full_in(sizes.get("available", 0.0))
        for signal, bounds in ((STORAGE_GROWTH, rates), (STORAGE_FULL, times)):
            batch.samples += [
                Sample(self.registry, signal, now, value, labels(volume=volume, bound=bound))
                for bound, value in bounds.items()
            ]
        if times:
            batch.asides.append(f"{volume}: {_told(times)}")


def _told(times: dict[str, float]) -> str:
    """`full in about 3d4h (2d20h to 5d1h), if nothing is cleaned up`."""
    early, likely = format_duration(times["early"]), format_duration(times["likely"])
    late = f"to {format_duration(times['late'])}" if "late" in times else "or never"
    return f"full in about {likely} ({early} {late}), if nothing is cleaned up"
