"""What DuckDB answers pages: the port EventLooks as SQL.

The newest events are found by their times alone, and only their documents are read: with the documents in
the sort, DuckDB would read those of the whole span.
"""

import json
import math
from abc import ABC
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seawall.core.looks import FAILURE_LEVELS, By, Repository, ranked
from seawall.core.signals import Event

if TYPE_CHECKING:
    from seawall.stores.duckdb import DuckDatabase

_LEVELS = ", ".join(f"'{it}'" for it in FAILURE_LEVELS)
# Rows of an older Seawall lack these columns; what they would hold is read from the document.
_FAILED = (
    "coalesce(failure, status >= 500 OR coalesce(body->>'$.\"event.outcome\"', '') = 'failure'"
    f" OR lower(coalesce(body->>'$.\"log.level\"', '')) IN ({_LEVELS}))"
)
_SENT = (
    "coalesce(sent, CASE WHEN body->>'$.\"http.request.method\"' = 'GET'"
    " THEN coalesce(CAST(body->>'$.\"http.response.body.bytes\"' AS BIGINT), 0) ELSE 0 END)"
)
_SPAN = "ts >= ? AND ts < ? AND (? IS NULL OR registry = ?)"
_NEWEST = "ts DESC, id"


class DuckLooks(ABC):
    """Mixed into the event store."""

    database: "DuckDatabase"

    def recent(self, registry: str | None, start: float, end: float, limit: int) -> list[Event]:
        """See the port EventStore."""
        return self._first(_SPAN, [start, end, registry, registry], (start, end), limit, _NEWEST, "ts")

    def failures(self, registry: str | None, start: float, end: float, limit: int) -> list[Event]:
        """See the port."""
        condition = f"{_SPAN} AND {_FAILED}"
        return self._first(condition, [start, end, registry, registry], (start, end), limit, _NEWEST, "ts")

    def slowest_pulls(self, registry: str, start: float, end: float, limit: int) -> list[Event]:
        """See the port."""
        condition = f"{_SPAN} AND client_manifest"
        order = "duration DESC, ts DESC, id"
        return self._first(
            condition, [start, end, registry, registry], (start, end), limit, order, "duration"
        )

    def _first(
        self,
        condition: str,
        parameters: Sequence[Any],
        span: tuple[float, float],
        limit: int,
        order: str,
        key: str,
    ) -> list[Event]:
        """The first `limit` events in the order, which begins with `key`, falling. First the key of the last
        of them, then what is not below it."""
        edge = self.database.query(
            f"SELECT min({key}) FROM (SELECT {key} FROM events_all WHERE {condition}"  # noqa: S608
            f" ORDER BY {key} DESC LIMIT ?)",
            [*parameters, limit],
            span,
        )[0][0]
        if edge is None:
            return []
        rows = self.database.query(
            f"SELECT id, ts, registry, body FROM events_all WHERE {condition} AND {key} >= ?"  # noqa: S608
            f" ORDER BY {order} LIMIT ?",
            [*parameters, edge, limit],
            (max(span[0], edge), span[1]) if key == "ts" else span,
        )
        return [Event(id, ts, name, json.loads(body)) for id, ts, name, body in rows]

    def counts(
        self, registry: str | None, start: float, end: float, step: float
    ) -> list[tuple[int, int, int]]:
        """See the port."""
        rows = self.database.query(
            f"SELECT CAST(floor((ts - ?) / ?) AS BIGINT) AS slot, count(*), count(*) FILTER ({_FAILED})"  # noqa: S608
            f" FROM events_all WHERE {_SPAN} GROUP BY slot ORDER BY slot",
            [start, step, start, end, registry, registry],
            (start, end),
        )
        return [(slot, total, failed) for slot, total, failed in rows]

    def repositories(self, registry: str, start: float, end: float, limit: int, by: By) -> list[Repository]:
        """See the port."""
        if self.database.newest.none_since(registry, start):
            return []
        rows = self.database.query(
            "SELECT repository, count(*) FILTER (client_manifest),"  # noqa: S608
            f" CAST(sum({_SENT}) AS BIGINT), count(*) FILTER (status >= 500) FROM events_all"
            f" WHERE {_SPAN} AND client_request AND repository IS NOT NULL GROUP BY repository",
            [start, end, registry, registry],
            (start, end if math.isfinite(end) else math.inf),
        )
        return ranked([Repository(*row) for row in rows], limit, by)
