"""One synthetic pull: an image (or GET /v2/) fetched as a client does, every byte verified.

Healthy is a registry that answers: 401, 403 and 404 on the image are noted and no failure, 429 only if asked
for; 5xx, time-outs, TLS and connection errors are failures (registries.md section 4). A failure is data.
"""

import asyncio
import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from collectors.exchange import INTERRUPTED, reason_of
from collectors.pulling.exchange import SKEW, Endpoint, Exchange, told_skew
from collectors.pulling.faults import Broken, Denied
from collectors.pulling.images import (
    ACCEPT,
    DIGEST,
    MAX_MANIFEST,
    Image,
    Platform,
    blobs_of,
    child_of,
    parse_image,
    read_manifest,
)
from collectors.pulling.phases import Phase, Slow, Steps, Timeline, too_late
from collectors.pulling.tokens import Tokens
from collectors.pulling.wire import Response
from seawall.core.errors import InputError

PARALLEL_BLOBS = 3  # as containerd
MAX_DEPTH = 3  # of indexes in indexes
VERIFIED, MISMATCH = "verified", "mismatch"
_EXPECTED = (Broken, Denied, Slow, OSError)
_PARALLEL = ("blob_ttfb", "blob_transfer")


@dataclass(frozen=True, slots=True)
class Pull:
    """One probe. `ok`: the registry is healthy; else `phase` and `reason` say what failed. `note`: why a
    healthy registry did not give the image. `seconds` and `bytes` are totals. `digests` counts verified and
    mismatch. `skew`: seconds by which the registry's clock is ahead of ours; None if that is not known.
    `late`: it failed because something did not come in time."""

    ok: bool
    phase: str
    reason: str
    note: str
    seconds: float
    bytes: int
    phases: tuple[Phase, ...]
    digests: Counter[str]
    skew: float | None = None
    late: bool = False

    def seconds_by_phase(self) -> dict[str, float]:
        """Phases that ended well: dns, connect and tls of the first connection; the slowest of the
        parallel blob phases; of the others the sum."""
        totals: dict[str, float] = {}
        for phase in self.phases:
            if phase.error:
                continue
            before = totals.get(phase.name, 0.0)
            if phase.name in _PARALLEL:
                totals[phase.name] = max(before, phase.seconds)
            elif phase.name in ("dns", "connect", "tls"):
                totals.setdefault(phase.name, phase.seconds)
            else:
                totals[phase.name] = before + phase.seconds
        return totals

    def clock(self) -> str:
        """`the registry's clock is 120 s behind ours`, or "" where the two agree to some seconds."""
        if self.skew is None or abs(self.skew) <= SKEW:
            return ""
        return f"the registry's clock is {told_skew(self.skew)} ours"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is pulled, and how long it may take in all. Without an image GET /v2/. `throttling_fails`: 429
    is a failure too."""

    image: Image | None
    deadline: float
    platform: Platform = field(default_factory=Platform)
    throttling_fails: bool = False


async def probe(
    endpoint: Endpoint, wanted: Wanted, tokens: Tokens | None = None, now: float | None = None
) -> Pull:
    """Pull over fresh connections. Never raises for what the registry does; InputError for files of ours.
    `now` is the time (Unix seconds) at which the registry's clock is looked at."""
    timeline, digests, note, failure, late = Timeline(now), Counter[str](), "", "", False
    try:
        async with asyncio.timeout(wanted.deadline):
            async with Exchange(endpoint, timeline, tokens) as exchange:
                if wanted.image:
                    await _Walk(exchange, wanted.image, digests).pull(wanted.platform)
                else:
                    await exchange.get("/v2/", "base", "", _base)
    except (*_EXPECTED, ExceptionGroup) as error:
        cause = _first(error)
        if not isinstance(cause, _EXPECTED):
            raise cause from error
        if isinstance(cause, Denied) and not (cause.status == 429 and wanted.throttling_fails):
            note = str(cause)
        elif isinstance(cause, TimeoutError) and not cause.errno:
            failure, late = too_late(_failed(timeline).name, wanted.deadline), True
        else:
            late = isinstance(cause, Slow)
            failure = str(cause) if isinstance(cause, Broken | Slow) else reason_of(cause)
    return replace(_judged(endpoint, timeline, digests, note, failure), late=late)


def _judged(endpoint: Endpoint, timeline: Timeline, digests: Counter[str], note: str, failure: str) -> Pull:
    phases, seconds = tuple(timeline.phases), timeline.elapsed()
    name = ""
    if failure:
        phase = _failed(timeline)
        phase.error, name = failure, phase.name
    skew = timeline.skews.get(endpoint.netloc)
    size = sum(phase.bytes for phase in phases)
    return Pull(not failure, name, failure, note, seconds, size, phases, digests, skew)


