"""Pulls of images and what is said of their signatures: the vocabulary, and what a store tells of them.

A source tells of a pull (`SOURCES`); its verdict is an event of `DATASET`, whose id is made from what was
pulled, by whom and when, so that it is kept once. A verdict `unknown` may be followed by one that settles it
(`seawall.settles`): the settled one counts no longer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from seawall.core.signals import Event

DATASET = "seawall.pull"
SIGNED, UNSIGNED, UNKNOWN = "signed", "unsigned", "unknown"
SIGNATURES = (SIGNED, UNSIGNED, UNKNOWN)
# Who tells of pulls, by event.dataset, the best first: what names digest, client and method; then logs, those
# with a duration before those without.
SOURCES = (
    "distribution.notification",
    "harbor.webhook",
    "harbor.audit",
    "distribution.app",
    "zot",
    "quay.nginx",
    "nexus.request",
    "harbor.nginx",
    "nginx.cache",
    "distribution.access",
)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Events in the order in which they were kept, each with its position, and where to go on."""

    events: Sequence[tuple[int, Event]]
    upto: int


@dataclass(frozen=True, slots=True)
class PullCounts:
    """Logical pulls by verdict; `newest` is when the newest unsigned one was judged (Unix seconds)."""

    signed: int = 0
    unsigned: int = 0
    unknown: int = 0
    newest: float | None = None

    @property
    def all(self) -> int:
        """Whatever was said of them."""
        return self.signed + self.unsigned + self.unknown


@dataclass(frozen=True, slots=True)
class Culprit:
    """Pulls of one image by one client with one verdict; `at` is the newest (Unix seconds)."""

    repository: str
    digest: str
    reference: str
    user: str
    client: str
    reason: str
    count: int
    at: float


@dataclass(frozen=True, slots=True)
class Counted:
    """A logical pull that has its verdict; `at` is when it was made (Unix seconds)."""

    at: float
    repository: str
    digest: str
    user: str
    client: str


class PullEvents(Protocol):
    """What an event store tells of pulls, beside the rest."""

    def images(self, registry: str, after: int, limit: int) -> Arrivals:
        """Manifest pulls and pushes that `SOURCES` told, kept after position `after` (0: from the first)."""
        ...

    def told_at(self, registry: str, start: float, end: float) -> float | None:
        """When one of `SOURCES` told anything last in [start, end)."""
        ...

    def pull_counts(self, registry: str, start: float, end: float, until: float) -> PullCounts:
        """Pulls in [start, end), as they were judged before `until`."""
        ...

    def judged_counts(self, registry: str, start: float, end: float, since: float) -> PullCounts:
        """Pulls in [start, end) whose verdict was reached at `since` or later."""
        ...

    def culprits(self, registry: str, start: float, end: float, signature: str, limit: int) -> list[Culprit]:
        """Pulls in [start, end) of that verdict, the newest first."""
        ...

    def counted(self, registry: str, start: float, end: float) -> list[Counted]:
        """Pulls in [start, end) that have a verdict, in no order."""
        ...

    def unsettled(self, registry: str, start: float, end: float, limit: int) -> list[Event]:
        """Verdicts `unknown` in [start, end) that none has settled, by time."""
        ...
