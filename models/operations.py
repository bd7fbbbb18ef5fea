"""Generated operations series: what registries and the machines below them look like.

A World is what a series is made of, row by row: the hours that its daily pattern follows, how much of the
pattern is there, how loud the noise is, a level. models.incidents bends these; `render` turns them into
values. Everything follows from the generator that a World is made with.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.normaliser import Floats
from models.profile import DAY

Rng = np.random.Generator

HOUR = 3600.0
STEPS = (10.0, 30.0, 60.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)  # seconds between rows
LONG_WEIGHTS = (0.07, 0.05, 0.12, 0.28, 0.22, 0.05, 0.08, 0.13)
SHORT_WEIGHTS = (0.04, 0.04, 0.14, 0.12, 0.08, 0.06, 0.12, 0.4)
SATURDAY = 5
_GRID = np.linspace(0, 24, 289)  # hours of a day


@dataclass
class World:
    """Arrays [T]: `times` in Unix seconds, `clock` the local seconds since a Monday that the pattern follows,
    `gain` of the pattern, `lift` of its troughs (0 none, 1 gone), `loud` factor on the noise, `level` a log
    factor, `speed` of a cycle that is no day. `shape` are the numbers that make this series this series."""

    rng: Rng
    kind: str
    step: float
    times: Floats
    clock: Floats
    gain: Floats
    lift: Floats
    loud: Floats
    level: Floats
    speed: Floats
    day: Floats
    week: Floats
    weekend: Floats | None
    daily: Floats
    shape: dict[str, float]
    seed: int
    skipped: list[tuple[int, int]] = field(default_factory=list)  # rows in which no clean-up happens

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.times)

    @property
    def per_hour(self) -> float:
        """Rows in an hour."""
        return HOUR / self.step

    def activity(self, clock: Floats) -> Floats:
        """Share of the usual peak, about 0..1, at the given local seconds."""
        hour, weekday = clock % DAY / HOUR, np.floor(clock / DAY).astype(np.intp) % 7
        share = np.interp(hour, _GRID, self.day)
        if self.weekend is not None:
            share = np.where(weekday >= SATURDAY, np.interp(hour, _GRID, self.weekend), share)
        return np.asarray(share * self.week[weekday])

    def busy(self) -> Floats:
        """The activity of each row, with what has been bent."""
        share = self.activity(self.clock) if self.shape["seasonal"] else np.full(self.rows, 0.5)
        day = (np.floor(self.clock / DAY) - np.floor(self.clock[0] / DAY)).astype(np.intp)
        share = share * self.daily[np.clip(day, 0, len(self.daily) - 1)] * self.gain
        return np.asarray(share + self.lift * np.maximum(0.7 - share, 0))

    def noise(self) -> Floats:
        """Unit noise, part white and part with memory, now and then with a heavy tail."""
        rng, share = np.random.default_rng(self.seed), self.shape["memory_share"]
        slow, white = remembering(rng, self.rows, self.shape["memory"]), rng.normal(size=self.rows)
        noise = np.sqrt(share) * slow + np.sqrt(1 - share) * white
        if self.shape["tail"] < 0.25:
            rare = np.where(rng.random(self.rows) < 0.03, rng.uniform(1, 4, self.rows), 1)
            noise = np.where(noise > 0, 1.5 * noise, noise) if self.kind == "latency" else noise * rare
        return np.asarray(noise * self.loud)


def remembering(rng: Rng, count: int, memory: float) -> Floats:
    """Gaussian noise of unit variance whose autocorrelation at one row is `memory` [count], by doubling."""
    noise, reach, weight = rng.normal(size=count) * np.sqrt(1 - memory**2), 1, memory
    while reach < count and weight > 1e-4:
        noise[reach:] = noise[reach:] + weight * noise[:-reach]
        reach, weight = 2 * reach, weight**2
    return np.asarray(noise)


def day_shape(rng: Rng) -> Floats:
    """A daily pattern 0..1 on 289 places: peaks, waves, office hours or short jobs, perhaps a build."""
    family, grid = rng.random(), _GRID[:, None]
    if family < 0.55:
        count = int(rng.integers(1, 4))
        first = rng.uniform(0, 24) if rng.random() < 0.4 else rng.uniform(7, 13)
        centres = first + np.cumsum(np.append(0, rng.uniform(2.5, 8, count - 1)))
        heights = np.append(1, rng.uniform(0.3, 1, count - 1))
        shape = (heights * _bump(grid, centres, rng.uniform(0.8, 4, count))).sum(axis=1)
    elif family < 0.75:
        waves = [
            rng.normal() / k**1.2 * np.sin(2 * np.pi * k * (_GRID + rng.uniform(0, 24)) / 24)
            for k in range(1, int(rng.integers(2, 5)))
        ]
        shape = np.sum(waves, axis=0)
    elif family < 0.9:
        begin, end, edge = rng.uniform(5, 10), rng.uniform(15, 22), rng.uniform(0.2, 1.2)
        hour = (_GRID - (rng.uniform(0, 24) if rng.random() < 0.3 else 0)) % 24
        shape = 1 / (1 + np.exp(-(hour - begin) / edge)) / (1 + np.exp((hour - end) / edge))
        if rng.random() < 0.5:
            shape *= 1 - rng.uniform(0.1, 0.5) * np.exp(-0.5 * ((hour - rng.uniform(11, 14)) / 0.7) ** 2)
    else:
        centres = rng.uniform(0, 24, int(rng.integers(1, 5)))
        shape = _bump(grid, centres, rng.uniform(0.3, 1.2)).max(axis=1)
    if rng.random() < 0.3:
        build = _bump(grid, rng.uniform(0, 24, 1), rng.uniform(0.3, 0.9))[:, 0]
        shape = shape + rng.uniform(0.2, 0.7) * np.ptp(shape) * build
    shape = shape - shape.min()
    return np.asarray(shape / shape.max())


def _bump(hours: Floats, centres: Floats, width: Floats | float) -> Floats:
    away = (hours - centres + 12) % 24 - 12
    return np.asarray(np.exp(-0.5 * (away / width) ** 2))


def world(rng: Rng, rows: int, short: bool = False) -> World:
    """A calm world: its kind, pattern, noise, trend; `short` ones are mostly sampled by the hour."""
    step = float(rng.choice(STEPS, p=SHORT_WEIGHTS if short else LONG_WEIGHTS))
    kind = str(rng.choice(list(KINDS), p=[weight for _, weight in KINDS.values()]))
    start = 1.6e9 + rng.uniform(0, 400) * DAY
    times = start - start % step + step * np.arange(rows, dtype=np.float64)
    zone = 0.0 if rng.random() < 0.5 else rng.integers(-11, 13) * HOUR
    days = rows * step / DAY
    memory = rng.choice([0.0, rng.uniform(0.3, 0.95), rng.uniform(0.9, 0.995)], p=[0.2, 0.6, 0.2])
    names = ("memory_share", "tail", "size", "place", "when", "often", "kept")
    shape = {
        "noise": 10 ** rng.uniform(-1.9, -0.75), "memory": memory, "floor": rng.uniform(0.02, 0.5),
        "depth": rng.choice([-1, 1], p=[0.12, 0.88]) * rng.uniform(0.2, 2),
        "amplitude": rng.uniform(0.3, 1.5),
        "seasonal": float(rng.random() > 0.12), **{name: rng.random() for name in names},
    }  # fmt: skip
    return World(
        rng=rng, kind=kind, step=step, times=times, clock=times + 3 * DAY + zone, gain=np.ones(rows),
        lift=np.zeros(rows), loud=np.ones(rows), speed=np.ones(rows),
        level=np.linspace(0, rng.normal(0, 0.12) * min(days / 30, 2), rows),
        day=day_shape(rng), week=_week(rng),
        weekend=day_shape(rng) if rng.random() < 0.12 else None,
        daily=np.exp(rng.choice([0, 0.03, 0.06, 0.12]) * rng.normal(size=int(days) + 3)), shape=shape,
        seed=int(rng.integers(1 << 31)),
    )  # fmt: skip


def _week(rng: Rng) -> Floats:
    """Factors on the seven days."""
    week, choice = np.ones(7), rng.random()
    if choice < 0.65:
        week[SATURDAY:] = rng.uniform(0.1, 0.85)
    elif choice < 0.8:
        week[SATURDAY:] = rng.uniform(0.2, 1.1, 2)
    elif choice < 0.88:
        week = rng.uniform(0.5, 1.1, 7)
    if rng.random() < 0.2:
        week[0] *= rng.uniform(1, 1.3)
    return week


def _load(w: World, noise: float) -> Floats:
    floor = w.shape["floor"]
    return np.asarray(
        np.exp(w.level + noise * w.shape["noise"] * w.noise()) * (floor + (1 - floor) * w.busy())
    )


def _rate(w: World) -> Floats:
    """Requests or bytes a second: follows the day, noise in proportion."""
    return _load(w, 1.0)


def _latency(w: World) -> Floats:
    """Seconds a request takes: slower at the busy hour, skewed."""
    return np.asarray(np.exp(w.level + w.shape["depth"] * w.busy() + 1.8 * w.shape["noise"] * w.noise()))


def _errors(w: World) -> Floats:
    """A share of failures: as latency, noisier."""
    return np.asarray(np.exp(w.level + w.shape["depth"] * w.busy() + 2.5 * w.shape["noise"] * w.noise()))


def _count(w: World) -> Floats:
    """Whole events per row: Poisson."""
    mean = np.clip(_load(w, 0.5) * 10 ** (0.5 + 2.3 * w.shape["size"]), 0, 1e6)
    found = np.random.default_rng(w.seed + 1).poisson(mean)
    return np.asarray(np.round(np.maximum(mean + (found - mean) * np.clip(w.loud, 0, 5), 0)))


def _burst(w: World) -> Floats:
    """Crashes, purchases, failures per row: counts more uneven than Poisson."""
    rng, even = np.random.default_rng(w.seed + 1), 10 ** (-0.3 + 1.8 * w.shape["place"])
    floor = w.shape["floor"] * w.shape["often"]
    mean = np.exp(w.level) * (floor + (1 - floor) * w.busy()) * 10 ** (0.3 + 2.5 * w.shape["size"])
    return np.asarray(
        rng.poisson(np.clip(mean * rng.gamma(even, 1 / even, w.rows), 0, 1e6)), dtype=np.float64
    )


def _gauge(w: World) -> Floats:
    """A level that the day adds to: CPU, connections; some are cut off at the top."""
    base, size = 3 * w.shape["size"], w.shape["amplitude"]
    noise = 1.5 * w.shape["noise"] * (size if w.shape["seasonal"] else 1) * w.noise()
    level = base + size * (w.level + w.busy()) + noise
    return np.clip(level, base, base + size) if w.shape["place"] < 0.2 else level


def _disk(w: World) -> Floats:
    """Fills with the day's work; a clean-up at a fixed hour (of some days) gives most back."""
    filling = np.maximum(w.busy(), 0) / max(float(np.mean(w.day)), 0.05) / DAY * w.step
    total, weekly = np.cumsum(filling), w.shape["often"] >= 0.7 and w.rows * w.step > 20 * DAY
    turn = np.floor((w.clock - w.shape["when"] * DAY) / (7 * DAY if weekly else DAY))
    given_back, freed = np.zeros(w.rows), 0.0
    for row in (np.flatnonzero(np.diff(turn)) + 1).tolist():
        if not any(first <= row < last for first, last in w.skipped):
            freed += (0.8 + 0.2 * w.shape["kept"]) * (total[row] - freed)
            given_back[row:] = freed
    used = 6 * w.shape["amplitude"] * np.maximum(total - given_back, 0.8 * w.lift)
    return np.asarray(20 + 40 * w.shape["size"] + 6 * w.level + used + 4 * w.shape["noise"] * w.noise())


