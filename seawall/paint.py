"""Plain text for people: tables, values, the matrix."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from seawall.core.times import format_duration

__all__ = ["Matrix", "Text", "console", "escape", "matrix", "short_paths", "sparkline", "table", "value"]
STYLES = {"ok": "green", "at_risk": "yellow", "breached": "bold red", "unknown": "dim"}
BARS = "▁▂▃▄▅▆▇█"
MARKS = {"ok": "●", "at_risk": "▲", "breached": "■", "unknown": "○"}
WIDE = 130  # the least width at which the matrix is a table
LONG_PATH = 40


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


class Matrix:
    """The SLO matrix, from the API's shapes: a table, or two lines a row where the terminal is narrow."""

    def __init__(self, rows: Sequence[dict[str, Any]], trends: Sequence[dict[str, Any]]) -> None:
        self._rows = rows
        self._lines = {(it["registry"], it["name"]): sparkline(it["values"]) for it in trends}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Chosen each time that it is shown, since a terminal may have been resized."""
        if options.max_width >= WIDE:
            yield _wide(self._rows, self._lines)
        else:
            yield from _narrow(self._rows, options.max_width)


def matrix(rows: Sequence[dict[str, Any]], trends: Sequence[dict[str, Any]] = ()) -> Matrix:
    """The SLO matrix, ready to be printed; `trends` are its rows' last day."""
    return Matrix(rows, trends)


def short_paths(text: str) -> str:
    """Paths and addresses of more than 40 characters lose their middle."""
    return " ".join(_short(word) if "/" in word else word for word in text.split(" "))


def _short(word: str) -> str:
    half = (LONG_PATH - 1) // 2
    return word if len(word) <= LONG_PATH else f"{word[:half]}…{word[-half:]}"


def _wide(rows: Sequence[dict[str, Any]], lines: Mapping[tuple[str, str], str]) -> Table:
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
        burn, chance = row["burn_rate"], row["breach_probability"]
        made.add_row(
            escape(row["registry"]),
            row["name"],
            _state(row),
            _now(row),
            value(row["value"], row["unit"]),
            value(row["threshold"], row["unit"]),
            _budget(row),
            "–" if burn is None else f"{burn:.1f}x",
            "–" if chance is None else f"{chance * 100:.0f} %",
            lines.get((row["registry"], row["name"]), "–"),
            escape(row["reason"]),
        )
    return made


def _narrow(rows: Sequence[dict[str, Any]], width: int) -> list[Text]:
    """What it is and how it stands; below it why, dimmed. Each is one line, cut where the terminal ends."""
    heads = [_head(row) for row in rows]
    widths = [max(map(cell_len, map(str, column))) for column in zip(*heads, strict=True)]
    made = []
    for row, head in zip(rows, heads, strict=True):
        indent = widths[0] + 2
        line = Text("  ").join(_padded(cell, size) for cell, size in zip(head, widths, strict=True))
        line.rstrip()
        why = row["reason"] if cell_len(row["reason"]) <= width - indent else short_paths(row["reason"])
        made += [line, Text(" " * indent + why, "dim")]
    for line in made:
        line.no_wrap = True
        line.truncate(width, overflow="ellipsis")
    return made


def _head(row: dict[str, Any]) -> tuple[Text, ...]:
    measured = f"{value(row['value'], row['unit'])} of {value(row['threshold'], row['unit'])}"
    budget = "" if row["budget_remaining_ratio"] is None else f"{_budget(row)} left"
    name = Text(f"{row['registry']} {row['name']}")
    return (_state(row), name, _now(row), Text(measured), Text(budget))


def _padded(cell: Text, width: int) -> Text:
    padded = cell.copy()
    padded.pad_right(width - cell.cell_len)
    return padded


def _state(row: dict[str, Any]) -> Text:
    return Text(f"{MARKS[row['status']]} {row['status']}", STYLES[row["status"]])


def _now(row: dict[str, Any]) -> Text:
    now = {True: "ok", False: "BAD", None: "?"}[row["indicator_ok"]]
    return Text(now, "bold red" if now == "BAD" else "")


def _budget(row: dict[str, Any]) -> str:
    left = row["budget_remaining_ratio"]
    return "–" if left is None else f"{left * 100:.0f} %"


def sparkline(values: Sequence[float | None]) -> str:
    """One bar an hour, the highest full; a gap where nothing was known. `–` where there is nothing."""
    known = [it for it in values if it is not None]
    if not known:
        return "–"
    low, high = min(known), max(known)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(" " if it is None else BARS[round((it - low) * scale)] for it in values).strip()
