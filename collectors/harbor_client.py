"""Harbor's REST API (v2.0, https://goharbor.io/docs/latest/build-customize-contribute/configure-swagger/),
read one JSON answer at a time; every refusal is told with its remedy.

Requests are GETs that never follow a redirect, so that the password stays with the configured host.
"""

import json
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, NamedTuple

import httpx

from collectors.exchange import USER_AGENT, reason_of, tls_context
from seawall.core.errors import InputError

MAX_ANSWER = 16 << 20  # bytes
_ROOT = "/api/v2.0"
_PAUSE = 60.0  # seconds that are waited after a 429 that names none


class Answer(NamedTuple):
    """A JSON document; `more` says that the list goes on after this page, None where Harbor does not tell."""

    document: Any
    more: bool | None


class HarborClient:
    """GETs below `url`/api/v2.0 as a user or a robot account (Basic); an async context manager."""

    def __init__(
        self,
        url: str,
        username: str | None = None,
        password: Callable[[], str] | None = None,
        ca_file: str | None = None,
        timeout: float = 10.0,
    ) -> None:
        self.url, self._username, self._password = url.rstrip("/"), username, password
        self._ca_file, self._timeout = ca_file, timeout
        self._client: httpx.AsyncClient | None = None
        self._quiet_until = 0.0

    async def __aenter__(self) -> "HarborClient":
        login = (self._username, self._password()) if self._username and self._password else None
        self._client = httpx.AsyncClient(
            base_url=f"{self.url}{_ROOT}",
            auth=login,
            verify=tls_context(self._ca_file),
            trust_env=False,
            timeout=self._timeout,
            headers={"user-agent": USER_AGENT, "accept": "application/json"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def get(
        self, path: str, query: Mapping[str, str | int], headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One answer. NotThere for 404, InputError for whatever else is no JSON answer of 200."""
        response, body = await self._answer(path, query, headers or {})
        try:
            return Answer(json.loads(body), _more(response))
        except (ValueError, RecursionError) as error:
            remedy = "name Harbor's own address as url, not that of a page before it"
            raise InputError(self._place(path), "answered 200 without JSON", remedy) from error

    async def text(self, path: str) -> str:
        """An answer of text, such as a job's log. Errors as of `get`."""
        _, body = await self._answer(path, {}, {"accept": "text/plain"})
        return body.decode("utf-8", "replace")

    async def _answer(
        self, path: str, query: Mapping[str, str | int], headers: Mapping[str, str]
    ) -> tuple[httpx.Response, bytes]:
        assert self._client is not None  # noqa: S101 - used within `async with` only
        self._keep_quiet(path)
        request = self._client.build_request("GET", path, params=dict(query), headers=dict(headers))
        try:
            response = await self._client.send(request, stream=True)
            try:
                body = await self._body(response, path)
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = "half an answer" if isinstance(error, httpx.RemoteProtocolError) else reason_of(error)
            remedy = "is this Harbor's address, and is its core up?"
            raise InputError(self._place(path), reason, remedy) from error
        self._refuse(response, path)
        return response, body

    def _place(self, path: str) -> str:
        return f"{self.url}{_ROOT}{path}"

    async def _body(self, response: httpx.Response, path: str) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_ANSWER:
                finding = f"an answer of more than {MAX_ANSWER} bytes"
                raise TooLong(self._place(path), finding, "name Harbor's own address as url")
        return bytes(body)

    def _keep_quiet(self, path: str) -> None:
        left = self._quiet_until - time.monotonic()
        if left > 0:
            raise InputError(self._place(path), "answered 429", f"it is asked again in {left:.0f} s")

    def _refuse(self, response: httpx.Response, path: str) -> None:
        status, place = response.status_code, self._place(path)
        if status == 200:
            return
        if status == 404:
            raise NotThere(place, "answered 404", "this Harbor does not have it")
        if status == 429:
            self._quiet_until = time.monotonic() + _wait_of(response)
        raise InputError(place, f"answered {status}", _REMEDIES.get(status, "see Harbor's core log"))


class NotThere(InputError):
    """Harbor has no such thing (404): another version, or it was deleted meanwhile."""


class TooLong(InputError):
    """An answer of more than `MAX_ANSWER` bytes."""


_REMEDIES = {
    401: "the user name or password is wrong, or the robot account has expired",
    403: "this account may not read it; use one with the right to (docs/events.md says which)",
    429: "Harbor limits requests; it is asked again later",
}


def _wait_of(response: httpx.Response) -> float:
    given = response.headers.get("retry-after", "")
    return min(float(given), 3600.0) if given.isdigit() else _PAUSE


def _more(response: httpx.Response) -> bool | None:
    """What the header Link says of a next page (RFC 8288)."""
    link = response.headers.get("link")
    return None if link is None else 'rel="next"' in link.replace("rel=next", 'rel="next"')
