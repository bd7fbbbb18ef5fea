"""What the overview shows, taken from the service; the words are in its template."""

from collections.abc import Sequence
from dataclasses import dataclass

from seawall.console.charts import Point, Round
from seawall.core.actions import Action, ActionState
from seawall.core.foresight import Forecast, Verdict
from seawall.core.incidents import Incident, IncidentState
from seawall.core.slos import SloRow, SloStatus, SloType, Status
from seawall.service import Service

LIVE = (IncidentState.OPEN, IncidentState.ACKNOWLEDGED)
UNDER_WAY = (ActionState.APPROVED, ActionState.RUNNING, ActionState.VERIFYING)
PICTURED_SECONDS = 1800.0
SHORTEST_SECONDS = 60.0
PROBE_SERIES = "seawall_probe_duration_seconds{"


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the matrix as shown. `series` names what `points` are, `gate` is the verdict on the LSTM for
    it; `rounds` are probe rounds; `ahead` is what is forecast of the row."""

    status: SloStatus
    row: SloRow
    series: str
    points: tuple[Point, ...]
    rounds: tuple[Round, ...]
    span: tuple[float, float]
    gate: Verdict | None = None
    ahead: Forecast | None = None


@dataclass(frozen=True, slots=True)
class Headline:
    """Whether all is well. `kind`: nothing | stale | incident | acknowledged | breached | at_risk |
    unknown | kept; `count` belongs to it, `kept` of `rows` promises are kept."""

    kind: str
    count: int
    kept: int
    rows: int


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything on the page, as of `now`."""

    now: float
    judged_at: float
    pictured: float
    headline: Headline
    matrix: dict[str, list[Line]]
    collectors: list[tuple[str, str, bool, str]]
    incidents: list[Incident]
    awaiting: list[Action]
    under_way: list[Action]


def overview(service: Service) -> Overview:
    """The page's content, read now."""
    now = service.clock.now()
    statuses = service.statuses()
    incidents, _ = service.records.incidents(LIVE, limit=50)
    span = _span(service, now)
    lines = [line for status in statuses if (line := _line(service, status, span))]
    return Overview(
        now=now,
        judged_at=service.cycle.last_turn,
        pictured=now - span[0],
        headline=headline(statuses, incidents, service.ready(), bool(service.registries)),
        matrix={name: [it for it in lines if it.status.registry == name] for name in service.registries},
        collectors=[(*key, *value) for key, value in sorted(service.telemetry.collectors.items())],
        incidents=incidents,
        awaiting=service.records.actions((ActionState.AWAITING_APPROVAL,), limit=50)[0],
        under_way=service.records.actions(UNDER_WAY, limit=50)[0],
    )


def headline(
    statuses: Sequence[SloStatus], incidents: Sequence[Incident], ready: bool, watching: bool
) -> Headline:
    """The worst that is true: an open incident first; stale data is never called well."""
    found = [status.status for status in statuses]
    waiting = sum(1 for incident in incidents if incident.state is IncidentState.OPEN)
    counts = (
        ("incident", waiting),
        ("nothing", int(not watching)),
        ("stale", int(not ready)),
        ("acknowledged", len(incidents)),
        ("breached", found.count(Status.BREACHED)),
        ("at_risk", found.count(Status.AT_RISK)),
        ("unknown", found.count(Status.UNKNOWN)),
    )
    kind, count = next(((kind, count) for kind, count in counts if count), ("kept", len(found)))
    return Headline(kind, count, found.count(Status.OK), len(found))


def _span(service: Service, now: float) -> tuple[float, float]:
    """One time axis for all pictures: the last half hour, or less while less is known."""
    first = [points[0][0] for points in list(service.telemetry.points.values()) if points]
    began = max(now - PICTURED_SECONDS, min(first, default=0.0))
    return min(began, now - SHORTEST_SECONDS), now


def _line(service: Service, status: SloStatus, span: tuple[float, float]) -> Line | None:
    row = service.judge.row(status.name)
    if row is None:
        return None
    row = row.of(status.registry)
    probed = row.type is SloType.TIME_SLICES
    series = _probe_series(service, status.registry) if probed else f"slo:{row.name}"
    known = tuple(service.telemetry.points.get((status.registry, series), ()))
    points = tuple(point for point in known if point[0] >= span[0])
    rounds = probe_rounds(service, status.registry, row.signal, span) if probed else ()
    gate = service.watch.verdicts().get(f"{status.registry} {series}")
    ahead = service.telemetry.forecasts.get((status.registry, row.name))
    return Line(status, row, series, points, rounds, span, gate, ahead)


def lines_of(service: Service, registry: str) -> list[Line]:
    """The rows of one registry."""
    span = _span(service, service.clock.now())
    found = (_line(service, status, span) for status in service.statuses(registry))
    return [line for line in found if line is not None]


def _probe_series(service: Service, registry: str) -> str:
    """The first site's probe duration; "" while there is none."""
    names = [name for watched, name in list(service.telemetry.points) if watched == registry]
    return next((name for name in sorted(names) if name.startswith(PROBE_SERIES)), "")


def probe_rounds(
    service: Service, registry: str, signal: str, span: tuple[float, float]
) -> tuple[Round, ...]:
    """(when, did it succeed) of every probe round of every site in the span."""
    found = service.samples.range(registry, signal, span[0], span[1] + 0.001)
    return tuple((sample.at, sample.value >= 0.5) for sample in found)
