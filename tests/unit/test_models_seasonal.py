"""The seasonal baseline: it learns the day, forgives anomalies, keeps its band, and looks ahead."""

import numpy as np
import pytest

from models import operations
from models.gate import History, pinball, replay
from models.running_mean import RunningMean
from models.seasonal import Seasonal

START, DAY = 1_790_035_200.0, 86400.0  # a midnight


def wave(days, step=300.0, noise=0.05, seed=1):
    times = START + np.arange(0, days * DAY, step)
    values = (
        10 + 3 * np.sin(2 * np.pi * times / DAY) + noise * np.random.default_rng(seed).normal(size=len(times))
    )
    return times, values


def words(times, values, model=None):
    return replay(model or Seasonal(), [History("x", times, values)])["x"]


def test_it_knows_the_hour_after_a_few_days():
    """A peak that comes every day at the same quarter of an hour is expected when it comes again."""
    times, values = wave(6, noise=0.01)
    peak = np.abs(times % DAY - 36300) < 450
    values = values + 5 * peak
    said = words(times, values)
    first, last = (np.flatnonzero(peak & (times // DAY == START // DAY + day))[0] for day in (0, 5))
    assert abs(said.expected[last] - values[last]) < 1 < abs(said.expected[first] - values[first])


def test_working_days_and_weekends_are_learnt_apart():
    times, values = wave(16, noise=0.01)
    weekend = (times // DAY + 3) % 7 >= 5
    values = np.where(weekend, 2.0, values) + 0.01 * np.random.default_rng(2).normal(size=len(times))
    said = words(times, values)
    turn = np.flatnonzero(weekend[1:] & ~weekend[:-1])[-1] + 1
    assert abs(said.expected[turn + 3] - 2.0) < 0.5


def test_its_band_holds_what_a_band_of_nine_tenths_should():
    times, values = operations.many(5, 40, 3000)
    histories = [History(str(k), times[:, k], values[:, k]) for k in range(40)]
    said = replay(Seasonal(), histories)
    inside = [
        np.mean((said[h.signal].lower <= h.values) & (h.values <= said[h.signal].upper)) for h in histories
    ]
    assert np.mean(inside) == pytest.approx(0.9, abs=0.04)


def test_it_is_a_harder_rival_than_the_running_mean():
    times, values = operations.many(6, 40, 3000)
    histories = [History(str(k), times[:, k], values[:, k]) for k in range(40)]
    own, other = (replay(model, histories) for model in (Seasonal(), RunningMean()))
    wins = [
        np.nanmean(pinball(own[h.signal], h.values)) < np.nanmean(pinball(other[h.signal], h.values))
        for h in histories
    ]
    assert np.mean(wins) > 0.8


def test_one_anomaly_moves_neither_profile_nor_level():
    times, values = wave(4)
    broken = values.copy()
    broken[600] += 1000
    clean, hurt = words(times, values), words(times, broken)
    assert hurt.score[600] > 0.99
    moved = np.abs(hurt.expected - clean.expected)
    assert moved[602:].max() < 1.5 and moved[624:].max() < 0.6, "of an anomaly of 1000"


def quantiles(times, values):
    model = Seasonal()
    replay(model, [History("x", times, values)])
    return model.ahead(model.columns(["x"]))


def test_ahead_it_follows_the_daily_profile():
    times, values = wave(9)
    ahead = quantiles(times, values)
    for horizon, found in ahead.items():
        truth = 10 + 3 * np.sin(2 * np.pi * (times[-1] + horizon) / DAY)
        assert found[3, 0] == pytest.approx(truth, abs=0.5)
        assert np.all(np.diff(found[:, 0]) > 0)


def test_ahead_it_carries_a_steady_growth_on():
    times = START + np.arange(0, 3 * DAY, 60)
    values = 0.2 + 0.1 * (times - START) / DAY
    ahead = quantiles(times, values)
    assert ahead[3600.0][3, 0] - values[-1] == pytest.approx(0.1 / 24, rel=0.3)
    assert ahead[86400.0][3, 0] - values[-1] == pytest.approx(0.1, rel=0.5)


def test_ahead_it_is_less_sure_of_what_lies_further():
    times = START + np.arange(0, 3 * DAY, 60)
    values = np.cumsum(np.random.default_rng(4).normal(size=len(times)))
    widths = [found[5, 0] - found[1, 0] for _, found in sorted(quantiles(times, values).items())]
    assert widths == sorted(widths)


def test_it_forecasts_no_series_that_it_hardly_knows():
    model = Seasonal()
    assert not model.speaks("x")
    replay(model, [History("x", *wave(0.1))])
    assert not model.speaks("x")
    times, values = wave(2)
    replay(model, [History("y", times, values)])
    assert model.speaks("y")
