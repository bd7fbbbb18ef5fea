"""Laws that every detector obeys, yours too: `python -m models.checks [NAME | module:Factory ...]`.

A law is a function of a factory and raises Broken with what it found. A factory takes `max_series` and makes
a new detector (port seawall.core.ports.Detector).
"""

import argparse
import importlib
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from models import DETECTORS
from seawall.core.errors import InputError
from seawall.core.ports import Detector, Score

Factory = Callable[..., Detector]
Law = Callable[[Factory], None]
Frames = list[tuple[float, dict[str, float]]]

START, STEP = 1.7e9, 10.0
NEAR = 1e-4  # float32 sums differ with the shape of a batch
TURNED = 0.3  # difference between two scores that makes another verdict
SPEAKS_WITHIN = 400  # samples
SETTLES_WITHIN = 3000  # samples after a shift that stays

EXTREMES: Mapping[str, Callable[[int], float]] = {
    "zero": lambda i: 0.0,
    "one": lambda i: 1.0,
    "large": lambda i: -3e12,
    "tiny": lambda i: 1e-300,
    "toggle": lambda i: float(i % 2),
    "huge": lambda i: 1e149 * (-1) ** i,
    "all sizes": lambda i: 10.0 ** (i % 300 - 150),
    "one huge spike": lambda i: float(i == 120) * 1e150,
    "cubic": lambda i: float(i) ** 3,
}


class Broken(AssertionError):
    """A law does not hold; the text says where and what was found."""


def require(holds: bool, finding: str) -> None:
    """Broken with `finding` unless it holds."""
    if not holds:
        raise Broken(finding)


def frames(count: int, seed: int = 1) -> Frames:
    """Three waves with noise a tenth of them, and a heavy-tailed series that joins after a third."""
    rng = np.random.default_rng(seed)
    out: Frames = []
    for i in range(count):
        values = {f"s{k}": 5 * k + math.sin(i / 20 + k) + 0.1 * rng.normal() for k in range(3)}
        late = {"late": float(rng.lognormal())} if i > count // 3 else {}
        out.append((START + STEP * i, values | late))
    return out


def feed(detector: Detector, some: Iterable[tuple[float, Mapping[str, float]]]) -> list[dict[str, Score]]:
    """Its word on each frame."""
    return [detector.update(at, values) for at, values in some]


def one(values: Iterable[float], start: float = START) -> Iterator[tuple[float, dict[str, float]]]:
    """Frames of one series named x."""
    return ((start + STEP * i, {"x": float(value)}) for i, value in enumerate(values))


def numbers(score: Score) -> list[float]:
    """Its four numbers."""
    return [score.expected, score.lower, score.upper, score.score]


def near(a: Score, b: Score) -> bool:
    """The same word, but for rounding."""
    alike = np.allclose(numbers(a), numbers(b), rtol=NEAR, atol=NEAR)
    return alike and a.silent == b.silent


def prefix_equality(make: Factory) -> None:
    """The score of a prefix is the prefix of the scores, whatever comes after: no look-ahead."""
    some = frames(300)
    whole = feed(make(), some)
    other = [*some[:200], *((at, {n: v * 1e3 for n, v in values.items()}) for at, values in some[200:])]
    require(feed(make(), some[:200]) == whole[:200], "a prefix alone is scored differently")
    require(feed(make(), other)[:200] == whole[:200], "what comes later changes earlier scores")


def restart_equality(make: Factory) -> None:
    """Restored from its state, a detector continues exactly, and its state is again the same bytes."""
    some = frames(300)
    unbroken, before, after = make(), make(), make()
    expected = feed(unbroken, some)
    feed(before, some[:150])
    after.restore(before.state())
    require(after.state() == before.state(), "a restored state is not the state that was saved")
    require(feed(after, some[150:]) == expected[150:], "it continues differently after a restart")
    require(after.state() == unbroken.state(), "it ends in another state after a restart")


def same_twice(make: Factory) -> None:
    """Two new detectors say the same of the same: every seed is its own and fixed."""
    some = frames(150)
    first = feed(make(), some)
    np.random.seed(12345)  # nobody should look at this one
    require(feed(make(), some) == first, "a second detector says something else")


def batch_equals_single(make: Factory) -> None:
    """Series know nothing of one another: alone, together and in any order they are scored alike."""
    some = frames(250)
    together = feed(make(), some)
    turned = feed(make(), [(at, dict(reversed(values.items()))) for at, values in some])
    for name in ("s0", "s2", "late"):
        alone = iter(feed(make(), [(at, {name: v[name]}) for at, v in some if name in v]))
        for i, (many, other) in enumerate(zip(together, turned, strict=True)):
            if name in many:
                require(near(many[name], next(alone)[name]), f"{name} alone differs in step {i}")
                require(near(many[name], other[name]), f"the order of the names matters in step {i}")


