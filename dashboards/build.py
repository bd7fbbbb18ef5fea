"""Every dashboard as JSON, built from the rows with the Grafana SDK; `queries` reads them back."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dashboards import (
    anomalies,
    golden_signals,
    mirrors,
    pull_latency,
    remediation,
    seawall_itself,
    security,
    slo_matrix,
    storage,
)
from dashboards.sdk import Board, JSONEncoder
from seawall.core.slos import SloRow

BOARDS: dict[str, Callable[[Sequence[SloRow], str], Board]] = {
    it.UID: it.board
    for it in (
        slo_matrix,
        golden_signals,
        pull_latency,
        storage,
        security,
        mirrors,
        anomalies,
        remediation,
        seawall_itself,
    )
}


def build(rows: Sequence[SloRow], console: str) -> dict[str, str]:
    """File name -> JSON of each dashboard; `console` is Seawall's address for people, without a slash."""
    return {f"{uid}.json": _json(board(rows, console.rstrip("/"))) for uid, board in BOARDS.items()}


def _json(board: Board) -> str:
    return json.dumps(board.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def panels(text: str) -> Iterator[dict[str, Any]]:
    """Every panel of a dashboard's JSON, rows and what is in them."""
    waiting: list[dict[str, Any]] = list(json.loads(text)["panels"])
    while waiting:
        panel = waiting.pop(0)
        waiting += panel.get("panels", [])
        yield panel


def queries(text: str) -> Iterator[tuple[str, str]]:
    """(panel's title, PromQL) of every query to Prometheus in a dashboard's JSON."""
    for panel in panels(text):
        yield from ((panel["title"], it["expr"]) for it in panel.get("targets", []) if "expr" in it)


def searches(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(panel's title, query) of every query to Elasticsearch in a dashboard's JSON."""
    for panel in panels(text):
        yield from ((panel["title"], it) for it in panel.get("targets", []) if "bucketAggs" in it)


def marks(text: str) -> Iterator[tuple[str, str]]:
    """(name, PromQL) of every annotation in a dashboard's JSON."""
    yield from ((it["name"], it["expr"]) for it in json.loads(text)["annotations"]["list"] if "expr" in it)
