"""Incidents: what goes wrong in generated series, labelled, from outages to values that are wrong only now.

Some bend the world before its values are rendered (the peak does not come, the clock is off, memory leaks),
some touch the values (a sensor that repeats itself, a rate that drops to its night level, rows that stop
coming). In most series the values of an incident stay within what was seen before: only the moment is wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models import operations
from models.normaliser import Floats
from models.operations import HOUR, SEASONAL, Rng, World
from models.profile import DAY

Bend = Callable[[World, slice], None]
Touch = Callable[[World, Floats, slice], None]

FIRST = 31  # rows before the first incident
CONTEXTUAL = 0.6  # share of series whose incidents stay within the range of the days before
SERIES_WITH = 0.88  # share of series that have any
SPAN_DAYS = 5  # a shorter series has incidents that last some rows, not some hours


def _rows(part: slice) -> int:
    return int(part.stop - part.start)


def _before(w: World, values: Floats, part: slice, hours: float = 72) -> Floats:
    """The values of the hours before."""
    return values[max(0, part.start - int(hours * w.per_hour), part.start - 6000) : part.start]


def _gain(low: float, high: float) -> Bend:
    def bend(w: World, part: slice) -> None:
        w.gain[part] = w.rng.uniform(low, high)

    return bend


def _level(low: float, high: float, signs: tuple[int, ...], shape: Callable[[int], Floats] = np.ones) -> Bend:
    def bend(w: World, part: slice) -> None:
        w.level[part] += w.rng.choice(signs) * w.rng.uniform(low, high) * shape(_rows(part))

    return bend


def _loud(low: float, high: float) -> Bend:
    def bend(w: World, part: slice) -> None:
        w.loud[part] *= w.rng.uniform(low, high)

    return bend


def _phase(w: World, part: slice) -> None:
    w.clock[part] += w.rng.choice([-1, 1]) * w.rng.uniform(3, 11) * HOUR


def _mirror(w: World, part: slice) -> None:
    w.clock[part] = w.clock[part][::-1].copy()


def _pace(w: World, part: slice) -> None:
    begin = w.clock[part.start]
    w.clock[part] = begin + (w.clock[part] - begin) * w.rng.choice([0.3, 0.5, 2, 3])


def _holiday(w: World, part: slice) -> None:
    """A working day like a Sunday, a weekend like a working day."""
    weekday = np.floor(w.clock[part] / DAY) % 7
    w.clock[part] += np.where(weekday < operations.SATURDAY, 6 - weekday, 2 - weekday) * DAY


def _leak(w: World, part: slice) -> None:
    rise = np.linspace(0.03, w.rng.uniform(0.7, 1.2), _rows(part))
    w.lift[part] = rise ** w.rng.choice([0.7, 1, 1, 1.5])


def _lifted(w: World, part: slice) -> None:
    w.lift[part] = w.rng.uniform(0.5, 1)


def _skip(w: World, part: slice) -> None:
    w.skipped.append((part.start, part.stop))


def _frequency(w: World, part: slice) -> None:
    w.speed[part] = w.rng.choice([0.4, 0.6, 1.6, 2.5])


def _flat(w: World, values: Floats, part: slice) -> None:
    values[part] = values[part.start - 1]


def _constant(w: World, values: Floats, part: slice) -> None:
    before = _before(w, values, part)
    values[part] = w.rng.choice([np.median(before), 0.0, w.rng.choice(before)])


def _stuck(w: World, values: Floats, part: slice) -> None:
    """Only every few rows is a new value."""
    size = int(w.rng.integers(4, 20))
    values[part] = values[part][np.arange(_rows(part)) // size * size]


def _coarse(w: World, values: Floats, part: slice) -> None:
    low, high = np.quantile(_before(w, values, part), [0.05, 0.95])
    grain = (high - low) / w.rng.uniform(1.5, 4) + 1e-12
    values[part] = np.round(values[part] / grain) * grain


def _drawn(low: float, high: float) -> Touch:
    """Values drawn from the quiet, or the busy, hours before."""

    def touch(w: World, values: Floats, part: slice) -> None:
        before = _before(w, values, part)
        least, most = np.quantile(before, [low, high])
        values[part] = w.rng.choice(before[(before >= least) & (before <= most)], _rows(part))

    return touch


def _shuffle(w: World, values: Floats, part: slice) -> None:
    day = _before(w, values, part, 24)
    values[part] = w.rng.choice(day, _rows(part))


def _clip(w: World, values: Floats, part: slice) -> None:
    low, high = np.quantile(values[part], [0.02, 0.98])
    edge = low + (high - low) * w.rng.uniform(0.3, 0.6)
    cut = np.minimum if w.rng.random() < 0.7 else np.maximum
    values[part] = cut(values[part], edge)


def _repeat(w: World, values: Floats, part: slice) -> None:
    """Yesterday once more, to the last digit."""
    day = int(24 * w.per_hour)
    if _rows(part) <= day < part.start:
        values[part] = values[part.start - day : part.stop - day].copy()


def _smooth(w: World, values: Floats, part: slice) -> None:
    width = max(3, int(w.rng.uniform(1, 3) * w.per_hour))
    total = np.cumsum(np.concatenate((np.full(width, values[part.start]), values[part])))
    values[part] = (total[width:] - total[:-width]) / width


def _dip(w: World, values: Floats, part: slice) -> None:
    low = np.quantile(_before(w, values, part), 0.01)
    values[part] = low - w.rng.choice([0, 1]) * w.rng.uniform(0, 1) * abs(low)


def _blackout(w: World, values: Floats, part: slice) -> None:
    values[part] = min(0.0, float(values.min()))


def _spikes(w: World, values: Floats, part: slice) -> None:
    low, high = np.quantile(_before(w, values, part), [0.05, 0.95])
    struck = w.rng.random(_rows(part)) < w.rng.uniform(0.15, 0.6)
    values[part] += struck * (high - low) * w.rng.uniform(0.6, 3) * w.rng.choice([1, 1, -1])


def _zigzag(w: World, values: Floats, part: slice) -> None:
    size = np.std(np.diff(_before(w, values, part))) + 1e-12
    turns = np.arange(_rows(part)) // w.rng.integers(1, 6)
    values[part] += size * w.rng.uniform(1.5, 4) * (-1.0) ** turns


def _high(w: World, values: Floats, part: slice) -> None:
    before = _before(w, values, part)
    values[part] += (np.std(before) + 0.02 * abs(before.mean())) * w.rng.uniform(1.5, 6)


def _no_season(w: World, values: Floats, part: slice) -> None:
    day = _before(w, values, part, 24)
    values[part] = day.mean() + 0.7 * np.std(np.diff(day)) * w.rng.normal(size=_rows(part))


def _sine(rows: int) -> Floats:
    return np.asarray(np.sin(np.linspace(0.1, np.pi - 0.1, rows)))


def _rise(rows: int) -> Floats:
    return np.linspace(0, 1, rows)


class Incident(NamedTuple):
    """A type: which kinds of series have it, how many hours it lasts, what it does (a gap does nothing: its
    rows before it are lost), where it begins ("peak", "night" or anywhere), how often it is drawn."""

    kinds: tuple[str, ...]
    hours: tuple[float, float]
    bend: Bend | None = None
    touch: Touch | None = None
    where: str = ""
    weight: float = 1.0
    inside: bool = True  # are its values kept within the range of the days before, in a contextual series?


_NOISY = ("rate", "latency", "errors", "gauge", "count")
_MOST = (*SEASONAL, "teeth", "wave", "walk")
TYPES: dict[str, Incident] = {
    "missing_peak": Incident(SEASONAL, (4, 14), _gain(0, 0.25), where="peak", weight=1.5),
    "half_peak": Incident(SEASONAL, (5, 16), _gain(0.3, 0.6), where="peak"),
    "high_peak": Incident(SEASONAL, (4, 14), _gain(1.3, 1.9), where="peak"),
    "dead_day": Incident(SEASONAL, (20, 60), _gain(0, 0.5), weight=0.7),
    "phase": Incident(SEASONAL, (10, 48), _phase, weight=2),
    "mirror": Incident(SEASONAL, (16, 30), _mirror),
    "pace": Incident(SEASONAL, (12, 40), _pace),
    "holiday": Incident(SEASONAL, (16, 30), _holiday),
    "leak": Incident((*SEASONAL, "teeth"), (12, 72), _leak, weight=2.5),
    "lifted": Incident(SEASONAL, (6, 30), _lifted),
    "loud": Incident((*_NOISY, "walk"), (5, 30), _loud(2.2, 5), weight=2),
    "quiet": Incident((*_NOISY, "walk"), (5, 30), _loud(0, 0.2), weight=2),
    "shift": Incident(_MOST, (3, 30), _level(0.45, 1.6, (-1, 1))),
    "elevated": Incident(_MOST, (2, 24), _level(0.4, 2.5, (1,)), weight=1.5, inside=False),
    "surge": Incident(SEASONAL, (2, 16), _level(0.8, 3, (1,), _sine), weight=1.2, inside=False),
    "spike": Incident(_MOST, (0.1, 0.1), _level(1, 3, (1, 1, 1, -1)), weight=0.6, inside=False),
    "ramp": Incident(_MOST, (4, 36), _level(0.5, 1.8, (-1, 1, 1), _rise)),
    "tent": Incident(_MOST, (2, 20), _level(0.5, 1.8, (-1, 1, 1), _sine), weight=0.8),
    "moved": Incident(_MOST, (8, 8), _level(0.6, 1.8, (-1, 1)), weight=1.2, inside=False),
    "no_cleanup": Incident(("disk",), (10, 40), _skip, weight=6, inside=False),
    "frequency": Incident(("teeth", "wave"), (8, 48), _frequency, weight=6),
    "flat": Incident(_MOST, (2, 10), touch=_flat, weight=2, inside=False),
    "constant": Incident(_MOST, (2, 10), touch=_constant, weight=0.7),
    "stuck": Incident(_NOISY, (3, 16), touch=_stuck, weight=0.7),
    "coarse": Incident(_NOISY, (6, 24), touch=_coarse, weight=0.7),
    "busy_drop": Incident(SEASONAL, (0.5, 3.5), touch=_drawn(0, 0.25), where="peak", weight=2),
    "night_rise": Incident(SEASONAL, (0.7, 4), touch=_drawn(0.8, 1), where="night", weight=1.2),
    "shuffle": Incident(SEASONAL, (6, 24), touch=_shuffle, weight=0.7),
    "clip": Incident(SEASONAL, (6, 14), touch=_clip, where="peak", weight=0.8),
    "repeat": Incident(("rate", "latency", "errors", "gauge"), (6, 24), touch=_repeat, weight=0.4),
    "smooth": Incident(_NOISY, (6, 24), touch=_smooth, weight=0.7),
    "dip": Incident(_MOST, (0.3, 3), touch=_dip, inside=False),
    "blackout": Incident(_MOST, (0.1, 2), touch=_blackout, weight=0.8, inside=False),
    "spikes": Incident(_MOST, (1, 8), touch=_spikes, inside=False),
    "zigzag": Incident(_NOISY, (3, 16), touch=_zigzag, weight=0.7),
    "high": Incident((*_MOST, "sparse"), (0.5, 12), touch=_high, weight=1.5, inside=False),
    "no_season": Incident(SEASONAL, (12, 36), touch=_no_season, weight=0.7),
    "gap": Incident(_MOST, (1, 1), weight=2.2, inside=False),
}
OF_VALUE = (
    "elevated", "surge", "spike", "blackout", "high", "tent", "shift", "dip", "ramp", "busy_drop",
    "missing_peak", "high_peak",
)  # fmt: skip
FEW_ROWS = {"spike": 4, "blackout": 30}  # at most so many


@dataclass(frozen=True, slots=True)
class Placed:
    """An incident of a type in some rows."""

    name: str
    part: slice


def _length(w: World, name: str) -> int:
    """How many rows it lasts."""
    low, high = TYPES[name].hours
    if name == "gap":
        return int(np.clip(w.per_hour, 3, 30))
    if name in FEW_ROWS:
        return int(w.rng.integers(1, FEW_ROWS[name]))
    if w.rows * w.step < SPAN_DAYS * DAY:
        low, high = 6 / w.per_hour, 400 / w.per_hour
    hours = np.exp(w.rng.uniform(np.log(low), np.log(high)))
    return int(np.clip(hours * w.per_hour, 3, w.rows // 6))


def _begin(w: World, name: str, length: int, first: int) -> int:
    """The first row, moved to where the type belongs within a day."""
    begin = int(w.rng.integers(first, max(w.rows - length, first + 1)))
    where, day = TYPES[name].where, 24 * w.per_hour
    if where and w.shape["seasonal"] and w.step >= 60 and length < day:
        rows = np.arange(begin, min(begin + int(day) + 1, w.rows - length))
        if len(rows) > 4:
            busy = w.activity(w.clock[rows + length // 2])
            if where == "peak":
                return int(rows[np.argmax(busy * w.rng.uniform(0.8, 1, len(busy)))])
            return int(rows[np.argmin(busy)])
    return begin


def plan(w: World, short: bool) -> list[Placed]:
    """Some incidents, apart from one another; half of the series have only one type."""
    names = [name for name, it in TYPES.items() if w.kind in it.kinds]
    if not names or w.rng.random() > SERIES_WITH:
        return []
    weights = np.array([TYPES[name].weight * (3 if short and name in OF_VALUE else 1) for name in names])
    weights /= weights.sum()
    main = str(w.rng.choice(names, p=weights)) if w.rng.random() < 0.5 else ""
    first = int(max(FIRST, w.rows * w.rng.choice([0.1, 0.25, 0.4]) * (0.3 if short else 1)))
    long = w.rows * w.step >= SPAN_DAYS * DAY
    apart, placed = int(max((6 if short else 12) * w.per_hour if long else 60, 8)), list[Placed]()
    for _ in range(int(w.rng.integers(1, 7))):
        name = main or str(w.rng.choice(names, p=weights))
        length = _length(w, name)
        begin = _begin(w, name, length, first)
        part = slice(begin, begin + length)
        if part.stop < w.rows - 2 and all(
            part.start >= other.part.stop + apart or part.stop <= other.part.start - apart for other in placed
        ):
            placed.append(Placed(name, part))
    return placed


def _lost(w: World, part: slice) -> slice:
    """The rows before a gap's label."""
    hours = w.rng.uniform(1, 8)
    return slice(max(part.start - max(2, int(hours * max(w.per_hour, 2))), 5), part.start)


