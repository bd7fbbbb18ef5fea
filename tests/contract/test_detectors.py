"""The laws that every detector obeys."""

import ast
import math
from pathlib import Path

import numpy as np
import pytest

import models
from models import DETECTORS
from models.streaming import GRACE
from seawall.core.errors import InputError
from seawall.core.ports import Detector, Score

START, STEP = 1.7e9, 10.0
Frames = list[tuple[float, dict[str, float]]]


def frames(count: int, series: int = 3, seed: int = 1) -> Frames:
    """A daily-looking wave with noise, a series that stops and one that joins late."""
    rng = np.random.default_rng(seed)
    out: Frames = []
    for i in range(count):
        values = {f"s{k}": 5 * k + math.sin(i / 20 + k) + 0.1 * rng.normal() for k in range(series)}
        values["late"] = float(rng.lognormal())
        out.append((START + STEP * i, {n: v for n, v in values.items() if n != "late" or i > count // 3}))
    return out


def feed(detector: Detector, some: Frames) -> list[dict[str, Score]]:
    return [detector.update(at, values) for at, values in some]


def numbers(score: Score) -> list[float]:
    return [score.expected, score.lower, score.upper, score.score]


@pytest.fixture(params=sorted(DETECTORS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def detector(name: str) -> Detector:
    return DETECTORS[name]()


def test_every_detector_file_is_registered() -> None:
    found = set()
    for path in Path(models.__file__).parent.glob("*.py"):
        classes = [n for n in ast.parse(path.read_text()).body if isinstance(n, ast.ClassDef)]
        if any(isinstance(base, ast.Name) and base.id == "Streaming" for c in classes for base in c.bases):
            found.add(path.stem)
    assert found == set(DETECTORS)
    assert all(DETECTORS[name]().name == name for name in found)


def test_prefix_equality(name: str) -> None:
    """The score of a prefix is the prefix of the scores, whatever comes after: no look-ahead."""
    some = frames(300)
    whole = feed(DETECTORS[name](), some)
    other = [*some[:200], *((at, {n: v * 1e3 for n, v in values.items()}) for at, values in some[200:])]
    assert feed(DETECTORS[name](), some[:200]) == whole[:200]
    assert feed(DETECTORS[name](), other)[:200] == whole[:200]


def test_restart_equality(name: str) -> None:
    """Restored from its state, a detector continues exactly, and its state is again the same bytes."""
    some = frames(300)
    unbroken, before, after = (DETECTORS[name]() for _ in range(3))
    expected = feed(unbroken, some)
    feed(before, some[:150])
    state = before.state()
    after.restore(state)
    assert after.state() == state
    assert feed(after, some[150:]) == expected[150:]
    assert after.state() == unbroken.state()


def test_batch_equals_single(name: str) -> None:
    """Series know nothing of one another."""
    some = frames(250)
    together = feed(DETECTORS[name](), some)
    for series in ("s0", "s2", "late"):
        alone = feed(DETECTORS[name](), [(at, {series: v[series]}) for at, v in some if series in v])
        batch = [step[series] for step in together if series in step]
        for one, many in zip(alone, batch, strict=True):
            assert one[series].silent == many.silent
            assert numbers(one[series]) == pytest.approx(numbers(many), rel=1e-4, abs=1e-4)


def test_order_within_a_step_does_not_matter(name: str) -> None:
    some = frames(200)
    turned = [(at, dict(reversed(values.items()))) for at, values in some]
    for one, other in zip(feed(DETECTORS[name](), some), feed(DETECTORS[name](), turned), strict=True):
        assert one.keys() == other.keys()
        for series in one:
            assert one[series].score == pytest.approx(other[series].score, abs=1e-4)


@pytest.mark.parametrize(
    "value",
    [
        lambda i: 0.0,
        lambda i: 1.0,
        lambda i: -3e12,
        lambda i: 1e-300,
        lambda i: float(i % 2),
        lambda i: 1e149 * (-1) ** i,
        lambda i: 10.0 ** (i % 300 - 150),
        lambda i: float(i == 120) * 1e150,
        lambda i: float(i) ** 3,
    ],
    ids=["zero", "one", "large", "tiny", "toggle", "huge", "all sizes", "one huge spike", "cubic"],
)
def test_no_nan_out_and_the_band_is_a_band(detector: Detector, value) -> None:  # type: ignore[no-untyped-def]
    for i in range(400):
        score = detector.update(START + STEP * i, {"x": value(i)})["x"]
        assert all(map(math.isfinite, (score.expected, score.lower, score.upper)))
        assert score.lower <= score.expected <= score.upper
        assert 0 <= score.score <= 1


def test_a_constant_series_is_calm_and_its_change_is_not(detector: Detector) -> None:
    for i in range(200):
        score = detector.update(START + STEP * i, {"up": 1.0})["up"]
        assert score.score == pytest.approx(0, abs=0.05)
    assert detector.update(START + STEP * 200, {"up": 0.0})["up"].score > 0.99


def test_silence_in_grace(detector: Detector) -> None:
    rng = np.random.default_rng(3)
    for i in range(1, GRACE + 1):
        value = 1e9 if i == GRACE else float(rng.normal())
        score = detector.update(START + STEP * i, {"x": value})["x"]
        assert (score.score, score.silent) == (0, f"learning: {i} of {GRACE} samples")
    assert detector.update(START + STEP * (GRACE + 1), {"x": 0.0})["x"].silent == ""


def test_missing_values_do_not_step(detector: Detector) -> None:
    """NaN, infinities and absent names are the same: nothing is learnt, nothing is answered."""
    some = frames(100)
    feed(detector, some)
    state = detector.state()
    for value in (math.nan, math.inf, -math.inf, 1e200, 10**400):
        assert detector.update(START + 5000, {"s0": value, "never seen": value}) == {}
    assert detector.update(START + 5000, {}) == {}
    assert detector.state() == state
    assert set(detector.update(START + 5000, {"s0": math.nan, "s1": 1.0})) == {"s1"}


def test_late_and_repeated_samples_change_nothing(detector: Detector) -> None:
    feed(detector, frames(100))
    state = detector.state()
    for at in (START + STEP * 99, START):
        score = detector.update(at, {"s0": 1e6})["s0"]
        assert score.score == 0
        assert score.silent.startswith("late")
    assert detector.state() == state
    mixed = detector.update(START + STEP * 99, {"s0": 1.0, "new": 1.0})
    assert mixed["s0"].silent.startswith("late")
    assert mixed["new"].silent.startswith("learning: 1 of")


def test_a_long_gap_is_silent_once(detector: Detector) -> None:
    feed(detector, frames(150))
    after = detector.update(START + STEP * 149 + 7200, {"s0": 1e6})["s0"]
    assert after.score == 0
    assert after.silent.startswith("gap: no sample for 7200 s")
    assert detector.update(START + STEP * 150 + 7200, {"s0": 1e6})["s0"].silent == ""


@pytest.mark.parametrize("value", ["1.5", None, [1.0], 1j, object()])
def test_what_is_no_number_is_refused_whole(detector: Detector, value: object) -> None:
    feed(detector, frames(50))
    state = detector.state()
    with pytest.raises(InputError, match=r"series bad: .* is not a number"):
        detector.update(START + 9999, {"s0": 1.0, "new": 2.0, "bad": value})  # type: ignore[dict-item]
    with pytest.raises(InputError, match="time"):
        detector.update(math.nan, {"s0": 1.0})
    assert detector.state() == state


def test_foreign_and_damaged_states_are_refused(name: str, detector: Detector) -> None:
    feed(detector, frames(80))
    state = detector.state()
    others = [DETECTORS[other]() for other in DETECTORS if other != name]
    damaged = bytearray(state)
    damaged[len(state) // 2] ^= 1
    for bad in (b"", b"nonsense", state[:-1], bytes(damaged), *(other.state() for other in others)):
        with pytest.raises(InputError, match=f"detector {name} state: .*; start without it"):
            detector.restore(bad)
    assert detector.state() == state


def test_memory_is_bounded(name: str) -> None:
    """More series than the limit are refused whole; steps do not make the state grow."""
    limited = DETECTORS[name](max_series=10)  # type: ignore[call-arg]
    limited.update(START, {f"s{i}": 1.0 for i in range(10)})
    state = limited.state()
    with pytest.raises(InputError, match="11 series, more than 10"):
        limited.update(START + 1, {"s0": 2.0, "one more": 1.0})
    assert limited.state() == state
    feed(limited, [(START + i, {f"s{k}": float(i * k) for k in range(10)}) for i in range(1, 50)])
    assert len(limited.state()) == len(state)
    small = DETECTORS[name](max_series=5)  # type: ignore[call-arg]
    with pytest.raises(InputError, match="10 series, more than 5"):
        small.restore(state)


def test_shift_and_scale_do_not_matter(name: str) -> None:
    """The unit of a signal changes its band, not its score."""
    some = frames(200, series=1)
    plain = feed(DETECTORS[name](), [(at, {"s0": v["s0"]}) for at, v in some])
    scaled = feed(DETECTORS[name](), [(at, {"s0": 1000 * v["s0"]}) for at, v in some])
    for one, other in zip(plain, scaled, strict=True):
        assert other["s0"].score == pytest.approx(one["s0"].score, abs=1e-3)
        assert other["s0"].expected == pytest.approx(1000 * one["s0"].expected, rel=1e-4, abs=1e-2)