def _teeth(w: World) -> Floats:
    """A heap between collections: saw-teeth of a period of their own."""
    rng, period = np.random.default_rng(w.seed), 10 ** (1 + 1.3 * w.shape["size"])
    phase = np.cumsum(w.speed * (1 + 0.05 * rng.normal(size=w.rows))) / period
    heap = w.shape["amplitude"] * (phase % 1 * w.gain + w.lift) + w.shape["noise"] * w.noise()
    return np.asarray(0.5 + 2 * w.shape["place"] + np.exp(w.level) * heap)


def _wave(w: World) -> Floats:
    """A sine or a pulse that comes back every 10 to 300 rows."""
    phase = np.cumsum(w.speed) / 10 ** (1 + 1.5 * w.shape["size"])
    pulse = (phase % 1 < 0.1 + 0.6 * w.shape["when"]).astype(np.float64)
    wave = np.sin(2 * np.pi * phase) if w.shape["place"] < 0.5 else pulse
    noise = w.shape["noise"] * w.noise() * (w.shape["kept"] > 0.15)
    return np.asarray(3 * w.shape["often"] + w.level + w.shape["amplitude"] * wave * w.gain + noise)


def _walk(w: World) -> Floats:
    """A random walk."""
    steps = np.random.default_rng(w.seed).normal(size=w.rows) * w.loud
    return np.asarray(3 + 5 * w.shape["size"] + 2 * w.level + 0.3 * w.shape["noise"] * np.cumsum(steps))