def scale_does_not_matter(make: Factory) -> None:
    """The unit of a signal changes its band, not its score."""
    values = [v["s0"] for _, v in frames(300)]
    plain = feed(make(), one(values))
    for factor in (1000.0, 1e-6):
        for i, (a, b) in enumerate(zip(plain, feed(make(), one(factor * v for v in values)), strict=True)):
            require(abs(a["x"].score - b["x"].score) < 1e-3, f"times {factor:g}, step {i} has another score")
            same = np.isclose(b["x"].expected, factor * a["x"].expected, rtol=1e-3, atol=1e-2 * factor)
            require(bool(same), f"times {factor:g}, step {i} has another band")


def shift_does_not_turn_a_verdict(make: Factory) -> None:
    """A constant added to a signal makes no loud row calm and no calm row loud."""
    values = [v["s0"] + (6 if i in (200, 250) else 0) for i, (_, v) in enumerate(frames(300))]
    plain = [word["x"].score for word in feed(make(), one(values))]
    moved = [word["x"].score for word in feed(make(), one(v + 40 for v in values))]
    for scores in (plain, moved):
        require(scores[200] > max(scores[100:200]), "a spike of 60 noises is not the loudest of 100 rows")
    turned = [i for i, (a, b) in enumerate(zip(plain, moved, strict=True)) if abs(a - b) > TURNED]
    require(len(turned) <= 3, f"{len(turned)} rows turn, the first is {turned[:1]}")


def finite_out(make: Factory) -> None:
    """No NaN comes out, the band is a band and the score is 0 to 1, whatever finite goes in."""
    for name, value in EXTREMES.items():
        for i, word in enumerate(feed(make(), one(map(value, range(400))))):
            said = numbers(word["x"])
            require(all(map(math.isfinite, said)), f"{name}: step {i} says {said}")
            expected, lower, upper, score = said
            require(
                lower <= expected <= upper, f"{name}: the band of step {i} is {lower}, {expected}, {upper}"
            )
            require(0 <= score <= 1, f"{name}: step {i} scores {score}")


def silence_in_grace(make: Factory) -> None:
    """It is silent at first, with a reason and score 0, however odd the values, and speaks later."""
    rng = np.random.default_rng(3)
    words = [w["x"] for w in feed(make(), one([0.0, 1e9, *rng.normal(size=SPEAKS_WITHIN)]))]
    require(bool(words[0].silent), "it speaks of the first sample")
    require(not words[-1].silent, f"it is still silent after {len(words)} samples: {words[-1].silent}")
    loud = [i for i, word in enumerate(words) if word.silent and word.score != 0]
    require(not loud, f"it gives a reason to be silent and a score, first in step {loud[:1]}")


def constant_is_calm(make: Factory) -> None:
    """A constant series is calm, its first change is not."""
    words = [w["x"] for w in feed(make(), one([1.0] * SPEAKS_WITHIN + [0.0]))]
    loudest = max(word.score for word in words[:-1])
    require(loudest < 0.1, f"a constant scores {loudest}")
    require(words[-1].score > 0.9, f"its first change scores {words[-1].score}")


def held_shift_becomes_normal(make: Factory) -> None:
    """A level that stays is noticed once and is the new normal later."""
    noise = np.random.default_rng(4).normal(0, 0.1, SPEAKS_WITHIN + SETTLES_WITHIN)
    noise[SPEAKS_WITHIN:] += 5
    scores = [w["x"].score for w in feed(make(), one(noise))]
    require(max(scores[SPEAKS_WITHIN : SPEAKS_WITHIN + 10]) > 0.9, "it does not notice the shift")
    after = float(np.mean(np.array(scores[-200:]) > 0.9))
    require(after < 0.1, f"{after:.0%} of the rows are loud {SETTLES_WITHIN} samples later")


def missing_does_not_step(make: Factory) -> None:
    """NaN, infinities, absurd sizes and absent names are the same: nothing learnt, nothing answered."""
    detector = make()
    feed(detector, frames(100))
    state, at = detector.state(), START + STEP * 100
    for value in (math.nan, math.inf, -math.inf, 1e200, 10**400):
        require(detector.update(at, {"s0": value, "never seen": value}) == {}, f"it answers {value}")
    require(detector.update(at, {}) == {}, "it answers nothing at all")
    require(detector.state() == state, "a missing value changes its state")
    require(set(detector.update(at, {"s0": math.nan, "s1": 1.0})) == {"s1"}, "one missing silences others")


