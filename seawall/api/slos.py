"""GET /api/v1/slos, /signals, /anomalies and /forecasts."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from seawall import shapes
from seawall.api import models
from seawall.api.deps import Limit, ServiceDep, Viewer
from seawall.api.hops import OneHop
from seawall.api.paging import Cursor, cut, held
from seawall.core.errors import InputError
from seawall.core.times import parse_time
from seawall.trends import trends

router = APIRouter(route_class=OneHop, prefix="/api/v1", tags=["slos"])
At = Annotated[str | None, Query(description="An RFC 3339 time.", examples=["2026-11-24T03:00:00Z"])]
Matrix = Annotated[int, Query(ge=1, le=200)]


Status = Literal["ok", "at_risk", "breached", "unknown"]


@router.get("/slos", response_model=models.Page[models.SloRow])
def slos(
    service: ServiceDep,
    who: Viewer,
    registry: str | None = None,
    name: str | None = None,
    status: Status | None = None,
    at: At = None,
    limit: Matrix = 200,
    cursor: Cursor = None,
) -> Any:
    """The matrix: every row of every registry, as of the last turn or, with `at`, of what was known then."""
    found = [
        it
        for it in service.statuses(registry, _moment(at))
        if name in (None, it.name) and status in (None, it.status)
    ]
    return cut([shapes.slo(it) for it in found], limit, cursor)


@router.get("/slos/trends", response_model=models.Page[models.Trend])
def slo_trends(
    service: ServiceDep,
    who: Viewer,
    registry: str | None = None,
    at: At = None,
    limit: Matrix = 200,
    cursor: Cursor = None,
) -> Any:
    """The newest value of each row in each hour of the last day, or of the day before `at`."""
    found, following = held(service.statuses(registry, _moment(at)), limit, cursor)
    return shapes.page(trends(service.samples, found), following)


@router.get("/signals", response_model=models.Page[models.Signal])
def signals(
    service: ServiceDep,
    who: Viewer,
    registry: str | None = None,
    signal: str | None = None,
    limit: Matrix = 200,
    cursor: Cursor = None,
) -> Any:
    """The models' newest word on each signal: who serves it, what is said in shadow, the gate's verdict."""
    verdicts, items = service.watch.verdicts(), []
    for (of, name), points in sorted(service.telemetry.points.items()):
        if registry in (None, of) and signal in (None, name) and points:
            shadow = service.telemetry.shadows.get((of, name))
            items.append(shapes.signal(of, name, points[-1], shadow, verdicts.get(f"{of} {name}")))
    return cut(items, limit, cursor)


@router.get("/anomalies", response_model=models.Page[models.Anomaly])
def anomalies(
    service: ServiceDep,
    who: Viewer,
    registry: str | None = None,
    signal: str | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Any:
    """Unusual episodes, each explained: those that last, then the past ones, the newest first."""
    found = [
        it
        for it in service.watch.anomalies()
        if registry in (None, it.registry) and signal in (None, it.signal)
    ]
    return cut([shapes.anomaly(it) for it in found], limit, cursor)


@router.get("/forecasts", response_model=models.Page[models.Forecast])
def forecasts(
    service: ServiceDep,
    who: Viewer,
    registry: str | None = None,
    slo: str | None = None,
    limit: Matrix = 200,
    cursor: Cursor = None,
) -> Any:
    """How likely each row is breached within its horizon, as of the last turn."""
    found = [
        it
        for (name, row), it in sorted(service.telemetry.forecasts.items())
        if registry in (None, name) and slo in (None, row)
    ]
    return cut([shapes.forecast(it) for it in found], limit, cursor)


def _moment(at: str | None) -> float | None:
    try:
        return parse_time(at) if at else None
    except (ValueError, OverflowError) as error:
        raise InputError("at", f"{at!r} is no RFC 3339 time", "write it like 2026-11-24T03:00:00Z") from error
