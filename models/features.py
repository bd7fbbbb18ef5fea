"""What the network sees of a series: causal inputs of O(1) memory, the same in training and in serving.

A series is a column of `clock` (float64, CLOCK), of `own` (float32, OWN) and of the slot tables of
models.profile. Values x become y = asinh(x / unit): logarithmic for a signal of many magnitudes, linear for
one that hardly moves, so a deploy that makes everything a fifth slower is one number. Each y is held against
the level of its quarter of an hour, as learnt on earlier working days, Saturdays or Sundays.
"""

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from models.profile import DAY, SLOT_SECONDS, SLOTS, Places, Tables, day_kind

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

# Count, last_at, elapsed and gap are where models.normaliser has them.
CLOCK = (
    "count", "begun", "unit", "size", "negative", "last_at", "elapsed", "gap",
    "raw_scale", "slot", "next_slot", "average",
)  # fmt: skip
COUNT, BEGUN, UNIT, SIZE, NEGATIVE, LAST_AT, ELAPSED, GAP, RAW_SCALE, SLOT, NEXT_SLOT, AVERAGE = range(12)
OWN = (
    # running values, each on its way to a target of its own
    "mean", "scale", "step", "noise_short", "noise_long", "equal", "residual_scale", "restless",
    "hour", "third", "day", "recent", "short", "lasting",
    "spread", "pressure", "last", "run", "pause", "since", "held", "distance",
    "level", "level_scale", "known", "yesterday", "yesterday_known", "week", "week_known", "next_level",
    "next_known", "slot_sum", "slot_sizes", "slot_count", "days", "word",
)  # fmt: skip
(
    MEAN, SCALE, STEP, NOISE_SHORT, NOISE_LONG, EQUAL, RESIDUAL_SCALE, RESTLESS,
    HOUR, THIRD, DAILY, RECENT, SHORT, LASTING,
    SPREAD, PRESSURE, LAST, RUN, PAUSE, SINCE, HELD, DISTANCE, LEVEL, LEVEL_SCALE, KNOWN,
    YESTERDAY, YESTERDAY_KNOWN, WEEK, WEEK_KNOWN, NEXT_LEVEL, NEXT_KNOWN, SLOT_SUM, SLOT_SIZES, SLOT_COUNT,
    DAYS, WORD,
) = range(36)  # fmt: skip
INPUTS = (
    # deviations in units of the series' own scale, then of its residuals from the profile
    "value", "short", "next_level", "level", "difference", "yesterday", "week", "residual", "hour", "third",
    "residual_z", "hour_z", "third_z", "difference_z", "recent_z", "raw_mean", "raw_profile",
    # logarithms
    "noise", "season", "gap", "step", "spread", "held",
    "pause", "since", "run", "equal", "next_known", "known", "yesterday_known", "week_known",
    "maturity", "days", "sine", "cosine", "weekend", "restless",
)  # fmt: skip
_SERIES_UNITS, _DEVIATIONS, _LOGS = 10, 17, 23
REACH = 8.0  # deviations are asinh of their ratio, within +-REACH
GROWN = 32  # samples after which the unit is first chosen
SETTLED = 60  # samples, and a day, after which the raw scale stands
YOUNG = 17  # samples that are learnt whole
MEMORY = 0.8  # share of what the score is made of that is still there a sample later
DOUBT = 2.0  # the scale of the first day, which has not seen all hours, may still grow by so many times

F = np.float32
_Real = TypeVar("_Real", np.float32, np.float64)
Limit = float | Floats | Singles


def _column(*values: float) -> Singles:
    return np.array(values, dtype=F)[:, None]


_SLOWEST = _column(1 / 256, 1 / 256, 1 / 128, 1 / 16, 1 / 1024, 1 / 1024, 1 / 512, 1 / 24)
_HOURS = _column(1, 8, 24)
_QUICK = _column(1 / 8, 1 / 8, 1 - MEMORY)
_LOG_LEAST, _LOG_MOST = _column(0.02, 0.02, 0.02, 0.01, 1e-5, 1), _column(50, 10, 1e3, 1e6, 50, 1e6)
_LOG_FACTOR, _LOG_SHIFT = _column(1, 1, 1, 0.3, 0.2, 0.5), _column(0, 0, 0, -1.5, 0, 0)
_NOWHERE = np.zeros(0, dtype=np.intp)
_QUARTER = np.array([[0.0], [math.pi / 2]])


