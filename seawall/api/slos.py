"""GET /api/v1/slos, /signals, /anomalies and /forecasts."""

from typing import Any

from fastapi import APIRouter

from seawall import shapes
from seawall.api.deps import Limit, ServiceDep, Viewer
from seawall.core.errors import InputError
from seawall.core.times import parse_time
from seawall.trends import trends

router = APIRouter(prefix="/api/v1", tags=["slos"])


@router.get("/slos")
def slos(
    service: ServiceDep, who: Viewer, registry: str | None = None, at: str | None = None
) -> dict[str, Any]:
    """The matrix: every row of every registry, as of the last turn or, with `at`, by what had arrived then."""
    return shapes.page([shapes.slo(status) for status in service.statuses(registry, _moment(at))])


@router.get("/slos/trends")
def slo_trends(
    service: ServiceDep, who: Viewer, registry: str | None = None, at: str | None = None
) -> dict[str, Any]:
    """The newest value of each row in each hour of the last day, or of the day before `at`."""
    return shapes.page(trends(service.samples, service.statuses(registry, _moment(at))))


@router.get("/signals")
def signals(service: ServiceDep, who: Viewer, registry: str | None = None) -> dict[str, Any]:
    """The models' newest word on each signal: who serves it, what is said in shadow, the gate's verdict."""
    verdicts, items = service.watch.verdicts(), []
    for (name, signal), points in sorted(service.telemetry.points.items()):
        if registry in (None, name) and points:
            shadow = service.telemetry.shadows.get((name, signal))
            verdict = verdicts.get(f"{name} {signal}")
            items.append(shapes.signal(name, signal, points[-1], shadow, verdict))
    return shapes.page(items)


@router.get("/anomalies")
def anomalies(
    service: ServiceDep,
    who: Viewer,
    registry: str | None = None,
    limit: Limit = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """Unusual episodes, each explained: those that last, then the past ones, the newest first."""
    found = [it for it in service.watch.anomalies() if registry in (None, it.registry)]
    start = _offset(cursor)
    following = str(start + limit) if start + limit < len(found) else None
    return shapes.page([shapes.anomaly(it) for it in found[start : start + limit]], following)


@router.get("/forecasts")
def forecasts(service: ServiceDep, who: Viewer, registry: str | None = None) -> dict[str, Any]:
    """How likely each row is breached within its horizon, as of the last turn."""
    found = sorted(service.telemetry.forecasts.items())
    return shapes.page([shapes.forecast(it) for (name, _), it in found if registry in (None, name)])


def _moment(at: str | None) -> float | None:
    try:
        return parse_time(at) if at else None
    except ValueError as error:
        raise InputError("at", f"{at!r} is no RFC 3339 time", "write it like 2026-11-24T03:00:00Z") from error


def _offset(cursor: str | None) -> int:
    """Where a page of what is held in memory goes on."""
    if cursor is None:
        return 0
    if not cursor.isdigit():
        raise InputError("cursor", f"{cursor!r} is none of ours", "give the `next` of the page before")
    return int(cursor)
