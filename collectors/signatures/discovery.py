"""Where signatures of a manifest may stand: cosign's tag, the referrers route, and its fallback tag.

cosign's SIGNATURE_SPEC, OCI image and distribution specification 1.1 (referrers, fallback tag). What a list
says of its entries is not relied on: each manifest is read, and must name the image as its subject.
"""

import asyncio
from collections.abc import Awaitable, Mapping
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
_T = TypeVar("_T")


@dataclass(slots=True)
class Found:
    """Manifests that may hold signatures; what could not be asked; what is broken beyond reading."""

    manifests: list[Manifest] = field(default_factory=list)
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


async def discover(lookups: Lookups, digest: str) -> Found:
    """Everything that may be a signature of `digest`."""
    found, stem = Found(), digest.replace(":", "-")
    tagged, listed = await asyncio.gather(
        found.attempt(lookups.manifest(f"{stem}.sig")), found.attempt(_referrers(lookups, digest, stem))
    )
    if tagged is not None:
        found.manifests.append(tagged)
    digests = list(dict.fromkeys(str(it.get("digest")) for it in listed or ()))
    if len(digests) > MAX_REFERRERS:
        found.failures.append(f"the image has {len(digests)} referrers, {MAX_REFERRERS} are read")
    turns = asyncio.Semaphore(_PARALLEL)

    async def read(reference: str) -> None:
        async with turns:
            manifest = await found.attempt(lookups.manifest(reference))
        if manifest is not None and _subject(manifest) == digest:
            found.manifests.append(manifest)

    await asyncio.gather(*(read(it) for it in digests[:MAX_REFERRERS]))
    return found


async def _referrers(lookups: Lookups, digest: str, stem: str) -> list[Mapping[str, Any]]:
    """By the route, else by the tag that stands in for it where a registry lacks the route."""
    listed = await lookups.referrers(digest)
    if listed is not None:
        return listed
    index = await lookups.manifest(stem)
    entries = index.document.get("manifests") if index else None
    return [it for it in entries if isinstance(it, dict)] if isinstance(entries, list) else []


def _subject(manifest: Manifest) -> str:
    subject = manifest.document.get("subject")
    return str(subject.get("digest")) if isinstance(subject, dict) else ""


def layers_of(manifest: Manifest) -> list[Mapping[str, Any]]:
    """The descriptors of a manifest's layers."""
    listed = manifest.document.get("layers")
    return [it for it in listed if isinstance(it, dict)] if isinstance(listed, list) else []


def kind_of(manifest: Manifest) -> str:
    """The type of an artifact: its artifactType, else its config's media type (OCI image spec 1.1)."""
    config = manifest.document.get("config")
    fallback = config.get("mediaType") if isinstance(config, dict) else None
    return str(manifest.document.get("artifactType") or fallback or "")