def within(x: NDArray[_Real], low: Limit, high: Limit, out: NDArray[_Real] | None = None) -> NDArray[_Real]:
    """np.clip, a third of its time for few series."""
    clipped: NDArray[_Real] = np.minimum(np.maximum(x, low, out=out), high, out=out)
    return clipped


def _where(flags: NDArray[np.bool_]) -> Places:
    """Where flags [n] are set; mostly nowhere."""
    return np.flatnonzero(flags) if np.count_nonzero(flags) else _NOWHERE


def _in_units(clock: Floats, values: Floats) -> Singles:
    """y = asinh(x / unit) [n]."""
    y: Singles = np.arcsinh(within(values / clock[UNIT], -1e30, 1e30).astype(F))
    return y


def joined(at: Floats, values: Floats) -> tuple[Floats, Singles]:
    """(clock, own) of series whose first sample, not yet learnt, is `values` [n] at `at` [n]."""
    clock, own = np.zeros((len(CLOCK), len(at))), np.zeros((len(OWN), len(at)), dtype=F)
    clock[LAST_AT], clock[BEGUN], clock[SIZE], clock[AVERAGE] = at - 60, at, np.abs(values), values
    clock[UNIT] = np.maximum(0.1 * clock[SIZE], 1e-12)
    clock[SLOT], clock[NEXT_SLOT] = np.floor(at / SLOT_SECONDS), -1
    own[MEAN] = own[LAST] = own[SHORT] = np.arcsinh(values / clock[UNIT])
    clock[GAP] = own[STEP] = 60
    own[SINCE] = 99
    own[[SPREAD, RESIDUAL_SCALE, NOISE_SHORT, NOISE_LONG]] = 1e-4
    return clock, own


def step(clock: Floats, own: Singles, tables: Tables, at: Floats, values: Floats) -> Singles:
    """Learn one sample of each series: `values` [n] at `at` [n], all in place. Returns the inputs [37, n]."""
    clock[COUNT] += 1
    np.subtract(at, clock[LAST_AT], out=clock[ELAPSED])
    clock[LAST_AT] = at
    slot = np.floor(at / SLOT_SECONDS)
    turned = _where(slot != clock[SLOT])
    _choose_unit(clock, own, tables, values, turned)
    y = _in_units(clock, values)
    _turn(clock, own, tables, at, slot, turned)
    return _learn(clock, own, at, values, y)


def _choose_unit(
    clock: Floats, own: Singles, tables: Tables, values: Floats, turned: NDArray[np.intp]
) -> None:
    """Choose the unit once grown, and again where the usual size has moved far from it."""
    size, count = np.abs(values), clock[COUNT]
    rate = np.maximum(1 / count, 1 / 2048)
    clock[SIZE] += (size - clock[SIZE]) * rate
    clock[AVERAGE] += (values - clock[AVERAGE]) * rate
    np.maximum(clock[NEGATIVE], values < 0, out=clock[NEGATIVE])
    grown = _where(count == GROWN)
    if len(turned) or len(grown):
        due = np.concatenate((turned[count[turned] > GROWN], grown))
        wanted = np.maximum(np.where(clock[NEGATIVE, due] > 0, 1.0, 0.1) * clock[SIZE, due], 1e-12)
        ratio = wanted / clock[UNIT, due]
        off = (ratio > 8) | (ratio < 1 / 30) | (count[due] == GROWN)
        if off.any():
            _rebase(clock, own, tables, due[off], wanted[off])


def _rebase(clock: Floats, own: Singles, tables: Tables, places: Places, unit: Floats) -> None:
    """Express everything that is known of some series in another unit."""
    ratio = clock[UNIT, places] / unit
    before = own[MEAN, places].astype(np.float64)
    filled = np.maximum(own[SLOT_COUNT, places], 1)
    slot_mean = _moved(own[SLOT_SUM, places] / filled, ratio)
    for row in (MEAN, LAST, SHORT, LEVEL, NEXT_LEVEL, YESTERDAY, WEEK):
        own[row, places] = _moved(own[row, places], ratio)
    own[SLOT_SUM, places] = slot_mean * own[SLOT_COUNT, places]
    after = own[MEAN, places].astype(np.float64)
    slope = np.exp(np.clip(_log_cosh(before) - _log_cosh(after) + np.log(ratio), -60, 60))
    for row in (
        SCALE,
        NOISE_SHORT,
        NOISE_LONG,
        RESIDUAL_SCALE,
        HOUR,
        THIRD,
        DAILY,
        RECENT,
        SPREAD,
        SLOT_SIZES,
    ):
        own[row, places] = np.clip(own[row, places] * slope, -60, 60)
    for row in (SPREAD, RESIDUAL_SCALE):
        own[row, places] = np.maximum(own[row, places], F(1e-6))
    tables.rebase(places, lambda y: _moved(y, ratio), slope.astype(F))
    clock[RAW_SCALE, places] /= np.where(clock[COUNT, places] > GROWN, ratio, 1)
    clock[UNIT, places] = unit


