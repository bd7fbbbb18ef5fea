"""Pictures as SVG strings, drawn on the server: the same one goes to a page and to a message.

Geometry and default colours are presentation attributes, so that a picture stands alone and passes a
CSP without inline style; the stylesheet's classes recolour it. A picture stretches to its box.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from markupsafe import Markup, escape

from seawall.core.ports import Score

Point = tuple[float, float, Score]
Round = tuple[float, bool]


class Bar(NamedTuple):
    """How many there were from `at` (Unix seconds) until the next bar, and how many of them failed."""

    at: float
    total: int
    failed: int


MOST_COLUMNS = 120
LEAST_COLUMNS = 12
GAP_FACTOR = 2.5
NEAR_THRESHOLD = 0.4
BAND_ROOM = 1.5
_STROKE = 'fill="none" stroke-linejoin="round" stroke-linecap="round" vector-effect="non-scaling-stroke"'


@dataclass(frozen=True, slots=True)
class Frame:
    """Maps [start, end] (Unix seconds) and [low, high] (the signal's unit) onto width x height."""

    start: float
    end: float
    low: float
    high: float
    width: float
    height: float

    def x(self, at: float) -> float:
        """Horizontal place, left to right, held within the picture."""
        share = (at - self.start) / ((self.end - self.start) or 1.0)
        return round(min(1.0, max(0.0, share)) * self.width, 1)

    def y(self, value: float) -> float:
        """Vertical place: `low` at the bottom, `high` at the top, held within the picture."""
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return round((1.0 - min(1.0, max(0.0, share))) * (self.height - 4) + 2, 1)


def sparkline(
    points: Sequence[Point], span: tuple[float, float], threshold: float | None, title: str, desc: str = ""
) -> Markup:
    """A small line of the observed values in their expected band over `span`; "" when there is none.

    The threshold is drawn when the values come near it, so that it never flattens them.
    """
    points = _inside(points, span)
    if not points:
        return Markup("")
    top = max(abs(observed) for _, observed, _ in points)
    near = threshold is not None and top >= NEAR_THRESHOLD * abs(threshold)
    return _plot(points, threshold if near else None, span, (), (240.0, 48.0), title, desc)


def chart(
    points: Sequence[Point],
    threshold: float | None,
    span: tuple[float, float],
    title: str,
    desc: str = "",
    marks: Sequence[float] = (),
    unit: str = "",
) -> Markup:
    """Observed against expected over `span`, always with the threshold; `marks` are moments (Unix
    seconds) drawn as upright lines. With a `unit` it carries its points (when, observed, band) for the
    console's script. "" when nothing was observed in the span."""
    inside = _inside(points, span)
    if not inside:
        return Markup("")
    drawn = _plot(inside, threshold, span, marks, (640.0, 180.0), title, desc)
    return _with_points(drawn, inside, span, unit) if unit else drawn


def _with_points(drawn: Markup, points: Sequence[Point], span: tuple[float, float], unit: str) -> Markup:
    told = str(drawn).replace("<svg ", f"<svg {_carried(points, span, unit)}", 1)
    return Markup(told)  # noqa: S704 - numbers and escaped text only


def _carried(points: Sequence[Point], span: tuple[float, float], unit: str) -> str:
    told = (
        f"{at:.0f},{value:.6g}" + ("" if score.silent else f",{score.lower:.6g},{score.upper:.6g}")
        for at, value, score in points
    )
    return (
        f'data-unit="{escape(unit)}" data-span="{span[0]:.0f},{span[1]:.0f}" data-points="{";".join(told)}" '
    )


def bounds(points: Sequence[Point], threshold: float | None) -> tuple[float, float]:
    """(low, high) of what a picture shows: observed values and threshold, and as much of the band as
    does not dwarf them."""
    values = [observed for _, observed, _ in points] + ([] if threshold is None else [threshold])
    low, high = min(values), max(values)
    room = (high - low or abs(high) or 1.0) * BAND_ROOM
    for _, _, score in points:
        if not score.silent:
            low = min(low, max(score.lower, min(values) - room))
            high = max(high, min(score.upper, max(values) + room))
    return (low, high) if high > low else (low - abs(low or 1.0) * 0.1, high + abs(high or 1.0) * 0.1)


def strip(rounds: Sequence[Round], span: tuple[float, float], title: str, desc: str = "") -> Markup:
    """Probe rounds over time: a failed one is a full-height bar, a good one a half-height bar; several
    in one column are failed if any is. "" when there is none."""
    inside = sorted(it for it in rounds if span[0] <= it[0] <= span[1])
    count, length = _columns(inside, span), (span[1] - span[0]) or 1.0
    columns: dict[int, bool] = {}
    for at, good in inside:
        column = min(count - 1, int((at - span[0]) / length * count))
        columns[column] = columns.get(column, True) and good
    if not columns:
        return Markup("")
    good_bars = "".join(f"M{c * 2 + 1} 20v-10" for c, good in sorted(columns.items()) if good)
    bad_bars = "".join(f"M{c * 2 + 1} 20v-20" for c, good in sorted(columns.items()) if not good)
    body = [
        f'<path class="bar-good" d="{good_bars}" stroke="#0f6b52" stroke-width="1.4"/>' if good_bars else "",
        f'<path class="bar-bad" d="{bad_bars}" stroke="#b3261e" stroke-width="2"/>' if bad_bars else "",
    ]
    return _svg(body, (count * 2.0, 20.0), "strip", title, desc)


def _columns(rounds: Sequence[Round], span: tuple[float, float]) -> int:
    """Slightly fewer columns than rounds, so that steady ones leave no holes."""
    gaps = [after[0] - before[0] for before, after in pairwise(rounds) if after[0] > before[0]]
    fitting = 0.98 * (span[1] - span[0]) / median(gaps) if gaps else LEAST_COLUMNS
    return int(min(MOST_COLUMNS, max(LEAST_COLUMNS, fitting)))


def budget(ratio: float, title: str) -> Markup:
    """What is left of an error budget, 0 to 1; an overspent one (negative) is an empty bar."""
    width = round(min(1.0, max(0.0, ratio)) * 100, 1)
    body = [
        '<rect class="track" width="100" height="8" fill="#d5dfe4"/>',
        f'<rect class="left" width="{width:g}" height="8" fill="#0b5c7d"/>',
    ]
    return _svg(body, (100.0, 8.0), "budget", title, "")


def _plot(
    points: Sequence[Point],
    threshold: float | None,
    span: tuple[float, float],
    marks: Sequence[float],
    size: tuple[float, float],
    title: str,
    desc: str,
) -> Markup:
    frame = Frame(*span, *bounds(points, threshold), *size)
    body = [_band(frame, run) for run in _runs(points, judged=True)]
    body += [
        f'<path class="mark" d="M{frame.x(mark):g} 0v{size[1]:g}" stroke="#55636f" '
        f'stroke-dasharray="2 4" {_STROKE}/>'
        for mark in marks
    ]
    if threshold is not None:
        body.append(
            f'<path class="threshold" d="M0 {frame.y(threshold):g}h{size[0]:g}" stroke="#b3261e" '
            f'stroke-width="1.5" stroke-dasharray="7 5" {_STROKE}/>'
        )
    body += [_expected(frame, run) for run in _runs(points, judged=True)]
    body += [_observed(frame, run) for run in _runs(points, judged=False)]
    at, value, _ = points[-1]
    body.append(
        f'<path class="last" d="M{frame.x(at):g} {frame.y(value):g}h0" stroke="#12263a" '
        f'stroke-width="5" {_STROKE}/>'
    )
    return _svg(body, size, "plot", title, desc)


def _band(frame: Frame, run: Sequence[Point]) -> str:
    top = [(frame.x(at), frame.y(score.upper)) for at, _, score in run]
    bottom = [(frame.x(at), frame.y(score.lower)) for at, _, score in reversed(run)]
    return f'<path class="band" d="M{_path([*top, *bottom])}z" fill="#0b5c7d" fill-opacity="0.18"/>'


def _expected(frame: Frame, run: Sequence[Point]) -> str:
    line = _path([(frame.x(at), frame.y(score.expected)) for at, _, score in run])
    return (
        f'<path class="expected" d="M{line}" stroke="#0b5c7d" stroke-width="1" stroke-dasharray="3 3" '
        f"{_STROKE}/>"
    )


def _observed(frame: Frame, run: Sequence[Point]) -> str:
    line = _path([(frame.x(at), frame.y(observed)) for at, observed, _ in run])
    return f'<path class="observed" d="M{line}" stroke="#12263a" stroke-width="2" {_STROKE}/>'


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "L".join(f"{x:g} {y:g}" for x, y in places)


def _svg(body: Sequence[str], size: tuple[float, float], kind: str, title: str, desc: str) -> Markup:
    described = f"<desc>{escape(desc)}</desc>" if desc else ""
    return Markup(  # noqa: S704 - numbers and escaped text only
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{kind}" role="img" preserveAspectRatio="none" '
        f'viewBox="0 0 {size[0]:g} {size[1]:g}"><title>{escape(title)}</title>{described}'
        f"{''.join(body)}</svg>"
    )


def _inside(points: Sequence[Point], span: tuple[float, float]) -> list[Point]:
    """The points in the span whose numbers can be drawn, thinned."""
    return _thinned([p for p in points if span[0] <= p[0] <= span[1] and _finite(p)])


def _finite(point: Point) -> bool:
    _, observed, score = point
    return all(map(math.isfinite, (observed, score.expected, score.lower, score.upper)))


def _thinned(points: Sequence[Point]) -> list[Point]:
    """At most MOST_COLUMNS points: of each group the one furthest from the middle, so that spikes stay."""
    if len(points) <= MOST_COLUMNS:
        return list(points)
    middle = median(observed for _, observed, _ in points)
    size = math.ceil(len(points) / MOST_COLUMNS)
    groups = (points[i : i + size] for i in range(0, len(points), size))
    return [max(group, key=lambda point: abs(point[1] - middle)) for group in groups]


def _runs(points: Sequence[Point], judged: bool) -> Iterator[list[Point]]:
    """Stretches without a gap; with `judged`, only where the detector is not silent."""
    gaps = [after[0] - before[0] for before, after in pairwise(points)]
    widest = GAP_FACTOR * median(gaps) if gaps else math.inf
    run: list[Point] = []
    for point in points:
        silent = judged and bool(point[2].silent)
        if run and (silent or point[0] - run[-1][0] > widest):
            yield run
            run = []
        if not silent:
            run.append(point)
    if run:
        yield run
