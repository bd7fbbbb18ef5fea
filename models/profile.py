"""The slot tables: each quarter of an hour as it was on working days, Saturdays and Sundays, and last week.

Times are UTC. Tables are float32 with NaN where nothing is known; a series takes 5 kB.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Places = NDArray[np.intp]

DAY = 86400.0
SLOTS = 96  # a day
SLOT_SECONDS = DAY / SLOTS
WEEK_SLOTS = 7 * SLOTS
KINDS = 3  # of days: working day, Saturday, Sunday
ROWS = {"profile": 2 * KINDS * SLOTS, "week": WEEK_SLOTS, "days": KINDS}  # of each table
# Another kind of day stands in where one is not known yet; what that is worth.
_STAND_INS = ((2, 0.7), (1, 0.7), (0, 0.4))


def day_kind(slot: Floats) -> Floats:
    """0 working day, 1 Saturday, 2 Sunday, of slots counted from the epoch (a Thursday)."""
    return np.asarray(np.maximum((slot // SLOTS + 3) % 7 - 4, 0))


class Tables(NamedTuple):
    """The tables of every series, and the `columns` [n] of those at hand; `places` are indices into these."""

    levels: Singles  # [2 x 3 x 96, N]: usual level by kind of day and slot, then the usual size of residuals
    week: Singles  # [7 x 96, N]: the mean of each slot when it was last seen
    days: Singles  # [3, N]: finished days of each kind
    columns: Places

    def level(self, places: Places, slots: Floats) -> tuple[Singles, Singles, Singles]:
        """(level, size of residuals, known 0..1) at absolute slots; 0 where nothing is known."""
        columns, row = self.columns[places], _row(slots)
        level, scale = self.levels[row, columns], self.levels[row + KINDS * SLOTS, columns]
        known = np.ones(len(places), dtype=np.float32)
        missing = np.flatnonzero(np.isnan(level))
        for kind, worth in _STAND_INS:
            if len(missing):
                row = kind * SLOTS + (slots[missing] % SLOTS).astype(np.intp)
                level[missing] = self.levels[row, columns[missing]]
                scale[missing] = self.levels[row + KINDS * SLOTS, columns[missing]]
                known[missing] = worth
                missing = missing[np.isnan(level[missing])]
        level[missing] = scale[missing] = known[missing] = 0
        return level, scale, known

    def past(self, places: Places, slots: Floats, days: int) -> tuple[Singles, Singles]:
        """(mean, known 0 or 1) of the slot that was `days` (1 to 7) ago."""
        found = self.week[((slots - days * SLOTS) % WEEK_SLOTS).astype(np.intp), self.columns[places]]
        known = ~np.isnan(found)
        return np.where(known, found, np.float32(0)), known.astype(np.float32)

    def finished(self, places: Places, slots: Floats) -> Singles:
        """How many days of the slots' kind have ended."""
        return np.asarray(self.days[day_kind(slots).astype(np.intp), self.columns[places]])

    def learn(self, places: Places, slots: Floats, mean: Singles, size: Singles, usual: Singles) -> None:
        """Fold ended slots in: `mean` [2, n] of each as seen, and less the day's offset; `size` and `usual`
        are the residuals' mean size in it and altogether. Early days count more."""
        columns, row = self.columns[places], _row(slots)
        scale_row = row + KINDS * SLOTS
        self.week[(slots % WEEK_SLOTS).astype(np.intp), columns] = mean[0]
        level, scale = self.levels[row, columns], self.levels[scale_row, columns]
        new = np.isnan(level)
        rate = np.maximum(1 / (1 + self.finished(places, slots)), np.float32(0.15))
        limit = 4 * np.maximum(np.where(new, 0, scale), usual)
        moved = level + rate * np.clip(mean[1] - level, -limit, limit)
        self.levels[row, columns] = np.where(new, mean[1], moved)
        moved = scale + rate * (np.minimum(size, 4 * usual) - scale)
        self.levels[scale_row, columns] = np.where(new, usual, moved)

    def end_days(self, places: Places, slots: Floats) -> None:
        """Count the day to which `slots` belong as finished."""
        self.days[day_kind(slots).astype(np.intp), self.columns[places]] += 1

    def rebase(self, places: Places, move: Callable[[Singles], Singles], slope: Singles) -> None:
        """Express levels through `move` and sizes by the factor `slope` [n]."""
        columns, half = self.columns[places], KINDS * SLOTS
        for table, first in ((self.levels, half), (self.week, WEEK_SLOTS)):
            rows = np.flatnonzero((~np.isnan(table[:first, columns])).any(axis=1))[:, None]
            table[rows, columns] = move(table[rows, columns])
        self.levels[half:, columns] *= slope


def _row(slots: Floats) -> Places:
    return np.asarray(day_kind(slots) * SLOTS + slots % SLOTS, dtype=np.intp)


def empty(series: int) -> tuple[Singles, Singles, Singles]:
    """Tables of series of which nothing is known."""
    levels, week, days = (np.full((rows, series), np.nan, dtype=np.float32) for rows in ROWS.values())
    days[:] = 0
    return levels, week, days
