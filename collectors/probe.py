"""A synthetic pull: an image (or GET /v2/) fetched as a client does, measured by phases, every byte verified.

Healthy is a registry that answers: 401, 403 and 404 on the image are noted and no failure, 429 only if asked
for; 5xx, time-outs, TLS and connection errors are failures (registries.md section 4). A failure is data.
"""

import asyncio
import hashlib
import json
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from collectors.exchange import (
    INTERRUPTED,
    Broken,
    Credentials,
    Denied,
    Exchange,
    Phase,
    Timeline,
    Tokens,
    reason_of,
    small_body,
    tls_context,
)
from seawall.core.errors import InputError
from seawall.core.signals import PROBE_DURATION, PROBE_SUCCESS, Batch, Event, Sample, labels
from seawall.core.times import rfc3339

PHASES = (
    "dns", "connect", "tls", "auth_token", "manifest_index", "manifest_child", "blob_ttfb", "blob_transfer",
    "redirect", "base",
)  # fmt: skip
MAX_MANIFEST = 4 << 20  # bytes, the limit of the distribution specification
PARALLEL_BLOBS = 3  # as containerd
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_ACCEPT = ", ".join(
    (
        *_INDEXES,
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
_HOST = re.compile(r"(?:[\w.-]+|\[[0-9a-fA-F:]+\])(?::\d+)?|", re.ASCII)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_REMEDY = "write it like registry.example.com:5000/team/app:1.0 or .../team/app@sha256:<64 hex digits>"
_EXPECTED = (Broken, Denied, httpx.HTTPError, httpx.InvalidURL, OSError)
_PARALLEL = ("blob_ttfb", "blob_transfer")


@dataclass(frozen=True, slots=True)
class Image:
    """`host` is "" where none is named; `reference` is a tag or a digest."""

    host: str
    repository: str
    reference: str


@dataclass(frozen=True, slots=True)
class Pull:
    """One probe. `ok`: the registry is healthy; else `phase` and `reason` say what failed. `note`: why a
    healthy registry did not give the image. `seconds` and `bytes` are totals."""

    ok: bool
    phase: str
    reason: str
    note: str
    seconds: float
    bytes: int
    phases: tuple[Phase, ...]

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


def parse_image(text: str) -> Image:
    """`host:port/repo/name:tag` or `...@sha256:...` -> Image; the tag defaults to `latest`.

    As docker does, the first part is a host if it has a dot or a port or is `localhost`. InputError.
    """
    rest, at, digest = text.strip().partition("@")
    first, slash, remainder = rest.partition("/")
    host = first if slash and ("." in first or ":" in first or first == "localhost") else ""
    name = remainder if host else rest
    repository, _, tag = name.partition(":")
    reference = digest if at else tag or "latest"
    valid = _DIGEST.fullmatch(reference) if at else _TAG.fullmatch(reference)
    named = _HOST.fullmatch(host) and _REPOSITORY.fullmatch(repository) and not name.endswith(":")
    if not valid or not named:
        raise InputError(f"image {text!r}", "no image reference", _REMEDY)
    return Image(host, repository, reference)


async def probe(
    url: str,
    image: Image | None,
    deadline: float,
    credentials: Credentials | None = None,
    tls: ssl.SSLContext | None = None,
    tokens: Tokens | None = None,
    throttling_fails: bool = False,
) -> Pull:
    """Pull `image` from the registry at `url` over fresh connections, within `deadline` seconds in all;
    without an image GET /v2/. Never raises for what the registry does."""
    tls = tls or tls_context(None)
    timeline, note, failure = Timeline(), "", ""
    try:
        async with asyncio.timeout(deadline):
            async with Exchange(url, timeline, deadline, credentials, tls, tokens) as exchange:
                await (_pull(exchange, image) if image else _ask_base(exchange))
    except (*_EXPECTED, ExceptionGroup) as error:
        cause = _first(error)
        if not isinstance(cause, _EXPECTED):
            raise cause from error
        if isinstance(cause, Denied) and not (cause.status == 429 and throttling_fails):
            note = str(cause)
        elif isinstance(cause, TimeoutError | httpx.TimeoutException):
            failure = f"no answer within {deadline:g} s"
        else:
            failure = reason_of(cause)
    return _judged(timeline, note, failure)


def _judged(timeline: Timeline, note: str, failure: str) -> Pull:
    phases, seconds = tuple(timeline.phases), timeline.elapsed()
    size = sum(phase.bytes for phase in phases)
    if not failure:
        return Pull(True, "", "", note, seconds, size, phases)
    failed = [p for p in phases if p.error and p.error != INTERRUPTED] or [p for p in phases if p.error]
    phase = (failed or phases[-1:] or [Phase("request", 0.0)])[0]
    phase.error = failure
    return Pull(False, phase.name, failure, "", seconds, size, phases)


def _first(error: BaseException) -> BaseException:
    """The first error of a group of parallel blobs."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _ask_base(exchange: Exchange) -> None:
    async with exchange.get("/v2/", "base", "") as (response, _):
        await small_body(response)
        status = response.status_code
        if status == 404:
            raise Broken("GET /v2/ answered 404: no registry at this URL")
        if status not in (401, 403):
            _refuse(status, "GET /v2/")


async def _pull(exchange: Exchange, image: Image) -> None:
    scope = f"repository:{image.repository}:pull"
    document = await _manifest(exchange, image, image.reference, "manifest_index", scope)
    if "manifests" in document:
        digest = _platform(document)
        document = await _manifest(exchange, image, digest, "manifest_child", scope)
    turns = asyncio.Semaphore(PARALLEL_BLOBS)
    async with asyncio.TaskGroup() as tasks:
        for digest, size in _blobs(document).items():
            tasks.create_task(_blob(exchange, image, digest, size, scope, turns))


async def _manifest(
    exchange: Exchange, image: Image, reference: str, phase: str, scope: str
) -> dict[str, Any]:
    path = f"/v2/{image.repository}/manifests/{reference}"
    async with exchange.get(path, phase, scope, _ACCEPT) as (response, steps):
        body = await small_body(response, MAX_MANIFEST)
        _refuse(response.status_code, f"manifest {reference}")
        steps.enter(phase).bytes += len(body)
        expected = reference if ":" in reference else response.headers.get("docker-content-digest", "")
        if expected:
            _verify(expected, _hasher(expected, body).hexdigest())
        return _json_manifest(body)


async def _blob(
    exchange: Exchange, image: Image, digest: str, size: int, scope: str, turns: asyncio.Semaphore
) -> None:
    path = f"/v2/{image.repository}/blobs/{digest}"
    async with turns, exchange.get(path, "blob_ttfb", scope) as (response, steps):
        if response.status_code != 200:
            await small_body(response)
            _refuse(response.status_code, f"blob {digest[:19]}")
        transfer, hasher = steps.enter("blob_transfer"), _hasher(digest)
        async for chunk in response.aiter_raw():
            hasher.update(chunk)
            transfer.bytes += len(chunk)
            if transfer.bytes > size:
                raise Broken(f"blob {digest[:19]} is longer than the {size} bytes of its manifest")
        _verify(digest, hasher.hexdigest())


def _refuse(status: int, what: str) -> None:
    """Denied or Broken, unless the status is 200."""
    if status in (401, 403, 404, 429):
        raise Denied(status, f"{what}: the registry answered {status}")
    if status != 200:
        raise Broken(f"{what}: the registry answered {status}")


def _hasher(digest: str, data: bytes = b"") -> "hashlib._Hash":
    if not _DIGEST.fullmatch(digest):
        raise Broken(f"{digest[:80]!r} is no digest")
    return hashlib.new(digest.partition(":")[0], data)


def _verify(expected: str, hexadecimal: str) -> None:
    if expected.partition(":")[2] != hexadecimal:
        raise Broken(f"wrong content: its digest is {hexadecimal[:12]}..., not {expected[:19]}...")


def _json_manifest(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Broken("the manifest is no JSON") from error
    if not isinstance(document, dict):
        raise Broken("the manifest is no JSON object")
    return document


def _platform(index: Mapping[str, Any]) -> str:
    """The digest of linux/amd64 in an index, else of its first manifest."""
    found = [entry for entry in index["manifests"] or () if isinstance(entry, dict)]
    if not found:
        raise Denied(404, "the index holds no manifest")
    wanted = {"os": "linux", "architecture": "amd64"}
    for entry in found:
        platform = entry.get("platform")
        if isinstance(platform, dict) and wanted.items() <= platform.items():
            return str(entry.get("digest"))
    return str(found[0].get("digest"))


def _blobs(manifest: Mapping[str, Any]) -> dict[str, int]:
    """Digest -> size of the config and the layers that the registry itself holds."""
    layers = manifest.get("layers")
    entries = [manifest.get("config"), *(layers if isinstance(layers, list) else [])]
    blobs = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("size"), int):
            raise Broken("the manifest names a config or layer without digest and size")
        if not entry.get("urls"):
            blobs[str(entry.get("digest"))] = entry["size"]
    return blobs


class PullProbe:
    """Collector: one synthetic pull a round, from this site.

    Samples seawall_probe_success{site} and seawall_probe_duration_seconds{site,phase} (phase total: the
    whole of a pull that succeeded); a failure is an Event and a note too. `password` is asked for at use.
    """

    def __init__(
        self,
        registry: str,
        site: str,
        url: str,
        image: str | None = None,
        username: str | None = None,
        password: Callable[[], str] | None = None,
        ca_file: str | None = None,
        interval: float = 10.0,
        timeout: float = 5.0,
        throttling_fails: bool = False,
    ) -> None:
        self.name, self.registry, self.interval, self.timeout = "probe", registry, interval, timeout
        self.site, self._url, self._ca_file = site, url, ca_file
        self._image = _image_of(url, image) if image else None
        self._credentials = Credentials(username, password) if username and password else None
        self._tokens, self._throttling_fails = Tokens(), throttling_fails

    async def collect(self, now: float) -> Batch:
        """Pull once; a failing registry is data, not an error. InputError if the CA file cannot be read."""
        tls = tls_context(self._ca_file)
        pull = await probe(
            self._url, self._image, self.timeout, self._credentials, tls, self._tokens, self._throttling_fails
        )
        batch = Batch(samples=self._samples(pull, now))
        if pull.note:
            batch.notes.append(f"the image was not pulled: {pull.note}")
        if not pull.ok:
            batch.notes.append(_told(pull))
            batch.events.append(self._event(pull, now))
        return batch

    async def stored(self) -> None:
        """Nothing to advance: a probe has no position."""

    def _samples(self, pull: Pull, now: float) -> list[Sample]:
        success = Sample(self.registry, PROBE_SUCCESS, now, float(pull.ok), labels(site=self.site))
        phases = pull.seconds_by_phase() | ({"total": pull.seconds} if pull.ok else {})
        return [success] + [
            Sample(self.registry, PROBE_DURATION, now, seconds, labels(site=self.site, phase=phase))
            for phase, seconds in phases.items()
        ]

    def _event(self, pull: Pull, now: float) -> Event:
        fields = {
            "@timestamp": rfc3339(now),
            "event.dataset": "seawall.probe",
            "event.outcome": "failure",
            "event.duration": round(pull.seconds * 1e9),
            "message": f"synthetic pull failed: {_told(pull)}",
            "error.message": pull.reason,
            "registry.name": self.registry,
            "seawall.phase": pull.phase,
            "seawall.site": self.site,
        }
        name = f"probe\0{self.registry}\0{self.site}\0{now:.6f}"
        return Event(hashlib.blake2b(name.encode(), digest_size=16).hexdigest(), now, self.registry, fields)


def _told(pull: Pull) -> str:
    """`connect: connection refused after 0.4 ms`."""
    failed = next((p for p in pull.phases if p.error == pull.reason), None)
    seconds = failed.seconds if failed else pull.seconds
    return f"{pull.phase}: {pull.reason} after {seconds * 1000:.1f} ms"


def _image_of(url: str, image: str) -> Image:
    found, host = parse_image(image), httpx.URL(url).netloc.decode()
    if found.host not in ("", host):
        raise InputError(f"probe image {image!r}", f"another host than {host}", "leave the host out")
    return found
