"""What every detector does before and after its own step: checking, joining, late samples, silence."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import IntEnum
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models import normaliser
from models.bank import Bank, Index
from models.normaliser import COUNT, ELAPSED, GAP, LAST_AT, ZERO, Floats, constant
from seawall.core.errors import InputError
from seawall.core.ports import Score

MAX_SERIES = 20_000
CHUNK = 1024  # series that are stepped together, so that what they need stays in the processor's cache
GRACE = 30  # samples of a series before it is scored
PAUSE = constant(20.0)  # usual gaps without a sample after which the forecast no longer applies
LARGEST = 1e150  # larger values are missing: their squares and differences would not be finite
BELIEVED = 8  # late samples in order after which a clock is believed to have been set back
TAIL = math.log(5)  # from the 5 % to the 1 % quantile of an exponential tail
_GRACE, _LARGEST = constant(GRACE), constant(LARGEST)


class Silence(IntEnum):
    """Why a step says nothing of a series."""

    SPEAKS = 0
    GRACE = 1  # too few samples yet
    LATE = 2  # not newer than the last sample; nothing was learnt
    MISSING = 3  # no usable number; nothing was learnt
    PAUSED = 4  # first sample after a pause: the forecast did not apply, `score` may tell of the pause


class Step(NamedTuple):
    """What one step says, arrays [n]. `expected`, `lower`, `upper` (5 % and 95 %) were forecast before the
    sample came, in the signal's unit; NaN where nothing was forecast. `score` (0..1) stays up while an event
    lasts. `surprise` is signed: -1..1 within the band (0 = as expected), beyond it 1 + the distance in units
    of the forecast's exponential tail. `silent` holds Silence codes; where silent, surprise is 0. `wrong` is
    how likely the sample belongs to something wrong, seen in its context, and `known` how well the detector
    knows the series (0..1), so how much that counts by itself; both 0 where a detector cannot tell. `alone`
    is what this sample by itself scores, for alerts; `score` where a detector has no other."""

    expected: Floats
    lower: Floats
    upper: Floats
    score: Floats
    surprise: Floats
    silent: NDArray[np.int8]
    wrong: Floats
    known: Floats
    alone: Floats


def tail_score(beyond: Floats) -> Floats:
    """Scores [1, n] of how far [2, n] values lie below the 5 % and above the 95 % quantile, in units of the
    exponential tail: 1 - 10 p, p the two-sided probability; 0 within the 90 % band, 0.9 at p = 0.01."""
    return np.asarray(-np.expm1(-np.maximum(np.maximum(beyond[:1], beyond[1:]), ZERO)))


class Streaming(ABC):
    """A port Detector over a Bank; a subclass adds its arrays and its batched step.

    Array `levels` begins with the rows of models.normaliser; a subclass that keeps other levels needs COUNT,
    LAST_AT, ELAPSED and GAP in their places.
    """

    name: str

    def __init__(self, shapes: Mapping[str, tuple[tuple[int, ...], type]], max_series: int) -> None:
        levels = ((len(normaliser.COLUMNS),), np.float64)
        self._bank = Bank({"levels": levels, **shapes}, max_series, f"detector {self.name}")
        # Column -> newest of its late samples, how many came in order; no part of the state.
        self._late: dict[int, tuple[float, int]] = {}

    def update(self, at: float, values: Mapping[str, float]) -> dict[str, Score]:
        """One batched step at `at` (Unix seconds); NaN, infinite and absurd values (> 1e150) are missing.

        A sample that is not newer than its series' last one changes nothing. InputError, with nothing
        changed, for what is no number, or for more series than the limit.
        """
        names, numbers = self._checked(at, values)
        if not names:
            return {}
        columns = self.columns(names)
        step = self.advance(columns, np.full(len(names), at), numbers)
        levels = self._bank.take("levels", columns)
        columnwise = (numbers, *step[:4], step.silent, levels[COUNT], levels[ELAPSED])
        rows = zip(names, *map(np.ndarray.tolist, columnwise), strict=True)
        return {
            name: _late(value)
            if silent == Silence.LATE
            else Score(expected, lower, upper, score, _silence(silent, count, elapsed))
            for name, value, expected, lower, upper, score, silent, count, elapsed in rows
        }

    def columns(self, names: Sequence[str]) -> NDArray[np.intp]:
        """The columns of the named series; those not seen before join. InputError beyond the limit."""
        self._bank.join(names)
        return np.asarray(self._bank.positions(names))

    def advance(self, columns: NDArray[np.intp], at: Floats, values: Floats) -> Step:
        """One causal step of the series in `columns` [n] (each at most once): `values` [n] at `at` [n] (Unix
        seconds, which may differ). NaN, infinite and absurd values (> 1e150) are missing; a sample that is
        not newer than the last is late. A clock that was set back is believed after BELIEVED late samples."""
        block, silent = np.empty((8, len(columns))), np.empty(len(columns), dtype=np.int8)
        for begin in range(0, len(columns), CHUNK):
            part = slice(begin, begin + CHUNK)
            self._advance(columns[part], at[part], values[part], block[:, part], silent[part])
        return Step(block[1], block[0], block[2], block[3], block[4], silent, *block[5:])

    def _advance(
        self, columns: NDArray[np.intp], at: Floats, values: Floats, block: Floats, silent: NDArray[np.int8]
    ) -> None:
        """One step of a chunk; fills `silent` and `block` [8, n], in the order of _step."""
        usable = (np.abs(values) <= LARGEST) & np.isfinite(at)
        counts = self._bank.arrays["levels"][COUNT, columns]
        new = usable & (counts == 0)
        if new.any():
            index = columns[new]
            self._bank.put("levels", index, self._joined(at[new], values[new]))
            self._start(at[new], index, values[new])
        fresh = usable & (self._bank.arrays["levels"][LAST_AT, columns] < at)
        if self._late or not fresh.all():
            fresh |= self._set_back(columns, at, usable, fresh)
        if fresh.all():
            self._go(columns, at, values, block, silent)
            return
        block[:3], block[3:] = np.nan, 0
        silent[:] = np.where(usable, Silence.LATE, Silence.MISSING)
        if fresh.any():
            part, codes = np.empty((8, np.count_nonzero(fresh))), np.empty(np.count_nonzero(fresh), np.int8)
            self._go(columns[fresh], at[fresh], values[fresh], part, codes)
            block[:, fresh], silent[fresh] = part, codes

    def _go(
        self, columns: NDArray[np.intp], at: Floats, values: Floats, block: Floats, silent: NDArray[np.int8]
    ) -> None:
        """Step series whose samples are new."""
        index = run_of(columns)
        levels = self._bank.take("levels", index)
        said = self._step(at, index, levels, values)
        block[5:7], block[7], block[: len(said)] = 0, said[3], said
        self._bank.put("levels", index, levels)
        silent[:] = 0
        quiet = (levels[COUNT] <= _GRACE) | (levels[ELAPSED] > PAUSE * levels[GAP])
        if np.count_nonzero(quiet):
            silent[:] = _quiet(levels)
            block[3:, quiet] = 0

    def _set_back(
        self, columns: NDArray[np.intp], at: Floats, usable: NDArray[np.bool_], fresh: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Which of the late samples are the BELIEVED-th in order since the last fresh one: their clock was
        set back, or had been set forward by mistake. It goes on from there, one usual gap before them."""
        believed, levels = np.zeros(len(columns), dtype=bool), self._bank.arrays["levels"]
        for column in columns[fresh].tolist() if self._late else ():
            self._late.pop(column, None)
        for place in np.flatnonzero(usable & ~fresh).tolist():
            column, moment = int(columns[place]), float(at[place])
            newest, count = self._late.pop(column, (-math.inf, 0))
            count = count + 1 if moment > newest else 0
            if count >= BELIEVED:
                believed[place] = True
                levels[LAST_AT, column] = moment - levels[GAP, column]
            else:
                self._late[column] = moment, count
        return believed

    def state(self) -> bytes:
        """Everything learnt, as checksummed safetensors."""
        return self._bank.save(self._kind())

    def restore(self, state: bytes) -> None:
        """Continue exactly from `state`; InputError, with nothing changed, if it is not this detector's."""
        self._bank.load(state, self._kind())
        self._late.clear()

    def _joined(self, at: Floats, values: Floats) -> Floats:
        """Levels of series whose first sample, not yet learnt, is `values` [n] at `at` [n]."""
        return normaliser.joined(at, values)

    @abstractmethod
    def _start(self, at: Floats, index: Index, values: Floats) -> None:
        """Set the subclass's arrays for series that join with `values` [n]."""

    @abstractmethod
    def _step(self, at: Floats, index: Index, levels: Floats, values: Floats) -> Floats:
        """Score, then learn `values` [n] (`levels` [8, n] in place).

        Returns [5 or 8, n]: lower, expected, upper, score, surprise, and `wrong`, `known`, `alone` where it
        can tell.
        """

    def _kind(self) -> dict[str, str]:
        """What a state must say to be this detector's."""
        return {"detector": self.name}

    def _checked(self, at: float, values: Mapping[str, float]) -> tuple[list[str], Floats]:
        """Names and numbers of the samples that are there."""
        if not math.isfinite(at):
            raise InputError(f"detector {self.name}", f"the time is {at}", "give Unix seconds")
        numbers = _numbers(values)
        usable = np.abs(numbers) <= _LARGEST
        if np.count_nonzero(usable) == len(usable):
            return list(values), numbers
        return [n for n, ok in zip(values, usable, strict=True) if ok], numbers[usable]


