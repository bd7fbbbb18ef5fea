"""Backtests: figures that can be worked out by hand, and pictures that show what was found."""

import re
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from models import drawing, page, picture, summary
from models.backtest import (
    Bin,
    Breach,
    Promise,
    Run,
    Series,
    backtest,
    figures_of,
    pinball,
    reliability,
)
from models.drawing import Area, Line, Text
from models.files import Recording
from models.lstm import Lstm
from models.running_mean import RunningMean
from models.seasonal import Seasonal
from models.streaming import GRACE
from seawall.core.slos import Objective

MAKERS = {"lstm": Lstm, "seasonal": Seasonal, "running_mean": RunningMean}
KEPT = Promise(Objective("<=", 5.0), 3600.0)
START = 1.7e9


def recording(values: list[float], labels: list[int] | None = None, name: str = "a.csv") -> Recording:
    at = START + 60.0 * np.arange(len(values))
    header = ("timestamp", "value", *(("label",) if labels else ()))
    rows = [
        [str(t), str(v), *([str(labels[i])] if labels else [])]
        for i, (t, v) in enumerate(zip(at, values, strict=True))
    ]
    return Recording(Path(name), header, ("value",), rows, at, np.array([values]))


def wave(count: int, seed: int = 0) -> list[float]:
    rng = np.random.default_rng(seed)
    return (2 + np.sin(np.arange(count) / 15) + 0.1 * rng.normal(size=count)).tolist()


def climb(count: int = 1300, begin: int = 600, rate: float = 0.005) -> list[float]:
    """A calm level that climbs from `begin` on until it is over 5."""
    noise = np.random.default_rng(2).normal(0, 0.05, count)
    return (2 + noise + rate * np.maximum(np.arange(count) - begin, 0)).tolist()


def test_pinball_loss_by_hand() -> None:
    quantiles = np.array([[1.0], [2.0], [3.0]])
    assert pinball(quantiles, np.array([2.0])) == pytest.approx([(0.05 + 0 + 0.05) / 3])
    assert pinball(quantiles, np.array([5.0])) == pytest.approx([(0.05 * 4 + 0.5 * 3 + 0.95 * 2) / 3])
    assert pinball(quantiles, np.array([0.0])) == pytest.approx([(0.95 * 1 + 0.5 * 2 + 0.05 * 3) / 3])


def test_reliability_by_hand() -> None:
    chance = np.array([0.0, 0.125, 0.75, 0.75, 1.0])
    truth = np.array([False, True, True, False, True])
    wanted = [Bin(0.0, 0.0, 1), Bin(0.125, 1.0, 1), Bin(0.75, 0.5, 2), Bin(1.0, 1.0, 1)]
    assert reliability(chance, truth) == wanted


def test_rows_that_the_models_are_silent_on_are_not_judged() -> None:
    (found,) = backtest([recording(wave(GRACE + 100))], MAKERS)
    for figures in found.figures.values():
        assert figures.judged == 100
        assert figures.coverage is not None
        assert 0.7 < figures.coverage <= 1
        assert figures.pinball is not None
        assert 0 < figures.pinball < 1
        assert figures.brier is None
        assert figures.windows == 0


def test_the_seasonal_baseline_follows_a_wave_closer_than_the_mean() -> None:
    found = backtest([recording(wave(1500))], MAKERS)
    assert summary.together(found, "seasonal")["relative_pinball"] == 1
    assert summary.together(found, "running_mean")["relative_pinball"] > 1.3


def test_a_breach_is_foretold_with_its_lead() -> None:
    (found,) = backtest([recording(climb())], {"seasonal": Seasonal}, KEPT)
    figures, values = found.figures["seasonal"], climb()
    began = START + 60.0 * next(i for i, v in enumerate(values) if v > 5)
    assert figures.breaches[0].at == began
    assert figures.breaches[0].forecast_lead is not None
    assert 60 <= figures.breaches[0].forecast_lead <= KEPT.horizon
    assert figures.brier is not None
    assert figures.climatology is not None
    assert figures.brier < figures.climatology
    assert sum(b.count for b in figures.reliability) == figures.forecasts > 100


def test_the_last_horizon_is_not_scored() -> None:
    """What nobody has seen the end of counts neither way."""
    values = wave(400)
    (found,) = backtest([recording(values)], {"seasonal": Seasonal}, Promise(Objective("<=", 99.0), 3600.0))
    assert found.figures["seasonal"].forecasts == len(values) - GRACE - 60
    assert found.figures["seasonal"].breaches == ()


def test_coverage_alerts_and_labels_by_hand() -> None:
    values = np.array([0.0, 1.0, 2.0, 9.0, np.nan, 2.0, 2.0, 2.0])
    low, middle, high = np.full(8, 1.0), np.full(8, 2.0), np.full(8, 3.0)
    low[7] = high[7] = middle[7] = np.nan
    alerts = np.array([True, False, False, True, True, False, False, True])
    known = np.array([False, False, True, True, True, False, True, False])
    figures = figures_of(np.arange(8.0), values, known, Run(middle, low, high, alerts))
    assert (figures.judged, figures.coverage) == (6, 4 / 6)
    assert (figures.alerts, figures.alerts_per_budget) == (4, 4 * 5000 / 6)
    assert (figures.windows, figures.windows_hit, figures.false_alerts) == (2, 1, 2)


