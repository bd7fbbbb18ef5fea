"""The protected normaliser: an exponential mean and scale per series that one anomaly cannot move.

State is a float64 array [8, N], one row a column of COLUMNS. Deviations are winsorised at LIMIT scales
while they are rare; once they persist (`pressure` is full) they are the new normal and are learnt whole.
Constants are arrays because numpy is twice as slow with Python numbers, which counts for one series alone.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

COLUMNS = ("count", "mean", "scale", "spread", "pressure", "last_at", "elapsed", "gap")
COUNT, MEAN, SCALE, SPREAD, PRESSURE, LAST_AT, ELAPSED, GAP = range(8)
PRIOR_GAP = 60.0  # seconds between samples, until two are known


def constant(*values: float) -> Floats:
    """A column [k, 1], or [1] for one value."""
    return np.array(values)[:, None] if len(values) > 1 else np.array(values)


ZERO, ONE, FOUR = constant(0.0), constant(1.0), constant(4.0)
YOUNG = constant(16.0)  # samples that are learnt whole
MEMORY = constant(1 / 256)  # learning rate per sample once grown
LIMIT = constant(4.0)  # winsorising limit in scales (mean absolute deviations)
FULL = constant(24.0)  # pressure at which the limit opens; an outlier adds one
RELIEF = constant(1 / 24)  # pressure lost by each sample: more than 4 % of outliers are no outliers
PRESS, MOST = ONE + RELIEF, ONE + FULL
REACH = constant(10.0)  # normalised values are clipped to +-REACH
LEAST = -REACH
RELATIVE_FLOOR, FLOOR = constant(1e-4), constant(1e-9)


def joined(at: Floats, values: Floats) -> Floats:
    """State [8, N] of series whose first sample, not yet learnt, is `values` [N] at `at` (Unix seconds)."""
    state = np.zeros((len(COLUMNS), len(values)))
    state[MEAN], state[GAP], state[LAST_AT] = values, PRIOR_GAP, at - PRIOR_GAP
    _spread(state)
    return state


def normalised(deviation: Floats, scale: Floats) -> Floats:
    """asinh(deviation / scale), clipped to +-REACH: linear near the mean, logarithmic far from it."""
    ratio = deviation / scale
    np.arcsinh(ratio, out=ratio)
    return np.minimum(np.maximum(ratio, LEAST), REACH)


def learn(state: Floats, at: Floats, values: Floats) -> Floats:
    """Learn one sample of each series, at `at` [1] or [N], in place; returns winsorised values [N]."""
    count, mean, scale, spread, pressure, last_at, elapsed, gap = state
    deviation, limit, pause = values - mean, LIMIT * spread, FOUR * gap
    size, young = np.abs(deviation), count < YOUNG
    pressure += (size > limit) * PRESS
    np.minimum(np.maximum(pressure - RELIEF, ZERO), MOST, out=pressure)
    _open(limit, (pressure >= FULL) | young)
    _open(pause, young)
    size = np.minimum(size, limit)
    kept = np.copysign(size, deviation)
    winsorised = mean + kept
    count += ONE
    rate = np.maximum(ONE / count, MEMORY)
    np.subtract(at, last_at, out=elapsed)
    last_at[:] = at
    gap += (rate + rate) * (np.minimum(elapsed, pause) - gap)
    scale += rate * (size - scale)
    mean += rate * kept
    _spread(state)
    return np.asarray(winsorised)


def _open(limit: Floats, where: NDArray[np.bool_]) -> None:
    """Lift the limit of the series that `where` marks."""
    if np.count_nonzero(where):
        limit[where] = np.inf


def _spread(state: Floats) -> None:
    """What to divide by: the mean absolute deviation, floored so that a constant series divides too."""
    floor = np.maximum(RELATIVE_FLOOR * np.abs(state[MEAN]), FLOOR)
    np.maximum(state[SCALE], floor, out=state[SPREAD])