def _moved(y: Singles, ratio: Floats) -> Singles:
    """asinh(sinh(y) * ratio) without overflow."""
    size = np.abs(y.astype(np.float64))
    near = np.arcsinh(np.sinh(np.minimum(size, 30)) * ratio)
    return np.asarray(np.copysign(np.where(size > 30, np.maximum(size + np.log(ratio), 0), near), y), dtype=F)


def _log_cosh(y: Floats) -> Floats:
    return np.asarray(np.logaddexp(y, -y))


def _turn(
    clock: Floats, own: Singles, tables: Tables, at: Floats, slot: Floats, turned: NDArray[np.intp]
) -> None:
    """Where a new quarter of an hour has begun, learn the ended one and look the new one up."""
    if len(turned):
        now = slot[turned]
        _finish(clock, own, tables, turned, now)
        clock[SLOT, turned] = now
        own[LEVEL, turned], own[LEVEL_SCALE, turned], own[KNOWN, turned] = tables.level(turned, now)
        own[DAYS, turned] = tables.finished(turned, now)
        for row, ago in ((YESTERDAY, 1), (WEEK, 7)):
            own[row, turned], own[row + 1, turned] = tables.past(turned, now, ago)
    following = np.floor((at + np.minimum(clock[GAP], DAY)) / SLOT_SECONDS)
    changed = _where(following != clock[NEXT_SLOT])
    if len(changed):
        clock[NEXT_SLOT, changed] = following[changed]
        own[NEXT_LEVEL, changed], _, own[NEXT_KNOWN, changed] = tables.level(changed, following[changed])


def _finish(clock: Floats, own: Singles, tables: Tables, turned: NDArray[np.intp], now: Floats) -> None:
    """Fold the ended quarters of an hour into the tables."""
    ended, count = clock[SLOT, turned], own[SLOT_COUNT, turned]
    seen = count > 0
    places, slots, count = turned[seen], ended[seen], count[seen]
    mean = np.repeat(own[SLOT_SUM, places][None] / count, 2, axis=0)
    mean[1] -= own[DAILY, places]
    tables.learn(places, slots, mean, own[SLOT_SIZES, places] / count, own[RESIDUAL_SCALE, places])
    new_day = ended // SLOTS != now // SLOTS
    tables.end_days(turned[new_day], ended[new_day])
    own[SLOT_SUM : SLOT_COUNT + 1, turned] = 0


