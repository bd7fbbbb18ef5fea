"""GET /api/v1/slos and /api/v1/anomalies."""

from typing import Any

from fastapi import APIRouter

from seawall import shapes
from seawall.api.deps import ServiceDep, Viewer
from seawall.core.errors import InputError
from seawall.core.times import parse_time, rfc3339

router = APIRouter(prefix="/api/v1", tags=["slos"])


@router.get("/slos")
def slos(
    service: ServiceDep, who: Viewer, registry: str | None = None, at: str | None = None
) -> dict[str, Any]:
    """The matrix: every row of every registry, as of the last turn or judged anew as of `at`."""
    try:
        moment = parse_time(at) if at else None
    except ValueError as error:
        raise InputError("at", f"{at!r} is no RFC 3339 time", "write it like 2026-11-24T03:00:00Z") from error
    return shapes.page([shapes.slo(status) for status in service.statuses(registry, moment)])


@router.get("/anomalies")
def anomalies(service: ServiceDep, who: Viewer, registry: str | None = None) -> dict[str, Any]:
    """The detector's newest word on each signal. It is in shadow: shown, but it alerts nobody."""
    items = []
    for (name, signal), points in sorted(service.telemetry.points.items()):
        if registry in (None, name) and points:
            at, observed, score = points[-1]
            items.append(
                {
                    "registry": name,
                    "signal": signal,
                    "at": rfc3339(at),
                    "observed": observed,
                    "expected": score.expected,
                    "lower": score.lower,
                    "upper": score.upper,
                    "score": score.score,
                    "silent": score.silent,
                    "shadow": True,
                }
            )
    return shapes.page(items)
