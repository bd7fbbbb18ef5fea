"""Channels: the ways in which a sample can be unusual, each on a scale of its own (rows of [k, n] arrays).

`value` remembers the values seen, as intervals. The others follow what the forecaster says (its surprise, now
and as a mean over 5, 20 and 100 samples, how much it varies, its segment score), how long the same value
stays, and how long none came. The forecaster's word that a sample is wrong in its context is followed beside
them. Everything is causal, O(1) a step, and independent of the signal's unit.
"""

import numpy as np
from numpy.typing import NDArray

from models.normaliser import FOUR, ONE, PRIOR_GAP, Floats, constant
from models.streaming import Step
from models.tails import Singles

Flags = NDArray[np.bool_]

VALUE = "value"
FOLLOWED = ("surprise", "surprise_5", "surprise_20", "level", "variance", "flat", "gap", "context")
CHANNELS = (VALUE, *FOLLOWED)
OF_FORECAST = frozenset({"surprise", "surprise_5", "surprise_20", "level", "variance", "context"})
COLUMNS = (
    "count", "since", "edges", "centre", "scale", "moved", "last", "last_at", "interval", "run",
    "mean_5", "mean_20", "mean_100", "size_20", "size_1000", "word",
)  # fmt: skip
(COUNT, SINCE, EDGES, CENTRE, SCALE, MOVED, LAST, LAST_AT, INTERVAL, RUN,
 MEAN_5, MEAN_20, MEAN_100, SIZE_20, SIZE_1000, WORD) = range(len(COLUMNS))  # fmt: skip

REMEMBERED = 32  # edges of the intervals of values seen
GRAIN = 0.01  # of the range: a value that near to an interval widens it
SETTLED = 60  # samples after which the scale of the logarithmic view is fixed
FARTHEST = 10.0  # ranges
_MOST_SURPRISE = constant(8.0)  # tail units that one sample counts in a mean
_RATES = constant(1 / 5, 1 / 20, 1 / 100, 1 / 20, 1 / 1000)
_WORD_RATE = constant(0.4)
_FLOOR = constant(0.05)  # of the mean size of a surprise: a series without noise does not vary
_KNOWN, _USUAL = constant(3.0), constant(50.0)  # samples until an interval is usual, over which it is learnt
_TINY = 1e-300


def joined(count: int) -> tuple[Floats, Floats]:
    """(own [16, n], remembered [32, n]) of series without a sample."""
    own = np.zeros((len(COLUMNS), count))
    own[LAST] = np.nan
    return own, np.full((REMEMBERED, count), np.inf)


def step(at: Floats, values: Floats, said: Step, own: Floats, remembered: Floats) -> tuple[Floats, Singles]:
    """Learn one sample of each series in place; returns the novelty [n] of the value, in shares of the range
    seen before, and the other channels [8, n]."""
    own[COUNT] += ONE
    first = own[COUNT] == 1
    if np.count_nonzero(first):
        own[SINCE, first], own[LAST_AT, first] = at[first], at[first] - PRIOR_GAP
    if np.count_nonzero(own[MOVED] < SETTLED):
        _scale(values, own)
    novelty = _recalled(values, own, remembered)
    followed = _followed(at, values, said, own)
    own[LAST], own[LAST_AT] = values, at
    return novelty, followed


def _scale(values: Floats, own: Floats) -> None:
    """Centre and scale of the logarithmic view of a series: means over the first samples that move."""
    moved = (own[MOVED] < SETTLED) & ((own[MOVED] > 0) | (values != own[LAST])) & (own[COUNT] > 1)
    own[MOVED] += moved
    rate = moved / np.maximum(own[MOVED], 1)
    own[CENTRE] += rate * (values - own[CENTRE])
    own[SCALE] += rate * (np.abs(values - own[CENTRE]) - own[SCALE])


def _recalled(values: Floats, own: Floats, remembered: Floats) -> Floats:
    """How far [n] the values lie from every interval remembered, in shares of the range; they are remembered
    from now on."""
    novelty = np.zeros(len(values))
    below = np.add.reduce(remembered < values, axis=0)
    out = np.flatnonzero(below % 2 == 0)
    if len(out):
        edges, mine = remembered[:, out], own[:, out]
        novelty[out] = _distance(values[out], below[out], mine, edges)
        _remember(values[out], below[out], novelty[out], mine, edges)
        remembered[:, out], own[EDGES, out] = edges, mine[EDGES]
    return novelty


