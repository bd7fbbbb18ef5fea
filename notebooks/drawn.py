"""Bars and lines as the house's own SVG, for what the console has no chart of."""

from collections.abc import Callable, Mapping, Sequence

from IPython.display import SVG

from models.drawing import ALERT, EXPECTED, INK, PALE, Area, Drawing, Line, Shape, Text, svg

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 900.0, 220.0, 70.0, 30.0, 26.0
COLOURS = (EXPECTED, ALERT, INK)


def _axes(title: str, top: float, unit: str) -> list[Shape]:
    shapes: list[Shape] = [Text((LEFT, 18), title)]
    for share in (0.0, 0.5, 1.0):
        y = _y(share * top, top)
        shapes += [
            Line([(LEFT, y), (WIDTH, y)], PALE, 1),
            Text((LEFT - 6, y + 4), f"{share * top:.3g}{unit}", "end", 11),
        ]
    return shapes


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - min(value / top, 1.0) * (HEIGHT - TOP - BOTTOM)


def bars(title: str, values: Mapping[str, float], unit: str = "") -> SVG:
    """One bar a name, the names below (every second where there are many)."""
    top = max(values.values(), default=0.0) or 1.0
    shapes, step = _axes(title, top, unit), (WIDTH - LEFT) / max(len(values), 1)
    for number, (name, value) in enumerate(values.items()):
        left, right, y = LEFT + step * (number + 0.15), LEFT + step * (number + 0.85), _y(value, top)
        base = _y(0, top)
        shapes.append(Area([(left, base), (left, y), (right, y), (right, base)], EXPECTED))
        if len(values) <= 14 or number % 2 == 0:
            shapes.append(Text(((left + right) / 2, HEIGHT - 8), name, "middle", 10))
    return SVG(
        svg(Drawing(shapes, (WIDTH, HEIGHT), title, f"{len(values)} bars, the highest {top:.3g}{unit}"))
    )


def lines(
    title: str,
    at: Sequence[float],
    series: Mapping[str, Sequence[float]],
    told: Callable[[float], str] = "{:g}".format,
    limit: float | None = None,
) -> SVG:
    """Lines over the same moments, which `told` writes below them; missing values are left out, the limit is
    drawn across."""
    known = [value for values in series.values() for value in values if value == value]
    top = max([*known, limit or 0.0], default=0.0) * 1.05 or 1.0
    shapes, length = _axes(title, top, ""), (at[-1] - at[0]) or 1.0
    for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        place = (LEFT + share * (WIDTH - LEFT), HEIGHT - 8)
        shapes.append(Text(place, told(at[0] + share * length), anchor, 10))
    if limit is not None:
        shapes.append(Line([(LEFT, _y(limit, top)), (WIDTH, _y(limit, top))], ALERT, 1))
    for number, (name, values) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = [
            (LEFT + (t - at[0]) / length * (WIDTH - LEFT), _y(v, top))
            for t, v in zip(at, values, strict=True)
            if v == v
        ]
        shapes += [
            Line(points, colour, 1.5),
            Line([(300 + 160 * number, 14), (324 + 160 * number, 14)], colour, 3),
        ]
        shapes.append(Text((330 + 160 * number, 18), name, size=11))
    return SVG(svg(Drawing(shapes, (WIDTH, HEIGHT), title, ", ".join(series))))
