"""One registry's images over the distribution API (OCI distribution specification 1.1): look and delete.

Basic or Bearer, as the registry asks for it; never redirected, so that a password stays with its host.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx

from collectors.exchange import USER_AGENT, reason_of, tls_context
from collectors.pulling.faults import Broken
from collectors.pulling.images import ACCEPT, MAX_MANIFEST
from collectors.pulling.tokens import Credentials, read_challenge, read_token
from seawall.core.errors import Conflict, NotFound, Refused, StoreUnavailable

_LAST = re.compile(r"<[^>]*[?&]last=([^&>]+)[^>]*>\s*;[^,]*rel=\"?next\"?")


@dataclass(frozen=True, slots=True)
class Held:
    """A manifest that the registry holds: its bytes' digest, type, size in bytes, and what it says."""

    digest: str
    media_type: str
    size: int
    document: Mapping[str, Any]


class ImageRegistry:
    """An async context manager. NotFound, Refused (401, 403), Conflict (deletion is off), StoreUnavailable
    (no answer, or one of another kind)."""

    def __init__(
        self, url: str, login: Credentials | None = None, ca_file: str | None = None, timeout: float = 10.0
    ) -> None:
        self._url, self._login = url.rstrip("/"), login
        self._ca_file, self._timeout = ca_file, timeout
        self._client: httpx.AsyncClient | None = None
        self._headers: dict[str, str] = {}

    async def __aenter__(self) -> "ImageRegistry":
        self._client = httpx.AsyncClient(
            verify=tls_context(self._ca_file),
            trust_env=False,
            timeout=self._timeout,
            headers={"user-agent": USER_AGENT},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def repositories(self, most: int, last: str | None) -> tuple[list[str], str | None]:
        """Up to `most` names after `last`, and the last one if there are more."""
        return await self._names("_catalog", "registry:catalog:*", "repositories", most, last)

    async def tags(self, repository: str, most: int, last: str | None = None) -> tuple[list[str], str | None]:
        """Up to `most` tags after `last`, and the last one if there are more."""
        path = f"{repository}/tags/list"
        return await self._names(path, f"repository:{repository}:pull", "tags", most, last)

    async def _names(
        self, path: str, scope: str, key: str, most: int, last: str | None
    ) -> tuple[list[str], str | None]:
        query = {"n": str(most), **({"last": last} if last else {})}
        answer = await self._ask("GET", path, scope, query=query)
        try:
            listed = answer.json().get(key) or []
            found = [str(it) for it in listed]
        except (ValueError, AttributeError, TypeError) as error:
            raise StoreUnavailable(f"{self._url}: {path} is no list") from error
        more = _LAST.search(answer.headers.get("link", "")) is not None and bool(found)
        return found, found[-1] if more else None

    async def digest_of(self, repository: str, tag: str) -> str:
        """The digest that a tag names."""
        scope = f"repository:{repository}:pull"
        answer = await self._ask("HEAD", f"{repository}/manifests/{tag}", scope, ACCEPT)
        return answer.headers.get("docker-content-digest") or (await self.manifest(repository, tag)).digest

    async def manifest(self, repository: str, reference: str) -> Held:
        """A manifest by tag or digest."""
        scope = f"repository:{repository}:pull"
        answer = await self._ask("GET", f"{repository}/manifests/{reference}", scope, ACCEPT)
        if len(answer.content) > MAX_MANIFEST:
            raise StoreUnavailable(f"{self._url}: the manifest {reference} is over {MAX_MANIFEST} bytes")
        algorithm = reference.partition(":")[0] if ":" in reference else "sha256"
        digest = f"{algorithm}:{hashlib.new(algorithm, answer.content).hexdigest()}"
        if ":" in reference and digest != reference:
            raise StoreUnavailable(f"{self._url}: what it gives for {reference} has another digest")
        try:
            document = json.loads(answer.content)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise StoreUnavailable(f"{self._url}: the manifest {reference} is no JSON object")
        kind = str(document.get("mediaType") or answer.headers.get("content-type", "").partition(";")[0])
        return Held(digest, kind, len(answer.content), document)

    async def delete(self, repository: str, digest: str) -> None:
        """Delete a manifest, and the tags that name it."""
        await self._ask("DELETE", f"{repository}/manifests/{digest}", f"repository:{repository}:delete")

    async def _ask(
        self, verb: str, path: str, scope: str, accept: str = "*/*", query: Mapping[str, str] | None = None
    ) -> httpx.Response:
        url, headers = f"{self._url}/v2/{path}", {"accept": accept}
        try:
            answer = await self._send(verb, url, {**headers, **self._header(scope)}, query)
            if answer.status_code == 401:
                self._headers[scope] = await self._authorise(answer, scope)
                answer = await self._send(verb, url, {**headers, **self._header(scope)}, query)
        except (httpx.HTTPError, Broken) as error:
            raise StoreUnavailable(f"{self._url}: {reason_of(error)}") from error
        self._refuse(answer, verb, path)
        return answer

    async def _send(
        self, verb: str, url: str, headers: Mapping[str, str], query: Mapping[str, str] | None = None
    ) -> httpx.Response:
        assert self._client is not None, "used outside `async with`"  # noqa: S101
        return await self._client.request(verb, url, headers=dict(headers), params=query)

    def _header(self, scope: str) -> dict[str, str]:
        return {"authorization": kept} if (kept := self._headers.get(scope)) else {}

    async def _authorise(self, answer: httpx.Response, scope: str) -> str:
        challenge = read_challenge(answer.headers.get("www-authenticate", ""))
        if challenge.scheme == "basic" and self._login:
            return self._login.basic()
        realm = challenge.parameters.get("realm", "")
        if challenge.scheme != "bearer" or urlsplit(realm).scheme not in ("http", "https"):
            raise Refused(f"{self._url} asks for a login; set username and password_file of the registry")
        wanted = {"service": challenge.parameters.get("service", ""), "scope": scope}
        login = {"authorization": self._login.basic()} if self._login else {}
        told = await self._send("GET", realm, login, wanted)
        return read_token(told.status_code, told.content, None)[0]

    def _refuse(self, answer: httpx.Response, verb: str, path: str) -> None:
        code = answer.status_code
        if code in (200, 202):
            return
        if code == 404:
            raise NotFound(f"{self._url} has no {path}")
        if code in (401, 403):
            raise Refused(f"{self._url} does not let Seawall's account {verb} {path} ({code})")
        if code == 405 and verb == "DELETE":
            raise Conflict(f"{self._url} does not delete; set storage.delete.enabled there, and restart it")
        raise StoreUnavailable(f"{self._url}: {verb} {path} answered {code}")
