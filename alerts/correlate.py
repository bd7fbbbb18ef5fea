"""Turns judgements and outside alerts into findings, and says in three sentences what they mean."""

from collections.abc import Sequence

from seawall.core.incidents import Finding, Impact
from seawall.core.slos import SloRow, SloStatus, Status
from seawall.core.times import rfc3339

SOURCE = "seawall"


class Correlation:
    """The port Correlator over the rows of the matrix."""

    def __init__(self, rows: Sequence[SloRow]) -> None:
        self._titles = {row.name: row.title for row in rows}

    def findings(self, statuses: Sequence[SloStatus]) -> list[Finding]:
        """One for every indicator that is bad now, and for every month whose promise is broken."""
        found = []
        for status in statuses:
            if status.indicator_ok is False:
                found.append(_now(status, self._titles[status.name]))
            elif status.status is Status.BREACHED and status.budget_remaining_ratio is not None:
                found.append(_promise(status, self._titles[status.name]))
        return found

    def explain(self, finding: Finding, since: float | None, impact: Impact, evidence: Sequence[str]) -> str:
        """Three sentences, the impact first: who is hurt, since when and what was seen, why we think so."""
        began = rfc3339(since if since is not None else finding.at)
        hurt = (
            f"{impact.clients} client(s) of {impact.repositories} repositories were pulling from "
            f"{finding.registry} in the quarter of an hour before; {impact.failed_pulls} of their requests "
            "were answered with a server error."
            if impact.clients
            else f"No client of {finding.registry} was seen in its log in the quarter of an hour before."
        )
        seen = f"Since {began} {finding.title.split(': ', 1)[-1].lower()}: {finding.reason}."
        why = (
            f"The last probe said: {'; '.join(evidence)}." if evidence else "No probe gave a further reason."
        )
        return " ".join((hurt, seen, why))


def _now(status: SloStatus, title: str) -> Finding:
    return Finding(
        source=SOURCE,
        fingerprint=f"{status.registry}/{status.name}",
        registry=status.registry,
        slo=status.name,
        title=f"{status.registry}: {title}",
        reason=status.reason,
        at=status.at,
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
