"""The gate: default deny. Who asks is settled before path, method, query or body is looked at.

A bearer token (RFC 6750), a session, or the socket in the state folder, where the operating-system user is
the actor. A change by cookie must come from our own pages: it is refused unless Sec-Fetch-Site says
same-origin or Origin names our host (W3C Fetch Metadata). A session that is to be set up opens its own
account's pages only.
"""

import hmac
import pwd
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seawall.api.hosts import is_ours, names_of
from seawall.api.problems import problem
from seawall.core.accounts import Identity
from seawall.core.errors import StoreUnavailable
from seawall.identity import ABSOLUTE, Entry
from seawall.identity.cookies import cookie_of, is_secure
from seawall.identity.credentials import hash_secret
from seawall.service import SESSION_COOKIE, Service

SOCKET_CLIENT = "unix:"
WEBHOOKS = "/api/v1/webhooks/"
OPEN = frozenset({"/", "/login", "/healthz", "/readyz", "/metrics", "/api/openapi.json"})
AUTH = "/api/v1/auth/"
OPEN_BELOW = ("/static/", AUTH)
HEALTH = frozenset({"/healthz", "/readyz"})  # asked by balancers under any name
OWN_PAGES = ("/account", "/account/")  # reached with a session that is still to be set up
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
LARGEST = 1024 * 1024  # bytes of a body
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
)
HSTS = (b"strict-transport-security", b"max-age=31536000")


@dataclass(frozen=True, slots=True)
class _Caller:
    who: Identity | None = None
    entry: Entry | None = None
    token: str = ""  # its hash


class Gate:
    """Pure ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, service: Service, login_page: str = "") -> None:
        self._app, self._service, self._login_page = app, service, login_page
        self._names = names_of(service.config)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it in, with its identity, or answer 401, 403, 413 or 421."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        answer: ASGIApp | None = self._stray(scope, headers)
        caller = _Caller()
        if answer is None:
            try:
                caller = self._identify(scope, headers)
            except StoreUnavailable:  # no details: who asks is not known
                answer = problem(503, "the records cannot be asked at the moment; try again soon")
        if answer is None:
            scope["seawall.identity"], scope["seawall.entry"] = caller.who, caller.entry
            scope["seawall.token"] = caller.token
            answer = self._refusal(scope, headers, caller)
        if answer is None and scope["method"] not in SAFE and not scope["path"].startswith(WEBHOOKS):
            body = await _body(headers, receive)
            answer = _too_large() if body is None else None
            receive = _replayed(body or b"", receive)
        await (answer or self._app)(scope, receive, self._with_headers(scope, caller.entry, send))

    def _stray(self, scope: Scope, headers: Headers) -> Response | None:
        """A request under a name that is not ours; the socket has none."""
        if _by_socket(scope) or scope["path"] in HEALTH or is_ours(headers.get("host", ""), self._names):
            return None
        return problem(421, "this is not the name of this Seawall; add it to server.allowed_hosts if it is")

    def _identify(self, scope: Scope, headers: Headers) -> _Caller:
        if _by_socket(scope):
            uid = int(scope["client"][0].removeprefix(SOCKET_CLIENT))
            return _Caller(Identity(_user_name(uid), "admin", "socket"))
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token:
            return _Caller(self._service.accounts.by_token(token.strip()), None, hash_secret(token.strip()))
        secret = cookie_of(headers)
        entry = self._service.accounts.resume(secret) if secret else None
        return _Caller(entry.who, entry) if entry else _Caller()

    def _refusal(self, scope: Scope, headers: Headers, caller: _Caller) -> Response | None:
        path = scope["path"]
        if path.startswith(WEBHOOKS):
            return self._webhook_refusal(path.removeprefix(WEBHOOKS), headers)
        if caller.entry is not None or path.startswith(AUTH):
            forged = self._forgery(scope, headers, caller.entry is not None)
            if forged:
                return forged
        if caller.who is not None or path in OPEN or path.startswith(OPEN_BELOW):
            return None
        if caller.entry is not None and path.startswith(OWN_PAGES):
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

    def _forgery(self, scope: Scope, headers: Headers, by_cookie: bool) -> Response | None:
        """A change by cookie must be ours for certain; a log-in without one must not be somebody else's."""
        if scope["method"] in SAFE:
            return None
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if not by_cookie and not site and not origin:
            return None
        same = (
            site == "same-origin" if site else bool(origin) and urlsplit(origin).netloc == headers.get("host")
        )
        return None if same else problem(403, "a change by cookie must come from Seawall's own pages")

    def _with_headers(self, scope: Scope, entry: Entry | None, send: Send) -> Send:
        added = list(SECURITY_HEADERS)
        if scope.get("scheme") == "https":
            added.append(HSTS)
        if scope["path"].startswith("/api/"):
            added.append((b"cache-control", b"no-store"))
        turned = self._turned(scope, entry)

        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                names = {name.lower() for name, _ in given}
                more = [it for it in added if it[0] not in names]
                # A page that sets or deletes the cookie itself knows better.
                more += [turned] if turned and b"set-cookie" not in names else []
                message = {**message, "headers": [*given, *more]}
            await send(message)

        return sender

    def _turned(self, scope: Scope, entry: Entry | None) -> tuple[bytes, bytes] | None:
        """The cookie's next secret, when it is time."""
        if entry is None or not entry.secret:
            return None
        secure = "; Secure" if is_secure(self._service, scope.get("scheme", "http")) else ""
        flags = f"HttpOnly; Max-Age={int(ABSOLUTE)}; Path=/; SameSite=lax{secure}"
        return b"set-cookie", f"{SESSION_COOKIE}={entry.secret}; {flags}".encode()


async def _body(headers: Headers, receive: Receive) -> bytes | None:
    """The whole body, or None as soon as it is too large."""
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > LARGEST:
        return None
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > LARGEST:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _too_large() -> Response:
    return problem(413, f"the body is over {LARGEST} bytes; send less at once", {"Connection": "close"})


def _by_socket(scope: Scope) -> bool:
    client = scope.get("client")
    return bool(client and client[0].startswith(SOCKET_CLIENT))


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid-{uid}"