def late_changes_nothing(make: Factory) -> None:
    """A sample that is not newer than its series' last one is answered with score 0 and forgotten."""
    detector = make()
    some = frames(100)
    feed(detector, some)
    state = detector.state()
    for at in (some[-1][0], some[-20][0]):
        word = detector.update(at, {"s0": 1e6})["s0"]
        require(word.score == 0 and bool(word.silent), f"a late sample scores {word.score}")
    require(detector.state() == state, "a late sample changes its state")


def pause_is_no_anomaly(make: Factory) -> None:
    """The first sample after a long pause is silent; the series goes on after it."""
    detector = make()
    feed(detector, frames(150))
    later = START + STEP * 150 + 7200
    word = detector.update(later, {"s0": 1e6})["s0"]
    require(word.score == 0 and bool(word.silent), f"the first sample after a pause scores {word.score}")
    word = detector.update(later + STEP, {"s0": 1.0})["s0"]
    require(not word.silent, f"it stays silent after a pause: {word.silent}")


def memory_is_bounded(make: Factory) -> None:
    """More series than the limit are refused whole; steps do not make the state grow."""
    detector = make(max_series=10)
    detector.update(START, {f"s{i}": 1.0 for i in range(10)})
    state = detector.state()
    _refused("an 11th series of 10", detector.update, START + 1, {"s0": 2.0, "one more": 1.0})
    require(detector.state() == state, "a refused frame changes its state")
    feed(detector, [(START + i, {f"s{k}": float(i * k) for k in range(10)}) for i in range(1, 50)])
    require(len(detector.state()) == len(state), "its state grows with the samples")
    _refused("a state of 10 series in room for 5", make(max_series=5).restore, state)


def bad_input_is_refused(make: Factory) -> None:
    """What is no number, and a time that is none, is refused whole, with nothing changed."""
    detector = make()
    feed(detector, frames(50))
    state, at = detector.state(), START + 9999
    for value in ("1.5", None, [1.0], 1j, object()):
        bad: Any = {"s0": 1.0, "new": 2.0, "bad": value}
        _refused(f"the value {value!r}", detector.update, at, bad)
    for time in (math.nan, math.inf):
        _refused(f"the time {time}", detector.update, time, {"s0": 1.0})
    require(detector.state() == state, "refused input changes its state")


def damaged_state_is_refused(make: Factory) -> None:
    """A state that is cut off, damaged or somebody else's is refused, with nothing changed."""
    detector = make()
    feed(detector, frames(80))
    state = detector.state()
    damaged = bytearray(state)
    damaged[len(state) // 2] ^= 1
    others = [it.state() for it in (known() for known in DETECTORS.values()) if it.name != detector.name]
    for bad in (b"", b"nonsense", state[:-1], bytes(damaged), *others):
        _refused(f"a state of {len(bad)} bytes that is not its own", detector.restore, bad)
    require(detector.state() == state, "a refused state changes it")


def _refused(what: str, call: Callable[..., object], *given: Any) -> None:
    """An InputError is what should come."""
    try:
        call(*given)
    except InputError:
        return
    raise Broken(f"{what} is not refused")


LAWS: tuple[Law, ...] = (
    prefix_equality, restart_equality, same_twice, batch_equals_single, scale_does_not_matter,
    shift_does_not_turn_a_verdict, finite_out, silence_in_grace, constant_is_calm, held_shift_becomes_normal,
    missing_does_not_step, late_changes_nothing, pause_is_no_anomaly, memory_is_bounded, bad_input_is_refused,
    damaged_state_is_refused,
)  # fmt: skip


def factory(name: str) -> Factory:
    """The detector of that name, or `module:Factory`; InputError if there is none."""
    if name in DETECTORS:
        return DETECTORS[name]
    module, _, attribute = name.partition(":")
    try:
        found: Factory = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        known = ", ".join(DETECTORS)
        raise InputError(
            name, f"no such detector: {error}", f"name one of {known}, or module:Factory"
        ) from error
    return found


def judge(make: Factory) -> Iterator[tuple[Law, str]]:
    """Each law with what was found wrong, or ""."""
    for law in LAWS:
        try:
            law(make)
        except Exception as error:
            yield law, str(error) or repr(error)
        else:
            yield law, ""


def main() -> int:
    """The command line; 1 if a law is broken, 2 if there is no such detector."""
    parser = argparse.ArgumentParser(prog="python -m models.checks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of models.DETECTORS, or module:Factory")
    broken = 0
    try:
        for name in parser.parse_args().names or DETECTORS:
            for law, finding in judge(factory(name)):
                broken += bool(finding)
                sys.stdout.write(f"{name}: {law.__name__}: {f'BROKEN: {finding}' if finding else 'ok'}\n")
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
