"""One image, one verdict: signatures are looked for in every place, and each is held against the trust."""

import asyncio
import time
from collections.abc import Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace

from collectors.pulling.exchange import Endpoint, Exchange
from collectors.pulling.phases import LIMITS, Timeline
from collectors.pulling.tokens import Tokens
from collectors.signatures import bundle, notation, simplesigning
from collectors.signatures.discovery import (
    BUNDLE,
    COSIGN_ARTIFACT,
    NOTATION,
    SIMPLE_SIGNING,
    Found,
    candidates,
    kinds_of,
    layers_of,
)
from collectors.signatures.lookups import BadContent, LookupFailed, Lookups, Manifest
from collectors.signatures.trust import Trust
from collectors.signatures.verdicts import SIGNED, UNKNOWN, Code, Opinion, Verdict, judged, weightiest

DEADLINE = 20.0  # seconds for all look-ups of one image
ANSWER = 5.0  # seconds for one of them
MAX_TAGS = 256  # that are looked at for an index that holds the image
MAX_PARENTS = 8  # of them that are verified
NO_TRUST = (
    "no trust configured: there is no key, no trust store and no keyless root to hold a signature against"
)
_PARALLEL = 4


async def verify(
    endpoint: Endpoint,
    repository: str,
    reference: str,
    trust: Trust,
    tokens: Tokens | None = None,
    parents: bool | Collection[str] = False,
    deadline: float = DEADLINE,
) -> Verdict:
    """The verdict on an image by tag or digest. A signed index that holds it counts too: one of `parents`
    (digests), or any that a tag of the repository names where `parents` is True.

    Never raises for what the registry does; InputError for our own files (TLS, password).
    """
    limits: Mapping[str, float] = {**LIMITS, **endpoint.limits, "signature": ANSWER}
    reached = replace(endpoint, limits=limits)
    until = asyncio.get_running_loop().time() + deadline
    async with Exchange(reached, Timeline(), tokens) as exchange:
        return await Inquiry(Lookups(exchange, repository), trust, until).verdict(reference, parents)


@dataclass(frozen=True, slots=True)
class Inquiry:
    """Look-ups in one repository, held against one trust, until a time of the event loop's clock."""

    lookups: Lookups
    trust: Trust
    until: float

    async def verdict(self, reference: str, parents: bool | Collection[str] = False) -> Verdict:
        """Of the image itself, else of an index that holds it: cosign signs the index alone."""
        own, image = await self.own(reference)
        if own.signature == SIGNED or image is None or self.trust.empty or not parents:
            return own
        return await self._with_parents(own, parents)

    async def own(self, reference: str) -> tuple[Verdict, Manifest | None]:
        """Of one manifest by itself, and the manifest."""
        image, found = None, Found()
        try:
            async with asyncio.timeout_at(self.until):
                image = await self._image(reference)
                if not self.trust.empty:
                    await self._judge(image, found)
        except LookupFailed as error:
            found.failures.append(str(error))
        except TimeoutError:
            found.failures.append("not all answers came in time")
        if image is None:
            return judged(reference if ":" in reference else "", [], found.failures), None
        if self.trust.empty:
            return Verdict(image.digest, UNKNOWN, NO_TRUST, Code.NO_TRUST), image
        return judged(image.digest, found.opinions, found.failures), image

    async def _image(self, reference: str) -> Manifest:
        try:
            image = await self.lookups.manifest(reference)
        except BadContent as error:
            raise LookupFailed(str(error)) from error
        if image is None:
            raise LookupFailed("the registry has no such image")
        return image

    async def _judge(self, image: Manifest, found: Found) -> None:
        """Every signature in turn, until one is trusted."""
        now = time.time()
        async with aclosing(candidates(self.lookups, image.digest, found)) as manifests:
            async for manifest in manifests:
                question = self._opinions(manifest, image, now)
                found.opinions += await found.attempt(question) or []
                if any(it.code is Code.TRUSTED for it in found.opinions):
                    return

    async def _opinions(self, manifest: Manifest, image: Manifest, now: float) -> list[Opinion]:
        kinds, layers = kinds_of(manifest), {str(it.get("mediaType")) for it in layers_of(manifest)}
        if COSIGN_ARTIFACT in kinds or SIMPLE_SIGNING in layers:
            return await simplesigning.opinions(self.lookups, manifest, image.digest, self.trust, now)
        if any(it.startswith(BUNDLE) for it in kinds | layers):
            return await bundle.opinions(self.lookups, manifest, image.digest, self.trust, now)
        if NOTATION in kinds:
            return await notation.opinions(self.lookups, manifest, image, self.trust, now)
        return []

    async def _with_parents(self, own: Verdict, parents: bool | Collection[str]) -> Verdict:
        verdicts, found = [own], Found()
        if isinstance(parents, bool):
            try:
                async with asyncio.timeout_at(self.until):
                    parents = await indexes_with(self.lookups, own.digest, found)
            except TimeoutError:
                found.failures.append("indexes that hold the image: not all answers came in time")
                parents = ()
        if found.failures:
            verdicts.append(judged(own.digest, [], found.failures))
        for digest in list(parents)[:MAX_PARENTS]:
            parent, index = await self.own(digest)
            if index is not None and own.digest not in children_of(index):
                continue
            reason = f"{parent.reason}, in the index {digest}"
            told = replace(parent, digest=own.digest, reason=reason, parent=digest)
            if told.signature == SIGNED:
                return told
            verdicts.append(told)
        return weightiest(verdicts)


async def indexes_with(lookups: Lookups, digest: str, found: Found) -> list[str]:
    """Digests of the indexes that hold `digest` and that one of the repository's first tags names; `found`
    notes what could not be asked."""
    turns = asyncio.Semaphore(_PARALLEL)

    async def look(tag: str) -> str:
        async with turns:
            manifest = await found.attempt(lookups.manifest(tag))
        return manifest.digest if manifest and digest in children_of(manifest) else ""

    tags = [it for it in await found.attempt(lookups.tags(MAX_TAGS)) or [] if not it.startswith("sha256-")]
    return sorted(set(await asyncio.gather(*(look(tag) for tag in tags))) - {""})


def children_of(manifest: Manifest) -> list[str]:
    """The digests that an index holds; none for an image."""
    listed = manifest.document.get("manifests")
    entries = listed if isinstance(listed, list) else []
    return [str(it.get("digest")) for it in entries if isinstance(it, dict)]
