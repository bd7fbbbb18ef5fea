"""What DuckDB tells of pulls: the port PullEvents over the table of events."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seawall.core.pulls import SIGNATURES, Arrivals, Counted, Culprit, PullCounts
from seawall.core.signals import Event

if TYPE_CHECKING:
    from seawall.stores.duckdb import DuckDatabase

_COUNTS = (
    "SELECT signature, count(*), count(settles), max(judged) FROM events_all v"
    " WHERE registry = ? AND ts >= ? AND ts < ? AND signature IS NOT NULL"
)
_UNSETTLED = (
    "SELECT id, ts, registry, body FROM events_all v"
    " WHERE registry = ? AND ts >= ? AND ts < ? AND signature = 'unknown'"
)
_OPEN = (
    "NOT EXISTS (SELECT 1 FROM events_all s"
    " WHERE s.settles = v.id AND s.registry = v.registry AND s.ts = v.ts)"
)


def _text(name: str) -> str:
    return f"coalesce(body->>'$.\"{name}\"', '')"


_WHAT = ", ".join(map(_text, ("registry.repository", "registry.digest")))
_WHO = ", ".join(map(_text, ("user.name", "client.ip")))
_CULPRITS = (
    f"SELECT {_WHAT}, {_text('registry.reference')}, {_WHO}, {_text('seawall.reason')},"  # noqa: S608
    " count(*), max(ts) AS newest FROM events_all v"
    " WHERE registry = ? AND ts >= ? AND ts < ? AND signature = ?"
)
_COUNTED = (
    f"SELECT ts, {_WHAT}, {_WHO} FROM events_all"  # noqa: S608 (our own names)
    " WHERE registry = ? AND ts >= ? AND ts < ? AND signature IS NOT NULL AND settles IS NULL"
)


class DuckPulls:
    """Mixed into the event store."""

    database: "DuckDatabase"

    def images(self, registry: str, after: int, limit: int) -> Arrivals:
        """See the port."""
        # Positions rise with the rows, so that old blocks of the table are skipped unread, and closed days
        # are not looked into once they are read.
        table = "events" if after >= self.database.closed_upto else "events_all"
        (top,) = self.database.query(f"SELECT max(seq) FROM {table} WHERE seq > ?", [after])[0]  # noqa: S608
        if top is None:
            return Arrivals((), after)
        rows = self.database.query(
            f"SELECT seq, id, ts, registry, body FROM {table} WHERE seq > ? AND seq <= ?"  # noqa: S608
            " AND registry = ? AND image ORDER BY seq LIMIT ?",
            [after, top, registry, limit],
        )
        events = [(seq, _event(row)) for seq, *row in rows]
        return Arrivals(events, events[-1][0] if len(events) == limit else top)

    def told_at(self, registry: str, start: float, end: float) -> float | None:
        """See the port."""
        sql = "SELECT max(ts) FROM events_all WHERE registry = ? AND ts >= ? AND ts < ? AND source"
        found: float | None = self.database.query(sql, [registry, start, end], (start, end))[0][0]
        return found

    def pull_counts(self, registry: str, start: float, end: float, until: float) -> PullCounts:
        """See the port."""
        rows = self.database.query(
            f"{_COUNTS} AND judged < ? GROUP BY signature", [registry, start, end, until], (start, end)
        )
        return _counts(rows)

    def judged_counts(self, registry: str, start: float, end: float, since: float) -> PullCounts:
        """See the port."""
        sql = f"{_COUNTS} AND judged >= ? AND (signature <> 'unknown' OR {_OPEN}) GROUP BY signature"
        rows = self.database.query(sql, [registry, start, end, since], (start, end))
        return _counts([(signature, count, 0, newest) for signature, count, _, newest in rows])

    def culprits(self, registry: str, start: float, end: float, signature: str, limit: int) -> list[Culprit]:
        """See the port."""
        sql = f"{_CULPRITS} AND {_OPEN} GROUP BY ALL ORDER BY newest DESC LIMIT ?"
        rows = self.database.query(sql, [registry, start, end, signature, limit], (start, end))
        return [Culprit(*row) for row in rows]

    def counted(self, registry: str, start: float, end: float) -> list[Counted]:
        """See the port."""
        return [Counted(*row) for row in self.database.query(_COUNTED, [registry, start, end], (start, end))]

    def unsettled(self, registry: str, start: float, end: float, limit: int) -> list[Event]:
        """See the port."""
        sql = f"{_UNSETTLED} AND {_OPEN} ORDER BY ts, id LIMIT ?"
        return [_event(row) for row in self.database.query(sql, [registry, start, end, limit], (start, end))]


def _counts(rows: Sequence[tuple[Any, ...]]) -> PullCounts:
    """Per verdict (events, of them those that settle an unknown one, newest judged) -> counts."""
    found = {signature: rest for signature, *rest in rows}
    signed, unsigned, unknown = (found.get(name, (0, 0, None)) for name in SIGNATURES)
    settled = sum(of[1] for of in found.values())
    return PullCounts(signed[0], unsigned[0], max(0, unknown[0] - settled), unsigned[2])


def _event(row: Sequence[Any]) -> Event:
    id, ts, registry, body = row
    return Event(id, ts, registry, json.loads(body))
