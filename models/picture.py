"""A recording as a picture: observed, expected, band, limit, alerts and labelled windows."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.backtest import Bin
from models.drawing import ALERT, BAND, EXPECTED, INK, KNOWN, PALE, Area, Drawing, Line, Shape, Text
from models.normaliser import Floats

WIDTH, HEIGHT = 1200.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 76.0, 16.0, 34.0, 28.0
BAND_ROOM = 1.5  # of the range of the observed values: what a band may add to the picture, each way
_MODELS = (EXPECTED, ALERT, INK)
_MINUTE, _DAY = 60, 86400
_STEPS = (1, 5, 15, 30, 60, 180, 360, 720, 1440, 2880, 7 * 1440, 14 * 1440, 30 * 1440, 90 * 1440, 365 * 1440)

Part = tuple[float, float, float]  # time, least, most


@dataclass(frozen=True, slots=True)
class Panel:
    """What is drawn of one series: Unix seconds, arrays [n] in its unit, `alerts` true where one begins,
    `known` true in labelled windows, `limit` a threshold of the promise."""

    title: str
    at: Floats
    observed: Floats
    expected: Floats
    lower: Floats
    upper: Floats
    alerts: NDArray[np.bool_]
    known: NDArray[np.bool_] | None = None
    limit: float | None = None


def drawn(panel: Panel) -> Drawing:
    """The picture of one series."""
    described = f"{int(panel.alerts.sum())} alerts in {len(panel.at)} samples"
    return Drawing(tuple(_shapes(panel)), (WIDTH, HEIGHT), panel.title, described)


@dataclass(frozen=True, slots=True)
class _Frame:
    """Maps times and values into the picture."""

    start: float
    end: float
    low: float
    high: float

    def x(self, at: float) -> float:
        return LEFT + (at - self.start) / (self.end - self.start) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _shapes(panel: Panel) -> Iterator[Shape]:
    """The hindmost first."""
    order = np.argsort(panel.at, kind="stable")
    at = panel.at[order]
    frame = _framed(panel, at)
    columns = _columns(frame, at)
    if panel.known is not None:
        yield from _windows(frame, at, panel.known[order])
    yield from _axes(frame)
    for run in _runs(columns, at, panel.lower[order], panel.upper[order]):
        top = [(frame.x(t), frame.y(high)) for t, _, high in run]
        yield Area([*top, *((frame.x(t), frame.y(low)) for t, low, _ in reversed(run))], BAND)
    if panel.limit is not None:
        yield from _dashes(frame, panel.limit)
    for run in _runs(columns, at, panel.expected[order], panel.expected[order]):
        yield Line([(frame.x(t), frame.y((low + high) / 2)) for t, low, high in run], EXPECTED, 1)
    for run in _runs(columns, at, panel.observed[order], panel.observed[order]):
        points = [(frame.x(t), frame.y(value)) for t, low, high in run for value in (low, high)]
        yield Line(points, INK, 1.4)
    for moment in panel.at[panel.alerts]:
        yield from _mark(frame.x(float(moment)))
    yield Text((LEFT, 20), panel.title[:100], size=15)
    yield from _legend(panel)


def _framed(panel: Panel, at: Floats) -> _Frame:
    """Room for every observed value and the limit, and for as much of the band as does not dwarf them."""
    seen = panel.observed[np.isfinite(panel.observed)]
    seen = np.append(seen, [panel.limit] if panel.limit is not None else [])
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 1.0)
    room = (high - low or abs(high) or 1.0) * BAND_ROOM
    for band, edge in ((panel.lower, low - room), (panel.upper, high + room)):
        near = band[np.isfinite(band)]
        if len(near):
            near = np.clip(near, min(edge, low), max(edge, high))
            low, high = min(low, float(np.quantile(near, 0.01))), max(high, float(np.quantile(near, 0.99)))
    if not high > low:
        low, high = low - (abs(low) or 1.0) * 0.1, high + (abs(high) or 1.0) * 0.1
    start, end = (float(at[0]), float(at[-1])) if len(at) else (0.0, 1.0)
    return _Frame(start, end if end > start else start + 1, low, high)


def _columns(frame: _Frame, at: Floats) -> NDArray[np.intp]:
    """Edges of the groups of samples that share a column one unit wide."""
    column = np.floor((at - frame.start) / (frame.end - frame.start) * (WIDTH - LEFT - RIGHT))
    return np.concatenate(([0], np.flatnonzero(np.diff(column)) + 1, [len(at)])).astype(np.intp)


def _runs(columns: NDArray[np.intp], at: Floats, low: Floats, high: Floats) -> Iterator[list[Part]]:
    """(time, least, most) of each column, in runs without a hole: spikes stay, whatever the width."""
    run: list[Part] = []
    for begin, end in pairwise(columns.tolist()):
        there = np.isfinite(low[begin:end]) & np.isfinite(high[begin:end])
        if there.any():
            run.append(
                (float(at[begin]), float(low[begin:end][there].min()), float(high[begin:end][there].max()))
            )
        elif run:
            yield run
            run = []
    if run:
        yield run


def _windows(frame: _Frame, at: Floats, known: NDArray[np.bool_]) -> Iterator[Shape]:
    """Labelled windows as upright areas."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], known.astype(np.int8), [0]))))
    for first, after in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        left, right = (
            frame.x(float(at[first])),
            max(frame.x(float(at[after - 1])), frame.x(float(at[first])) + 1),
        )
        yield Area([(left, TOP), (right, TOP), (right, HEIGHT - BOTTOM), (left, HEIGHT - BOTTOM)], KNOWN)


