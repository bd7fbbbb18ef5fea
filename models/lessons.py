"""What the network is taught from recordings: inputs by the serving code, and what came at each horizon."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models import features, profile
from models.features import COUNT, LAST, LAST_AT, MEAN, REACH, SPREAD, UNIT
from models.normaliser import Floats
from models.recurrent import HORIZONS, Singles

Halves = NDArray[np.float16]
Flags = NDArray[np.bool_]

EARLY, LATE = 0.25, 3.0  # steps before and after a horizon at which a sample still answers it
_FAR = len(HORIZONS) - 1


class Batch(NamedTuple):
    """float32 [T, n, ...]: `inputs` [37], the far horizons' `anchors` [3, 4], what was `found` at each
    horizon [4] (normalised; NaN where nothing was), and whether a sample came at all."""

    inputs: Singles
    anchors: Singles
    found: Singles
    came: Flags


class Lessons(NamedTuple):
    """float16 [T, ..., N] of N recordings: inputs [37], seasonal anchors [6], found [4]; and what came."""

    inputs: Halves
    seasonal: Halves
    found: Halves
    came: Flags

    def batch(self, columns: NDArray[np.intp], rows: slice) -> Batch:
        """Some recordings, some rows of them."""
        inputs, seasonal, found = (
            np.ascontiguousarray(part[rows][:, :, columns].transpose(0, 2, 1)).astype(np.float32)
            for part in self[:3]
        )
        levels = np.broadcast_to(inputs[:, :, None, :2], (*inputs.shape[:2], _FAR, 2))
        anchors = np.concatenate((levels, seasonal.reshape(*levels.shape)), axis=-1)
        return Batch(inputs, anchors, found, self.came[rows][:, columns])


def lessons(times: Floats, values: Floats, taught: Flags | None = None) -> Lessons:
    """Of recordings [T, N] (Unix seconds in order; NaN values are missing). Only samples that are `taught`
    [T, N] (all, if None) are what should have been forecast."""
    rows, series = times.shape
    inputs = np.zeros((rows, len(features.INPUTS), series), dtype=np.float16)
    seasonal = np.zeros((rows, 2 * _FAR, series), dtype=np.float16)
    levels, came = np.zeros((4, rows, series)), np.zeros((rows, series), dtype=bool)
    clock, own = np.zeros((len(features.CLOCK), series)), np.zeros((len(features.OWN), series), np.float32)
    kept = profile.empty(series)
    for t in range(rows):
        there = np.isfinite(values[t])
        new = there & (clock[COUNT] == 0)
        if new.any():
            clock[:, new], own[:, new] = features.joined(times[t, new], values[t, new])
        columns = np.flatnonzero(there & (times[t] > clock[LAST_AT]))
        at, some, mine = times[t, columns], clock[:, columns], own[:, columns]
        tables = profile.Tables(*kept, columns)
        inputs[t][:, columns] = features.step(some, mine, tables, at, values[t, columns])
        ahead = [features.ahead(mine, tables, at, seconds) for seconds in HORIZONS[1:]]
        seasonal[t][:, columns] = np.concatenate(ahead)
        levels[:, t, columns] = mine[LAST], mine[MEAN], mine[SPREAD], some[UNIT]
        clock[:, columns], own[:, columns], came[t, columns] = some, mine, True
    answers = came if taught is None else came & taught
    return Lessons(inputs, seasonal, _found(times, levels, came, answers), came)


def _found(times: Floats, levels: Floats, came: Flags, answers: Flags) -> Halves:
    """[T, 4, N] the sample at each horizon, normalised as of now; NaN where none came near it, it is no
    answer, or the unit in which the series is kept had changed."""
    found = np.full((len(times), len(HORIZONS), times.shape[1]), np.nan, dtype=np.float16)
    for series in range(times.shape[1]):
        rows = np.flatnonzero(came[:, series])
        at, here = times[rows, series], levels[:, rows, series]
        step = float(np.median(np.diff(at))) if len(at) > 1 else 1.0
        for k, seconds in enumerate(HORIZONS):
            later = np.maximum(np.searchsorted(at, at + seconds - EARLY * step), np.arange(1, len(at) + 1))
            now = np.flatnonzero(later < len(at))
            then = later[now]
            fits = (at[then] <= at[now] + seconds + LATE * step) & (here[3, then] == here[3, now])
            fits &= answers[rows[then], series]
            now, then = now[fits], then[fits]
            deviation = np.arcsinh((here[0, then] - here[1, now]) / here[2, now])
            found[rows[now], k, series] = np.clip(deviation, -REACH - 1, REACH + 1)
    return found
