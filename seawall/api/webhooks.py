"""/api/v1/webhooks: the gate has checked the sender's token; size, form and room come next.

202 is answered after the commit only. Alertmanager repeats on 5xx, so that a full queue is 503.
"""

import asyncio
from typing import Any

from fastapi import APIRouter

from alerts import alertmanager
from collectors.harbor_webhooks import parse_harbor
from collectors.notifications import parse_distribution
from seawall.api import models
from seawall.api.deps import Body, ServiceDep
from seawall.core.errors import InputError, Overloaded
from seawall.service import Service

router = APIRouter(prefix="/api/v1/webhooks", tags=["webhooks"])
_CONCURRENT = asyncio.Semaphore(16)


@router.post("/alertmanager", status_code=202, response_model=models.TakenAlerts)
async def from_alertmanager(body: Body, service: ServiceDep) -> dict[str, Any]:
    """Alerts of Alertmanager (version 4): joined to, or opening, an incident of their registry and row."""
    now = service.clock.now()
    delivery = alertmanager.parse(body, service.judge.rows, service.registries, now)
    if _CONCURRENT.locked():
        raise Overloaded("16 deliveries are being committed already; send it again later")
    async with _CONCURRENT:
        found = await asyncio.to_thread(service.cycle.receive, delivery.firing)
        for fingerprint in delivery.resolved:
            await asyncio.to_thread(
                service.cycle.close_finding, alertmanager.SOURCE, fingerprint, "Alertmanager says it is over"
            )
    return {"incidents": sorted({incident.id for incident in found})}


@router.post("/distribution", status_code=202, response_model=models.Taken)
async def from_distribution(body: Body, service: ServiceDep, registry: str | None = None) -> dict[str, Any]:
    """Notifications of a Distribution registry; `registry` names it where several are watched."""
    name = _watched(service, registry)
    events = parse_distribution(body, name)
    await service.intake.keep(events)
    return {"events": len(events)}


@router.post("/harbor", status_code=202, response_model=models.Taken)
async def from_harbor(body: Body, service: ServiceDep, registry: str | None = None) -> dict[str, Any]:
    """Webhooks of Harbor, format Default or CloudEvents; `registry` names it where several are watched."""
    name = _watched(service, registry)
    events = parse_harbor(body, name)
    await service.intake.keep(events)
    return {"events": len(events)}


def _watched(service: Service, registry: str | None) -> str:
    """The registry that a sender means; InputError if it is none of ours."""
    names = service.registries
    name = registry or (names[0] if len(names) == 1 else "")
    if name not in names:
        raise InputError(
            "registry", f"{name!r} is not watched", f"add ?registry= to the endpoint's url, one of {names}"
        )
    return name
