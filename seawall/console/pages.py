"""The console's addresses: pages to read here, their forms in seawall.console.forms."""

from typing import Literal

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from seawall.console import forms, views
from seawall.console.asking import ServiceDep, Visitor, Who, local_path
from seawall.console.render import PageRoute, error_page, html, login_page, static_app
from seawall.core.incidents import IncidentState

__all__ = ["error_page", "login_page", "router", "static_app"]

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/")
def home(service: ServiceDep, who: Visitor) -> Response:
    """The overview; a stranger is sent to the login."""
    return RedirectResponse("/login", 303) if who is None else views.overview_page(service, who)


@router.get("/login")
def login(who: Visitor, next: str = "") -> Response:
    """The form; who is in already goes on."""
    onward = local_path(next)
    return html(login_page(onward)) if who is None else RedirectResponse(onward, 303)


@router.get("/incidents")
def incidents(
    service: ServiceDep,
    who: Who,
    state: Literal["open", "acknowledged", "resolved", ""] = "",
    cursor: str | None = None,
) -> Response:
    """All incidents."""
    return views.incidents_page(service, who, IncidentState(state) if state else None, cursor)


@router.get("/incidents/{id}")
def incident(id: str, service: ServiceDep, who: Who) -> Response:
    """One incident."""
    return views.incident_page(service, who, id)


@router.get("/actions/{id}")
def action(id: str, service: ServiceDep, who: Who) -> Response:
    """One repair: its approval and its run."""
    return views.action_page(service, who, id)


@router.get("/playbooks")
def playbooks(service: ServiceDep, who: Who) -> Response:
    """The catalogue."""
    return views.playbooks_page(service, who)


router.include_router(forms.router)
