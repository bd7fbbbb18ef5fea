"""The pages that look closer: one registry, and the logs."""

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from seawall.console import logs
from seawall.console.asking import ServiceDep, Who
from seawall.console.registry import view
from seawall.console.render import PageRoute, html, render
from seawall.console.views import common
from seawall.core.errors import NotFound

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/registries")
def registries(service: ServiceDep, who: Who) -> Response:
    """The first registry; with none, how to add one."""
    if service.registries:
        return RedirectResponse(f"/registries/{service.registries[0]}", 303)
    return html(render("registry.html", **common(service, who), page="/registries", view=None, names=[]))


@router.get("/registries/{registry}")
def one_registry(registry: str, service: ServiceDep, who: Who) -> Response:
    """Golden signals, the newest pull, storage, repositories, caches, certificate."""
    if registry not in service.registries:
        raise NotFound(f"no registry {registry!r} is watched")
    return html(
        render(
            "registry.html",
            **common(service, who),
            page=f"/registries/{registry}",
            view=view(service, registry),
            names=service.registries,
        )
    )


@router.get("/logs")
def find_logs(
    service: ServiceDep,
    who: Who,
    q: str = "",
    registry: str = "",
    within: str = "1h",
    failed: str = "",
) -> Response:
    """Kept events that match, and their histogram."""
    found = logs.search(service, q[:200], registry, within, bool(failed))
    lines = [(event, logs.told(event), logs.failed(event)) for event in found.events]
    return html(
        render(
            "logs.html",
            **common(service, who),
            page="/logs",
            found=found,
            lines=lines,
            names=service.registries,
        )
    )