def _axes(frame: _Frame) -> Iterator[Shape]:
    """Level lines with their values, and times below."""
    for value in _levels(frame.low, frame.high):
        y = frame.y(value)
        yield Line([(LEFT, y), (WIDTH - RIGHT, y)], PALE, 1)
        yield Text((LEFT - 8, y + 4), f"{value:.5g}", "end")
    minutes = next((s for s in _STEPS if (frame.end - frame.start) / (s * _MINUTE) <= 8), _STEPS[-1])
    step = minutes * _MINUTE
    form = "%Y-%m-%d" if step >= _DAY else "%d %b %H:%M"
    for moment in np.arange(math.ceil(frame.start / step) * step, frame.end, step):
        x = frame.x(float(moment))
        words = datetime.fromtimestamp(float(moment), UTC).strftime(form)
        yield Line([(x, HEIGHT - BOTTOM), (x, HEIGHT - BOTTOM + 4)], INK, 1)
        if LEFT + 40 < x < WIDTH - RIGHT - 40:
            yield Text((x, HEIGHT - 8), words, "middle")


def _levels(low: float, high: float) -> list[float]:
    """About five round values from `low` to `high`."""
    rough = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= rough)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _dashes(frame: _Frame, limit: float) -> Iterator[Shape]:
    """The limit, dashed from side to side."""
    for x in np.arange(LEFT, WIDTH - RIGHT, 12.0).tolist():
        yield Line([(x, frame.y(limit)), (min(x + 7, WIDTH - RIGHT), frame.y(limit))], ALERT, 1.4)


def _mark(x: float) -> Iterator[Shape]:
    """An alert: a thin line under a triangle."""
    yield Line([(x, TOP), (x, HEIGHT - BOTTOM)], ALERT, 0.7)
    yield Area([(x - 5, TOP - 8), (x + 5, TOP - 8), (x, TOP + 1)], ALERT)


def _legend(panel: Panel) -> Iterator[Shape]:
    """What the colours mean, from the right."""
    entries = [("alert", ALERT), ("90 % band", BAND), ("expected", EXPECTED), ("observed", INK)]
    entries += [("labelled", KNOWN)] if panel.known is not None else []
    x = WIDTH - RIGHT
    for words, colour in entries:
        x -= 7.2 * len(words)
        yield Text((x, 20), words)
        yield Area([(x - 18, 10), (x - 5, 10), (x - 5, 20), (x - 18, 20)], colour)
        x -= 34


@dataclass(frozen=True, slots=True)
class _Square:
    """Maps shares 0..1 both ways."""

    left: float
    top: float
    side: float

    def at(self, right: float, up: float) -> tuple[float, float]:
        return self.left + right * self.side, self.top + (1 - up) * self.side


def reliability(bins: Mapping[str, Sequence[Bin]]) -> Drawing:
    """Said probability (right) against what came of it (up), a line a model; on the diagonal they agree."""
    side, left, top = 260.0, 60.0, 30.0
    frame = _Square(left, top, side)
    shapes: list[Shape] = [Line([frame.at(0, 0), frame.at(1, 1)], PALE, 2)]
    shapes += [Line([frame.at(0, 0), frame.at(0, 1)], INK, 1), Line([frame.at(0, 0), frame.at(1, 0)], INK, 1)]
    for share in (0.0, 0.5, 1.0):
        (x, base), (edge, y) = frame.at(share, 0), frame.at(0, share)
        shapes += [
            Text((x, base + 18), f"{share:.0%}", "middle"),
            Text((edge - 6, y + 4), f"{share:.0%}", "end"),
        ]
    for k, (name, found) in enumerate(bins.items()):
        colour = _MODELS[k % len(_MODELS)]
        points = [frame.at(b.probability, b.observed) for b in found]
        shapes.append(Line(points, colour, 1.6))
        shapes += [
            Area([(x - 3, y - 3), (x + 3, y - 3), (x + 3, y + 3), (x - 3, y + 3)], colour) for x, y in points
        ]
        row = top + 14 + 20 * k
        shapes += [Area([(340, row - 10), (353, row - 10), (353, row), (340, row)], colour)]
        shapes.append(Text((360, row), f"{name}: {sum(b.count for b in found)} forecasts"))
    shapes.append(Text((left, 18), "Breaches: forecast probability against how often it came true", size=15))
    return Drawing(
        tuple(shapes), (640.0, top + side + 34), "Reliability diagram", "on the diagonal they agree"
    )
