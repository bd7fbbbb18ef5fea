"""/healthz, /readyz and /metrics: open to strangers, and they tell no secrets."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from seawall.api import models
from seawall.api.deps import ServiceDep

router = APIRouter(tags=["health"])


@router.get("/healthz", response_model=models.Health)
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", response_model=models.Health, responses={503: {"model": models.Health}})
def readyz(service: ServiceDep) -> JSONResponse:
    """The stores answer and the cycle turns."""
    ready = service.ready()
    return JSONResponse({"status": "ok" if ready else "late"}, 200 if ready else 503)


@router.get("/metrics", response_class=Response)
def metrics(service: ServiceDep) -> Response:
    """Prometheus text exposition."""
    service.telemetry.count_incidents()
    return Response(generate_latest(service.telemetry.registry), media_type=CONTENT_TYPE_LATEST)
