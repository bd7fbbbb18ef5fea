"""Measured HTTP exchanges with a registry: connections by phase, tokens, redirects (no judgement here).

The token flow is https://distribution.github.io/distribution/spec/auth/token/. A name is resolved here and
the connection made to its address, so that dns, connect and tls are phases of their own.
"""

import asyncio
import base64
import ipaddress
import json
import os
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType
from typing import Any

import httpx

from seawall import __version__
from seawall.core.errors import InputError

USER_AGENT = f"seawall-probe/{__version__}"  # left out of clients' figures: signals.EXCLUDED_USER_AGENTS
INTERRUPTED = "interrupted"
MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_DEFAULT_EXPIRY = 60.0  # seconds, of a token that names none (the token specification)
_MAX_SMALL = 1 << 20  # bytes of a challenge, token or redirect body that are read
_PARAMETER = re.compile(r'(\w+)="([^"]*)"|(\w+)=([^\s,"]+)')


class Broken(Exception):
    """The registry failed: 5xx, a wrong digest, an answer that is none."""


class Denied(Exception):
    """The registry is healthy and says no: 401, 403, 404 or 429."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(slots=True)
class Phase:
    """One phase of a pull; `start` (since the pull's start) and `seconds`; `target` is a host or digest."""

    name: str
    start: float
    seconds: float = 0.0
    bytes: int = 0
    error: str = ""
    target: str = ""


class Timeline:
    """All phases of one pull, in the order in which they began."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.phases: list[Phase] = []

    def elapsed(self) -> float:
        """Seconds since the pull began."""
        return time.perf_counter() - self._began


class Steps:
    """The phases of one request: entering the next one ends the one before."""

    def __init__(self, timeline: Timeline, target: str) -> None:
        self._timeline, self._target = timeline, target
        self.current: Phase | None = None
        self._last: Phase | None = None

    def enter(self, name: str) -> Phase:
        """Begin a phase, unless it is the current one already."""
        if self.current is None or self.current.name != name:
            self.end()
            self._last = self.current = Phase(name, self._timeline.elapsed(), target=self._target)
            self._timeline.phases.append(self.current)
        return self.current

    def end(self, error: str = "") -> None:
        """End the current phase; an error that comes between two phases is the last one's."""
        if self.current is not None:
            self.current.seconds = self._timeline.elapsed() - self.current.start
        if error and self._last is not None and not self._last.error:
            self._last.error = error
        self.current = None

    def end_as(self, name: str) -> None:
        """End the current phase, which turned out to be a challenge or a redirect."""
        if self._last is not None:
            self._last.name = name
        self.end()

    def tracer(self, name: str) -> Callable[[str, dict[str, Any]], Awaitable[None]]:
        """httpcore's trace extension for a request of the phase `name`."""
        begins = {
            "connection.connect_tcp.started": "connect",
            "connection.start_tls.started": "tls",
            "http11.send_request_headers.started": name,
        }

        async def trace(event: str, info: dict[str, Any]) -> None:
            if phase := begins.get(event):
                self.enter(phase)

        return trace


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and where to read the password, asked for each time it is sent."""

    username: str
    password: Callable[[], str] = field(repr=False)

    def basic(self) -> str:
        """The value of a Basic Authorization header (RFC 7617)."""
        pair = f"{self.username}:{self.password()}".encode()
        return "Basic " + base64.b64encode(pair).decode()


@dataclass(slots=True)
class Tokens:
    """Authorization headers by scope, each until it expires (monotonic seconds)."""

    kept: dict[str, tuple[str, float]] = field(default_factory=dict, repr=False)

    def get(self, scope: str) -> str | None:
        """The live header of a scope."""
        header, until = self.kept.get(scope, ("", 0.0))
        return header if time.monotonic() < until else None


@lru_cache(maxsize=64)
def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """The system's authorities and those of `ca_file`. InputError if that file is none."""
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:
            raise InputError(ca_file, reason_of(error), "name a PEM file of certificates") from error
    return context


class Exchange:
    """Requests of one pull over connections of its own; an async context manager."""

    def __init__(
        self,
        url: str,
        timeline: Timeline,
        timeout: float,
        credentials: Credentials | None = None,
        tls: ssl.SSLContext | None = None,
        tokens: Tokens | None = None,
    ) -> None:
        self.url, self.timeline = httpx.URL(url.rstrip("/")), timeline
        self._timeout, self._credentials = timeout, credentials
        self._tokens = tokens if tokens is not None else Tokens()
        self._addresses: dict[tuple[str, int], list[str]] = {}
        self._transport = httpx.AsyncHTTPTransport(verify=tls or tls_context(None), trust_env=False)

    async def __aenter__(self) -> "Exchange":
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def get(
        self, path: str, name: str, scope: str, accept: str = "*/*"
    ) -> AsyncIterator[tuple[httpx.Response, Steps]]:
        """GET a path of the registry as the phase `name`, authorised and redirected as needed.

        Yields the answer (any status) with its body unread, and the steps. The phase that was current
        when something failed carries the error.
        """
        steps = Steps(self.timeline, path.rpartition("/")[2])
        response: httpx.Response | None = None
        try:
            response = await self._follow(httpx.URL(f"{self.url}{path}"), name, steps, scope, accept)
            yield response, steps
        except BaseException as error:
            steps.end(reason_of(error))
            raise
        finally:
            steps.end()
            if response is not None:
                await response.aclose()

    async def _follow(
        self, url: httpx.URL, name: str, steps: Steps, scope: str, accept: str
    ) -> httpx.Response:
        response = await self._authorised(url, name, steps, scope, accept)
        hops = 0
        while response.status_code in _REDIRECTS:
            steps.end_as("redirect")
            await small_body(response)
            hops += 1
            if hops > MAX_REDIRECTS:
                raise Broken(f"more than {MAX_REDIRECTS} redirects")
            url = _joined(url, response.headers.get("location", ""))
            header = self._tokens.get(scope) if _origin(url) == _origin(self.url) else None
            response = await self._send(url, name, steps, accept, header)
        return response

    async def _authorised(
        self, url: httpx.URL, name: str, steps: Steps, scope: str, accept: str
    ) -> httpx.Response:
        response = await self._send(url, name, steps, accept, self._tokens.get(scope))
        if response.status_code != 401 or not scope:
            return response
        steps.end_as("auth_token")
        await small_body(response)
        challenge = " , ".join(response.headers.get_list("www-authenticate"))
        header = await self._header(challenge, scope, steps)
        return await self._send(url, name, steps, accept, header)

    async def _header(self, challenge: str, scope: str, steps: Steps) -> str:
        """Answer a 401's challenge; the header is kept in `tokens`."""
        if match := re.search(r"\bbearer\s+(.*)", challenge, re.IGNORECASE):
            parameters = {a or c: b or d for a, b, c, d in _PARAMETER.findall(match[1])}
            header, seconds = await self._token(parameters, scope, steps)
        elif re.search(r"\bbasic\b", challenge, re.IGNORECASE) and self._credentials:
            header, seconds = self._credentials.basic(), float("inf")
        else:
            raise Denied(401, "the registry asks for a password and none is configured")
        self._tokens.kept[scope] = header, time.monotonic() + seconds
        return header

    async def _token(self, challenge: dict[str, str], scope: str, steps: Steps) -> tuple[str, float]:
        realm = _joined(self.url, challenge.get("realm", ""))
        if self._credentials and self.url.scheme == "https" and realm.scheme != "https":
            raise Broken("the token realm is plain HTTP; the password is not sent there")
        query = {"service": challenge.get("service", ""), "scope": challenge.get("scope", scope)}
        header = self._credentials.basic() if self._credentials else None
        url = realm.copy_merge_params({key: value for key, value in query.items() if value})
        response = await self._send(url, "auth_token", steps, "application/json", header)
        body = await small_body(response)
        if 400 <= response.status_code < 500:
            raise Denied(response.status_code, f"the token server answered {response.status_code}")
        return _read_token(response.status_code, body)

    async def _send(
        self, url: httpx.URL, name: str, steps: Steps, accept: str, authorization: str | None
    ) -> httpx.Response:
        """One request to the first address of the host that accepts a connection."""
        headers = {"host": url.netloc.decode(), "user-agent": USER_AGENT, "accept": accept}
        if authorization:
            headers["authorization"] = authorization
        addresses = await self._resolve(url, steps)
        for address in addresses:
            request = httpx.Request("GET", url.copy_with(host=address), headers=headers)
            request.extensions = {
                "trace": steps.tracer(name),
                "sni_hostname": url.host,
                "timeout": {"connect": self._timeout / len(addresses)},
            }
            try:
                response = await self._transport.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if address == addresses[-1] or (steps.current and steps.current.name == "tls"):
                    raise
                continue
            self._addresses[url.host, _port(url)] = [address]
            return response
        raise Broken(f"{url.host} has no address")

    async def _resolve(self, url: httpx.URL, steps: Steps) -> list[str]:
        """The addresses of a host; once it has answered, the one that did."""
        key = url.host, _port(url)
        if key not in self._addresses and _is_address(url.host):
            self._addresses[key] = [url.host]
        elif key not in self._addresses:
            steps.enter("dns")
            found = await asyncio.get_running_loop().getaddrinfo(*key, type=socket.SOCK_STREAM)
            steps.end()
            self._addresses[key] = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        return self._addresses[key]


async def small_body(response: httpx.Response, limit: int = _MAX_SMALL) -> bytes:
    """Read a body whole, so that its connection can be used again. Broken if it is over `limit` bytes."""
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > limit:
            raise Broken(f"an answer of more than {limit} bytes")
    await response.aclose()
    return body


def reason_of(error: BaseException) -> str:
    """Why, in a few words, from the innermost cause that says it."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return INTERRUPTED
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return "no answer in time"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate not accepted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS: {(cause.reason or str(cause)).lower().replace('_', ' ')}"
        if isinstance(cause, socket.gaierror):
            return (cause.strerror or str(cause)).lower()
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno).lower()
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__


def _read_token(status: int, body: bytes) -> tuple[str, float]:
    """(Authorization header, seconds to keep it): nine tenths of its life."""
    if status != 200:
        raise Broken(f"the token server answered {status}")
    try:
        document = json.loads(body)
        token = document.get("token") or document["access_token"]
        seconds = float(document.get("expires_in") or _DEFAULT_EXPIRY)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise Broken("the token server's answer holds no token") from error
    if not re.fullmatch(r"[\x21-\x7e]+", str(token)):
        raise Broken("the token server's token is no token")
    return f"Bearer {token}", 0.9 * seconds


def _joined(base: httpx.URL, location: str) -> httpx.URL:
    try:
        url = base.join(location)
    except httpx.InvalidURL as error:
        raise Broken("sent to an address that is no URL") from error
    if not location or url.scheme not in ("http", "https") or not url.host:
        raise Broken("sent to an address that is no URL of HTTP")
    return url.copy_with(userinfo=b"", fragment=None)


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, _port(url)


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