def _failed(timeline: Timeline) -> Phase:
    """The phase that failed: the first with an error of its own, else the first that was interrupted."""
    phases = timeline.phases
    failed = [p for p in phases if p.error and p.error != INTERRUPTED] or [p for p in phases if p.error]
    return (failed or phases[-1:] or [Phase("request", 0.0)])[0]


def _first(error: BaseException) -> BaseException:
    """The first error of a group of parallel blobs."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _base(response: Response, steps: Steps) -> None:
    await response.read()
    if response.status == 404:
        raise Broken("GET /v2/ answered 404: no registry at this URL")
    if response.status not in (401, 403):
        _refuse(response.status, "GET /v2/")


class _Walk:
    """From the tag to the last byte."""

    def __init__(self, exchange: Exchange, image: Image, digests: Counter[str]) -> None:
        self._exchange, self._digests = exchange, digests
        self._path = f"/v2/{image.repository}"
        self._reference = image.reference
        self._scope = f"repository:{image.repository}:pull"
        self._turns = asyncio.Semaphore(PARALLEL_BLOBS)

    async def pull(self, platform: Platform) -> None:
        """Manifest, then config and layers in parallel."""
        document = await self._manifest(self._reference, "manifest_index")
        for _ in range(MAX_DEPTH):
            if "manifests" not in document:
                break
            document = await self._manifest(child_of(document, platform), "manifest_child")
        else:
            raise Broken(f"indexes within indexes, {MAX_DEPTH} deep")
        async with asyncio.TaskGroup() as tasks:
            for digest, size in blobs_of(document).items():
                tasks.create_task(self._blob(digest, size))

    async def _manifest(self, reference: str, phase: str) -> dict[str, Any]:
        async def read(response: Response, steps: Steps) -> dict[str, Any]:
            body = await response.read(MAX_MANIFEST)
            _refuse(response.status, f"manifest {reference[:19]}")
            steps.enter(phase).bytes += len(body)
            expected = reference if ":" in reference else response.headers.get("docker-content-digest", "")
            if expected:
                self._verify(expected, _hasher(expected, body))
            return read_manifest(body)

        path = f"{self._path}/manifests/{reference}"
        return await self._exchange.get(path, phase, self._scope, read, ACCEPT)

    async def _blob(self, digest: str, size: int) -> None:
        async def read(response: Response, steps: Steps) -> None:
            if response.status != 200:
                await response.read()
                _refuse(response.status, f"blob {digest[:19]}")
            transfer, hasher = steps.enter("blob_transfer"), _hasher(digest)

            def count(chunk: bytes) -> None:
                hasher.update(chunk)
                transfer.bytes += len(chunk)
                if transfer.bytes > size:
                    raise Broken(f"blob {digest[:19]} is longer than the {size} bytes of its manifest")

            await response.drain(count)
            if transfer.bytes < size:
                raise Broken(f"short body: blob {digest[:19]} ended after {transfer.bytes} of {size} bytes")
            self._verify(digest, hasher)

        async with self._turns:
            await self._exchange.get(f"{self._path}/blobs/{digest}", "blob_ttfb", self._scope, read)

    def _verify(self, expected: str, hasher: "hashlib._Hash") -> None:
        found = hasher.hexdigest()
        good = expected.partition(":")[2] == found
        self._digests[VERIFIED if good else MISMATCH] += 1
        if not good:
            raise Broken(f"wrong content: its digest is {found[:12]}..., not {expected[:19]}...")


def _refuse(status: int, what: str) -> None:
    """Denied or Broken, unless the status is 200."""
    if status in (401, 403, 404, 429):
        raise Denied(status, f"{what}: the registry answered {status}")
    if status != 200:
        raise Broken(f"{what}: the registry answered {status}")


def _hasher(digest: str, data: bytes = b"") -> "hashlib._Hash":
    if not DIGEST.fullmatch(digest):
        raise Broken(f"{digest[:80]!r} is no digest")
    return hashlib.new(digest.partition(":")[0], data)


def image_of(url: str, text: str) -> Image:
    """A configured image; InputError if it names another host than the registry's URL."""
    found, host = parse_image(text), Endpoint(url).netloc
    if found.host not in ("", host):
        raise InputError(f"probe image {text!r}", f"another host than {host}", "leave the host out")
    return found
