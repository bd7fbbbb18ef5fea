"""What an incident's and an action's page show: the picture of the trouble, the steps of the repair."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from remediation.output import Line
from seawall.console.charts import Point, Round
from seawall.console.overview import PROBE_SERIES, probe_rounds
from seawall.core.actions import OPEN_STATES, Action, ActionState
from seawall.core.foresight import Anomaly
from seawall.core.incidents import Incident
from seawall.core.ports import Score
from seawall.core.signals import labels
from seawall.core.slos import SloRow, SloType
from seawall.service import Identity, Service

BEFORE, AFTER = 900.0, 600.0
SAID = 60
KEPT = ("seawall_observed", "seawall_expected", "seawall_expected_lower", "seawall_expected_upper")
S = ActionState


@dataclass(frozen=True, slots=True)
class Picture:
    """The signal that triggered an incident, around it. `threshold` is None where none applies."""

    row: SloRow
    span: tuple[float, float]
    points: tuple[Point, ...]
    threshold: float | None
    rounds: tuple[Round, ...]


def picture(service: Service, incident: Incident) -> Picture | None:
    """From a quarter of an hour before it opened until ten minutes after it ended (or now)."""
    row = service.judge.row(incident.slo) if incident.slo else None
    if row is None:
        return None
    row = row.of(incident.registry)
    now = service.clock.now()
    end = now if incident.resolved_at is None else min(now, incident.resolved_at + AFTER)
    span = (incident.opened_at - BEFORE, max(end, incident.opened_at))
    probed = row.type is SloType.TIME_SLICES
    series = _kept_probe_series(service, incident.registry, span) if probed else f"slo:{row.name}"
    points = kept_points(service, incident.registry, series, span)
    rounds = probe_rounds(service, incident.registry, row.signal, span) if probed else ()
    first = min([it[0] for it in points[:1]] + [it[0] for it in rounds[:1]], default=span[0])
    return Picture(row, (first, span[1]), points, None if probed else row.objective.value, rounds)


def _kept_probe_series(service: Service, registry: str, span: tuple[float, float]) -> str:
    kept = service.samples.latest(registry, "seawall_observed", *span)
    names = sorted(dict(sample.labels).get("signal", "") for sample in kept)
    return next((name for name in names if name.startswith(PROBE_SERIES)), "")


def kept_points(service: Service, registry: str, series: str, span: tuple[float, float]) -> tuple[Point, ...]:
    """What was observed and expected then, read from the store, so that a restart loses nothing.

    The store keeps no reason for silence; a band without height is taken as one.
    """
    pairs = labels(signal=series)
    columns: list[dict[float, float]] = [
        {sample.at: sample.value for sample in service.samples.range(registry, name, *span, pairs)}
        for name in KEPT
    ]
    observed, expected, lower, upper = columns
    shared = sorted(observed.keys() & expected.keys() & lower.keys() & upper.keys())
    return tuple((at, observed[at], _score(expected[at], lower[at], upper[at])) for at in shared)


def _score(expected: float, lower: float, upper: float) -> Score:
    return Score(expected, lower, upper, 0.0, "" if upper > lower else "nothing was expected")


def anomalies(service: Service, incident: Incident) -> list[Anomaly]:
    """What was unusual about the incident's registry from a quarter of an hour before it until its end, the
    earliest first."""
    start, end = incident.opened_at - BEFORE, incident.resolved_at or service.clock.now()
    found = [
        it
        for it in service.watch.anomalies()
        if it.registry == incident.registry and it.since <= end and (it.until or end) >= start
    ]
    return sorted(found, key=lambda it: it.since)


def earlier(incident: Incident, actions: Sequence[Action]) -> list[Action]:
    """The repairs that were over before the incident came back."""
    back = incident.reopened_at or 0.0
    return [it for it in actions if it.state not in OPEN_STATES and it.created_at < back]


def untold(service: Service, incident: Incident) -> bool:
    """A registry that is down logs nothing: that no request of its outage failed is then not known."""
    row = service.judge.row(incident.slo) if incident.slo else None
    return row is not None and row.type is SloType.TIME_SLICES and not incident.impact.failed_pulls


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a repair: `name` and whether it is done | current | stopped | todo."""

    name: str
    state: str


STEPS = ("proposed", "previewed", "approved", "running", "verifying", "healed")
_CURRENT = {
    S.PROPOSED: "previewed",
    S.PREVIEWED: "approved",
    S.AWAITING_APPROVAL: "approved",
    S.APPROVED: "running",
    S.RUNNING: "running",
    S.VERIFYING: "verifying",
}


def steps(action: Action) -> list[Step]:
    """How far the repair has come, and where it stopped if it did."""
    if action.state is S.SUCCEEDED:
        return [Step(name, "done") for name in STEPS]
    at = STEPS.index(_CURRENT.get(action.state) or _stopped_at(action))
    here = "current" if action.state in OPEN_STATES else "stopped"
    return [
        Step(name, "done" if index < at else here if index == at else "todo")
        for index, name in enumerate(STEPS)
    ]


def _stopped_at(action: Action) -> str:
    if action.verification is not None:
        return "healed"
    if action.run is not None:
        return "running"
    if action.state is S.FAILED:
        return "running" if action.approvals else "previewed"
    return "approved"


def hindrance(service: Service, action: Action, who: Identity) -> tuple[str, str]:
    """Why this person cannot approve this now, as (kind, detail); ("", "") if nothing stands against it."""
    if not who.may("approver"):
        return "role", who.role
    if who.name == action.requested_by:
        return "own", who.name
    if any(approval.by == who.name for approval in action.approvals):
        return "again", who.name
    frozen, by = service.records.frozen()
    return ("frozen", by) if frozen else ("", "")


def said(service: Service, id: str) -> list[Line]:
    """The last lines of what an action's workers said."""
    return list(deque(service.repair.output(id), maxlen=SAID))


def diff_lines(diff: str) -> list[tuple[str, str]]:
    """(kind, line) of a unified diff; kind: head | hunk | add | del | same."""
    return [(_kind(line), line) for line in diff.splitlines()]


def _kind(line: str) -> str:
    if line.startswith(("+++", "---")):
        return "head"
    return {"@": "hunk", "+": "add", "-": "del"}.get(line[:1], "same")
