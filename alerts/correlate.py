"""Turns judgements into findings, finds what causes what, and says in three sentences what it means."""

import re
from collections.abc import Sequence
from dataclasses import replace

from seawall.core.incidents import Finding, Impact, Incident, IncidentState, Severity
from seawall.core.slos import SloRow, SloStatus, SloType, Status
from seawall.core.times import rfc3339

SOURCE = "seawall"
# A registry that came back is slow for a while: its latency in these seconds is the outage's.
AFTERMATH = 300.0
# What another system alerts of may have begun so many seconds after the end, since it looks now and then.
ECHO = 60.0
FULL, DOWN = SloType.LEVEL, SloType.TIME_SLICES
RANKS = (FULL, DOWN, SloType.LATENCY)  # what can be the cause of what stands behind it
_WRITES = re.compile(r"\b5xx\b|push|upload|no space|read.?only", re.I)
_UNREACHABLE = re.compile(r"probe|\bdown\b|unreachable|unavailab|latency|slow|connection refused", re.I)


class Correlation:
    """The port Correlator over the rows of the matrix."""

    def __init__(self, rows: Sequence[SloRow]) -> None:
        self._rows = {row.name: row for row in rows}

    def findings(self, statuses: Sequence[SloStatus]) -> list[Finding]:
        """One for every indicator that is bad now, for every month whose promise is broken, and for every
        forecast breach where the row says that it opens an incident."""
        found = []
        for status in statuses:
            if status.episode is not None:
                found.append(_counted(status, self._rows[status.name].title))
            elif status.indicator_ok is False:
                found.append(_now(status, self._rows[status.name].title))
            elif status.status is Status.BREACHED and status.budget_remaining_ratio is not None:
                found.append(_promise(status, self._rows[status.name].title))
            elif status.risk_since is not None and self._rows[status.name].at_risk_opens:
                found.append(_risk(status, status.risk_since, self._rows[status.name]))
        return found

    def explained_by(self, finding: Finding, incidents: Sequence[Incident]) -> Incident | None:
        """See the port. Being down explains slow answers and alerts of other systems about failed probes; a
        full disk explains alerts about refused writes, never failed probes: those are a repair's business."""
        ours = [it for it in incidents if it.registry == finding.registry]
        slow = finding.slo is not None and self._type(finding.slo) is SloType.LATENCY
        for kind, told in ((FULL, _WRITES), (DOWN, _UNREACHABLE)):
            other = finding.slo is None and told.search(f"{finding.title} {finding.reason}") is not None
            found = next((it for it in ours if self._causes(it, finding, kind)), None)
            if found is not None and (other or (slow and kind is DOWN)):
                return found
        return None

    def _causes(self, incident: Incident, finding: Finding, kind: SloType) -> bool:
        over = incident.state is IncidentState.RESOLVED
        began = finding.at if finding.episode is None else finding.episode
        wake = ECHO if finding.slo is None else AFTERMATH
        recent = not over or began - (incident.resolved_at or 0.0) < wake
        return incident.slo is not None and self._type(incident.slo) is kind and recent

    def causes(self, finding: Finding, statuses: Sequence[SloStatus]) -> tuple[str, ...]:
        """See the port. A full disk comes before a registry that is down, that before slow answers; of equals
        the one that began first. The finding itself is always among them."""
        mine = next((s for s in statuses if s.name == finding.slo), None)
        began = mine.since if mine and mine.since is not None else finding.at
        ranked = [(self._rank(finding.slo), began, finding.reason)]
        for s in statuses:
            if s.indicator_ok is False and s is not mine:
                since = s.at if s.since is None else s.since
                ranked.append(
                    (self._rank(s.name), since, f"{s.name}, since {rfc3339(since)}: {s.now_reason}")
                )
        return tuple(text for _, _, text in sorted(ranked))

    def _rank(self, slo: str | None) -> int:
        kind = self._type(slo) if slo is not None else None
        return RANKS.index(kind) if kind in RANKS else len(RANKS)

    def _type(self, slo: str) -> SloType | None:
        row = self._rows.get(slo)
        return row.type if row else None

    def explain(
        self, finding: Finding, impact: Impact, evidence: Sequence[str], statuses: Sequence[SloStatus]
    ) -> str:
        """See the port."""
        kind = self._type(finding.slo) if finding.slo is not None else None
        mine = next((s for s in statuses if s.name == finding.slo), None)
        since = mine.since if mine and mine.since is not None else finding.at
        detail = f" ({'; '.join(evidence)})" if evidence else ""
        return " ".join(
            (
                _pulled(finding.registry, impact)
                if kind is SloType.COUNT
                else _hurt(finding.registry, impact, kind is SloType.TIME_SLICES),
                f"Since {rfc3339(since)}: {finding.reason}{detail}.",
                _rest([s for s in statuses if s.name != finding.slo]),
            )
        )


def _hurt(registry: str, impact: Impact, down: bool) -> str:
    if not impact.clients:
        return f"No client of {registry} was seen in its log in the quarter of an hour before."
    who = f"{_count(impact.clients, 'client')} of {_count(impact.repositories, 'repository', 'repositories')}"
    if down and not impact.failed_pulls:
        return f"Nobody can pull from {registry}: {who} did in the quarter of an hour before."
    return f"{_count(impact.failed_pulls, 'request')} of {registry} failed with a server error, among {who}."


def _pulled(registry: str, impact: Impact) -> str:
    who = f"{_count(impact.clients, 'client')} of {_count(impact.repositories, 'repository', 'repositories')}"
    return f"Images that nobody we trust has signed were pulled from {registry}: {who}."


def _rest(others: Sequence[SloStatus]) -> str:
    """What the registry's other promises tell: a fault beside it, or that they are no cause."""
    bad = [f"{s.name} ({s.now_reason})" for s in others if s.indicator_ok is False]
    good = [s.name for s in others if s.indicator_ok]
    if bad:
        return f"Also bad at that moment: {'; '.join(bad)}."
    if good:
        return f"Before it, {' and '.join(good)} gave no sign of trouble."
    return "Its other promises are not known, so that nothing else is ruled out."


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _now(status: SloStatus, title: str) -> Finding:
    return Finding(
        source=SOURCE,
        fingerprint=f"{status.registry}/{status.name}",
        registry=status.registry,
        slo=status.name,
        title=f"{status.registry}: {title}",
        reason=status.now_reason,
        at=status.at,
    )


def _counted(status: SloStatus, title: str) -> Finding:
    # Its episode is the newest bad event: an incident that was closed stays closed until the next one.
    told = status.now_reason if status.indicator_ok is False else status.reason
    return replace(_now(status, title), reason=told, episode=status.episode, facts=status.facts)


def _risk(status: SloStatus, since: float, row: SloRow) -> Finding:
    # Its episode is the risk, so that an incident that was closed by hand stays closed until the next one.
    return Finding(
        source=SOURCE,
        fingerprint=f"{status.registry}/{status.name}/at_risk",
        registry=status.registry,
        slo=status.name,
        title=f"{status.registry}: {row.title} is at risk",
        reason=status.risk_reason,
        at=status.at,
        severity=Severity(row.at_risk_opens),
        episode=since,
    )


def _promise(status: SloStatus, title: str) -> Finding:
    # Its episode is the month itself, so that an incident that was closed stays closed until the next one.
    start = status.window[0]
    return Finding(
        source=SOURCE,
        fingerprint=f"{status.registry}/{status.name}/{rfc3339(start)}",
        registry=status.registry,
        slo=status.name,
        title=f"{status.registry}: {title}, the month's budget is spent",
        reason=status.reason,
        at=status.at,
        episode=start,
    )