def _sparse(w: World) -> Floats:
    """Errors per row: mostly 0."""
    rng, share = np.random.default_rng(w.seed), 10 ** (-3 + 2.5 * w.shape["size"])
    there = rng.random(w.rows) < share * np.exp(np.clip(3 * w.level, -2, 2))
    return np.where(there, 1.0 + rng.poisson(3 * w.shape["amplitude"], w.rows), 0.0)


def _flat(w: World) -> Floats:
    """One value, or one with the noise of rounding."""
    value = (0.0, 1.0, 100 * w.shape["place"])[min(int(w.shape["size"] / 0.3), 2)]
    return np.asarray(value * (1 + 1e-4 * w.noise() * (w.shape["when"] < 0.3)))


KINDS: dict[str, tuple[Callable[[World], Floats], float]] = {
    "rate": (_rate, 0.18), "latency": (_latency, 0.17), "errors": (_errors, 0.1), "count": (_count, 0.12),
    "gauge": (_gauge, 0.11), "disk": (_disk, 0.08), "burst": (_burst, 0.08), "teeth": (_teeth, 0.05),
    "wave": (_wave, 0.05), "walk": (_walk, 0.02), "sparse": (_sparse, 0.02), "flat": (_flat, 0.02),
}  # fmt: skip
SEASONAL = ("rate", "latency", "errors", "count", "gauge", "disk", "burst")


