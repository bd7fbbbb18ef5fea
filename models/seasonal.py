"""The robust seasonal baseline: whichever of four simple forecasts has lately been the least wrong.

The four: the mean of this quarter of an hour on earlier days (working days and weekends apart; the running
mean where none is known), the same moved by its short and by its long mean deviation, and the last value.
Everything is learnt from winsorised values, so that one anomaly moves nothing.
"""

import math

import numpy as np
from numpy.typing import NDArray

from models import horizons, normaliser
from models.bank import Index
from models.normaliser import GAP, MEAN, Floats
from models.recurrent import LEVELS
from models.streaming import GRACE, MAX_SERIES, TAIL, Streaming, surprise, tail_score

SLOTS, DAY, WEEKEND = 96, 86400.0, 5
COLUMNS = (
    "slot", "sum", "count", "base", "known", "last", "short", "long", "steps", "low", "high", "held",
    "error_base", "error_short", "error_long", "error_last",
)  # fmt: skip
(SLOT, SUM, COUNT, BASE, KNOWN, LAST, SHORT, LONG, STEPS, LOW, HIGH, HELD, ERRORS, _, _, _) = range(
    len(COLUMNS)
)
SHORT_RATE, LONG_RATE, ERROR_RATE, PROFILE_RATE = 1 / 8, 1 / 64, 1 / 128, 0.3
QUANTILE_STEP = 0.08
NORMAL = 2.06  # the 95 % quantile of a normal distribution in its mean absolute deviations
HELD_RATE = 1 / 8  # of the score: what lasts a few samples scores, as does at once what is absurd
ODD, ABSURD = 7.0, 12.0  # tails beyond the band
TAIL_SHARE = 0.414 / TAIL  # of the 95 % edge: the tail that a normal distribution has up to its 99 % quantile
NARROWEST, WIDEST = 0.25, 40.0  # mean absolute errors between forecast and edge of the band
LARGEST_ERROR = 8.0  # mean errors that one sample can teach
RELATIVE_FLOOR, FLOOR, COARSE = 1e-4, 1e-9, 2e-3
# Quantiles of a Laplace distribution in its mean absolute deviations, [7, 1].
_LAPLACE = np.array([[math.copysign(math.log(2 * min(p, 1 - p)), p - 0.5)] for p in LEVELS])


class Seasonal(Streaming):
    """expected = the best of the four; band = running 5 % and 95 % quantiles of its errors."""

    name = "seasonal"

    def __init__(self, max_series: int = MAX_SERIES) -> None:
        shapes: dict[str, tuple[tuple[int, ...], type]] = {
            "own": ((len(COLUMNS),), np.float64),
            "profile": ((2 * SLOTS,), np.float64),
            "open": ((len(horizons.HORIZONS) * len(horizons.PARTS),), np.float64),
        }
        super().__init__(shapes, max_series)

    def speaks(self, name: str) -> bool:
        """Has this series been seen long enough to be forecast?"""
        try:
            column = self._bank.positions([name])
        except KeyError:
            return False
        return bool(self._bank.arrays["levels"][normaliser.COUNT, column[0]] > GRACE)

    def ahead(self, columns: NDArray[np.intp]) -> dict[float, Floats]:
        """Horizon in seconds -> quantiles [7, n] at LEVELS of the value that far after each series' last
        sample, in its unit; the errors are taken as Laplace-distributed."""
        own, profile, waiting, levels = (
            self._bank.take(name, columns) for name in ("own", "profile", "open", "levels")
        )
        level = own[BASE] + own[SHORT]
        later = _later(levels[normaliser.LAST_AT], own, profile)
        error = np.maximum(np.min(own[ERRORS:], axis=0), _floor(levels))
        centres, errors = horizons.expected(waiting, level, own[BASE], later, error, levels[GAP])
        return {h: centres[k] + errors[k] * _LAPLACE for k, h in enumerate(horizons.HORIZONS)}

    def _start(self, at: Floats, index: Index, values: Floats) -> None:
        own = np.zeros((len(COLUMNS), len(values)))
        own[LAST] = own[BASE] = values
        own[SLOT] = np.floor(at * SLOTS / DAY)
        own[LOW], own[HIGH] = -NORMAL, NORMAL
        self._bank.put("own", index, own)
        self._bank.put("profile", index, np.full((2 * SLOTS, len(values)), np.nan))
        self._bank.put("open", index, horizons.joined(len(values)))

    def _step(self, at: Floats, index: Index, levels: Floats, values: Floats) -> Floats:
        moment = np.broadcast_to(at, values.shape)
        own, profile, waiting = (self._bank.take(name, index) for name in ("own", "profile", "open"))
        _turn(np.floor(moment * SLOTS / DAY), own, profile, levels[MEAN])
        block = _judged(own, levels, values)
        winsorised = normaliser.learn(levels, at, values)
        _learn(own, block, values, winsorised)
        later = _later(moment, own, profile)
        horizons.learn(waiting, moment, winsorised, own[BASE] + own[SHORT], own[BASE], later)
        for name, part in (("own", own), ("profile", profile), ("open", waiting)):
            self._bank.put(name, index, part)
        return block


