"""Requests to one registry: tokens and redirects, with the rules on who may see what.

A password goes to the registry and to the token server that it names, a token and a client certificate to
the registry alone, and nothing of them to a host that a redirect names, nor to plain HTTP from HTTPS.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TypeVar
from urllib.parse import urlencode

from collectors.exchange import USER_AGENT, TlsFiles, reason_of
from collectors.pulling.address import Url, parse_url
from collectors.pulling.dial import Dialler, Route
from collectors.pulling.faults import Broken, Denied, Gone
from collectors.pulling.phases import LIMITS, Slow, Steps, Timeline
from collectors.pulling.tokens import Credentials, Tokens, read_challenge, read_date, read_token
from collectors.pulling.wire import Connection, Response

MAX_REDIRECTS = 5
SKEW = 5.0  # seconds between two clocks that are worth a word
_REDIRECTS = (301, 302, 303, 307, 308)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A registry as one site reaches it. `limits`: seconds by phase."""

    url: str
    credentials: Credentials | None = None
    tls: TlsFiles = field(default_factory=TlsFiles)
    route: Route = field(default_factory=Route)
    limits: Mapping[str, float] = field(default_factory=lambda: LIMITS)

    @property
    def netloc(self) -> str:
        """The registry's host, with its port unless it is the scheme's."""
        return parse_url(self.url).netloc


