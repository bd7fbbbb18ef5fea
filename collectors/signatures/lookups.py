"""Bounded questions to a registry about one repository; every answer's content is held against its digest."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from collectors.exchange import reason_of
from collectors.pulling.exchange import Exchange
from collectors.pulling.faults import Broken, Denied
from collectors.pulling.images import ACCEPT, DIGEST, MAX_MANIFEST
from collectors.pulling.phases import Slow, Steps
from collectors.pulling.wire import Response

MAX_BLOB = 4 << 20  # bytes of a signature's payload or envelope
MAX_PAGES = 16  # of a list
# What registries without the route answer, as go-containerregistry and so cosign take it; 5xx is a failure.
_NO_ROUTE = (400, 404, 405, 406)
_NEXT = re.compile(r"<([^>]+)>\s*;[^,]*\brel=\"?next\"?")


class LookupFailed(Exception):
    """A question without an answer: it says what was asked, and why there is none."""


class BadContent(Exception):
    """The answer is not the content that the digest names, or not what it claims to be."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest's bytes as they are hashed and signed, and what they say."""

    digest: str
    media_type: str
    body: bytes
    document: Mapping[str, Any]


class Lookups:
    """Look-ups in one repository over one exchange; LookupFailed where the registry gives no answer."""

    def __init__(self, exchange: Exchange, repository: str) -> None:
        self._exchange, self.repository = exchange, repository
        self._scope = f"repository:{repository}:pull"

    async def manifest(self, reference: str) -> Manifest | None:
        """By tag or digest; None if there is none. BadContent if it is not what its digest says."""
        what = f"manifest {_short(reference)}"
        status, headers, body = await self._get(f"manifests/{reference}", what, MAX_MANIFEST, ACCEPT)
        if status == 404:
            return None
        if status != 200:
            raise LookupFailed(f"{what}: the registry answered {status}")
        named = reference if DIGEST.fullmatch(reference) else headers.get("docker-content-digest", "")
        algorithm = named.partition(":")[0] if DIGEST.fullmatch(named) else "sha256"
        digest = f"{algorithm}:{hashlib.new(algorithm, body).hexdigest()}"
        if named and named != digest:
            raise BadContent(f"{what}: its content has another digest")
        document = _lenient(body)
        media_type = str(document.get("mediaType") or headers.get("content-type", "").partition(";")[0])
        return Manifest(digest, media_type.strip(), body, document)

    async def blob(self, digest: str, size: object) -> bytes:
        """A small blob. BadContent if it is not there, too large, or not what its digest says."""
        what = f"blob {_short(digest)}"
        if not DIGEST.fullmatch(digest):
            raise BadContent("a blob is named by no digest")
        if type(size) is not int or not 0 <= size <= MAX_BLOB:
            raise BadContent(f"{what}: its size is not within {MAX_BLOB} bytes")
        status, _, body = await self._get(f"blobs/{digest}", what, MAX_BLOB)
        if status == 404:
            raise BadContent(f"{what} is missing")
        if status != 200:
            raise LookupFailed(f"{what}: the registry answered {status}")
        algorithm, _, expected = digest.partition(":")
        if len(body) != size or hashlib.new(algorithm, body).hexdigest() != expected:
            raise BadContent(f"{what}: its content has another digest")
        return body

    async def referrers(self, digest: str) -> list[Mapping[str, Any]] | None:
        """Descriptors of what names `digest` as its subject (OCI distribution 1.1); None if the registry has
        no such route."""
        found: list[Mapping[str, Any]] = []
        path, what = f"referrers/{digest}", f"referrers of {_short(digest)}"
        for _ in range(MAX_PAGES):
            status, headers, body = await self._get(path, what, MAX_MANIFEST)
            if status in _NO_ROUTE and not found:
                return None
            if status != 200:
                raise LookupFailed(f"{what}: the registry answered {status}")
            found += _listed(body, what)
            path = self._next(headers.get("link", ""))
            if not path:
                return found
        raise LookupFailed(f"{what}: more than {MAX_PAGES} pages")

    async def tags(self, most: int) -> list[str]:
        """The first tags of the repository, at most so many."""
        what = "list of tags"
        status, _, body = await self._get(f"tags/list?n={most}", what, MAX_MANIFEST)
        if status == 404:
            return []
        if status != 200:
            raise LookupFailed(f"{what}: the registry answered {status}")
        listed = _lenient(body).get("tags")
        return [str(tag) for tag in listed][:most] if isinstance(listed, list) else []

    def _next(self, link: str) -> str:
        """The next page's path below the repository, from a Link header (RFC 8288), "" if it is the last."""
        match = _NEXT.search(link)
        if not match:
            return ""
        parts = urlsplit(match[1])
        _, found, rest = parts.path.partition(f"/v2/{self.repository}/")
        if not found:
            raise LookupFailed("the next page of the referrers is in another repository")
        return f"{rest}?{parts.query}" if parts.query else rest

    async def _get(
        self, path: str, what: str, limit: int, accept: str = "*/*"
    ) -> tuple[int, Mapping[str, str], bytes]:
        async def read(response: Response, steps: Steps) -> tuple[int, Mapping[str, str], bytes]:
            said = f"answered {response.status}"
            if response.status != 200 and (told := steps.blame(said)) != said:
                raise LookupFailed(f"{what}: {told}")  # another host's 404 is not the registry's
            return response.status, response.headers, await response.read(limit)

        url = f"/v2/{self.repository}/{quote(path, safe='/:?=&+%._-~')}"
        try:
            answer = await self._exchange.get(url, "signature", self._scope, read, accept)
        except (Broken, Slow, Denied) as error:
            raise LookupFailed(f"{what}: {error}") from error
        except OSError as error:
            raise LookupFailed(f"{what}: {reason_of(error)}") from error
        if answer[0] in (401, 403):
            raise LookupFailed(f"{what}: the registry answered {answer[0]}")
        return answer


def _lenient(body: bytes) -> Mapping[str, Any]:
    """A JSON object; an empty one for what is none: a manifest is judged by what it says."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _listed(body: bytes, what: str) -> list[Mapping[str, Any]]:
    """The descriptors of an image index."""
    listed = _lenient(body).get("manifests")
    if not isinstance(listed, list):
        raise LookupFailed(f"{what}: the answer is no image index")
    return [it for it in listed if isinstance(it, dict)]


def strict_json(body: bytes) -> object:
    """UTF-8 JSON (RFC 8259) without duplicate keys, which two readers could read differently. BadContent."""
    try:
        return json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadContent("no JSON") from error


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _short(reference: str) -> str:
    return reference[:19] if ":" in reference else reference[:80]
