"""Every detector obeys every law of models.checks, and every law catches who breaks it."""

import ast
import math
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import models
from models import DETECTORS, checks
from models.checks import LAWS, START, STEP, Broken, Law, frames
from models.running_mean import RunningMean
from models.streaming import GRACE, Silence
from seawall.core.errors import InputError
from seawall.core.ports import Score

Words = dict[str, Score]
Twist = Callable[[float, Mapping[str, float], Words], Words]


def test_every_detector_file_is_registered() -> None:
    found = set()
    for path in Path(models.__file__).parent.glob("*.py"):
        classes = [n for n in ast.parse(path.read_text()).body if isinstance(n, ast.ClassDef)]
        if any(isinstance(base, ast.Name) and base.id == "Streaming" for c in classes for base in c.bases):
            found.add(path.stem)
    assert found == set(DETECTORS)
    assert all(DETECTORS[name]().name == name for name in found)


@pytest.mark.parametrize("name", sorted(DETECTORS))
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law: Law, name: str) -> None:
    law(DETECTORS[name])


def twisted(twist: Twist) -> type[RunningMean]:
    """A detector that says `twist` of what it should say."""

    class Twisted(RunningMean):
        def update(self, at: float, values: Mapping[str, float]) -> Words:
            return twist(at, values, super().update(at, values))

    return Twisted


def each(change: Callable[[float, Score], Score]) -> type[RunningMean]:
    """A detector that changes each word, given the value."""
    return twisted(lambda at, values, words: {n: change(float(values[n]), w) for n, w in words.items()})


def scored(score: Callable[[float, Score], float]) -> type[RunningMean]:
    return each(lambda value, word: replace(word, score=score(value, word)))


class Amnesiac(RunningMean):
    def restore(self, state: bytes) -> None:
        pass


class Trusting(RunningMean):
    def restore(self, state: bytes) -> None:
        try:
            super().restore(state)
        except InputError:
            return


class Careless(RunningMean):
    def update(self, at: float, values: Mapping[str, float]) -> Words:
        try:
            return super().update(at, values)
        except InputError:
            return {}


class Boundless(RunningMean):
    def __init__(self, max_series: int = 0) -> None:
        super().__init__()


class Noisy(RunningMean):
    def update(self, at: float, values: Mapping[str, float]) -> Words:
        words = super().update(at, values)
        return {n: replace(w, score=float(np.random.random())) for n, w in words.items()}


def answering_all(at: float, values: Mapping[str, float], words: Words) -> Words:
    return {name: words.get(name, Score(0, 0, 0, 0, "")) for name in values}


BREAKERS: dict[Law, type[RunningMean]] = {
    checks.prefix_equality: Noisy,
    checks.restart_equality: Amnesiac,
    checks.same_twice: Noisy,
    checks.batch_equals_single: twisted(
        lambda at, values, words: {n: replace(w, upper=w.upper + len(values)) for n, w in words.items()}
    ),
    checks.scale_does_not_matter: scored(lambda value, word: min(1.0, abs(value))),
    checks.shift_does_not_turn_a_verdict: scored(lambda value, word: float(value > 5)),
    checks.finite_out: each(lambda value, word: replace(word, upper=math.inf)),
    checks.silence_in_grace: each(lambda value, word: replace(word, silent="asleep", score=0.0)),
    checks.constant_is_calm: scored(lambda value, word: 0.2),
    checks.held_shift_becomes_normal: scored(lambda value, word: float(value > 3)),
    checks.missing_does_not_step: twisted(answering_all),
    checks.late_changes_nothing: scored(lambda value, word: 1.0),
    checks.pause_is_no_anomaly: scored(lambda value, word: 1.0),
    checks.memory_is_bounded: Boundless,
    checks.bad_input_is_refused: Careless,
    checks.damaged_state_is_refused: Trusting,
}


def test_every_law_has_somebody_who_breaks_it() -> None:
    assert set(BREAKERS) == set(LAWS)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_law_catches_who_breaks_it(law: Law) -> None:
    with pytest.raises(Broken):
        law(BREAKERS[law])


def test_your_own_detector_is_judged(tmp_path: Path) -> None:
    source = "from models.running_mean import RunningMean\nclass Mine(RunningMean):\n"
    (tmp_path / "mine.py").write_text(f"{source}    def restore(self, state): pass\n")
    command = [sys.executable, "-m", "models.checks", "mine:Mine", "running_mean"]
    root = Path(models.__file__).parent.parent
    environment = {"PYTHONPATH": f"{tmp_path}:{root}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "mine:Mine: prefix_equality: ok\n" in done.stdout
    assert "mine:Mine: restart_equality: BROKEN: a restored state is not the state" in done.stdout
    assert "running_mean: restart_equality: ok\n" in done.stdout


@pytest.mark.parametrize("name", ["nobody", "models.nothing:It", "models.streaming:Nobody", ":"])
def test_an_unknown_detector_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"no such detector: .*; name one of lstm"):
        checks.factory(name)


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_arrays_and_names_are_answered_alike(name: str) -> None:
    """`advance` with times of its own for each series says what `update` says."""
    by_name, by_column = DETECTORS[name](), DETECTORS[name]()
    for at, values in frames(GRACE + 40):
        words = by_name.update(at, values)
        columns = by_column.columns(list(values))
        step = by_column.advance(columns, np.full(len(values), at), np.array([*values.values()]))
        for i, word in enumerate(words.values()):
            assert (step.silent[i] == Silence.SPEAKS) == (word.silent == "")
            assert step.score[i] == word.score
            assert [step.expected[i], step.lower[i], step.upper[i]] == [word.expected, word.lower, word.upper]


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_a_batch_may_mix_times_and_silences(name: str) -> None:
    detector = DETECTORS[name]()
    columns = detector.columns(["new", "late", "missing", "speaks"])
    for i in range(GRACE + 20):
        detector.advance(columns[1:], np.full(3, START + STEP * i), np.array([1.0, 2.0, 3.0 + i % 2]))
    at = START + STEP * (GRACE + 20)
    step = detector.advance(columns, np.array([at, START, at, at]), np.array([1.0, 1.0, math.nan, 3.0]))
    assert step.silent.tolist() == [Silence.GRACE, Silence.LATE, Silence.MISSING, Silence.SPEAKS]
    assert step.score[:3].tolist() == step.surprise[:3].tolist() == [0, 0, 0]