def _learn(clock: Floats, own: Singles, at: Floats, values: Floats, y: Singles) -> Singles:
    """Move every running value towards its target; returns the inputs [37, n]."""
    count, spread, known = clock[COUNT].astype(F), own[SPREAD], own[KNOWN]
    inverse, young = 1 / count, count <= YOUNG
    deviation = y - own[MEAN]
    size, limit = np.abs(deviation), 4 * spread
    pressure = own[PRESSURE]
    pressure += (size > limit) * F(25 / 24)
    within(pressure - F(1 / 24), 0, 25, pressure)
    whole = (pressure >= 24) | young
    # the residual from the profile (from the mean where there is none), less the offset of the last day
    reference = np.where(known > 0, own[LEVEL], own[MEAN])
    usual, offset = own[RESIDUAL_SCALE], own[DAILY] * (known > 0)
    residual = y - reference - offset
    off = np.abs(residual)
    days = np.minimum(own[DAYS], 10)
    unit = np.where(known > 0, (days * own[LEVEL_SCALE] + 3 * usual) / (days + 3), usual)
    floor = F(2e-4) * np.abs(own[MEAN]) + F(2e-6)
    np.maximum(np.maximum(unit, F(0.3) * usual), floor, out=unit)
    raw, far = _raw(clock, own, at, values, reference + offset)
    difference = y - own[LAST]
    jump = np.abs(difference)
    equal = difference == 0
    elapsed, before = np.minimum(clock[ELAPSED], 1e9).astype(F), own[STEP].copy()
    gap = np.where(young, elapsed, np.minimum(elapsed, 4 * before))

    targets, rates = np.empty((14, len(y)), F), np.empty((14, len(y)), F)
    np.maximum(inverse, _SLOWEST, out=rates[:8])
    rates[STEP] += rates[STEP] * young
    hours = gap * F(1 / 3600)
    np.divide(hours, _HOURS + hours, out=rates[HOUR : DAILY + 1])
    np.minimum(rates[DAILY], F(0.1), out=rates[DAILY])
    rates[RECENT:] = _QUICK
    held_back = np.where(whole, residual, within(residual, -6 * unit, 6 * unit)) + offset
    kept = np.where(whole, size, np.minimum(size, limit))
    np.copysign(kept, deviation, out=targets[MEAN])
    targets[MEAN] += own[MEAN]
    targets[SCALE], targets[STEP] = kept, gap
    small = np.minimum(jump, 5 * own[NOISE_LONG] + F(1e-6))
    targets[NOISE_SHORT], targets[NOISE_LONG] = small, np.where(young, jump, small)
    targets[EQUAL] = equal
    targets[RESIDUAL_SCALE] = np.where(young, off, np.minimum(off, 4 * usual))
    targets[RESTLESS] = np.minimum(off / unit, 5)
    targets[HOUR : RECENT + 1], targets[SHORT], targets[LASTING] = held_back, y, far
    targets -= own[:14]
    targets *= rates
    own[:14] += targets

    clock[GAP] = np.maximum(own[STEP], F(1e-3), out=own[STEP])
    np.maximum(own[SCALE], F(1e-4) * np.abs(own[MEAN]) + F(1e-6), out=spread)
    own[LAST] = y
    own[RUN] = (own[RUN] + 1) * equal
    ratio = elapsed / before
    paused = ratio > 3
    own[SINCE] = np.where(paused, 0, own[SINCE] + hours)
    own[PAUSE] = np.where(paused, ratio, own[PAUSE])
    own[SLOT_SUM] += y
    own[SLOT_SIZES] += off
    own[SLOT_COUNT] += 1
    return _inputs(clock, own, at, y, residual, difference, unit, raw, ratio)


def _raw(clock: Floats, own: Singles, at: Floats, values: Floats, profile: Singles) -> tuple[Floats, Floats]:
    """([2, n] deviations in the signal's own unit from mean and profile, how far [n] the samples are), over a
    scale that stands after the first day (a running scale would make a long event small); learns that scale,
    own[HELD] and own[DISTANCE]. In own[HELD], the network's, the distance from the mean counts the less, the
    better the profile explains a series. A sample is as far as it is from both the profile and the average of
    the past; less so in the first day, whose scale has not seen all hours."""
    expected = np.empty((2, len(values)))
    expected[0], expected[1] = own[MEAN], profile
    within(expected, -70, 70, expected)
    apart = values - np.sinh(expected) * clock[UNIT]
    sizes, far = np.abs(apart), np.empty((2, len(values)))
    far[0] = size = sizes[0] * np.minimum(own[RESIDUAL_SCALE] / own[SPREAD], 1) + sizes[1]
    scale, least = clock[RAW_SCALE], 1e-4 * clock[SIZE] + 1e-12
    young, age = clock[COUNT] <= YOUNG, (at - clock[BEGUN]) / DAY
    settled = (clock[COUNT] > SETTLED) & (age >= 1) & (scale > least)
    used = np.maximum(scale, least)
    scale += (np.where(young, size, np.minimum(size, 10 * used)) - scale) * np.where(
        settled, 0, 1 / clock[COUNT]
    )
    doubt = 1 + DOUBT * within(1 - age, 0, 1)
    np.divide(np.minimum(np.abs(values - clock[AVERAGE]), sizes[1]), doubt, out=far[1])
    factor, held = ~young / used, own[HELD : DISTANCE + 1]
    apart *= factor
    far *= factor
    np.minimum(far, 1e6, out=far)
    np.maximum(held * F(MEMORY), far, out=held)
    return np.asarray(apart), far[1]


