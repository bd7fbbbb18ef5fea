"""What a page asks of the events: counts over time, failures, repositories, slow pulls, who pulled unsigned.

The port `EventLooks`: every store answers within itself (SQL, aggregations), so that no page reads events
only to count them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from seawall.core.pulls import UNSIGNED, Culprit
from seawall.core.signals import Event

FAILURE_LEVELS = ("error", "critical", "fatal", "panic", "emergency", "alert")
By = Literal["pulls", "failed"]
_ALL = 1_000_000  # culprits


def is_failure(fields: Mapping[str, Any]) -> bool:
    """It tells of a failure: an outcome, a 5xx answer, or a level of error and above."""
    return (
        fields.get("event.outcome") == "failure"
        or int(fields.get("http.response.status_code") or 0) >= 500
        or str(fields.get("log.level", "")).lower() in FAILURE_LEVELS
    )


@dataclass(frozen=True, slots=True)
class Repository:
    """Requests of clients to one repository: manifest GETs answered 200 or 304, bytes of bodies sent to
    GETs, answers of 5xx."""

    name: str
    pulls: int
    bytes: int
    failed: int


def ranked(found: Sequence[Repository], limit: int, by: By) -> list[Repository]:
    """The first `limit`: by pulls, then bytes; or by failures, then pulls, without those that have none."""
    if by == "failed":
        return sorted((it for it in found if it.failed), key=lambda it: (-it.failed, -it.pulls, it.name))[
            :limit
        ]
    return sorted(found, key=lambda it: (-it.pulls, -it.bytes, it.name))[:limit]


class EventLooks(Protocol):
    """Questions of pages; spans are [start, end) in Unix seconds, `registry` None means any."""

    def counts(
        self, registry: str | None, start: float, end: float, step: float
    ) -> list[tuple[int, int, int]]:
        """(slot, events, failures among them) of slots of `step` seconds from `start`, without empty ones."""
        ...

    def failures(self, registry: str | None, start: float, end: float, limit: int) -> list[Event]:
        """Events that tell of a failure (`is_failure`), newest first."""
        ...

    def repositories(self, registry: str, start: float, end: float, limit: int, by: By) -> list[Repository]:
        """Repositories that clients asked for, `ranked`."""
        ...

    def slowest_pulls(self, registry: str, start: float, end: float, limit: int) -> list[Event]:
        """Manifest GETs (200 or 304) of clients, the longest first."""
        ...


class _Culprits(Protocol):
    def culprits(self, registry: str, start: float, end: float, signature: str, limit: int) -> list[Culprit]:
        """See PullEvents."""
        ...


def unsigned_by_client(
    events: _Culprits, registry: str, start: float, end: float, limit: int
) -> list[tuple[str, int]]:
    """(client, unsigned pulls), those with the most first; a client without an address is ""."""
    count: Counter[str] = Counter()
    for it in events.culprits(registry, start, end, UNSIGNED, _ALL):
        count[it.client] += it.count
    return sorted(count.items(), key=lambda it: (-it[1], it[0]))[:limit]
