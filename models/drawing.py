"""Areas, lines and words: one drawing as SVG text, or as the bytes of a PNG."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

INK, PALE, BAND, EXPECTED, ALERT, KNOWN = "#12263a", "#d5dfe4", "#cfe0e8", "#0b5c7d", "#b3261e", "#f6e6c8"
_SHARPNESS = 2  # pixels of a PNG per unit, drawn twice as fine and reduced
_ANCHORS = {"start": "l", "middle": "m", "end": "r"}

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Area:
    """A filled polygon."""

    points: Sequence[Point]
    colour: str


@dataclass(frozen=True, slots=True)
class Line:
    """An open line."""

    points: Sequence[Point]
    colour: str
    width: float


@dataclass(frozen=True, slots=True)
class Text:
    """Words whose left, middle or right end is at `at`; a PNG shows Latin-1 only."""

    at: Point
    words: str
    anchor: str = "start"
    size: float = 13.0


Shape = Area | Line | Text


@dataclass(frozen=True, slots=True)
class Drawing:
    """Shapes, the hindmost first, on `size` units; what it shows in words."""

    shapes: Sequence[Shape]
    size: Point
    title: str
    description: str


def svg(drawing: Drawing) -> Markup:
    """A complete SVG element; it needs no style and no script."""
    width, height = drawing.size
    return Markup(  # noqa: S704 - numbers and escaped text only
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width:g} {height:g}" '
        f'font-family="sans-serif"><title>{escape(drawing.title)}</title>'
        f"<desc>{escape(drawing.description)}</desc>{''.join(map(_element, drawing.shapes))}</svg>"
    )


def _element(shape: Shape) -> str:
    """One shape as SVG."""
    if isinstance(shape, Text):
        place = f'x="{shape.at[0]:.1f}" y="{shape.at[1]:.1f}" text-anchor="{shape.anchor}"'
        return f'<text {place} font-size="{shape.size:g}" fill="{INK}">{escape(shape.words)}</text>'
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)
    if isinstance(shape, Area):
        return f'<polygon points="{points}" fill="{shape.colour}"/>'
    stroke = f'stroke="{shape.colour}" stroke-width="{shape.width:g}" stroke-linejoin="round"'
    return f'<polyline points="{points}" fill="none" {stroke}/>'


def png(drawing: Drawing) -> bytes:
    """The same on white, two pixels a unit."""
    from PIL import Image, ImageDraw, ImageFont

    scale = 2 * _SHARPNESS
    width, height = (round(length * scale) for length in drawing.size)
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for shape in drawing.shapes:
        if isinstance(shape, Text):
            words = shape.words.encode("latin-1", "replace").decode("latin-1")
            font, (place,) = ImageFont.load_default(shape.size * scale), _scaled([shape.at], scale)
            draw.text(place, words, fill=INK, font=font, anchor=f"{_ANCHORS[shape.anchor]}s")
        elif isinstance(shape, Area):
            draw.polygon(_scaled(shape.points, scale), fill=shape.colour)
        else:
            width = round(shape.width * scale)
            draw.line(_scaled(shape.points, scale), fill=shape.colour, width=width, joint="curve")
    out = io.BytesIO()
    image.reduce(2).save(out, "PNG", optimize=True)
    return out.getvalue()


def _scaled(points: Iterable[Point], scale: float) -> list[Point]:
    return [(x * scale, y * scale) for x, y in points]