def _place(slot: Floats) -> NDArray[np.intp]:
    """Row of the profile of quarters of an hour [n] since the epoch: working days first, then weekends."""
    weekday = (slot // SLOTS + 3) % 7  # 1970 began on a Thursday
    return (slot % SLOTS + SLOTS * (weekday >= WEEKEND)).astype(np.intp)


def _known(slot: Floats, profile: Floats) -> Floats:
    """The profile at each series' `slot` [n]; the other kind of day where this one is not known, else NaN."""
    row, column = _place(slot), np.arange(profile.shape[1])
    found = profile[row, column]
    return np.where(np.isnan(found), profile[(row + SLOTS) % (2 * SLOTS), column], found)


def _later(at: Floats, own: Floats, profile: Floats) -> Floats:
    """[H, n] the profile at each horizon after `at`; the base where it, or the present one, is not known."""
    found = [_known(np.floor((at + h) * SLOTS / DAY), profile) for h in horizons.HORIZONS]
    return np.stack([np.where(np.isnan(it) | (own[KNOWN] == 0), own[BASE], it) for it in found])


def _turn(slot: Floats, own: Floats, profile: Floats, mean: Floats) -> None:
    """Where a new quarter of an hour has begun, put the old one into the profile; find the base."""
    turned = np.flatnonzero(slot != own[SLOT])
    if len(turned):
        full = turned[own[COUNT, turned] > 0]
        row, average = _place(own[SLOT, full]), own[SUM, full] / own[COUNT, full]
        before = profile[row, full]
        profile[row, full] = np.where(np.isnan(before), average, before + PROFILE_RATE * (average - before))
        own[SUM : COUNT + 1, turned] = 0
        own[SLOT] = slot
    found = _known(slot, profile)
    known = ~np.isnan(found)
    base = np.where(known, found, mean)
    changed = known != (own[KNOWN] > 0)
    own[SHORT : LONG + 1] += np.where(changed, own[BASE] - base, 0)
    own[BASE], own[KNOWN] = base, known


def _floor(levels: Floats) -> Floats:
    """The least error that a band is built on, so that a constant series has one."""
    return np.asarray(RELATIVE_FLOOR * np.abs(levels[MEAN]) + FLOOR)


def _forecasts(own: Floats) -> Floats:
    """[4, n] the four forecasts of the sample to come."""
    return np.stack((own[BASE], own[BASE] + own[SHORT], own[BASE] + own[LONG], own[LAST]))


def _judged(own: Floats, levels: Floats, values: Floats) -> Floats:
    """[5, n] of lower, expected, upper, score and surprise of `values` by the forecast that has been best."""
    best = np.argmin(own[ERRORS:], axis=0)
    column = np.arange(len(values))
    expected = _forecasts(own)[best, column]
    size = np.maximum(own[ERRORS + best, column], _floor(levels))
    edges = np.stack((own[LOW], own[HIGH]))
    ratio = (values - expected) / size
    # Told in shares of the level where that is more: a disk that fills by a hair is no anomaly.
    coarse = size / np.maximum(size, COARSE * np.abs(levels[MEAN]))
    beyond = np.stack((own[LOW] - ratio, ratio - own[HIGH])) * coarse / (np.abs(edges) * TAIL_SHARE)
    lower, upper = expected + size * edges
    signed = surprise(beyond, ratio, np.zeros(1), edges)
    own[HELD] += HELD_RATE * (tail_score(beyond)[0] - own[HELD])
    absurd = -np.expm1(-np.maximum(np.abs(signed) - ODD, 0) / ABSURD)
    return np.stack((lower, expected, upper, np.maximum(own[HELD], absurd), signed))


def _learn(own: Floats, block: Floats, values: Floats, winsorised: Floats) -> None:
    """Errors of the four, edges of the band, deviations and the running quarter of an hour, in place."""
    lower, expected, upper = block[:3]
    own[STEPS] += 1
    rate = np.maximum(1 / own[STEPS], ERROR_RATE)
    errors = own[ERRORS:]
    size = np.abs(winsorised - _forecasts(own))
    grown = own[STEPS] > 16
    size = np.where(grown, np.minimum(size, LARGEST_ERROR * errors + np.abs(expected) * RELATIVE_FLOOR), size)
    errors += rate * (size - errors)
    own[LOW] -= QUANTILE_STEP * ((values < lower) - 0.05)
    own[HIGH] += QUANTILE_STEP * ((values > upper) - 0.05)
    np.clip(own[LOW], -WIDEST, -NARROWEST, out=own[LOW])
    np.clip(own[HIGH], NARROWEST, WIDEST, out=own[HIGH])
    deviation = winsorised - own[BASE]
    own[SHORT] += np.maximum(1 / own[STEPS], SHORT_RATE) * (deviation - own[SHORT])
    own[LONG] += np.maximum(1 / own[STEPS], LONG_RATE) * (deviation - own[LONG])
    own[LAST] = winsorised
    own[SUM] += winsorised
    own[COUNT] += 1
