"""Logging in at an OpenID Connect provider: the way there and the way back.

Below `/api/v1/auth/`, which is open to strangers by contract, but for browsers: it redirects, answers pages,
and is not in the API's description. The cookie binds the answer to the browser that asked.
"""

import logging

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from seawall.console.asking import ServiceDep, local_path
from seawall.console.render import PageRoute, html, login_page
from seawall.core.accounts import LoginRefused, TooManyAttempts
from seawall.core.errors import Overloaded
from seawall.identity import cookies
from seawall.identity.external import PENDING, ExternalLogin
from seawall.service import Service

router = APIRouter(route_class=PageRoute, include_in_schema=False, prefix="/api/v1/auth/oidc")
log = logging.getLogger(__name__)
BACK = "/api/v1/auth/oidc/callback"
COOKIE = "seawall_oidc"
LONGEST = 4096  # characters of what the provider sends back


def label_of(service: Service) -> str:
    """What the provider's button says; "" where there is no provider."""
    return service.external.label if service.external else ""


def _external(service: Service) -> ExternalLogin:
    if service.external is None:
        raise HTTPException(404, "no provider is configured (server.oidc)")
    return service.external


@router.get("/login")
def login(request: Request, service: ServiceDep, next: str = "", fresh: bool = False) -> Response:
    """On to the provider; `fresh` has it ask who is logged in there, too."""
    external, onward = _external(service), local_path(next)
    try:
        address, sealed = external.start(onward, fresh)
    except Overloaded as error:
        log.error("log-in at the provider: %s", error)
        return html(login_page(onward, "away", external.label), 503)
    response = RedirectResponse(address, 303, {"Cache-Control": "no-store"})
    _cookie(response, request, service, sealed, int(PENDING))
    return response


@router.get("/callback")
def callback(request: Request, service: ServiceDep) -> Response:
    """Back from the provider: a session, or the log-in page with the reason why not."""
    external, query = _external(service), dict(request.query_params)
    sealed = request.cookies.get(COOKIE, "")
    if len(request.url.query) > LONGEST or len(query) != len(request.query_params.multi_items()):
        raise HTTPException(400, "the provider's answer is too long, or says a thing twice")
    try:
        secret, onward = external.finish(sealed, query, cookies.address_of(request))
    except LoginRefused:
        response: Response = html(login_page("", "provider", external.label), 401)
    except TooManyAttempts as error:
        response = html(login_page("", "slow", external.label), 429)
        response.headers["Retry-After"] = str(int(error.seconds) + 1)
    except Overloaded as error:
        log.error("log-in at the provider: %s", error)
        response = html(login_page("", "away", external.label), 503)
    else:
        response = RedirectResponse(onward, 303, {"Cache-Control": "no-store"})
        cookies.give(response, request, service, secret)
    _cookie(response, request, service, "", 0)
    return response


def _cookie(response: Response, request: Request, service: Service, value: str, age: int) -> None:
    response.set_cookie(
        COOKIE,
        value,
        max_age=age,
        path="/api/v1/auth/oidc",
        secure=cookies.is_secure(service, request.url.scheme),
        httponly=True,
        samesite="lax",
    )
