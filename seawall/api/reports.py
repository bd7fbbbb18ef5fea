"""GET /api/v1/reports/slo."""

from typing import Any

from fastapi import APIRouter

from seawall.api import models
from seawall.api.deps import ServiceDep, Viewer
from seawall.core.errors import InputError
from seawall.reporting import every_incident, slo_report

router = APIRouter(prefix="/api/v1/reports", tags=["reports"])


@router.get("/slo", response_model=models.Report)
def slo(service: ServiceDep, who: Viewer, month: str, registry: str | None = None) -> Any:
    """How the promises were kept in a month such as 2026-10 (UTC)."""
    names = [name for name in service.registries if registry in (None, name)]
    try:
        return slo_report(service.judge, names, every_incident(service.records), month, service.clock.now())
    except ValueError as error:
        raise InputError("month", str(error), "name a month that has begun, like 2026-10") from error
