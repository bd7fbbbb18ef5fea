"""Where a level is heading: its past changes, drawn again in blocks, give the paths that it may take.

The moving-block bootstrap (Kuensch 1989) keeps growth, bursts and clean-ups as they really happened and
assumes no shape. Two rings a series: one value a minute for four hours, one a quarter of an hour for a week.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.bank import Bank
from models.normaliser import Floats

GRIDS = (60.0, 900.0)  # seconds
KEPT = (240, 672)  # values
LEAST_CHANGES, LEAST_BLOCK, DAYS = 8, 4, 3
DAY = 86400.0
SIGHT = 4.0  # nobody looks further ahead than this many times what has been seen
FURTHEST = 30 * DAY
PATHS = 400
INTERVAL = (0.1, 0.9)


@dataclass(frozen=True, slots=True)
class Crossing:
    """When a threshold may be crossed, in seconds from now. `times` is sorted, infinite where a path never
    does within `sight`."""

    times: Floats
    sight: float

    def probability(self, horizon: float) -> float:
        """Of crossing within `horizon` seconds, as far as sight reaches."""
        return float(np.mean(self.times <= min(horizon, self.sight)))

    def quantile(self, level: float) -> float | None:
        """Seconds until this share of the paths has crossed; None where fewer ever do."""
        found = float(np.quantile(self.times, level, method="higher"))
        return found if np.isfinite(found) else None


class Rings:
    """The recent values of many series; saved and restored exactly."""

    def __init__(self, limit: int = 20_000) -> None:
        shapes: dict[str, tuple[tuple[int, ...], type]] = {}
        for grid, kept in zip(GRIDS, KEPT, strict=True):
            shapes[f"values {grid:g}"] = ((kept,), np.float32)
            shapes[f"newest {grid:g}"] = ((1,), np.int64)
        self._bank = Bank(shapes, limit, "forecast of the promise")

    def learn(self, name: str, at: float, value: float) -> None:
        """Keep the newest value of each place of the grids; places that were skipped are unknown."""
        new = bool(self._bank.join([name]))
        column = int(self._bank.positions([name])[0])
        for grid, kept in zip(GRIDS, KEPT, strict=True):
            ring, newest = self._ring(grid, column)
            place = int(at // grid)
            if new:
                ring[:] = np.nan
            elif place > newest[0]:
                skipped = min(place - int(newest[0]) - 1, kept)
                ring[np.arange(place - skipped, place) % kept] = np.nan
            elif place < newest[0] - 1:
                ring[:] = np.nan  # the clock went back
            newest[0] = place
            ring[place % kept] = value

    def values(self, name: str, grid: float) -> Floats:
        """The kept values, the oldest first; NaN where nothing was seen."""
        try:
            column = int(self._bank.positions([name])[0])
        except KeyError:
            return np.empty(0)
        ring, newest = self._ring(grid, column)
        return np.roll(ring, -(int(newest[0]) + 1) % len(ring)).astype(np.float64)

    def _ring(self, grid: float, column: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        arrays = self._bank.arrays
        return arrays[f"values {grid:g}"][:, column], arrays[f"newest {grid:g}"][:, column]

    def state(self) -> bytes:
        """Everything kept."""
        return self._bank.save({"rings": "1"})

    def restore(self, state: bytes) -> None:
        """Continue from `state`; InputError, with nothing changed, if it is none."""
        self._bank.load(state, {"rings": "1"})


def crossing(
    values: Floats, grid: float, threshold: float, rising: bool, seed: int = 1, furthest: float = FURTHEST
) -> Crossing | None:
    """When `values` [T] (oldest first, NaN = unknown, one every `grid` seconds) may cross the threshold,
    looking at most `furthest` seconds ahead.

    None while fewer than LEAST_CHANGES changes are known, or the newest value is not. A change that is not
    known is taken as the mean of the others.
    """
    changes = np.diff(values) * (1 if rising else -1)
    known = ~np.isnan(changes)
    if known.sum() < LEAST_CHANGES or np.isnan(values[-1]):
        return None
    changes = np.where(known, changes, changes[known].mean())[np.argmax(known) :]
    distance = (threshold - values[-1]) * (1 if rising else -1)
    sight = min(SIGHT * known.sum() * grid, furthest)
    drawn = _drawn(np.random.default_rng(seed), changes, int(DAY / grid), int(sight / grid))
    beyond = np.cumsum(drawn, axis=1) > distance
    first = np.where(beyond.any(axis=1), (beyond.argmax(axis=1) + 1) * grid, np.inf)
    return Crossing(np.sort(first if distance >= 0 else np.zeros(PATHS)), sight)


def _drawn(rng: np.random.Generator, changes: Floats, day: int, steps: int) -> Floats:
    """Changes [PATHS, steps] to come, in blocks of those that were seen.

    Where three days are known the blocks are days that begin at this hour; else a quarter of what is known.
    Each path draws from a past that was itself drawn, since what was seen is but one that might have been.
    """
    whole_days = len(changes) // day
    if whole_days >= DAYS:
        length, starts = day, len(changes) - day * np.arange(1, whole_days + 1)
    else:
        length = max(len(changes) // 4, LEAST_BLOCK)
        starts = np.arange(len(changes) - length + 1)
    past = rng.choice(starts, (PATHS, max(2, len(changes) // length)))
    blocks = np.take_along_axis(past, rng.integers(0, past.shape[1], (PATHS, -(-steps // length))), axis=1)
    return changes[blocks[:, :, None] + np.arange(length)].reshape(PATHS, -1)[:, :steps]
