"""Plain text for people: tables, values, the matrix."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from seawall.core.times import format_duration

__all__ = ["Text", "console", "escape", "matrix", "sparkline", "table", "value"]
STYLES = {"ok": "green", "at_risk": "yellow", "breached": "bold red", "unknown": "dim"}
BARS = "▁▂▃▄▅▆▇█"
MARKS = {"ok": "●", "at_risk": "▲", "breached": "■", "unknown": "○"}


def console(stderr: bool = False) -> Console:
    """Wide enough for a table even where no terminal tells its width."""
    found = Console(stderr=stderr, highlight=False)
    return found if found.is_terminal else Console(stderr=stderr, highlight=False, width=140)


def table(*columns: str) -> Table:
    """A table without frames."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def value(number: float | None, unit: str) -> str:
    """A value in its unit: 0.42 s -> 420 ms, 0.85 ratio -> 85.0 %, 120 s -> 2m."""
    if number is None:
        return "–"
    if unit == "ratio":
        return f"{number * 100:.1f} %"
    if unit == "s":
        return "0 s" if number == 0 else format_duration(number) if number >= 1 else f"{number * 1000:.0f} ms"
    return f"{number:g} {unit}"


def matrix(rows: Sequence[dict[str, Any]], trends: Sequence[dict[str, Any]] = ()) -> Table:
    """The SLO matrix, from the API's shapes."""
    lines = {(it["registry"], it["name"]): sparkline(it["values"]) for it in trends}
    made = table(
        "registry",
        "promise",
        "state",
        "now",
        "value",
        "limit",
        "budget left",
        "burn",
        "forecast",
        "day",
        "why",
    )
    for row in rows:
        now = {True: "ok", False: "BAD", None: "?"}[row["indicator_ok"]]
        budget, burn, chance = (row["budget_remaining_ratio"], row["burn_rate"], row["breach_probability"])
        made.add_row(
            escape(row["registry"]),
            row["name"],
            Text(f"{MARKS[row['status']]} {row['status']}", STYLES[row["status"]]),
            Text(now, "bold red" if now == "BAD" else ""),
            value(row["value"], row["unit"]),
            value(row["threshold"], row["unit"]),
            "–" if budget is None else f"{budget * 100:.0f} %",
            "–" if burn is None else f"{burn:.1f}x",
            "–" if chance is None else f"{chance * 100:.0f} %",
            lines.get((row["registry"], row["name"]), "–"),
            escape(row["reason"]),
        )
    return made


def sparkline(values: Sequence[float | None]) -> str:
    """One bar an hour, the highest full; a gap where nothing was known. `–` where there is nothing."""
    known = [it for it in values if it is not None]
    if not known:
        return "–"
    low, high = min(known), max(known)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(" " if it is None else BARS[round((it - low) * scale)] for it in values).strip()
