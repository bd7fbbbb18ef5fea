"""The inputs of the network: tables by kind of day, a unit that may change, masks for what is not known."""

import numpy as np
import pytest

from models import features, profile
from models.features import COUNT, DAILY, GROWN, INPUTS, LAST, LEVEL, MEAN, UNIT
from models.profile import DAY, SLOT_SECONDS, Tables

MONDAY = 1_699_833_600.0  # 13 November 2023, 00:00 UTC
STEP = 900.0


class Series:
    """One series with its state."""

    def __init__(self) -> None:
        self.tables = Tables(*profile.empty(1), np.array([0]))

    def feed(self, at: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The inputs [T, 37] after each sample."""
        self.clock, self.own = features.joined(at[:1], values[:1])
        return np.array([self.step(at[i : i + 1], values[i : i + 1]) for i in range(len(at))])

    def step(self, at: np.ndarray, value: np.ndarray) -> np.ndarray:
        return features.step(self.clock, self.own, self.tables, at, value)[:, 0]


def month(days: int = 21) -> tuple[np.ndarray, np.ndarray]:
    """(times, values): a day that is a wave, weekends at a third of it, from a Monday."""
    at = MONDAY + STEP * np.arange(days * DAY / STEP)
    weekend = (at // DAY + 3) % 7 >= 5
    return at, (100 + 50 * np.sin(2 * np.pi * at / DAY)) * np.where(weekend, 1 / 3, 1)


def column(inputs: np.ndarray, name: str) -> np.ndarray:
    return inputs[:, INPUTS.index(name)]


@pytest.mark.parametrize(
    ("day", "kind"), [(0, 0), (4, 0), (5, 1), (6, 2), (7, 0)], ids=["Mon", "Fri", "Sat", "Sun", "Mon again"]
)
def test_days_have_their_kind(day: int, kind: int) -> None:
    slot = (MONDAY + day * DAY) // SLOT_SECONDS
    assert profile.day_kind(np.array([slot, slot + 95])).tolist() == [kind, kind]


def test_the_profile_explains_a_repeating_week() -> None:
    at, values = month()
    residual = np.abs(column(Series().feed(at, values), "residual"))
    last_week = at >= MONDAY + 14 * DAY
    assert np.median(residual[last_week]) < 0.2 * np.median(residual[at < MONDAY + DAY])


def test_what_is_not_known_is_masked() -> None:
    at, values = month(9)
    inputs = Series().feed(at, values)
    day = ((at - MONDAY) // DAY).astype(int)
    assert not column(inputs, "known")[day == 0].any()
    assert (column(inputs, "known")[day == 1] == 1).all()
    # Saturday is new: a working day stands in, worth less; Sunday has Saturday.
    assert np.unique(column(inputs, "known")[day == 5]).tolist() == pytest.approx([0.4])
    assert np.unique(column(inputs, "known")[day == 6]).tolist() == pytest.approx([0.7])
    assert not column(inputs, "week_known")[day < 7].any()
    assert (column(inputs, "week_known")[day >= 7] == 1).all()
    assert (column(inputs, "yesterday_known")[day >= 1] == 1).all()


@pytest.mark.parametrize("factor", [1e-6, 1e3, 1e9])
def test_the_unit_of_a_signal_does_not_matter(factor: float) -> None:
    at, values = month(4)
    plain, scaled = Series().feed(at, values), Series().feed(at, factor * values)
    np.testing.assert_allclose(scaled, plain, atol=2e-3)


def test_a_new_unit_expresses_the_same() -> None:
    """What is known in one unit is known in the next: levels give the same values back."""
    at, values = month(10)
    series = Series()
    series.feed(at, values)
    place = np.array([0])

    def told() -> list[float]:
        rows = [series.own[row, 0] for row in (MEAN, LAST, LEVEL)]
        rows += [level for level in series.tables.levels[:288, 0] if not np.isnan(level)]
        return [float(np.sinh(row) * series.clock[UNIT, 0]) for row in rows]

    before = told()
    features._rebase(series.clock, series.own, series.tables, place, 40 * series.clock[UNIT])
    np.testing.assert_allclose(told(), before, rtol=1e-3)
    assert np.isfinite(series.own).all()


def test_a_unit_is_chosen_once_grown() -> None:
    at = MONDAY + 10.0 * np.arange(GROWN + 1)
    series = Series()
    series.feed(at[:GROWN], np.full(GROWN, 50.0))
    assert series.clock[COUNT, 0] == GROWN
    assert series.clock[UNIT, 0] == pytest.approx(5.0)
    signed = Series()
    signed.feed(at[:GROWN], np.where(np.arange(GROWN) % 2, 50.0, -50.0))
    assert signed.clock[UNIT, 0] == pytest.approx(50.0)


def test_a_deploy_moves_the_offset_and_not_the_profile() -> None:
    at, values = month()
    plain, moved = Series(), Series()
    plain.feed(at, values)
    inputs = moved.feed(at, values * np.where(at >= MONDAY + 14 * DAY, 1.2, 1))
    residual, days = np.abs(column(inputs, "residual_z")), (at - MONDAY) / DAY
    assert np.median(residual[(days > 14) & (days < 14.2)]) > 2 * np.median(residual[days > 19])
    assert moved.own[DAILY, 0] - plain.own[DAILY, 0] == pytest.approx(np.log(1.2), abs=0.08)


def test_a_gap_is_seen_and_ages() -> None:
    at, values = month(3)
    kept = np.ones(len(at), dtype=bool)
    kept[200:212] = False
    inputs = Series().feed(at[kept], values[kept])
    assert column(inputs, "pause")[199] == 0
    assert column(inputs, "pause")[200] == pytest.approx(np.log(13), abs=0.1)
    assert column(inputs, "since")[[200, 204]].tolist() == pytest.approx([0, 1], abs=0.1)
    assert column(inputs, "pause")[216] == 0


def test_equal_values_are_counted() -> None:
    at = MONDAY + 60.0 * np.arange(100)
    values = np.random.default_rng(1).normal(10, 1, 100)
    values[60:80] = values[60]
    run = column(Series().feed(at, values), "run")
    assert np.expm1(run[[59, 60, 61, 79, 80]]).tolist() == pytest.approx([0, 0, 1, 19, 0], abs=1e-3)
