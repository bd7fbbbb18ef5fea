"""What DuckDB tells of pulls: the port PullEvents over the table of events."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seawall.core.pulls import SIGNATURES, Arrivals, Culprit, PullCounts
from seawall.core.signals import Event

if TYPE_CHECKING:
    from seawall.stores.duckdb import DuckDatabase

_COUNTS = (
    "SELECT signature, count(*), count(settles), max(judged) FROM events_all"
    " WHERE registry = ? AND ts >= ? AND ts < ? AND signature IS NOT NULL AND judged >= ? GROUP BY signature"
)
_VERDICTS = "SELECT id, ts, registry, body FROM events_all v WHERE registry = ? AND ts >= ? AND ts < ?"
_TEXTS = ", ".join(
    f"coalesce(body->>'$.\"{name}\"', '')"
    for name in ("registry.repository", "registry.digest", "registry.reference", "user.name", "client.ip",
                 "seawall.reason")
)  # fmt: skip
_CULPRITS = (
    f"SELECT {_TEXTS}, count(*), max(ts) AS newest FROM events_all v"  # noqa: S608 (our own names)
    " WHERE registry = ? AND ts >= ? AND ts < ? AND signature = ?"
)


class DuckPulls:
    """Mixed into the event store."""

    database: "DuckDatabase"

    def images(self, registry: str, after: int, limit: int) -> Arrivals:
        """See the port."""
        # Positions rise with the rows of the open table, so that its old blocks are skipped unread.
        (top,) = self.database.query("SELECT coalesce(max(seq), 0) FROM events_all")[0]
        rows = self.database.query(
            "SELECT seq, id, ts, registry, body FROM events_all WHERE seq > ? AND seq <= ?"
            " AND registry = ? AND image ORDER BY seq LIMIT ?",
            [after, top, registry, limit],
        )
        events = [(seq, _event(row)) for seq, *row in rows]
        return Arrivals(events, events[-1][0] if len(events) == limit else max(after, top))

    def told_at(self, registry: str, start: float, end: float) -> float | None:
        """See the port."""
        sql = "SELECT max(ts) FROM events_all WHERE registry = ? AND ts >= ? AND ts < ? AND source"
        found: float | None = self.database.query(sql, [registry, start, end])[0][0]
        return found

    def pull_counts(self, registry: str, start: float, end: float) -> PullCounts:
        """See the port."""
        return self.judged_counts(registry, start, end, 0.0)

    def judged_counts(self, registry: str, start: float, end: float, since: float) -> PullCounts:
        """See the port."""
        rows = self.database.query(_COUNTS, [registry, start, end, since])
        return counted({signature: tuple(rest) for signature, *rest in rows})

    def culprits(self, registry: str, start: float, end: float, signature: str, limit: int) -> list[Culprit]:
        """See the port."""
        sql = f"{_CULPRITS} AND {_OPEN} GROUP BY ALL ORDER BY newest DESC LIMIT ?"
        rows = self.database.query(sql, [registry, start, end, signature, limit])
        return [Culprit(*row) for row in rows]

    def verdicts(self, registry: str, start: float, end: float, limit: int) -> list[Event]:
        """See the port."""
        sql = f"{_VERDICTS} AND signature IS NOT NULL AND settles IS NULL ORDER BY ts, id LIMIT ?"
        return [_event(row) for row in self.database.query(sql, [registry, start, end, limit])]

    def unsettled(self, registry: str, start: float, end: float, limit: int) -> list[Event]:
        """See the port."""
        sql = f"{_VERDICTS} AND signature = 'unknown' AND {_OPEN} ORDER BY ts, id LIMIT ?"
        return [_event(row) for row in self.database.query(sql, [registry, start, end, limit])]


_OPEN = (
    "NOT EXISTS (SELECT 1 FROM events_all s WHERE s.settles = v.id AND s.registry = v.registry"
    " AND s.ts = v.ts)"
)


def counted(found: dict[str, tuple[Any, ...]]) -> PullCounts:
    """Per verdict (events, of them those that settle an unknown one, newest judged) -> counts."""
    numbers = {name: found.get(name, (0, 0, None)) for name in SIGNATURES}
    signed, unsigned, unknown = (numbers[name][0] for name in SIGNATURES)
    settled = sum(of[1] for of in numbers.values())
    return PullCounts(signed, unsigned, max(0, unknown - settled), numbers["unsigned"][2])


def _event(row: Sequence[Any]) -> Event:
    id, ts, registry, body = row
    return Event(id, ts, registry, json.loads(body))
