"""What is wrong: findings and the incidents that they become."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class IncidentState(StrEnum):
    """open -> acknowledged -> resolved; a resolved one may reopen."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Severity(StrEnum):
    """`page` wakes a person, `ticket` waits for the morning."""

    PAGE = "page"
    TICKET = "ticket"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that one source noticed at `at`. (source, fingerprint) names its episode, so that
    five deliveries of one alert are one finding; `episode` is when the source says that it began
    (default `at`): one that began before its incident was resolved is that incident's still. `facts` are
    what a playbook's inputs may take from it."""

    source: str
    fingerprint: str
    registry: str
    slo: str | None
    title: str
    reason: str
    at: float
    severity: Severity = Severity.PAGE
    episode: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One line of an incident's story."""

    at: float
    actor: str
    text: str


@dataclass(frozen=True, slots=True)
class Impact:
    """Who felt it: failed requests of real clients, distinct repositories, distinct client addresses."""

    failed_pulls: int = 0
    repositories: int = 0
    clients: int = 0


@dataclass(frozen=True, slots=True)
class Incident:
    """One trouble of one registry. `version` counts the changes (compare-and-set). `acknowledged_by` is who
    is on it now; `reopened` counts how often it came back, `reopened_at` (Unix seconds) is when it last did.
    """

    id: str
    state: IncidentState
    severity: Severity
    registry: str
    slo: str | None
    title: str
    explanation: str
    opened_at: float
    impact: Impact = Impact()
    acknowledged_by: str | None = None
    resolved_at: float | None = None
    causes: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    timeline: tuple[TimelineEntry, ...] = field(default=())
    facts: Mapping[str, Any] = field(default_factory=dict)
    version: int = 0
    resolved_by: str | None = None
    reopened: int = 0
    reopened_at: float | None = None
