"""GET /api/v1/reports/slo and /compliance."""

from typing import Any

from fastapi import APIRouter

from seawall.api import models
from seawall.api.deps import Admin, ServiceDep, Viewer
from seawall.api.hops import OneHop
from seawall.core.errors import InputError
from seawall.reports.compliance import compliance_report
from seawall.reports.month import every_incident, slo_report

router = APIRouter(route_class=OneHop, prefix="/api/v1/reports", tags=["reports"])


@router.get("/slo", response_model=models.Report)
def slo(service: ServiceDep, who: Viewer, month: str, registry: str | None = None) -> Any:
    """How the promises were kept in a month such as 2026-10 (UTC)."""
    names = [name for name in service.registries if registry in (None, name)]
    try:
        return slo_report(service.judge, names, every_incident(service.records), month, service.clock.now())
    except ValueError as error:
        raise InputError("month", str(error), "name a month that has begun, like 2026-10") from error


@router.get("/compliance", response_model=models.Compliance)
def compliance(service: ServiceDep, who: Admin, month: str, registry: str | None = None) -> Any:
    """Who approved what, unsigned pulls, deletions, accounts and the audit log of a month (UTC)."""
    names = [name for name in service.registries if registry in (None, name)]
    try:
        return compliance_report(service.records, service.events, names, month, service.clock.now())
    except ValueError as error:
        raise InputError("month", str(error), "name a month that has begun, like 2026-10") from error