class Exchange:
    """Requests of one pull over connections of its own, each kept for the next request of that pull; an
    async context manager."""

    def __init__(self, endpoint: Endpoint, timeline: Timeline, tokens: Tokens | None = None) -> None:
        self._home = parse_url(endpoint.url.rstrip("/"))
        self._endpoint, self._timeline = endpoint, timeline
        self._tokens = tokens if tokens is not None else Tokens()
        self._dialler = Dialler(self._home.host, endpoint.route)
        self._links: dict[tuple[str, str, int], list[Connection]] = {}
        self._token_host = ""

    async def __aenter__(self) -> "Exchange":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for links in self._links.values():
            for link in links:
                link.abort()

    async def get(
        self,
        path: str,
        phase: str,
        scope: str,
        read: Callable[[Response, Steps], Awaitable[_T]],
        accept: str = "*/*",
    ) -> _T:
        """GET a path of the registry, authorised and redirected as needed, and `read` the answer (any
        status, its body unread). The phase that was current when something failed carries the error."""
        alarm = asyncio.timeout(None)
        steps = Steps(self._timeline, path.rpartition("/")[2], self._endpoint.limits, alarm)
        try:
            async with alarm:
                response = await self._follow(self._url(path), phase, scope, accept, steps)
                return await read(response, steps)
        except (OSError, Broken) as error:
            raise _told(error, steps) from error
        except BaseException as error:
            steps.end(reason_of(error))
            raise
        finally:
            steps.end()

    def _url(self, path: str) -> Url:
        return self._home._replace(target=self._home.target.rstrip("/") + path)

    async def _follow(self, url: Url, phase: str, scope: str, accept: str, steps: Steps) -> Response:
        response = await self._authorised(url, phase, scope, accept, steps)
        seen = {url}
        while response.status in _REDIRECTS:
            steps.end_as("redirect")
            await response.read()
            url = url.join(response.headers.get("location", ""))
            if url in seen:
                raise Broken(f"redirect loop: back at {url.netloc}")
            if len(seen) > MAX_REDIRECTS:
                raise Broken(f"more than {MAX_REDIRECTS} redirects")
            seen.add(url)
            at_home = url.origin == self._home.origin
            steps.elsewhere("redirect", "" if at_home else f"sent to {url.netloc}")
            header = self._tokens.get(scope) if at_home else None
            response = await self._send(url, phase, steps, accept, header)
        return response

    async def _authorised(self, url: Url, phase: str, scope: str, accept: str, steps: Steps) -> Response:
        response = await self._send(url, phase, steps, accept, self._tokens.get(scope))
        if response.status != 401 or not scope:
            return response
        steps.end_as("auth_token")
        await response.read()
        header = await self._answer(response.headers.get("www-authenticate", ""), scope, steps)
        response = await self._send(url, phase, steps, accept, header)
        if response.status == 401 and header.startswith("Bearer"):
            self._tokens.kept.pop(scope, None)
            error = read_challenge(response.headers.get("www-authenticate", "")).parameters.get("error", "")
            raise Denied(401, f"401 after a fresh token{f' ({error})' if error else ''}{self._clocks()}")
        return response

    async def _answer(self, header: str, scope: str, steps: Steps) -> str:
        """Answer a 401's challenge; the header is kept in `tokens`."""
        challenge, login = read_challenge(header), self._endpoint.credentials
        if challenge.scheme == "bearer":
            answer, seconds = await self._token(challenge.parameters, scope, steps)
        elif challenge.scheme == "basic" and login:
            answer, seconds = login.basic(), float("inf")
        else:
            raise Denied(401, "the registry asks for a password and none is configured")
        self._tokens.keep(scope, answer, seconds)
        return answer

    async def _token(self, challenge: Mapping[str, str], scope: str, steps: Steps) -> tuple[str, float]:
        realm, login = self._home.join(challenge.get("realm", "")), self._endpoint.credentials
        if login and self._home.scheme == "https" and realm.scheme != "https":
            raise Broken("the token realm is plain HTTP; the password is not sent there")
        asked = {"service": challenge.get("service", ""), "scope": challenge.get("scope", scope)}
        query = urlencode({key: value for key, value in asked.items() if value})
        url = realm._replace(target=f"{realm.target}{'&' if '?' in realm.target else '?'}{query}")
        header = login.basic() if login else None
        steps.elsewhere("auth_token", "" if url.origin == self._home.origin else f"token server {url.netloc}")
        response = await self._send(url, "auth_token", steps, "application/json", header)
        body = await response.read()
        if 400 <= response.status < 500:
            raise Denied(response.status, f"the token server answered {response.status}")
        date = read_date(response.headers.get("date"))
        self._token_host = url.netloc
        token = read_token(response.status, body, date)
        steps.elsewhere("", "")
        return token

    def _clocks(self) -> str:
        """What may be wrong with a fresh token: the two servers do not agree on the time."""
        skews = self._timeline.skews
        ahead = skews.get(self._token_host, 0.0) - skews.get(self._home.netloc, 0.0)
        if abs(ahead) <= SKEW:
            return ""
        return f"; the token server's clock is {told_skew(ahead)} the registry's"

    async def _send(
        self, url: Url, phase: str, steps: Steps, accept: str, authorization: str | None
    ) -> Response:
        """One request, over a connection of this pull that is free, else over a new one."""
        headers = [("user-agent", USER_AGENT), ("accept", accept)]
        if authorization:
            headers.append(("authorization", authorization))
        links = self._links.setdefault(url.origin, [])
        link = next((it for it in links if it.usable), None)
        if link is not None:
            try:
                steps.enter(phase)
                return self._dated(url, await link.get(url, headers))
            except (Gone, ConnectionError):  # kept too long by the other side: RFC 9112 section 9.3.1
                steps.end()
        tls = self._endpoint.tls.context(url.origin == self._home.origin) if url.scheme == "https" else None
        link = await self._dialler.open(url, tls, steps)
        links.append(link)
        steps.enter(phase)
        return self._dated(url, await link.get(url, headers))

    def _dated(self, url: Url, response: Response) -> Response:
        date = read_date(response.headers.get("date"))
        if date is not None and url.netloc not in self._timeline.skews:
            self._timeline.clock(url.netloc, date)
        return response


def _told(error: OSError | Broken, steps: Steps) -> Broken | Slow:
    """The error as it is told, with the other server's name if it is one's; its phase carries it."""
    if isinstance(error, TimeoutError) and error.errno is None:  # the alarm's, or the last address's share
        return steps.slow()
    if isinstance(error, ssl.SSLError):  # TLS 1.3: an alert after the handshake
        steps.end_as("tls")
    return Broken(steps.blame(reason_of(error) if isinstance(error, OSError) else str(error)))


def told_skew(seconds: float) -> str:
    """`120 s ahead of` or `120 s behind`."""
    return f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'}"