def live(w: World, clear: Callable[[int, float], bool] = lambda row, hours: True) -> None:
    """What is normal: a level that wanders, deploys that move it for good, short natural spikes; the last two
    where `clear` allows."""
    rng = w.rng
    if rng.random() < 0.35:
        wandering = remembering(rng, w.rows, 1 - 1 / max(rng.uniform(1, 5) * DAY / w.step, 20))
        w.level += rng.uniform(0.02, 0.15) * wandering
    for _ in range(int(rng.integers(0, 5))):
        row = int(rng.integers(50, w.rows - 10))
        if clear(row, 8):
            w.level[row:] += rng.choice([-1, 1]) * rng.uniform(0.03, 0.35)
    often = rng.choice([0, 0.0005, 0.002, 0.005])
    for row in np.flatnonzero(rng.random(w.rows) < often).tolist():
        if clear(row, 1):
            last = row + int(rng.integers(1, 4))
            w.level[row:last] += rng.lognormal(-1, 0.6) * rng.choice([1, 1, 1, -1])


def render(w: World) -> Floats:
    """The values of a world, in no unit yet [T]."""
    return KINDS[w.kind][0](w)


def measured(w: World, values: Floats) -> Floats:
    """As an instrument gives them: whole numbers stay whole, some are rounded; in some unit."""
    rng = w.rng
    whole = w.kind in ("count", "sparse", "burst")
    if not whole and rng.random() < 0.1:
        grain = float(np.std(values[:200])) * rng.uniform(0.1, 1) + 1e-12
        values = np.round(values / grain) * grain
    values = values * 10 ** rng.uniform(-3, 6)
    if not whole and rng.random() < 0.5:
        digits = 10.0 ** (5 - np.floor(np.log10(np.abs(values).max() + 1e-300)))
        values = np.round(values * digits) / digits
    return np.asarray(values)


def kept_rows(w: World) -> NDArray[np.bool_]:
    """Rows [T] that arrive: some are lost here and there."""
    kept = w.rng.random(w.rows) > w.rng.choice([0, 0.001, 0.001, 0.01, 0.05])
    kept[0] = True
    return np.asarray(kept)


def one(rng: Rng, rows: int, short: bool = False) -> tuple[Floats, Floats]:
    """(times, values) [rows] of a series in which nothing is wrong."""
    w = world(rng, rows + rows // 8, short)
    live(w)
    values = measured(w, render(w))
    found = np.flatnonzero(kept_rows(w))[:rows]
    return w.times[found], values[found]


def many(seed: int, series: int, rows: int, short: bool = False) -> tuple[Floats, Floats]:
    """(times, values), each [rows, series], of normal series."""
    pairs = [one(rng, rows, short) for rng in np.random.default_rng(seed).spawn(series)]
    return np.stack([t for t, _ in pairs], axis=1), np.stack([v for _, v in pairs], axis=1)
