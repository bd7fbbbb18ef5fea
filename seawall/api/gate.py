"""The gate: default deny. Who asks is settled before path, method, query or body is looked at.

A bearer token (RFC 6750), the session made from one, or the socket in the state folder, where the
operating-system user is the actor. A change by cookie must come from our own pages: it is refused
unless Sec-Fetch-Site says same-origin or Origin names our host (W3C Fetch Metadata).
"""

import hmac
import pwd
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from seawall.api.problems import problem
from seawall.service import SESSION_COOKIE, Identity, Service

SOCKET_CLIENT = "unix:"
WEBHOOKS = "/api/v1/webhooks/"
OPEN = frozenset({"/", "/login", "/healthz", "/readyz", "/metrics", "/api/openapi.json"})
OPEN_BELOW = ("/static/", "/api/v1/auth/")
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
)


class Gate:
    """Pure ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, service: Service, login_page: str = "") -> None:
        self._app, self._service, self._login_page = app, service, login_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it in, with its identity, or answer 401 or 403."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        who = self._identify(scope, headers)
        scope["seawall.identity"] = who
        refusal = self._refusal(scope, headers, who)
        await (refusal or self._app)(scope, receive, _with_headers(send))

    def _identify(self, scope: Scope, headers: Headers) -> Identity | None:
        client = scope.get("client")
        if client and client[0].startswith(SOCKET_CLIENT):
            return Identity(_user_name(int(client[0].removeprefix(SOCKET_CLIENT))), "admin", "socket")
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token:
            return self._service.by_token(token.strip())
        secret = cookie_of(headers)
        return self._service.by_session(secret) if secret else None

    def _refusal(self, scope: Scope, headers: Headers, who: Identity | None) -> Response | None:
        path = scope["path"]
        if path.startswith(WEBHOOKS):
            return self._webhook_refusal(path.removeprefix(WEBHOOKS), headers)
        if who is not None:
            return self._forgery(scope, headers) if who.via == "session" else None
        if path in OPEN or path.startswith(OPEN_BELOW):
            return None
        if "text/html" in headers.get("accept", "") and self._login_page:
            return HTMLResponse(self._login_page, 401)
        return problem(401, "log in, or send a bearer token", {"WWW-Authenticate": "Bearer"})

    def _webhook_refusal(self, name: str, headers: Headers) -> Response | None:
        expected = self._service.webhook_tokens.get(name)
        header = headers.get("authorization", "")
        scheme, _, token = header.partition(" ")
        # Harbor sends the text of its field "Auth Header" as it is, without a scheme.
        bare = header if name == "harbor" else ""
        given = token.strip() if scheme.lower() == "bearer" else bare.strip()
        # Compared even when none is configured, so that the answer's time tells nothing.
        right = hmac.compare_digest(given.encode(), (expected or "\0").encode())
        if expected and right:
            return None
        return problem(401, "this webhook needs its own bearer token", {"WWW-Authenticate": "Bearer"})

    def _forgery(self, scope: Scope, headers: Headers) -> Response | None:
        if scope["method"] in SAFE:
            return None
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        same = (
            site == "same-origin" if site else bool(origin) and urlsplit(origin).netloc == headers.get("host")
        )
        return None if same else problem(403, "a change by cookie must come from Seawall's own pages")


def cookie_of(headers: Headers) -> str | None:
    """The session cookie's secret."""
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(SESSION_COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel else None


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid-{uid}"


def _with_headers(send: Send) -> Send:
    async def sender(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *SECURITY_HEADERS]  # type: ignore[misc]
        await send(message)

    return sender  # type: ignore[return-value]
