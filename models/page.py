"""A backtest as one HTML page that needs nothing else: the figures, the reliability diagram, the pictures."""

from collections.abc import Sequence

from markupsafe import Markup

from models import drawing, picture, summary
from models.backtest import Promise, Series

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#12263a;max-width:1240px;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0}th,td{text-align:left;padding:.35rem .9rem .35rem 0;
border-bottom:1px solid #d5dfe4;font-variant-numeric:tabular-nums}figure{margin:1.5rem 0}
svg{width:100%;height:auto}.small svg{max-width:640px}
"""


def panel(series: Series, model: str, limit: float | None) -> picture.Panel:
    """What one model said of a series, to be drawn."""
    run = series.runs[model]
    said = (run.expected, run.lower, run.upper, run.alerts)
    return picture.Panel(f"{series.name} ({model})", series.at, series.values, *said, series.known, limit)


def diagram(series: Sequence[Series]) -> drawing.Drawing | None:
    """The reliability of every model that forecast a breach; None where none did."""
    names = list(series[0].figures) if series else []
    bins = {name: summary.merged([it.figures[name] for it in series]) for name in names}
    bins = {name: found for name, found in bins.items() if found}
    return picture.reliability(bins) if bins else None


def page(series: Sequence[Series], model: str, promise: Promise | None) -> str:
    """HTML of all of it; the pictures show `model`."""
    limit = None if promise is None else promise.objective.value
    columns, rows = summary.rows(series)
    shown = diagram(series)
    parts = [
        Markup("<h1>Backtest</h1>"),
        _table(columns, rows),
        *([_figure(shown, "small")] if shown else []),
        *(_figure(picture.drawn(panel(it, model, limit))) for it in series),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Seawall: backtest</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLE}</style></head><body>{Markup('').join(parts)}</body></html>\n"
    )


def _figure(shown: drawing.Drawing, kind: str = "wide") -> Markup:
    return Markup('<figure class="{}">{}</figure>').format(kind, drawing.svg(shown))


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    head = Markup("").join(Markup("<th>{}</th>").format(column) for column in columns)
    lines = (Markup("").join(Markup("<td>{}</td>").format(cell) for cell in row) for row in rows)
    body = Markup("").join(Markup("<tr>{}</tr>").format(line) for line in lines)
    return Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(head, body)