def run_of(columns: NDArray[np.intp]) -> Index:
    """The columns as a slice, whose blocks are views, where they follow one another."""
    first, count = int(columns[0]), len(columns)
    if columns[-1] - first + 1 == count and (count == 1 or (np.diff(columns) == 1).all()):
        return slice(first, first + count)
    return columns


def _numbers(values: Mapping[str, Any]) -> Floats:
    """All values as floats, NaN for what no float can hold; InputError names the first that is no number."""
    if set(map(type, values.values())) <= {float}:
        return np.fromiter(values.values(), np.float64, len(values))
    for name, value in values.items():
        if not isinstance(value, Real):
            raise InputError(f"series {name}", f"{value!r} is not a number", "give a float, or leave it out")
    return np.array([float(v) if abs(v) <= LARGEST else math.nan for v in values.values()])


def _quiet(levels: Floats) -> NDArray[np.int8]:
    """Silence codes [n] of series that have just stepped."""
    paused = (levels[ELAPSED] > PAUSE * levels[GAP]) * Silence.PAUSED
    return np.where(levels[COUNT] <= _GRACE, Silence.GRACE, paused).astype(np.int8)


def surprise(beyond: Floats, found: Floats, median: Floats, edges: Floats) -> Floats:
    """Step.surprise [n] from `beyond` [2, n] (see tail_score) and, within the band, the place of `found`."""
    inner = (found - median) / np.maximum(
        np.where(found < median, median - edges[0], edges[1] - median), 1e-12
    )
    outer = np.where(beyond[1] > 0, 1 + beyond[1], -1 - beyond[0])
    inner = np.minimum(np.maximum(inner, -1), 1)
    return np.asarray(np.where((beyond[0] > 0) | (beyond[1] > 0), outer, inner))


def _silence(code: int, count: float, elapsed: float) -> str:
    """Why a score does not count yet, or ""."""
    if code == Silence.SPEAKS:
        return ""
    if code == Silence.GRACE:
        return f"learning: {count:.0f} of {GRACE} samples"
    return f"gap: no sample for {elapsed:.0f} s, so the forecast does not apply"


def _late(value: float) -> Score:
    """The word on a sample that came late or twice: nothing was expected and nothing is learnt."""
    return Score(value, value, value, 0.0, "late: not newer than the last sample")
