"""Image references, platforms and manifests: what is to be pulled.

OCI image specification 1.1 (index, manifest), Docker image manifest version 2 schema 2, and their lists.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from collectors.pulling.faults import Broken, Denied
from seawall.core.errors import InputError

MAX_MANIFEST = 4 << 20  # bytes, the limit of the distribution specification
ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
_HOST = re.compile(r"(?:[\w.-]+|\[[0-9a-fA-F:]+\])(?::\d+)?|", re.ASCII)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_PLATFORM = re.compile(r"([a-z0-9]+)/([a-z0-9_]+)(?:/([a-z0-9]+))?")
_REMEDY = "write it like registry.example.com:5000/team/app:1.0 or .../team/app@sha256:<64 hex digits>"


@dataclass(frozen=True, slots=True)
class Image:
    """`host` is "" where none is named; `reference` is a tag or a digest."""

    host: str
    repository: str
    reference: str


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
    valid = DIGEST.fullmatch(reference) if at else _TAG.fullmatch(reference)
    named = _HOST.fullmatch(host) and _REPOSITORY.fullmatch(repository) and not name.endswith(":")
    if not valid or not named:
        raise InputError(f"image {text!r}", "no image reference", _REMEDY)
    return Image(host, repository, reference)


@dataclass(frozen=True, slots=True)
class Platform:
    """`linux/arm64` or `linux/arm/v7`; without a variant any fits."""

    os: str = "linux"
    architecture: str = "amd64"
    variant: str = ""

    def __str__(self) -> str:
        return f"{self.os}/{self.architecture}{f'/{self.variant}' if self.variant else ''}"


def parse_platform(text: str) -> Platform:
    """`os/architecture` or `os/architecture/variant`. InputError."""
    if not (found := _PLATFORM.fullmatch(text)):
        raise InputError(f"platform {text!r}", "no platform", "write it like linux/amd64 or linux/arm/v7")
    return Platform(found[1], found[2], found[3] or "")


def read_manifest(body: bytes) -> dict[str, Any]:
    """The JSON object of a manifest or an index. Broken; Denied for the schema that nobody pulls any more."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Broken("the manifest is no JSON") from error
    if not isinstance(document, dict):
        raise Broken("the manifest is no JSON object")
    if document.get("schemaVersion") == 1:
        raise Denied(404, "the image has a manifest of schema 1, which clients no longer pull; push it anew")
    return document


def child_of(index: Mapping[str, Any], platform: Platform) -> str:
    """The digest of the platform's manifest in an index. Denied if it has none."""
    listed = index.get("manifests")
    entries = [it for it in (listed if isinstance(listed, list) else []) if isinstance(it, dict)]
    held = []
    for entry in entries:
        found = _platform_of(entry)
        if (found.os, found.architecture) == (platform.os, platform.architecture) and platform.variant in (
            "",
            found.variant,
        ):
            return str(entry.get("digest"))
        if found.os != "unknown":  # buildkit's attestations
            held.append(str(found))
    raise Denied(404, f"the index has no {platform}, only {', '.join(held[:8]) or 'nothing'}")


def _platform_of(entry: Mapping[str, Any]) -> Platform:
    found = entry.get("platform")
    pairs = found if isinstance(found, dict) else {}
    return Platform(*(str(pairs.get(key, ""))[:32] for key in ("os", "architecture", "variant")))


def blobs_of(manifest: Mapping[str, Any]) -> dict[str, int]:
    """Digest -> bytes of the config and the layers that the registry itself holds: foreign layers, which
    have `urls`, are elsewhere. Broken if one is named without digest and size."""
    return {str(entry["digest"]): entry["size"] for entry in _entries(manifest) if not entry.get("urls")}


def _entries(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    layers = manifest.get("layers")
    for entry in [manifest.get("config"), *(layers if isinstance(layers, list) else [])]:
        size = entry.get("size") if isinstance(entry, dict) else None
        if type(size) is not int or size < 0 or not DIGEST.fullmatch(str(entry.get("digest"))):
            raise Broken("the manifest names a config or layer without digest and size")
        yield entry
