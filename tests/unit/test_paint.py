"""What is painted for people: the matrix at every width."""

from io import StringIO

import pytest
from rich.cells import cell_len
from rich.console import Console

from seawall import paint

FOLDER = "/tmp/seawall-demo-7osyy1jv/registry/data/docker/registry/v2/of/a/deep/disk"


def row(name, status="ok", ok=True, **more):
    common = {"registry": "harbour", "name": name, "status": status, "indicator_ok": ok, "unit": "s"}
    figures = {"value": 0.015, "threshold": 0.5, "reason": "P99 15 ms over 1260 requests in 1h"}
    budget = {"budget_remaining_ratio": None, "burn_rate": None, "breach_probability": None}
    return common | figures | budget | more


WHY = "10 bad minutes of 5 allowed; connect: connection refused at 1 of 1 sites; 23d21h not watched"
SPENT = {"value": 600, "threshold": 300, "budget_remaining_ratio": -1.0, "burn_rate": 9.0}
UNTOLD = {"value": None, "unit": "pulls", "threshold": 0}
ROWS = [
    row("pull_latency"),
    row("storage_capacity", value=0.278, unit="ratio", threshold=0.85, reason=f"{FOLDER} is 27.8% used"),
    row("unsigned_pulls", "unknown", None, reason="no trust configured", **UNTOLD),
    row("availability", "breached", False, reason=WHY, **SPENT),
]


def shown(width, rows=ROWS, trends=()):
    console = Console(width=width, file=StringIO(), force_terminal=False)
    console.print(paint.matrix(rows, trends))
    return console.file.getvalue().splitlines()


def test_at_80_columns_a_row_is_two_lines_and_no_word_is_broken():
    assert shown(80) == [
        "● ok        harbour pull_latency      ok   15 ms of 500 ms",
        "            P99 15 ms over 1260 requests in 1h",
        "● ok        harbour storage_capacity  ok   27.8 % of 85.0 %",
        "            /tmp/seawall-demo-7…y/v2/of/a/deep/disk is 27.8% used",
        "○ unknown   harbour unsigned_pulls    ?    – of 0 pulls",
        "            no trust configured",
        "■ breached  harbour availability      BAD  10m of 5m         -100 % left",
        "            10 bad minutes of 5 allowed; connect: connection refused at 1 of 1 …",
    ]


@pytest.mark.parametrize("width", [20, 40, 79, 80, 129])
def test_no_line_is_longer_than_a_narrow_terminal(width):
    lines = shown(width)
    assert len(lines) == 2 * len(ROWS)
    assert max(map(cell_len, lines)) <= width


def test_a_long_path_stays_whole_where_there_is_room():
    assert f"            {FOLDER} is 27.8% used" in shown(129)


def test_why_is_dimmed_and_what_is_bad_now_is_red():
    console = Console(width=80, file=StringIO(), force_terminal=True, color_system="standard")
    console.print(paint.matrix(ROWS[-1:]))
    first, second = console.file.getvalue().splitlines()
    assert "\x1b[1;31mBAD" in first and second.startswith("\x1b[2m")


@pytest.mark.parametrize("width", [130, 140, 200])
def test_wide_terminals_have_a_table_with_every_column(width):
    lines = shown(width, trends=[{"registry": "harbour", "name": "pull_latency", "values": [1.0, 2.0]}])
    columns = "registry promise state now value limit budget left burn forecast day why"
    assert lines[1].split() == columns.split()
    text = "\n".join(lines)
    assert "storage_capacity" in text and "9.0x" in text and "▁█" in text


def test_a_matrix_without_rows_is_empty_in_a_narrow_terminal():
    assert shown(80, rows=[]) == []


def test_markup_in_a_reason_is_shown_as_it_is():
    assert any("[red]no[/red]" in line for line in shown(80, [row("x", reason="[red]no[/red]")]))


def test_only_long_paths_and_addresses_lose_their_middle():
    assert paint.short_paths("/var/lib/registry is full") == "/var/lib/registry is full"
    assert paint.short_paths("x" * 60) == "x" * 60
    assert paint.short_paths(f"see {FOLDER}") == "see /tmp/seawall-demo-7…y/v2/of/a/deep/disk"
