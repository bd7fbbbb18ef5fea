"""What the network sees of a series after each sample: causal inputs, the same in training and in serving.

State is a float64 array [10, N] (COLUMNS) and `slots` [96, N]: the mean level of each quarter of an hour of
the day as learnt on earlier days, NaN where no earlier day had it.
"""

import math

import numpy as np
from numpy.typing import NDArray

from models import normaliser
from models.normaliser import COUNT, ELAPSED, GAP, MEAN, ONE, SPREAD, Floats, constant

COLUMNS = (
    "last", "short", "next_level", "level", "next_known", "known", "next_slot", "slot",
    "slot_sum", "slot_count",
)  # fmt: skip
LAST, SHORT, NEXT_LEVEL, LEVEL, NEXT_KNOWN, KNOWN, NEXT_SLOT, SLOT, SLOT_SUM, SLOT_COUNT = range(10)
SLOTS, DAY = 96, 86400.0
SLOT_SECONDS = constant(DAY / SLOTS)
ANCHORS = 3  # the first inputs are levels that the next value may return to
INPUTS = (
    "value", "short_mean", "next_slot", "this_slot", "difference", "next_slot_known", "this_slot_known",
    "gap_ratio", "gap_log_seconds", "relative_scale", "maturity", "day_sine", "day_cosine",
)  # fmt: skip

_SHORT_RATE = constant(1 / 8)
_GROWN = constant(256.0)
_RADIANS, _QUARTER = constant(2 * math.pi / DAY), constant(0.0, math.pi / 2)
# Rows 7 to 9 are logarithms: of ratios that are kept within bounds, then scaled to about -1..1.
_LEAST, _MOST = constant(0.02, 1e-3, 1e-16), constant(50.0, 1e6, 1.0)
_FACTOR, _SHIFT = constant(1.0, 1 / math.log(10), 0.25 / math.log(10)), constant(0.0, -1.5, 0.0)


def joined(at: Floats, values: Floats) -> Floats:
    """State [10, N] of series that start with `values` [N] at `at` (Unix seconds, [1] or [N])."""
    state = np.zeros((len(COLUMNS), len(values)))
    state[LAST] = state[SHORT] = values
    state[SLOT] = state[NEXT_SLOT] = np.floor(at / SLOT_SECONDS)
    return state


def step(at: Floats, values: Floats, levels: Floats, own: Floats, slots: Floats) -> Floats:
    """Learn one sample of each series, at `at` [1] or [N], in place (`levels` is the normaliser's state).

    Returns the inputs [13, N].
    """
    winsorised = normaliser.learn(levels, at, values)
    _learn_slots(at, winsorised, levels, own, slots)
    inputs = np.empty((len(INPUTS), len(values)))
    _fill_levels(inputs, values, levels, own)
    _fill_context(inputs, at, levels)
    return inputs


def _learn_slots(at: Floats, values: Floats, levels: Floats, own: Floats, slots: Floats) -> None:
    """Add to the running quarter of an hour; look the day's profile up where a new one has begun."""
    slot, following = np.floor(at / SLOT_SECONDS), np.floor((at + levels[GAP]) / SLOT_SECONDS)
    done, turned = slot != own[SLOT], following != own[NEXT_SLOT]
    if np.count_nonzero(done):
        _finish_slot(np.flatnonzero(done), own, slots)
        own[SLOT] = slot
        own[LEVEL], own[KNOWN] = _profile(own[SLOT], slots)
    if np.count_nonzero(turned):
        own[NEXT_SLOT] = following
        own[NEXT_LEVEL], own[NEXT_KNOWN] = _profile(own[NEXT_SLOT], slots)
    total, count = own[SLOT_SUM:]
    total += values
    count += ONE


def _finish_slot(columns: NDArray[np.intp], own: Floats, slots: Floats) -> None:
    """Move the profile of the given series towards the mean of the quarter that has ended."""
    columns = columns[own[SLOT_COUNT, columns] > 0]
    place = (own[SLOT, columns] % SLOTS).astype(np.intp)
    mean, before = own[SLOT_SUM, columns] / own[SLOT_COUNT, columns], slots[place, columns]
    slots[place, columns] = np.where(np.isnan(before), mean, before + 0.3 * (mean - before))
    own[SLOT_SUM, columns] = own[SLOT_COUNT, columns] = 0


def _profile(slot: Floats, slots: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """(level or 0 [N], known [N]) of each series' own slot."""
    found = slots[(slot % SLOTS).astype(np.intp), np.arange(slots.shape[1])]
    known = ~np.isnan(found)
    return np.where(known, found, 0), known


def _fill_levels(inputs: Floats, values: Floats, levels: Floats, own: Floats) -> None:
    """Rows 0 to 6: levels as normalised deviations from the mean; an unknown slot repeats the mean."""
    last, short = own[LAST], own[SHORT]
    np.subtract(values, last, out=inputs[4])
    last[:] = values
    short += (values - short) * _SHORT_RATE
    np.subtract(own[: LEVEL + 1], levels[MEAN], out=inputs[:4])
    inputs[5:7] = known = own[NEXT_KNOWN : KNOWN + 1]
    np.multiply(inputs[2:4], known, out=inputs[2:4])
    inputs[:5] = normaliser.normalised(inputs[:5], levels[SPREAD])


def _fill_context(inputs: Floats, at: Floats, levels: Floats) -> None:
    """Rows 7 to 12: sampling, relative noise, how much is known, and the time of day."""
    gap, spread = np.maximum(levels[GAP], _LEAST[1]), levels[SPREAD]
    np.divide(levels[ELAPSED], gap, out=inputs[7])
    inputs[8] = gap
    np.divide(spread, np.abs(levels[MEAN]) + spread, out=inputs[9])
    logs = np.log(np.minimum(np.maximum(inputs[7:10], _LEAST), _MOST))
    np.add(logs * _FACTOR, _SHIFT, out=inputs[7:10])
    np.divide(np.minimum(levels[COUNT], _GROWN), _GROWN, out=inputs[10])
    inputs[11:] = np.sin(at * _RADIANS + _QUARTER)
