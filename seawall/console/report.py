"""The monthly report as Markdown and as one HTML page that stands alone, with the console's own charts."""

from typing import Any

from markupsafe import Markup, escape

from seawall.console import charts, figures
from seawall.core.ports import Score
from seawall.core.times import format_duration, parse_time

Json = dict[str, Any]
KEPT = {True: "kept", False: "BROKEN", None: "unknown"}
_STYLE = Markup(
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#12263a}"
    "table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #d5dfe4}"
    "svg.plot{width:100%;height:9rem}svg.budget{width:12rem;height:.6rem}"
)


def _amount(value: float | None, unit: str) -> str:
    return "–" if value is None else figures.amount(value, unit)


def _budget(row: Json) -> str:
    left = row["budget_remaining_ratio"]
    return "–" if left is None else f"{left * 100:.0f} %"


def _left_out(row: Json) -> str:
    """What of the month was not known, and what maintenance took out."""
    parts = []
    if row["unknown"]:
        parts.append(f"{format_duration(row['unknown'])} unknown")
    if row["excluded"]:
        parts.append(f"{format_duration(row['excluded'])} of maintenance excluded")
    known, judged = row["hours"]["known"], row["hours"]["judged"]
    if known < judged:
        parts.append(f"{judged - known} of {judged} hours without data")
    return ", ".join(parts) or "nothing"


def markdown(report: Json) -> str:
    """For a wiki or a mail."""
    lines = [
        f"# Service levels of {report['month']}",
        "",
        f"Judged from {report['start']} until {report['until']}.",
        "",
        "| registry | promise | month | worst | limit | budget left | hours broken | not counted |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        "| " + " | ".join(_plain(cell) for cell in cells) + " |" for cells in map(_cells, report["rows"])
    ]
    lines += ["", "## Incidents", ""]
    if not report["incidents"]:
        lines.append("None.")
    for it in report["incidents"]:
        took = "lasts" if it["duration"] is None else format_duration(it["duration"])
        lines.append(
            f"- **{_plain(it['id'])}** {it['opened_at']}, {took}: {_plain(it['title'])}."
            f" {_plain(it['explanation'])}"
        )
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Text that Markdown and HTML in it leave alone."""
    for character in "\\`*_[]<>|#":
        text = text.replace(character, f"\\{character}")
    return text.replace("\n", " ")


def _cells(row: Json) -> tuple[str, ...]:
    return (
        row["registry"],
        row["title"],
        KEPT[row["kept"]],
        _amount(row["value"], row["unit"]),
        f"{row['op']} {_amount(row['threshold'], row['unit'])}",
        _budget(row),
        str(row["hours"]["breached"]),
        _left_out(row),
    )


def html(report: Json) -> str:
    """One file: no script, no other file."""
    heads = ("registry", "promise", "month", "worst", "limit", "budget left", "hours broken", "not counted")
    head = Markup("").join(Markup("<th>{}</th>").format(name) for name in heads)
    rows = Markup("").join(
        Markup("<tr>{}</tr>").format(Markup("").join(Markup("<td>{}</td>").format(it) for it in _cells(row)))
        for row in report["rows"]
    )
    pictures = Markup("").join(_picture(row, report) for row in report["rows"])
    told = Markup("").join(_incident(it) for it in report["incidents"]) or Markup("<p>None.</p>")
    title = f"Service levels of {report['month']}"
    return str(
        Markup(
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            "<style>{style}</style></head>"
            "<body><h1>{title}</h1><p>Judged from {start} until {until}.</p>"
            "<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
            "{pictures}<h2>Incidents</h2>{told}</body></html>\n"
        ).format(
            title=title,
            style=_STYLE,
            start=report["start"],
            until=report["until"],
            head=head,
            rows=rows,
            pictures=pictures,
            told=told,
        )
    )


def _picture(row: Json, report: Json) -> Markup:
    name = f"{row['registry']}: {row['title']}"
    silent = Score(0.0, 0.0, 0.0, 0.0, "a report expects nothing")
    points = [(parse_time(it["at"]), it["value"], silent) for it in row["series"]]
    span = (parse_time(report["start"]), parse_time(report["until"]))
    drawn = charts.chart(
        points, row["threshold"], span, name, "each hour of the month; the broken line is the limit"
    )
    left = row["budget_remaining_ratio"]
    bar = charts.budget(left, f"{left * 100:.0f} % of the budget is left") if left is not None else Markup("")
    nothing = Markup("<p>Nothing was measured.</p>")
    return Markup("<section><h2>{}</h2>{}{}<p>{}</p></section>").format(
        name, bar, drawn or nothing, escape(row["reason"])
    )


def _incident(it: Json) -> Markup:
    took = "lasts" if it["duration"] is None else format_duration(it["duration"])
    return Markup("<h3>{}: {}</h3><p>{}, {}</p><p>{}</p>").format(
        it["id"], it["title"], it["opened_at"], took, it["explanation"]
    )
