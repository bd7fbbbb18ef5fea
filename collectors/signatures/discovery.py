"""Where signatures of a manifest may stand: cosign's tag, the referrers route, and its fallback tag.

cosign's SIGNATURE_SPEC, OCI image and distribution specification 1.1 (referrers, fallback tag). What a list
says of its entries is not relied on: each manifest is read, and must name the image as its subject.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from collectors.signatures.lookups import BadContent, LookupFailed, Lookups, Manifest
from collectors.signatures.verdicts import Code, Opinion

MAX_REFERRERS = 64  # manifests that are read for one image
_PARALLEL = 4
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
COSIGN_ARTIFACT = "application/vnd.dev.cosign.artifact.sig.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle"
NOTATION = "application/vnd.cncf.notary.signature"
INDEX = "application/vnd.oci.image.index.v1+json"
_T = TypeVar("_T")


@dataclass(slots=True)
class Found:
    """What could not be asked, and what is thought of the signatures that were found."""

    failures: list[str] = field(default_factory=list)
    opinions: list[Opinion] = field(default_factory=list)

    async def attempt(self, question: Awaitable[_T]) -> _T | None:
        """The answer; None, and noted here, where there is none or a bad one."""
        try:
            return await question
        except LookupFailed as error:
            self.failures.append(str(error))
        except BadContent as error:
            self.opinions.append(Opinion(Code.BROKEN, f"broken signature: {error}"))
        return None


async def candidates(lookups: Lookups, digest: str, found: Found) -> AsyncGenerator[Manifest, None]:
    """Every manifest that may hold a signature of `digest`, cosign's tag first."""
    stem = digest.replace(":", "-")
    tagged = await found.attempt(lookups.manifest(f"{stem}.sig"))
    if tagged is not None:
        yield tagged
    listed = _likely_first(await found.attempt(_referrers(lookups, digest, stem)) or [])
    if len(listed) > MAX_REFERRERS:
        found.failures.append(f"the image has {len(listed)} referrers, {MAX_REFERRERS} are read")
    for start in range(0, min(len(listed), MAX_REFERRERS), _PARALLEL):
        some = listed[start : min(start + _PARALLEL, MAX_REFERRERS)]
        for manifest in await asyncio.gather(*(found.attempt(lookups.manifest(it)) for it in some)):
            if manifest is not None and _subject(manifest) == digest:
                yield manifest


def _likely_first(listed: list[Mapping[str, Any]]) -> list[str]:
    """Digests, each once; those that the list calls signatures are read before the rest."""
    kinds = {str(it.get("digest")): str(it.get("artifactType")) for it in listed}
    return sorted(kinds, key=lambda it: not kinds[it].startswith((COSIGN_ARTIFACT, BUNDLE, NOTATION)))


async def _referrers(lookups: Lookups, digest: str, stem: str) -> list[Mapping[str, Any]]:
    """By the route, else by the tag that stands in for it where a registry lacks the route."""
    listed = await lookups.referrers(digest)
    if listed is not None:
        return listed
    index = await lookups.manifest(stem)
    entries = index.document.get("manifests") if index and index.media_type == INDEX else None
    return [it for it in entries if isinstance(it, dict)] if isinstance(entries, list) else []


def _subject(manifest: Manifest) -> str:
    subject = manifest.document.get("subject")
    return str(subject.get("digest")) if isinstance(subject, dict) else ""


def layers_of(manifest: Manifest) -> list[Mapping[str, Any]]:
    """The descriptors of a manifest's layers."""
    listed = manifest.document.get("layers")
    return [it for it in listed if isinstance(it, dict)] if isinstance(listed, list) else []


def kinds_of(manifest: Manifest) -> set[str]:
    """The types of an artifact: its artifactType, and its config's media type, which older clients used
    instead (OCI image specification 1.1)."""
    config = manifest.document.get("config")
    named = config.get("mediaType") if isinstance(config, dict) else None
    return {it for it in (manifest.document.get("artifactType"), named) if isinstance(it, str)}
