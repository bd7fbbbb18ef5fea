"""What a baseline says of the time ahead, and how wrong it has been: forecasts that wait for their answer.

Each series has one open forecast per horizon. When its time has come the error is learnt and a new one is
made, so that a step costs O(1). Three forecasts compete: today's level, the same moved as the daily profile
moves, and the profile; each with its mean drift of the past. State: float64 [33, N], rows of PARTS
for each horizon.
"""

import numpy as np
from numpy.typing import NDArray

from models.normaliser import Floats

HORIZONS = (900.0, 3600.0, 86400.0)  # seconds
PARTS = ("due", "count", *(f"{kind} {n}" for kind in ("forecast", "drift", "error") for n in range(3)))
DUE, COUNT, FORECAST, DRIFT, ERROR = 0, 1, slice(2, 5), slice(5, 8), slice(8, 11)
SLOWEST = 1 / 32  # learning rate of the errors, once that many forecasts have been answered
PRIOR = 4.0  # answered forecasts that the guess from the next shorter horizon is worth
LATE = 0.5  # of a horizon: an answer that comes later than this answers nothing
LARGEST_ERROR = 8.0  # of the mean error: an anomaly teaches no more than this
GRAIN = 1e-4  # of the value: lets a series that stood still begin to move
LEVEL = 0  # the forecast that is taken until enough is known


def joined(count: int) -> Floats:
    """State [33, count] of series about which nothing was forecast yet."""
    return np.zeros((len(HORIZONS) * len(PARTS), count))


def learn(state: Floats, at: Floats, found: Floats, level: Floats, base: Floats, later: Floats) -> None:
    """Answer the forecasts that are due at `at` [n] with what was `found` [n], and make new ones, in place.

    `level` [n] is the present level, `base` [n] the profile now and `later` [H, n] at each horizon.
    """
    for k, horizon in enumerate(HORIZONS):
        part = _part(state, k)
        due = np.flatnonzero(part[DUE] <= at)
        if len(due):
            _answer(part, due, at, found, horizon)
            part[DUE, due] = at[due] + horizon
            part[FORECAST, due] = _forecasts(level, base, later[k])[:, due]


def _part(state: Floats, k: int) -> Floats:
    return state[k * len(PARTS) : (k + 1) * len(PARTS)]


def _forecasts(level: Floats, base: Floats, later: Floats) -> Floats:
    """[3, n] before their drift."""
    return np.stack((level, level + later - base, later))


def _answer(part: Floats, due: NDArray[np.intp], at: Floats, found: Floats, horizon: float) -> None:
    """Learn the errors of the open forecasts that were answered in time."""
    due = due[(part[DUE, due] > 0) & (at[due] - part[DUE, due] <= LATE * horizon)]
    part[COUNT, due] += 1
    rate = np.maximum(1 / part[COUNT, due], SLOWEST)
    missed = found[due] - part[FORECAST, due]
    error, drift = part[ERROR, due], part[DRIFT, due]
    most = LARGEST_ERROR * (error + GRAIN * np.abs(found[due]))
    most = np.where(part[COUNT, due] > PRIOR, most, np.inf)
    step = np.clip(missed - drift, -most, most)
    part[ERROR, due] = error + rate * (np.abs(step) - error)
    part[DRIFT, due] = drift + rate * step


def expected(
    state: Floats, level: Floats, base: Floats, later: Floats, step_error: Floats, gap: Floats
) -> tuple[Floats, Floats]:
    """(centres [H, n], mean absolute errors [H, n]) of the values at each horizon, in the signal's unit.

    A horizon that has had few answers leans on the next shorter one, the first on the error of one step
    (`step_error` [n] over `gap` [n] seconds), as a random walk would grow: with the root of time.
    """
    centres, errors = np.empty((len(HORIZONS), len(level))), np.empty((len(HORIZONS), len(level)))
    column, before, span, drift = (
        np.arange(len(level)),
        step_error,
        np.maximum(gap, 1e-3),
        np.zeros(len(level)),
    )
    for k, horizon in enumerate(HORIZONS):
        part, growth = _part(state, k), np.maximum(horizon / span, 1)
        count = part[COUNT]
        best = np.where(count >= PRIOR, np.argmin(part[ERROR], axis=0), LEVEL)
        sure = count / (count + PRIOR)
        drift = sure * part[DRIFT][best, column] + (1 - sure) * drift * growth
        centres[k] = _forecasts(level, base, later[k])[best, column] + drift
        errors[k] = sure * part[ERROR][best, column] + (1 - sure) * before * np.sqrt(growth)
        before, span = errors[k], np.full(len(level), horizon)
    return centres, errors
