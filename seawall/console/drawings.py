"""More pictures as SVG, beside seawall.console.charts: bars over time, a pull's phases, what is ahead.

The same rules hold: presentation attributes only, so that a picture stands alone under a strict CSP.
"""

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup, escape

from seawall.console.charts import Bar
from seawall.core.foresight import Forecast

WIDTH, HEIGHT = 600.0, 80.0
GAP = 0.15


def bars(counts: Sequence[Bar], span: tuple[float, float], title: str, desc: str = "") -> Markup:
    """Counts over `span` (Unix seconds); the failed ones are the lower part of each bar. "" for none."""
    counts = [bar for bar in counts if span[0] <= bar.at <= span[1] and bar.total > 0]
    if not counts:
        return Markup("")
    steps = [after.at - before.at for before, after in pairwise(counts)]
    length = span[1] - span[0] or 1.0
    wide = max(1.5, min(min(steps, default=length / 60), length / 12) / length * WIDTH)
    most = max(bar.total for bar in counts)
    every = "".join(_bar(bar.at, bar.total, span, wide, most) for bar in counts)
    bad = "".join(_bar(bar.at, bar.failed, span, wide, most) for bar in counts if bar.failed)
    body = f'<path class="bar-all" d="{every}" fill="#0b5c7d"/>'
    body += f'<path class="bar-failed" d="{bad}" fill="#b3261e"/>' if bad else ""
    return _svg(body, "bars", (WIDTH, HEIGHT), title, desc)


def _bar(at: float, count: int, span: tuple[float, float], wide: float, most: int) -> str:
    x = (at - span[0]) / (span[1] - span[0]) * WIDTH
    high = max(1.0, count / most * (HEIGHT - 2))
    w = min(wide * (1 - GAP), WIDTH - x)
    return f"M{x:.1f} {HEIGHT:g}v{-high:.1f}h{w:.1f}v{high:.1f}z"


def phase(start: float, seconds: float, total: float) -> Markup:
    """One line of a waterfall: from when until when of a whole of `total` seconds."""
    whole = total or 1.0
    x, w = start / whole * 100, max(0.6, seconds / whole * 100)
    body = (
        '<path class="fall-rest" d="M0 5h100v1H0z" fill="#d5dfe4"/>'
        f'<path class="fall-bar" d="M{min(x, 99.4):.1f} 1h{min(w, 100 - min(x, 99.4)):.1f}v9h-'
        f'{min(w, 100 - min(x, 99.4)):.1f}z" fill="#0b5c7d"/>'
    )
    return Markup(  # noqa: S704 - numbers only
        '<svg xmlns="http://www.w3.org/2000/svg" class="phase" aria-hidden="true" preserveAspectRatio="none" '
        f'viewBox="0 0 100 11">{body}</svg>'
    )


def outlook(forecast: Forecast, title: str) -> Markup:
    """What is ahead of a row, from now (left) to the end of its horizon (right): the span in which it is
    likely to be crossed (80 % of what may happen), the likeliest moment upright."""
    body = '<rect class="ahead" y="4" width="100" height="4" fill="#d5dfe4"/>'
    low, high = forecast.interval
    if low is not None:
        left = _ahead(forecast, low)
        right = 100.0 if high is None else _ahead(forecast, high)
        width = max(1.0, right - left)
        body += f'<rect class="maybe" x="{left:.1f}" y="2" width="{width:.1f}" height="8" fill="#855000"/>'
    if forecast.crossing is not None:
        at = min(98.5, _ahead(forecast, forecast.crossing))
        body += f'<rect class="likely" x="{at:.1f}" width="1.5" height="12" fill="#b3261e"/>'
    return _svg(body, "outlook", (100.0, 12.0), title, "")


def _ahead(forecast: Forecast, at: float) -> float:
    return min(100.0, max(0.0, (at - forecast.at) / (forecast.horizon or 1.0) * 100))


def _svg(body: str, kind: str, size: tuple[float, float], title: str, desc: str) -> Markup:
    described = f"<desc>{escape(desc)}</desc>" if desc else ""
    return Markup(  # noqa: S704 - numbers and escaped text only
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{kind}" role="img" preserveAspectRatio="none" '
        f'viewBox="0 0 {size[0]:g} {size[1]:g}"><title>{escape(title)}</title>{described}{body}</svg>'
    )
