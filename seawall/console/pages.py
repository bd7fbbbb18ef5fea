"""The console's addresses: pages to read here, their forms in seawall.console.forms."""

from typing import Literal

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from seawall.console import accounts, external, forms, looking, preferences, views
from seawall.console.asking import ServiceDep, Visitor, Who, local_path
from seawall.console.listing import Wanted
from seawall.console.render import PageRoute, error_page, html, login_page, static_app

__all__ = ["error_page", "login_page", "router", "static_app"]

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/")
def home(service: ServiceDep, who: Visitor) -> Response:
    """The overview; a stranger is sent to the login."""
    return RedirectResponse("/login", 303) if who is None else views.overview_page(service, who)


@router.get("/login")
def login(service: ServiceDep, who: Visitor, next: str = "") -> Response:
    """The form; who is in already goes on."""
    onward = local_path(next)
    label = external.label_of(service)
    return html(login_page(onward, provider=label)) if who is None else RedirectResponse(onward, 303)


@router.get("/incidents")
def incidents(
    service: ServiceDep,
    who: Who,
    state: Literal["open", "acknowledged", "resolved", ""] = "",
    severity: Literal["page", "ticket", ""] = "",
    registry: str = "",
    cursor: str | None = None,
) -> Response:
    """All incidents, or those that are asked for."""
    return views.incidents_page(service, who, Wanted(state, severity, registry), cursor)


@router.get("/incidents/{id}")
def incident(id: str, service: ServiceDep, who: Who) -> Response:
    """One incident."""
    return views.incident_page(service, who, id)


@router.get("/actions/{id}")
def action(id: str, request: Request, service: ServiceDep, who: Who) -> Response:
    """One repair: its approval and its run."""
    return views.action_page(service, who, request.scope.get("seawall.entry"), id)


@router.get("/links/{token}")
def link(token: str, service: ServiceDep, who: Who) -> Response:
    """A notification's signed link: on to the decision, once. It decides nothing."""
    return RedirectResponse(f"/actions/{service.open_link(token, who).id}#decide", 303)


@router.get("/playbooks")
def playbooks(service: ServiceDep, who: Who) -> Response:
    """The catalogue."""
    return views.playbooks_page(service, who)


router.include_router(forms.router)
router.include_router(accounts.router)
router.include_router(looking.router)
router.include_router(preferences.router)
router.include_router(external.router)
