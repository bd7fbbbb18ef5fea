"""What goes when an image is deleted, and its deletion: the preview and the deed come from one plan."""

import asyncio
import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from collectors.image_registry import Held, ImageRegistry
from collectors.pulling.faults import Broken
from collectors.pulling.images import DIGEST, blobs_of
from collectors.pulling.tokens import Credentials
from seawall.config import Config
from seawall.core.errors import NotFound, StoreUnavailable
from seawall.core.ports import Clock, RecordStore

TAGS = 500
"""Tags of a repository that a plan looks at: all of them, or no child goes."""
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes with an image: the tags that name it, and the manifests below it that no other tag of the
    repository needs. `bytes` is what garbage collection frees at most: other images may share the blobs."""

    registry: str
    repository: str
    digest: str
    media_type: str
    tags: tuple[str, ...]
    children: tuple[str, ...]
    kept_children: tuple[str, ...]
    bytes: int
    note: str

    @property
    def etag(self) -> str:
        """Changes when anything of the plan does."""
        text = json.dumps(asdict(self), sort_keys=True)
        return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def registry_of(config: Config, name: str) -> ImageRegistry:
    """The registry of that name. NotFound."""
    for one in config.registries:
        if one.name == name:
            login = Credentials(one.username, one.password) if one.username else None
            return ImageRegistry(one.url, login, str(one.ca_file) if one.ca_file else None)
    raise NotFound(f"no registry is named {name!r}; known: {[it.name for it in config.registries]}")


async def plan(registry: ImageRegistry, name: str, repository: str, digest: str) -> Plan:
    """Looks at the image and at every tag of its repository; changes nothing. Errors of ImageRegistry."""
    held = await registry.manifest(repository, digest)
    tags, more = await registry.tags(repository, TAGS)
    pointing = dict(zip(tags, await _each(registry.digest_of, repository, tags), strict=True))
    mine = tuple(sorted(tag for tag, of in pointing.items() if of == digest))
    below = await _below(registry, repository, held)
    others = sorted({of for of in pointing.values() if of and of != digest})
    needed = set(others)
    if below and not more:
        for other in await _each(registry.manifest, repository, others):
            needed |= set(_children(other)) if other else set()
    goes = () if more else tuple(it for it in below if it not in needed)
    sizes = {
        it: size for one in [held, *(below[child] for child in goes)] for it, size in _blobs(one).items()
    }
    note = f"the repository has more than {TAGS} tags: what lies below stays" if more and below else ""
    total = sum(sizes.values()) + held.size + sum(below[child].size for child in goes)
    kept = tuple(it for it in below if it not in goes)
    return Plan(name, repository, digest, held.media_type, mine, goes, kept, total, note)


async def carry_out(
    registry: ImageRegistry, made: Plan, records: RecordStore, clock: Clock, actor: str
) -> None:
    """Delete what the plan names, with an audit entry before and after. The children go first: a deletion
    that is cut off can be asked for again and is then completed."""
    subject = f"{made.registry}/{made.repository}@{made.digest}"
    detail = {"tags": list(made.tags), "children": list(made.children), "bytes": made.bytes}
    await _note(records, actor, "image.deleting", subject, detail, clock)
    try:
        for digest in made.children:
            try:
                await registry.delete(made.repository, digest)
            except NotFound:
                continue
        await registry.delete(made.repository, made.digest)
    except Exception as error:
        await _note(records, actor, "image.not_deleted", subject, {"reason": str(error)}, clock)
        raise
    await _note(records, actor, "image.deleted", subject, detail, clock)


async def _note(
    records: RecordStore, actor: str, event: str, subject: str, detail: dict[str, Any], clock: Clock
) -> None:
    await asyncio.to_thread(records.audit, actor, event, subject, detail, clock.now())


async def _each(ask: Any, repository: str, references: list[str]) -> list[Any]:
    """The answers, at most AT_ONCE under way; None for what is no longer there."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(reference: str) -> Any:
        async with turn:
            try:
                return await ask(repository, reference)
            except NotFound:
                return None

    return await asyncio.gather(*(one(it) for it in references))


async def _below(registry: ImageRegistry, repository: str, held: Held) -> dict[str, Held]:
    digests = _children(held)
    found = await _each(registry.manifest, repository, digests)
    return {digest: one for digest, one in zip(digests, found, strict=True) if one is not None}


def _children(held: Held) -> list[str]:
    """The manifests that an index names."""
    listed = held.document.get("manifests")
    entries = [it for it in (listed if isinstance(listed, list) else []) if isinstance(it, dict)]
    return [str(it["digest"]) for it in entries if DIGEST.fullmatch(str(it.get("digest")))]


def _blobs(held: Held) -> dict[str, int]:
    if "manifests" in held.document:
        return {}
    try:
        return blobs_of(held.document)
    except Broken as error:
        raise StoreUnavailable(f"manifest {held.digest}: {error}") from error
