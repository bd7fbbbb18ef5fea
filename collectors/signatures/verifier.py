"""One image, one verdict: signatures are looked for in every place, and each is held against the trust."""

import asyncio
import time
from collections.abc import Mapping

from collectors.exchange import reason_of
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
    discover,
    kind_of,
    layers_of,
)
from collectors.signatures.lookups import BadContent, LookupFailed, Lookups, Manifest
from collectors.signatures.trust import Trust
from collectors.signatures.verdicts import SIGNED, UNKNOWN, Code, Opinion, Verdict, judged

DEADLINE = 20.0  # seconds for all look-ups of one image
ANSWER = 5.0  # seconds for one of them
MAX_TAGS = 64  # that are looked at for an index that holds the image
NO_TRUST = "no trust configured: there is no key and no trust store to hold a signature against"


async def verify(
    endpoint: Endpoint,
    repository: str,
    reference: str,
    trust: Trust,
    tokens: Tokens | None = None,
    parents: bool = False,
    deadline: float = DEADLINE,
) -> Verdict:
    """The verdict on an image by tag or digest; with `parents`, a signed index that holds it counts too.

    Never raises for what the registry does; InputError for TLS files of ours.
    """
    limits: Mapping[str, float] = {**LIMITS, **endpoint.limits, "signature": ANSWER}
    reached = Endpoint(endpoint.url, endpoint.credentials, endpoint.tls, endpoint.route, limits)
    try:
        async with (
            asyncio.timeout(deadline),
            Exchange(reached, Timeline(), tokens) as exchange,
        ):
            lookups = Lookups(exchange, repository)
            return await (_with_parents if parents else verdict_of)(lookups, reference, trust)
    except TimeoutError:
        reason = f"look-up failed: not all answers came within {deadline:g} s"
    except OSError as error:
        reason = f"look-up failed: {reason_of(error)}"
    return Verdict(reference if ":" in reference else "", UNKNOWN, reason, Code.LOOKUP_FAILED)


async def verdict_of(lookups: Lookups, reference: str, trust: Trust) -> Verdict:
    """The verdict on one manifest itself."""
    known = reference if ":" in reference else ""
    try:
        image = await lookups.manifest(reference)
    except (LookupFailed, BadContent) as error:
        return Verdict(known, UNKNOWN, f"look-up failed: {error}", Code.LOOKUP_FAILED)
    if image is None:
        reason = "look-up failed: the registry has no such image"
        return Verdict(known, UNKNOWN, reason, Code.LOOKUP_FAILED)
    if trust.empty:
        return Verdict(image.digest, UNKNOWN, NO_TRUST, Code.NO_TRUST)
    found = await discover(lookups, image.digest)
    now = time.time()
    for manifest in found.manifests:
        found.opinions += await _opinions(lookups, manifest, image, trust, now, found)
    return judged(image.digest, found.opinions, found.failures)


async def _opinions(
    lookups: Lookups, manifest: Manifest, image: Manifest, trust: Trust, now: float, found: Found
) -> list[Opinion]:
    kind = kind_of(manifest)
    simple = kind == COSIGN_ARTIFACT or any(
        it.get("mediaType") == SIMPLE_SIGNING for it in layers_of(manifest)
    )
    if simple:
        question = simplesigning.opinions(lookups, manifest, image.digest, trust, now)
    elif kind.startswith(BUNDLE):
        question = bundle.opinions(lookups, manifest, image.digest, trust, now)
    elif kind == NOTATION:
        question = notation.opinions(lookups, manifest, image, trust, now)
    else:
        return []
    return await found.attempt(question) or []


async def _with_parents(lookups: Lookups, reference: str, trust: Trust) -> Verdict:
    """The image itself, else an index of its repository that holds it: cosign signs the index alone."""
    own = await verdict_of(lookups, reference, trust)
    if own.signature == SIGNED or not own.digest or trust.empty:
        return own
    try:
        indexes = await indexes_with(lookups, own.digest)
    except (LookupFailed, BadContent):
        return own
    for index in indexes:
        parent = await verdict_of(lookups, index, trust)
        if parent.signature == SIGNED:
            reason = f"{parent.reason}, in the index {index}"
            return Verdict(own.digest, SIGNED, reason, parent.code, parent.signer, index)
    return own


async def indexes_with(lookups: Lookups, digest: str) -> list[str]:
    """Digests of the tagged indexes that hold `digest`, among the repository's first tags."""
    turns, found = asyncio.Semaphore(4), list[str]()

    async def look(tag: str) -> None:
        async with turns:
            try:
                manifest = await lookups.manifest(tag)
            except (LookupFailed, BadContent):
                return
        if manifest and digest in children_of(manifest):
            found.append(manifest.digest)

    tags = [tag for tag in await lookups.tags(MAX_TAGS) if not tag.startswith("sha256-")]
    await asyncio.gather(*(look(tag) for tag in tags))
    return sorted(set(found))


def children_of(manifest: Manifest) -> list[str]:
    """The digests that an index holds; none for an image."""
    listed = manifest.document.get("manifests")
    return (
        [str(it.get("digest")) for it in listed if isinstance(it, dict)] if isinstance(listed, list) else []
    )