def test_leads_by_hand() -> None:
    """Likely from row 4 on with a doubt at row 2; an alert at row 5; the breach at row 8."""
    at, values = 60.0 * np.arange(20), np.zeros(20)
    values[8:11] = 9
    nothing, alerts = np.full(20, np.nan), np.arange(20) == 5
    asked, chance = np.arange(0, 20, 2), np.array([0.9, 0.1, 0.6, 0.7, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    run = Run(nothing, nothing, nothing, alerts, asked, chance)
    figures = figures_of(at, values, None, run, Promise(Objective("<=", 5.0), 300.0))
    assert figures.breaches == (Breach(480.0, 180.0, 240.0),)
    assert figures.forecasts == 6  # rows 0, 2, 4, 6, 12, 14: it is broken at 8 and 10, 16 and 18 are too late
    assert figures.brier == pytest.approx((0.81 + 0.01 + 0.16 + 0.09) / 6)
    assert figures.climatology == pytest.approx(2 / 6 * 4 / 6)


def test_all_series_together() -> None:
    series = backtest([recording(climb()), recording(wave(300), name="b.csv")], MAKERS, KEPT)
    total = summary.together(series, "seasonal")
    parts = [one.figures["seasonal"] for one in series]
    assert total["judged"] == sum(it.judged for it in parts)
    assert total["coverage"] == pytest.approx(
        sum((it.coverage or 0) * it.judged for it in parts) / total["judged"]
    )
    assert total["forecasts"] == sum(it["count"] for it in total["reliability"])
    assert total["breaches"] == 1


def test_progress_reaches_the_end() -> None:
    told: list[int] = []
    backtest([recording(wave(100)), recording(wave(70), name="b.csv")], MAKERS, None, told.append)
    assert told == sorted(told)
    assert told[-1] == 3 * 170


@pytest.fixture(scope="module")
def series() -> list[Series]:
    labels = [int(600 < i < 700) for i in range(1300)]
    return backtest([recording(climb(), labels, "<climb>.csv")], MAKERS, KEPT)


def test_the_page_stands_alone(series: list[Series]) -> None:
    text = page.page(series, "seasonal", KEPT)
    assert "&lt;climb&gt;.csv (seasonal)" in text
    assert "<climb>" not in text
    assert "Reliability diagram" in text
    assert not re.search(r"(src|href)=|<script|url\(", text)
    for svg in re.findall(r"<svg.*?</svg>", text):
        ElementTree.fromstring(svg)


def test_the_picture_shows_all_that_was_said(series: list[Series]) -> None:
    panel = page.panel(series[0], "seasonal", 5.0)
    shapes = picture.drawn(panel).shapes
    colours = [shape.colour for shape in shapes if not isinstance(shape, Text)]
    for colour in (drawing.INK, drawing.BAND, drawing.EXPECTED, drawing.ALERT, drawing.KNOWN):
        assert colour in colours
    marks = [s for s in shapes if isinstance(s, Area) and s.colour == drawing.ALERT and len(s.points) == 3]
    assert len(marks) == panel.alerts.sum()
    for shape in shapes:
        for x, y in [shape.at] if isinstance(shape, Text) else shape.points:
            assert 0 <= x <= picture.WIDTH
            assert 0 <= y <= picture.HEIGHT


def test_a_spike_stays_visible_in_a_long_series() -> None:
    at, values = np.arange(100_000.0), np.zeros(100_000)
    values[54_321] = 1
    nothing, none = np.full(100_000, np.nan), np.zeros(100_000, dtype=bool)
    drawn = picture.drawn(picture.Panel("long", at, values, nothing, nothing, nothing, none))
    (line,) = [
        s for s in drawn.shapes if isinstance(s, Line) and s.colour == drawing.INK and len(s.points) > 2
    ]
    assert len(line.points) < 2500
    assert min(y for _, y in line.points) == pytest.approx(picture.TOP, abs=1)


@pytest.mark.parametrize(
    "values", [[], [1.0], [3.0] * 50, [float("nan")] * 5, [1e150, -1e150], [1e-300, 2e-300]]
)
def test_odd_series_can_be_drawn(values: list[float]) -> None:
    at, given = START + np.arange(float(len(values))), np.array(values)
    none = np.zeros(len(values), dtype=bool)
    shown = picture.drawn(picture.Panel("odd", at, given, given, given, given, none))
    ElementTree.fromstring(drawing.svg(shown))
    assert drawing.png(shown).startswith(b"\x89PNG")


def test_the_png_has_the_colours_of_the_picture(series: list[Series]) -> None:
    shown = picture.drawn(page.panel(series[0], "seasonal", 5.0))
    image = Image.open(BytesIO(drawing.png(shown))).convert("RGB")
    assert image.size == (2 * picture.WIDTH, 2 * picture.HEIGHT)
    found = {f"#{r:02x}{g:02x}{b:02x}" for r, g, b in np.unique(np.array(image).reshape(-1, 3), axis=0)}
    assert {drawing.INK, drawing.BAND, drawing.KNOWN, drawing.ALERT, "#ffffff"} <= found
