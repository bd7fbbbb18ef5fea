"""What every detector does before and after its own step: checking, joining, late samples, silence."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from models import normaliser
from models.bank import Bank, Index
from models.normaliser import COUNT, ELAPSED, GAP, LAST_AT, ZERO, Floats, constant
from seawall.core.errors import InputError
from seawall.core.ports import Score

MAX_SERIES = 20_000
GRACE = 60  # samples of a series before it is scored
PAUSE = constant(20.0)  # usual gaps without a sample after which the forecast no longer applies
LARGEST = 1e150  # larger values are missing: their squares and differences would not be finite
TAIL = math.log(5)  # from the 5 % to the 1 % quantile of an exponential tail
_GRACE, _LARGEST = constant(GRACE), constant(LARGEST)


def tail_score(beyond: Floats) -> Floats:
    """Scores [1, n] of how far [2, n] values lie below the 5 % and above the 95 % quantile, in units of the
    exponential tail: 1 - 10 p, p the two-sided probability; 0 within the 90 % band, 0.9 at p = 0.01."""
    return np.asarray(-np.expm1(-np.maximum(np.maximum(beyond[:1], beyond[1:]), ZERO)))


class Streaming(ABC):
    """A port Detector over a Bank; a subclass adds its arrays and its batched step."""

    name: str

    def __init__(self, shapes: Mapping[str, tuple[tuple[int, ...], type]], max_series: int) -> None:
        levels = ((len(normaliser.COLUMNS),), np.float64)
        self._bank = Bank({"levels": levels, **shapes}, max_series, f"detector {self.name}")

    def update(self, at: float, values: Mapping[str, float]) -> dict[str, Score]:
        """One batched step at `at` (Unix seconds); NaN, infinite and absurd values (> 1e150) are missing.

        A sample that is not newer than its series' last one changes nothing. InputError, with nothing
        changed, for what is no number, or for more series than the limit.
        """
        names, numbers = self._checked(at, values)
        if not names:
            return {}
        moment = np.array([at], dtype=np.float64)
        self._admit(moment, names, numbers)
        index = self._bank.index(names)
        fresh = self._bank.take("levels", index)[LAST_AT] < moment
        if np.count_nonzero(fresh) == len(names):
            return dict(zip(names, self._scores(moment, index, numbers), strict=True))
        words = dict(zip(names, map(_late, numbers.tolist()), strict=True))
        kept = np.flatnonzero(fresh)
        return words | self.update(at, {names[i]: float(numbers[i]) for i in kept})

    def state(self) -> bytes:
        """Everything learnt, as checksummed safetensors."""
        return self._bank.save(self._kind())

    def restore(self, state: bytes) -> None:
        """Continue exactly from `state`; InputError, with nothing changed, if it is not this detector's."""
        self._bank.load(state, self._kind())

    @abstractmethod
    def _start(self, at: Floats, index: Index, values: Floats) -> None:
        """Set the subclass's arrays for series that join with `values` [n]."""

    @abstractmethod
    def _step(self, at: Floats, index: Index, levels: Floats, values: Floats) -> Floats:
        """Score, then learn `values` [n] (`levels` [8, n] in place).

        Returns [4, n]: lower, expected, upper, score.
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

    def _admit(self, at: Floats, names: list[str], numbers: Floats) -> None:
        """Let new series join."""
        new = self._bank.join(names)
        if new:
            index, values = self._bank.index([names[i] for i in new]), numbers[new]
            self._bank.put("levels", index, normaliser.joined(at, values))
            self._start(at, index, values)

    def _scores(self, at: Floats, index: Index, values: Floats) -> list[Score]:
        """Step, and silence what may not be judged yet."""
        levels = self._bank.take("levels", index)
        block = self._step(at, index, levels, values)
        self._bank.put("levels", index, levels)
        silent = (levels[COUNT] <= _GRACE) | (levels[ELAPSED] > PAUSE * levels[GAP])
        if not np.count_nonzero(silent):
            return [Score(e, low, up, score, "") for low, e, up, score in block.T.tolist()]
        block[3, silent] = 0
        reasons = map(_silence, silent.tolist(), levels[COUNT].tolist(), levels[ELAPSED].tolist())
        words = zip(block.T.tolist(), reasons, strict=True)
        return [Score(e, low, up, score, reason) for (low, e, up, score), reason in words]


def _numbers(values: Mapping[str, Any]) -> Floats:
    """All values as floats, NaN for what no float can hold; InputError names the first that is no number."""
    if set(map(type, values.values())) <= {float}:
        return np.fromiter(values.values(), np.float64, len(values))
    for name, value in values.items():
        if not isinstance(value, Real):
            raise InputError(f"series {name}", f"{value!r} is not a number", "give a float, or leave it out")
    return np.array([float(v) if abs(v) <= LARGEST else math.nan for v in values.values()])


def _silence(silent: bool, count: float, elapsed: float) -> str:
    """Why a score does not count yet, or ""."""
    if not silent:
        return ""
    if count <= GRACE:
        return f"learning: {count:.0f} of {GRACE} samples"
    return f"gap: no sample for {elapsed:.0f} s, so the forecast does not apply"


def _late(value: float) -> Score:
    """The word on a sample that came late or twice: nothing was expected and nothing is learnt."""
    return Score(value, value, value, 0.0, "late: not newer than the last sample")
