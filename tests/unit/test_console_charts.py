"""The pictures: geometry, words, escaping and what they leave out."""

import math
import re
from xml.etree import ElementTree

import pytest

from seawall.console import charts
from seawall.console.figures import amount, minutes, seconds, utc, with_times
from seawall.core.ports import Score

SPAN = (0.0, 100.0)
NS = {"s": "http://www.w3.org/2000/svg"}


def points(values, step=1.0, silent="", half=1.0):
    return [(i * step, v, Score(v, v - half, v + half, 0.0, silent)) for i, v in enumerate(values)]


def drawn(svg, kind):
    return ElementTree.fromstring(str(svg)).findall(f".//s:path[@class='{kind}']", NS)


def test_a_sparkline_is_well_formed_and_says_what_it_is():
    svg = charts.sparkline(points([1, 2, 3]), (0, 2), None, "Latency <b>", 'last "3"')
    root = ElementTree.fromstring(str(svg))
    assert root.get("role") == "img"
    assert root.find("s:title", NS).text == "Latency <b>"
    assert root.find("s:desc", NS).text == 'last "3"'
    assert "style" not in str(svg) and "<script" not in str(svg)


def test_the_highest_value_is_at_the_top_and_the_newest_at_the_right():
    [path] = drawn(charts.sparkline(points([0, 10], half=0), (0, 1), None, "t"), "observed")
    places = re.findall(r"([\d.]+) ([\d.]+)", path.get("d"))
    assert [(float(x), float(y)) for x, y in places] == [(0, 46), (240, 2)]


def test_the_threshold_is_drawn_only_near_the_values_in_a_sparkline_but_always_in_a_chart():
    low, high = points([1, 1, 1], half=0.1), points([9, 9, 9], half=0.1)
    assert not drawn(charts.sparkline(low, SPAN, 10, "t"), "threshold")
    assert drawn(charts.sparkline(high, SPAN, 10, "t"), "threshold")
    [line] = drawn(charts.chart(low, 10, SPAN, "t"), "threshold")
    assert line.get("d") == "M0 2h640"


def test_marks_stand_at_their_moments():
    svg = charts.chart(points([1] * 101), None, SPAN, "t", marks=[50.0])
    [mark] = drawn(svg, "mark")
    assert mark.get("d").startswith("M320 0v")


def test_a_gap_breaks_the_line():
    early, late = points([1, 1, 1]), [(at + 50, v, s) for at, v, s in points([1, 1, 1])]
    assert len(drawn(charts.chart([*early, *late], None, SPAN, "t"), "observed")) == 2


def test_a_silent_detector_draws_no_band_but_the_values_are_there():
    svg = charts.sparkline(points([1, 2], silent="learning: 1 of 64 samples"), SPAN, None, "t")
    assert drawn(svg, "observed") and not drawn(svg, "band") and not drawn(svg, "expected")
    assert drawn(charts.sparkline(points([1, 2]), SPAN, None, "t"), "band")


def test_nothing_in_the_span_is_no_picture():
    assert charts.sparkline([], SPAN, None, "t") == ""
    assert charts.chart(points([1, 2]), 5, (50.0, 60.0), "t") == ""
    assert charts.strip([(500.0, True)], SPAN, "t") == ""


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_left_out(bad):
    broken = [*points([1, 2]), (2.0, bad, Score(1, 0, 2, 0.0, "")), (3.0, 1.0, Score(1, 0, bad, 0.0, ""))]
    svg = str(charts.sparkline(broken, SPAN, None, "t"))
    assert "nan" not in svg and "inf" not in svg
    assert charts.sparkline(broken[2:], SPAN, None, "t") == ""


def test_a_huge_band_does_not_flatten_the_values():
    wild = [(at, v, Score(v, -1e9, 1e9, 0.0, "")) for at, v, _ in points([1, 2, 3])]
    low, high = charts.bounds(wild, None)
    assert -10 < low <= 1 and 3 <= high < 10


@pytest.mark.parametrize("values", [[0.0, 0.0], [5.0], [-3.0, -3.0]])
def test_a_flat_line_has_a_height(values):
    flat = points(values, half=0)
    low, high = charts.bounds(flat, None)
    assert low < high
    assert drawn(charts.sparkline(flat, SPAN, None, "t"), "observed")


def test_many_points_are_thinned_and_the_spike_stays():
    values = [1.0] * 3000
    values[1234] = 99.0
    svg = charts.chart(points(values, step=100 / 3000), None, SPAN, "t")
    assert len(svg) < 16_000
    [path] = drawn(svg, "observed")
    heights = [float(y) for _, y in re.findall(r"([\d.]+) ([\d.]+)", path.get("d"))]
    assert sum(y < 10 for y in heights) == 1 and sum(y > 100 for y in heights) > 100


def test_a_failed_round_is_a_full_bar_and_a_good_one_half():
    svg = charts.strip([(0.0, True), (50.0, False), (99.0, True)], SPAN, "t")
    [good], [bad] = drawn(svg, "bar-good"), drawn(svg, "bar-bad")
    assert good.get("d") == "M1 20v-10M23 20v-10"
    assert bad.get("d") == "M13 20v-20"


@pytest.mark.parametrize("rounds", [20, 101, 119, 500])
def test_steady_rounds_leave_no_holes(rounds):
    svg = charts.strip([(i * 5.0, True) for i in range(rounds + 1)], (0.0, rounds * 5.0), "t")
    [good] = drawn(svg, "bar-good")
    width = float(svg.split('viewBox="0 0 ')[1].split()[0])
    assert good.get("d").count("M") == width / 2


def test_one_failure_among_many_rounds_of_a_column_shows():
    rounds = [(10 + i / 1000, i != 3) for i in range(10)]
    svg = charts.strip(rounds, SPAN, "t")
    assert drawn(svg, "bar-bad") and not drawn(svg, "bar-good")


@pytest.mark.parametrize(
    ("ratio", "width"), [(1.0, "100"), (0.4, "40"), (0.0, "0"), (-2.0, "0"), (1.5, "100")]
)
def test_the_budget_bar_stays_in_its_track(ratio, width):
    root = ElementTree.fromstring(str(charts.budget(ratio, "Budget")))
    assert root.find("s:rect[@class='left']", NS).get("width") == width


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.42, "s", "420 ms"),
        (1.25, "s", "1.25 s"),
        (5025, "s", "1h23m"),
        (0.22, "ratio", "22 %"),
        (0.846, "ratio", "84.6 %"),
        (0, "pulls", "0 pulls"),
        (1200, "pulls", "1,200 pulls"),
        (0, "s", "0 ms"),
        (30, "s", "30 s"),
    ],
)
def test_amounts_are_for_people(value, unit, text):
    assert amount(value, unit) == text


def test_minutes_and_times_are_for_people():
    assert (minutes(0), minutes(150), minutes(300)) == ("0 min", "2.5 min", "5 min")
    assert seconds(0.0235) == "24 ms"
    assert utc(1_795_489_212.0) == "24 Nov 2026, 03:00:12 UTC"


def test_moments_in_a_text_become_times_and_all_else_is_escaped():
    html = with_times("<b> since 2026-11-24T03:00:12.500Z, not 2026-99-99T03:00:12Z")
    assert html == (
        "&lt;b&gt; since "
        '<time datetime="2026-11-24T03:00:12.500Z">24 Nov 2026, 03:00:12 UTC</time>, '
        "not 2026-99-99T03:00:12Z"
    )
