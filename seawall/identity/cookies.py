"""The session's cookie: HttpOnly, SameSite=Lax, for the whole site; Secure where Seawall speaks HTTPS,
or where its public URL does (a proxy before it has the certificate)."""

from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from seawall.identity import ABSOLUTE
from seawall.identity.confirm import Proof
from seawall.service import SESSION_COOKIE, Service


def cookie_of(headers: Headers) -> str | None:
    """The session cookie's secret."""
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(SESSION_COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel else None


def is_secure(service: Service, scheme: str) -> bool:
    """May the cookie travel over HTTPS only?"""
    return scheme == "https" or (service.config.server.public_url or "").startswith("https:")


def give(response: Response, request: Request, service: Service, secret: str) -> None:
    """Set it."""
    response.set_cookie(
        SESSION_COOKIE,
        secret,
        max_age=int(ABSOLUTE),
        path="/",
        secure=is_secure(service, request.url.scheme),
        httponly=True,
        samesite="lax",
    )


def take(response: Response, request: Request, service: Service) -> None:
    """Delete it."""
    response.delete_cookie(
        SESSION_COOKIE,
        path="/",
        secure=is_secure(service, request.url.scheme),
        httponly=True,
        samesite="lax",
    )


def address_of(request: Request) -> str:
    """Where the request comes from; headers of a proxy are not trusted."""
    return request.client.host if request.client else "unknown"


def proof_of(request: Request, code: str) -> Proof:
    """What a request brings for an approval."""
    return Proof(request.scope.get("seawall.entry"), code.strip(), address_of(request))
