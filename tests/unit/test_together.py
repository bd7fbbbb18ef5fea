"""Several columns as one series: what moves together stands out, and is told once."""

import math
from pathlib import Path

import numpy as np
import pytest

from models import together
from models.alerting import Alerting
from models.detection import detect
from models.files import Recording
from models.lstm import Lstm
from models.streaming import Silence, Step
from tests.unit.test_models_backtest import START, wave


def step(
    score: list[list[float]], surprise: list[list[float]], silent: list[list[int]] | None = None
) -> Step:
    scores = np.array(score)
    nothing = np.full_like(scores, np.nan)
    codes = np.zeros(scores.shape) if silent is None else np.array(silent)
    blank = np.zeros_like(scores)
    return Step(nothing, nothing, nothing, scores, np.array(surprise), codes, blank, blank, scores)


def test_by_hand() -> None:
    """Four columns: the two loudest count; an excess of 1 over the band on average is one half."""
    values, whole = together.one(
        step(
            [[0.0, 0.4], [0.0, 0.8], [0.0, 0.1], [0.0, 0.1]],
            [[-5.0, 0.0], [1.0, 0.0], [0.5, 0.0], [0.0, 0.0]],
        )
    )
    assert values.tolist() == [6.5 / 4, 0]
    assert whole.surprise.tolist() == [2, 1]
    assert whole.score.tolist() == pytest.approx([0.5, 1 - 0.4 / 1.95])
    assert np.isnan(whole.expected).all()


def test_it_speaks_as_soon_as_one_column_does() -> None:
    grace, late = Silence.GRACE, Silence.LATE
    silent = [[grace, grace, late], [grace, Silence.SPEAKS, late]]
    _, whole = together.one(step([[0.9] * 3] * 2, [[0.0] * 3] * 2, silent))
    assert whole.silent.tolist() == [grace, Silence.SPEAKS, late]
    assert whole.score.tolist() == pytest.approx([0, 0.9, 0])


def recording(values: np.ndarray) -> Recording:
    at = START + 60.0 * np.arange(values.shape[1])
    names = tuple(f"v{k}" for k in range(len(values)))
    rows = [["", *("" for _ in names)] for _ in at]
    return Recording(Path("x.csv"), ("timestamp", *names), names, rows, at, values)


def test_columns_know_their_first_band_and_nothing_of_other_files() -> None:
    """A recording of several columns beside another one is scored as it is alone."""
    many = recording(np.array([wave(400, k) for k in range(5)]))
    other = recording(np.array([wave(300, 9)]))
    alone = detect([many], Lstm(), Alerting())[0]
    beside = detect([other, many], Lstm(), Alerting())[1]
    first = detect([recording(many.values[:1])], Lstm(), Alerting())[0]
    for name in ("expected", "lower", "upper"):
        assert getattr(alone, name) == pytest.approx(getattr(first, name), rel=1e-5, nan_ok=True)
    for name in ("expected", "score", "alert_score"):
        assert getattr(alone, name) == pytest.approx(getattr(beside, name), rel=1e-5, abs=1e-5, nan_ok=True)


def test_many_small_moves_together_stand_out_more_than_one() -> None:
    calm = np.array([wave(1600, k) for k in range(8)])
    one, all_of_them = calm.copy(), calm.copy()
    one[0, 1550:1560] += 2
    all_of_them[:, 1550:1560] += 2
    loud = [
        detect([recording(v)], Lstm(), Alerting())[0].score[1550:1560].max() for v in (calm, one, all_of_them)
    ]
    assert loud[0] < loud[1] < loud[2]
    assert all(map(math.isfinite, loud))
