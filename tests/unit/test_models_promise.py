"""The forecast of the promise: quantiles, paths and budgets become probabilities and moments."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import budget
from models.lstm import LEVELS
from models.paths import Rings, crossing
from models.promise import (
    HOLD,
    MEASURED,
    RELEASE,
    Chance,
    Promise,
    breach,
    exceedance,
    from_ahead,
    pooled,
)
from seawall.core.errors import InputError
from seawall.core.slos import Objective, SloRow, SloStatus, SloType, Status

T, HOUR, DAY = 1_790_000_000.0, 3600.0, 86400.0
NORMAL = np.array([-2.3263, -1.6449, -0.6745, 0.0, 0.6745, 1.6449, 2.3263])
LIMIT = Objective("<=", 0.85)
DISK = SloRow("disk", "Disk used", SloType.LEVEL, "x", LIMIT, "ratio", "A", 300, 300, horizon=DAY)
LATENCY = SloRow("slow", "P99", SloType.LATENCY, "y", Objective("<=", 0.5), "s", "B", 3600, 60, horizon=HOUR)
MINUTES = SloRow(
    "up", "Down", SloType.TIME_SLICES, "z", Objective("<=", 300), "s", "C", None, 60, horizon=DAY
)


def status(row, value, at=T, ok=True, **changes):
    facts = {
        "name": row.name, "registry": "main", "status": Status.OK, "indicator_ok": ok, "value": value,
        "unit": row.unit, "threshold": row.objective.value, "window": (T - 15 * DAY, T + 15 * DAY),
        "samples": 20000, "budget_remaining_ratio": None, "burn_rate": None, "breach_probability": None,
        "reason": "", "at": at,
    }  # fmt: skip
    return SloStatus(**(facts | changes))


# quantiles -------------------------------------------------------------------------------------


def test_exceedance_at_a_quantile_is_its_level():
    for quantile, level in zip(NORMAL, LEVELS, strict=True):
        assert exceedance(NORMAL, quantile) == pytest.approx(1 - level)


@given(st.floats(-50, 50), st.floats(-50, 50))
def test_exceedance_is_a_probability_and_never_rises(one, other):
    low, high = sorted((one, other))
    assert 0 <= exceedance(NORMAL, high) <= exceedance(NORMAL, low) <= 1


def test_quantiles_that_are_all_one_value_still_answer():
    flat = np.full(7, 3.0)
    assert exceedance(flat, 3.1) == pytest.approx(0, abs=1e-6)
    assert exceedance(flat, 2.9) == pytest.approx(1, abs=1e-6)


def test_a_promise_to_stay_above_is_the_mirror_image():
    assert breach(NORMAL, Objective(">=", 1.6449)) == pytest.approx(0.95)
    assert breach(NORMAL, Objective("<=", 1.6449)) == pytest.approx(0.05)


def test_only_horizons_within_the_rows_count():
    ahead = {900.0: NORMAL, HOUR: NORMAL + 1, DAY: NORMAL + 100}
    near, far = (from_ahead(ahead, Objective("<=", 2.6449), h, "m") for h in (HOUR, DAY))
    assert near.probability == pytest.approx(0.05)
    assert near.times == (None, None, None)
    assert far.probability > 0.99 and far.times[1] == DAY


# paths -----------------------------------------------------------------------------------------


def test_a_steady_growth_crosses_when_arithmetic_says():
    values = 0.5 + 0.0005 * np.arange(240)
    found = crossing(values, 60.0, 0.85, rising=True)
    left = (0.85 - values[-1]) / 0.0005 * 60
    assert found.quantile(0.5) == pytest.approx(left, rel=0.02)
    assert (found.probability(left * 0.9), found.probability(left * 1.1)) == (0, 1)


def test_a_uneven_growth_has_an_interval_around_it():
    rng = np.random.default_rng(1)
    values = 0.3 + np.cumsum(rng.exponential(0.0005, 672))
    found = crossing(values, 900.0, 0.85, rising=True)
    early, middle, late = (found.quantile(q) for q in (0.1, 0.5, 0.9))
    assert early < middle < late
    assert middle == pytest.approx((0.85 - values[-1]) / 0.0005 * 900, rel=0.15)


def test_a_level_that_only_swings_is_not_said_to_fill():
    values = 0.6 + 0.05 * np.sin(np.arange(672) * 2 * np.pi / 96)
    found = crossing(values, 900.0, 0.85, rising=True)
    assert found.probability(DAY) == 0
    assert found.quantile(0.5) is None


def test_clean_ups_of_the_past_count_for_the_future():
    """A saw-tooth that never came near the limit: growth alone would cross it within a day."""
    values = 0.5 + 0.2 * (np.arange(672) % 48) / 48
    found = crossing(values, 900.0, 0.85, rising=True)
    assert found.probability(DAY) < 0.2


def test_nobody_looks_further_than_four_times_back():
    values = 0.5 + 1e-4 * np.arange(20)
    found = crossing(values, 60.0, 0.85, rising=True)
    assert found.sight == 4 * 19 * 60
    assert found.quantile(0.5) is None


def test_too_few_changes_or_an_unknown_present_say_nothing():
    assert crossing(np.arange(8.0), 60.0, 9, rising=True) is None
    assert crossing(np.array([*np.arange(20.0), np.nan]), 60.0, 30, rising=True) is None


def test_a_falling_level_is_the_mirror_image():
    values = np.cumsum(np.random.default_rng(3).normal(0.1, 1, 200))
    up, down = crossing(values, 60, 60, rising=True), crossing(-values, 60, -60, rising=False)
    assert np.array_equal(up.times, down.times)


def test_rings_keep_the_newest_value_of_a_place_and_know_their_gaps():
    rings = Rings()
    for at, value in ((0, 1.0), (59, 2.0), (60, 3.0), (240, 4.0)):
        rings.learn("x", T // 900 * 900 + at, value)
    kept = rings.values("x", 60.0)
    assert kept[-5:].tolist()[:2] == [2.0, 3.0]
    assert np.isnan(kept[-3:-1]).all() and kept[-1] == 4.0
    again = Rings()
    again.restore(rings.state())
    assert np.array_equal(again.values("x", 60.0), kept, equal_nan=True)
    assert again.values("y", 60.0).size == 0


def test_a_clock_that_goes_back_starts_the_ring_anew():
    rings = Rings()
    for minute in range(20):
        rings.learn("x", T + 60 * minute, float(minute))
    rings.learn("x", T - DAY, 7.0)
    kept = rings.values("x", 60.0)
    assert kept[-1] == 7.0 and np.isnan(kept[:-1]).all()


# budgets ---------------------------------------------------------------------------------------

SHARE = 300 / (30 * DAY)


def chance(bad, horizon=DAY, down=False, watched=15 * DAY):
    return budget.probability(bad, watched, 300.0, SHARE, horizon, down)


def test_an_overspent_budget_is_certain_and_a_fresh_one_is_hardly_at_risk():
    assert chance(301) == 1
    assert chance(0) < 0.001


def test_the_chance_grows_with_what_is_spent_and_with_time():
    assert chance(0) < chance(120) < chance(240) < chance(300) < 1
    assert chance(240, HOUR) < chance(240, DAY) < chance(240, 10 * DAY)


def test_an_outage_that_lasts_threatens_what_is_left():
    assert chance(0, down=True) == pytest.approx(math.exp(-6 * 60 / budget.OUTAGE), rel=0.05)
    assert chance(240, down=True) > chance(0, down=True) > chance(240)


@given(st.floats(0, 400), st.floats(0, 40 * DAY), st.floats(1, 30 * DAY), st.booleans())
def test_it_is_always_a_probability(bad, watched, horizon, down):
    assert 0 <= budget.probability(bad, watched, 300.0, SHARE, horizon, down) <= 1


def test_the_budget_is_spent_when_its_burn_says():
    assert budget.spent_at(T, 150, 300, 2.0, SHARE, T + 30 * DAY) == pytest.approx(T + 7.5 * DAY)
    assert budget.spent_at(T, 150, 300, 0.0, SHARE, T + 30 * DAY) is None
    assert budget.spent_at(T, 150, 300, 0.1, SHARE, T + 30 * DAY) is None
    assert budget.spent_at(T, 301, 300, 0.0, SHARE, T + DAY) == T


# the whole -------------------------------------------------------------------------------------


def filling(promise, minutes, start=0.5, step=0.002, begin=0):
    made = [
        promise.forecast(status(DISK, start + step * k, T + 60 * k), None, "seasonal")
        for k in range(begin, minutes)
    ]
    return made[-1]


def test_a_filling_disk_is_foretold_with_its_hour():
    promise = Promise([DISK])
    found = filling(promise, 60)
    left = (0.85 - (0.5 + 0.002 * 59)) / 0.002 * 60
    assert found.probability > 0.9 and found.at_risk
    assert found.crossing - found.at == pytest.approx(left, rel=0.1)
    assert "expected in 1h5" in found.reason


def test_a_risk_needs_to_last_before_it_counts_and_to_be_gone_before_it_ends():
    promise = Promise([LATENCY])
    low, high = ({HOUR: NORMAL * 0.01 + centre} for centre in (0.1, 0.9))
    heard = []
    plan = [(low, 2), (high, int(HOLD / 60) + 2), (low, int(RELEASE / 60) + 2)]
    minute = 0
    for ahead, minutes in plan:
        for _ in range(minutes):
            heard.append(promise.forecast(status(LATENCY, 0.3, T + 60 * minute), ahead, "lstm").at_risk)
            minute += 1
    begins = heard.index(True)
    assert begins == 2 + HOLD / 60
    assert heard[begins:].count(True) == 2 + RELEASE / 60
    assert heard[-1] is False


def creeping(promise, ahead):
    """The last forecast of a latency that is calm for two hours and then climbs for half of one."""
    values = [0.1 + 0.001 * (k % 3) for k in range(120)] + [0.1 + 0.01 * k for k in range(30)]
    return [
        promise.forecast(status(LATENCY, value, T + 60 * k), ahead, "lstm") for k, value in enumerate(values)
    ][-1]


def test_a_creeping_latency_is_foretold_by_its_own_changes():
    calm = {HOUR: NORMAL * 0.01 + 0.1}
    row = replace(LATENCY, at_risk=0.3)
    alone, both = creeping(Promise([row]), None), creeping(Promise([row]), calm)
    assert alone.probability > 0.5 and alone.at_risk and alone.model == "past changes"
    assert both.probability == pytest.approx(alone.probability / 2, abs=1e-3)
    assert both.model == "lstm and past changes" and both.crossing == alone.crossing


def test_a_latency_that_only_swings_is_not_at_risk():
    promise, heard = Promise([LATENCY]), []
    for k in range(400):
        value = 0.2 + 0.1 * math.sin(k / 7)
        heard.append(promise.forecast(status(LATENCY, value, T + 60 * k), None, "lstm"))
    swings = heard[100:]  # the first one alone might be a climb
    assert all(swings) and not any(it.at_risk for it in swings)


def test_who_says_nothing_does_not_count_in_a_pool():
    model, past = Chance(0.8, (None, 60.0, None), "lstm"), Chance(0.2, (None, None, None), "past changes")
    assert pooled(None, []) is None and pooled(model, []) == model and pooled(None, [past]) == past
    both = pooled(model, [past, Chance(0.4)])
    assert both == Chance(pytest.approx(0.55), (None, 60.0, None), "lstm and past changes")


def test_a_breach_is_measured_and_leaves_no_risk_behind():
    promise = Promise([DISK])
    filling(promise, 60)
    now = promise.forecast(status(DISK, 0.9, T + 3600, ok=False), None, "seasonal")
    assert (now.probability, now.model, now.at_risk) == (1.0, MEASURED, False)
    assert now.reason == "breached now"


def test_what_is_unknown_is_not_forecast():
    promise = Promise([DISK])
    assert promise.forecast(status(DISK, None), None, "seasonal") is None
    unknown = status(DISK, 0.5, status=Status.UNKNOWN)
    assert promise.forecast(unknown, None, "seasonal") is None
    assert promise.forecast(status(DISK, 0.5), None, "seasonal") is None, "one value shows no trend"


def test_a_burning_budget_names_the_day_on_which_it_is_spent():
    found = Promise([MINUTES]).forecast(status(MINUTES, 150.0, burn_rate=2.0), None, "seasonal")
    assert found.crossing == pytest.approx(T + 7.5 * DAY)
    assert "the budget is spent in 7d12h" in found.reason


def test_it_goes_on_exactly_after_a_restart():
    unbroken, before, after = Promise([DISK]), Promise([DISK]), Promise([DISK])
    expected = filling(unbroken, 60)
    filling(before, 30)
    after.restore(before.state())
    assert filling(after, 60, begin=30) == expected


@pytest.mark.parametrize("state", [b"", b"nonsense", bytes(100)], ids=["empty", "nonsense", "zeros"])
def test_a_damaged_state_is_refused_and_changes_nothing(state):
    promise = Promise([DISK])
    expected = filling(promise, 30)
    with pytest.raises(InputError):
        promise.restore(state)
    assert filling(promise, 30, begin=29) == expected