def _inputs(
    clock: Floats,
    own: Singles,
    at: Floats,
    y: Singles,
    residual: Singles,
    difference: Singles,
    unit: Singles,
    raw: Floats,
    ratio: Singles,
) -> Singles:
    """The inputs [37, n] after a sample has been learnt."""
    u = np.empty((len(INPUTS), len(y)), F)
    mean, spread, offset = own[MEAN], own[SPREAD], own[DAILY]
    np.subtract(y, mean, out=u[0])
    np.subtract(own[SHORT], mean, out=u[1])
    np.subtract(offset, mean, out=u[3])
    np.multiply(own[NEXT_LEVEL] + u[3], own[NEXT_KNOWN] > 0, out=u[2])
    np.multiply(own[LEVEL] + u[3], own[KNOWN] > 0, out=u[3])
    u[4] = difference
    np.multiply(y - own[YESTERDAY], own[YESTERDAY_KNOWN], out=u[5])
    np.multiply(y - own[WEEK], own[WEEK_KNOWN], out=u[6])
    u[7] = u[10] = residual
    np.subtract(own[HOUR : THIRD + 1], offset, out=u[8:10])
    u[11:13], u[13] = u[8:10], difference
    np.subtract(own[RECENT], offset, out=u[14])
    u[:10] /= spread
    u[10:15] /= unit
    u[15:17] = within(raw, -1e6, 1e6)
    deviations = u[:_DEVIATIONS]
    np.arcsinh(deviations, out=deviations)
    within(deviations, -REACH, REACH, deviations)
    logs = u[_DEVIATIONS:_LOGS]
    np.divide(own[NOISE_SHORT], np.maximum(own[NOISE_LONG], F(1e-6)), out=logs[0])
    np.divide(own[RESIDUAL_SCALE], spread, out=logs[1])
    logs[2], logs[3], logs[4], logs[5] = ratio, own[STEP], spread, own[HELD] + 1
    within(logs, _LOG_LEAST, _LOG_MOST, logs)
    np.log(logs, out=logs)
    logs *= _LOG_FACTOR
    logs += _LOG_SHIFT
    since = np.minimum(own[SINCE], 3)
    u[23] = np.log(within(own[PAUSE], 1, 1e3)) * (since < 3)
    u[24], u[25] = since, np.log1p(np.minimum(own[RUN], 1000))
    u[26], u[27], u[28] = own[EQUAL], own[NEXT_KNOWN], own[KNOWN]
    u[29], u[30] = own[YESTERDAY_KNOWN], own[WEEK_KNOWN]
    u[31], u[32] = np.minimum(clock[COUNT], 2000) * 1e-3, np.minimum(own[DAYS], 10) * F(0.1)
    u[33:35] = np.sin(at % DAY * (2 * math.pi / DAY) + _QUARTER)
    u[35] = day_kind(clock[SLOT]) > 0
    u[36] = own[RESTLESS] - 1
    return u


def ahead(own: Singles, tables: Tables, at: Floats, seconds: float) -> Singles:
    """[2, n] where the profile says y will be `seconds` after `at`, with the offset of the last hour and of
    the last day, as normalised deviations from the mean (0, the mean, where no profile is known)."""
    everywhere = np.arange(len(at))
    level, _, known = tables.level(everywhere, np.floor((at + seconds) / SLOT_SECONDS))
    both = (level - own[MEAN] + own[HOUR : DAILY + 1 : 2]) * (known > 0) / own[SPREAD]
    return within(np.arcsinh(both), -REACH, REACH)


def normalised(clock: Floats, own: Singles, values: Floats) -> Singles:
    """`values` [n] as normalised deviations from the mean, as the network forecasts them."""
    deviation = (_in_units(clock, values) - own[MEAN]) / own[SPREAD]
    return within(np.arcsinh(deviation), -REACH, REACH)


def back(clock: Floats, own: Singles, normalised: Singles) -> Floats:
    """[..., n] in the signal's own unit of normalised deviations [..., n] from the mean."""
    y = np.sinh(within(normalised, -REACH - 2, REACH + 2)) * own[SPREAD] + own[MEAN]
    return np.asarray(np.sinh(within(y, -70, 70).astype(np.float64)) * clock[UNIT])