def _distance(values: Floats, below: NDArray[np.intp], own: Floats, edges: Floats) -> Floats:
    """Distance [m] of values between intervals to the nearest edge over the range, mean of a linear and a
    logarithmic view."""
    every, last = np.arange(len(values)), own[EDGES].astype(np.intp) - 1
    left, right = np.maximum(below - 1, 0), np.minimum(below, last)
    known = np.stack((edges[0], edges[last, every], edges[left, every], edges[right, every], values))
    known[:4, last < 0] = values[last < 0]
    width = 2 * np.maximum(own[SCALE], 1e-4 * np.abs(own[CENTRE]) + 1e-12)
    return 0.5 * (_share(known) + _share(np.arcsinh((known - own[CENTRE]) / width)))


def _share(known: Floats) -> Floats:
    """Distance [m] of row 4 to the nearer of rows 2 and 3, over the range from row 0 to row 1."""
    low, high, left, right, value = known
    distance = np.minimum(np.abs(value - left), np.abs(right - value))
    return np.asarray(distance / np.maximum(np.maximum(high - low, distance / FARTHEST), _TINY))


def _remember(values: Floats, below: NDArray[np.intp], novelty: Floats, own: Floats, edges: Floats) -> None:
    """Widen the nearest interval [m] where it is near, else add one of a single value."""
    near = np.flatnonzero((novelty > 0) & (novelty <= GRAIN))
    if len(near):
        left = np.maximum(below[near] - 1, 0)
        right = np.minimum(below[near], own[EDGES, near].astype(np.intp) - 1)
        nearer = np.abs(values[near] - edges[left, near]) <= np.abs(edges[right, near] - values[near])
        edges[np.where(nearer, left, right), near] = values[near]
    new = np.flatnonzero((novelty > GRAIN) | (own[EDGES] == 0))
    if len(new):
        edges[:, new] = _inserted(edges[:, new], values[new])
        own[EDGES, new] = np.minimum(own[EDGES, new] + 2, REMEMBERED)


def _inserted(edges: Floats, values: Floats) -> Floats:
    """Sorted edges [32, m] with one interval more; where there is no room, the narrowest hole is closed."""
    more = np.sort(np.concatenate((edges, values[None], values[None])), axis=0)
    full = np.flatnonzero(more[-1] < np.inf)
    if len(full):
        part, every = more[:, full], np.arange(len(full))
        hole = 2 * np.argmin(part[2::2] - part[1:-1:2], axis=0) + 1
        part[hole, every] = part[hole + 1, every] = np.inf
        more[:, full] = np.sort(part, axis=0)
    return more[:-2]


def _followed(at: Floats, values: Floats, said: Step, own: Floats) -> Singles:
    """The channels [8, n] beside the value's; the latest sample is not yet `last`."""
    out = np.empty((len(FOLLOWED), len(values)), dtype=np.float32)
    means, count, interval = own[MEAN_5:WORD], own[COUNT], own[INTERVAL]
    size = np.abs(said.surprise)
    np.subtract(size, ONE, out=out[0])
    surprise = np.minimum(np.maximum(said.surprise, -_MOST_SURPRISE), _MOST_SURPRISE)
    means[:3] += _RATES[:3] * (surprise - means[:3])
    means[3:] += _RATES[3:] * (np.minimum(size, _MOST_SURPRISE) - means[3:])
    own[WORD] += _WORD_RATE * (said.wrong * said.known - own[WORD])
    np.abs(means[:3], out=out[1:4])
    usual = means[4] / np.minimum(count * _RATES[4], ONE)
    np.abs(np.log((means[3] + _FLOOR) / (usual + _FLOOR)), out=out[4])
    run = own[RUN]
    run += ONE
    run *= values == own[LAST]
    out[5] = run
    elapsed = at - own[LAST_AT]
    usual = np.where(count <= _KNOWN, elapsed, interval)
    np.log(elapsed / usual, out=out[6])
    interval += (np.minimum(elapsed, FOUR * usual) - interval) / np.minimum(count, _USUAL)
    out[7] = said.alone
    return out