def _keep_inside(w: World, values: Floats, part: slice) -> None:
    """Bring the values of an incident back into the range of the two weeks before."""
    before = _before(w, values, part, 14 * 24)
    low, high = np.quantile(before, [0.003, 0.997])
    wobble = np.abs(w.rng.normal(size=_rows(part))) * 0.03 * (high - low)
    x = values[part]
    x = np.where(x > high, high - wobble, x)
    values[part] = np.where(x < low, low + wobble, x)


def one(rng: Rng, rows: int, short: bool = False) -> tuple[Floats, Floats, NDArray[np.int8]]:
    """(times, values, labels) [rows] of a series: 1 where something is wrong. Values that are missing at the
    end are NaN."""
    w = operations.world(rng, rows + rows // 16, short)
    placed = plan(w, short)
    label, hours = np.zeros(w.rows, dtype=np.int8), w.per_hour
    for it in placed:
        label[it.part] = 1
        part = slice(it.part.start, w.rows) if it.name == "moved" else it.part
        if (bend := TYPES[it.name].bend) is not None:
            bend(w, part)

    def clear(row: int, around: float) -> bool:
        margin = around * hours
        return all(row < it.part.start - margin or row > it.part.stop + margin for it in placed)

    operations.live(w, clear)
    values, inside = operations.render(w), rng.random() < CONTEXTUAL
    kept = operations.kept_rows(w) | (label > 0)
    for it in placed:
        if (touch := TYPES[it.name].touch) is not None:
            touch(w, values, it.part)
        if inside and TYPES[it.name].inside:
            _keep_inside(w, values, it.part)
        if it.name == "gap":
            kept[_lost(w, it.part)] = False
    values, jitter = operations.measured(w, values), rng.uniform(0, 0.1, w.rows) * (rng.random() < 0.3)
    return _cut(w.times + jitter * w.step, values, label, np.flatnonzero(kept)[:rows], rows)


def _cut(
    times: Floats, values: Floats, label: NDArray[np.int8], found: NDArray[np.intp], rows: int
) -> tuple[Floats, Floats, NDArray[np.int8]]:
    """The rows found, made up to `rows` with missing values."""
    short = rows - len(found)
    last = times[found[-1]] + (times[1] - times[0]) * np.arange(1, short + 1)
    return (
        np.concatenate((times[found], last)),
        np.concatenate((values[found], np.full(short, np.nan))),
        np.concatenate((label[found], np.zeros(short, dtype=np.int8))),
    )


def many(seed: int, series: int, rows: int, short: bool = False) -> tuple[Floats, Floats, NDArray[np.int8]]:
    """(times, values, labels), each [rows, series]."""
    made = [one(rng, rows, short) for rng in np.random.default_rng(seed).spawn(series)]
    times, values, labels = (np.stack(part, axis=1) for part in zip(*made, strict=True))
    return times, values, labels
