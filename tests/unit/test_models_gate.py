"""The gate: it lets a model through that is surely better and calm, and no other."""

import math

import numpy as np
import pytest

from models.gate import MINIMUM, History, Words, judge, pinball, replay, upper_bound
from models.running_mean import RunningMean
from models.streaming import Silence

T = 5000
RNG = np.random.default_rng(1)
FOUND = RNG.normal(size=T)
HISTORY = History("main x", 1.79e9 + 10.0 * np.arange(T), FOUND)


def words(centre, width=1.6, alerts=()):
    """What a model said that expected `centre` [T], within +-width."""
    centre = np.broadcast_to(np.asarray(centre, dtype=float), (T,))
    began = np.zeros(T, dtype=bool)
    began[list(alerts)] = True
    return Words(centre, centre - width, centre + width, np.zeros(T), np.zeros(T, dtype=np.int8), began)


def verdict(lstm, seasonal=None, running_mean=None, history=HISTORY):
    others = {"seasonal": seasonal or words(0), "running_mean": running_mean or words(0)}
    return judge(history, {"lstm": lstm, **others}, "lstm-1", 1.8e9)


def test_pinball_by_hand():
    said = words(0.0, width=1.0)
    found = np.zeros(T)
    found[0], found[1] = 0.0, 3.0
    loss = pinball(said, found)
    # An edge costs a twentieth of a unit inside; 3 is 2 above the upper edge and 4 above the lower one.
    assert loss[0] == pytest.approx((0.05 + 0 + 0.05) / 3)
    assert loss[1] == pytest.approx((0.05 * 4 + 0.5 * 3 + 0.95 * 2) / 3)


def test_what_was_silent_is_not_judged():
    said = words(0)
    said.silent[:] = Silence.GRACE
    assert np.isnan(pinball(said, FOUND)).all()
    assert "could be judged" in verdict(said).reason


def test_a_model_that_sees_what_comes_passes_and_its_figures_are_kept():
    found = verdict(words(0.8 * FOUND, width=0.4))
    assert found.passed
    assert found.losses["lstm"] < found.losses["seasonal"] == found.losses["running_mean"]
    assert all(bound < 0 for bound in found.bounds.values())
    assert (found.samples, found.version, found.until) == (T // 5, "lstm-1", HISTORY.at[-1])


def test_both_baselines_must_be_beaten():
    good = words(0.8 * FOUND, width=0.4)
    for better in ("seasonal", "running_mean"):
        found = verdict(good, **{better: words(0.9 * FOUND, width=0.2)})
        assert not found.passed
        assert f"than {better.replace('_', ' ')}'s" in found.reason


def test_only_the_last_fifth_counts():
    early = np.where(np.arange(T) < T - T // 5, FOUND, 0)
    assert not verdict(words(0.8 * early, width=1.6)).passed


def test_a_difference_by_chance_does_not_pass():
    """Two models that are equally good: at 95 % one in twenty may pass, not more than a few."""
    passed = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        one, other = (words(0.3 * rng.normal(size=T)) for _ in range(2))
        passed += verdict(one, other, other).passed
    assert passed <= 9


def test_alerts_over_budget_do_not_pass():
    good = 0.8 * FOUND
    assert verdict(words(good, 0.4, alerts=[T - 1])).passed
    found = verdict(words(good, 0.4, alerts=[T - 1, T - 100]))
    assert not found.passed and "2 alerts, 1 are allowed" in found.reason
    assert verdict(words(good, 0.4, alerts=range(100, 900, 50))).passed, "earlier ones do not count"


def test_a_short_history_is_not_judged():
    short = History("x", HISTORY.at[: MINIMUM - 1], FOUND[: MINIMUM - 1])
    found = verdict(words(0), history=short)
    assert not found.passed and f"{MINIMUM - 1} of {MINIMUM}" in found.reason


def test_the_bound_covers_the_mean_of_dependent_data_as_often_as_it_says():
    """AR(1) with memory 0.9: a bootstrap of single samples would cover far less than 95 %."""
    covered = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        shocks, level = rng.normal(size=2000), 0.0
        series = np.empty(2000)
        for t, shock in enumerate(shocks):
            level = 0.9 * level + shock
            series[t] = level
        covered.append(upper_bound(series) >= 0)
    assert 0.88 <= np.mean(covered) <= 0.99


def test_the_bound_of_a_constant_is_the_constant():
    assert upper_bound(np.full(1000, -0.25)) == pytest.approx(-0.25)


def test_a_replay_is_what_the_model_says_live():
    """Histories of other lengths and times run side by side; each is as if it were alone."""
    other = History("y", HISTORY.at[:700] + 3.0, 5 + FOUND[:700])
    together = replay(RunningMean(), [HISTORY, other])
    model, live = RunningMean(), []
    for at, value in zip(other.at, other.values, strict=True):
        live.append(model.update(float(at), {"y": float(value)})["y"])
    assert together["y"].expected == pytest.approx([word.expected for word in live], rel=1e-9)
    assert together["y"].score == pytest.approx([word.score for word in live], rel=1e-9)
    assert len(together["main x"].expected) == T
    assert not math.isnan(together["main x"].expected[-1])
