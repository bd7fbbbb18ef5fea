"""What garbage collection would free: blobs of a Distribution file system storage that no manifest refers to.

A walk that only reads, in a process of its own with the lowest priority, which is killed when its time is up
or Seawall stops. The rules are those of `registry garbage-collect` (registry/storage/garbagecollect.go):
every manifest that a repository links is marked, with all that it names; what else lies under blobs/ is
garbage. Blobs younger than `grace` seconds are left out, since their manifest may still be on its way.
"""

import asyncio
import contextlib
import json
import math
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seawall.core.errors import InputError, SeawallError
from seawall.core.signals import STORAGE_RECLAIMABLE, Batch, Sample, labels

GRACE = 3600.0
MAX_MANIFEST = 8 << 20  # bytes; the registry itself takes 4 MiB
MAX_BLOBS = 2_000_000  # marked or garbage; about 200 MB of memory
_HEX = re.compile(r"[0-9a-f]{64}|[0-9a-f]{128}")
_DIGEST = re.compile(r"(sha256|sha512):([0-9a-f]{64}|[0-9a-f]{128})")
_INTERNAL = ("_layers", "_uploads", "_manifests")
_REMEDY = "name the storage's rootdirectory as storage[].path, readable for Seawall, or drop reclaimable"


class Unreadable(Exception):
    """The storage cannot be judged: garbage-collect would stop here too."""


def reclaimable(root: Path, grace: float, now: float) -> dict[str, int]:
    """Digest -> bytes of every blob that no manifest refers to. Unreadable, OSError."""
    base = root / "docker" / "registry" / "v2"
    if not (base / "blobs").is_dir():
        raise Unreadable(f"{base}/blobs is no folder: no Distribution storage")
    marked = _marked(base)
    garbage: dict[str, int] = {}
    for digest, data in _blobs(base / "blobs"):
        if digest not in marked and (found := _stat(data)) and found.st_mtime <= now - grace:
            garbage[digest] = found.st_size
            if len(garbage) > MAX_BLOBS:
                raise Unreadable(f"more than {MAX_BLOBS} blobs")
    return garbage


def _marked(base: Path) -> set[str]:
    marked: set[str] = set()
    read: set[str] = set()  # many repositories link the same manifest
    for digest in _linked_manifests(base / "repositories"):
        if digest not in read:
            read.add(digest)
            marked.add(digest)
            marked.update(_named(_manifest(base, digest)))
        if len(marked) > MAX_BLOBS:
            raise Unreadable(f"more than {MAX_BLOBS} blobs")
    return marked


def _linked_manifests(repositories: Path) -> Iterator[str]:
    """Every manifest revision of every repository, however deep its name."""
    folders = [repositories]
    while folders:
        folder = folders.pop()
        for entry in _entries(folder):
            if entry.name == "_manifests":
                yield from _revisions(Path(entry.path) / "revisions")
            elif entry.name not in _INTERNAL and entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))


def _revisions(folder: Path) -> Iterator[str]:
    for algorithm in _entries(folder):
        for entry in _entries(Path(algorithm.path)):
            link = Path(entry.path) / "link"
            if not link.exists():
                continue  # deleted over the API: the folder stays, its link goes
            text = link.read_text(encoding="ascii", errors="replace").strip()
            if not _DIGEST.fullmatch(text):
                raise Unreadable(f"{link} holds no digest")
            yield text


def _manifest(base: Path, digest: str) -> Any:
    algorithm, _, hexadecimal = digest.partition(":")
    path = base / "blobs" / algorithm / hexadecimal[:2] / hexadecimal / "data"
    try:
        if path.stat().st_size > MAX_MANIFEST:
            raise Unreadable(f"{path} is larger than a manifest can be")
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None  # a link without its blob: nothing can be pulled by it, garbage-collect passes over it
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{path} is linked as a manifest and is no JSON") from error


def _named(manifest: Any) -> Iterator[str]:
    """All that a manifest (image, index, Docker's list, schema 1) names."""
    manifest = manifest if isinstance(manifest, dict) else {}
    lists = (manifest.get(key) for key in ("layers", "manifests", "blobs", "fsLayers"))
    entries = [entry for found in lists if isinstance(found, list) for entry in found]
    entries.append(manifest.get("config"))
    for entry in entries:
        if isinstance(entry, dict):
            digest = entry.get("digest") or entry.get("blobSum")
            if isinstance(digest, str):
                yield digest


def _blobs(folder: Path) -> Iterator[tuple[str, Path]]:
    for algorithm in _entries(folder):
        for prefix in _entries(Path(algorithm.path)):
            for entry in _entries(Path(prefix.path)):
                if _HEX.fullmatch(entry.name):
                    yield f"{algorithm.name}:{entry.name}", Path(entry.path) / "data"


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """What lies in a folder; nothing if it went away meanwhile, or is none."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as found:
        yield from found


def _stat(path: Path) -> os.stat_result | None:
    with contextlib.suppress(FileNotFoundError):
        return path.stat()
    return None


class Reclaimable:
    """Collector of seawall_storage_reclaimable_bytes of one storage folder, at its own slow interval."""

    def __init__(
        self,
        registry: str,
        path: str,
        interval: float,
        timeout: float = 3600.0,
        grace: float = GRACE,
    ) -> None:
        self.name, self.registry, self.interval, self.timeout = "reclaimable", registry, interval, timeout
        self.path, self._grace = path, grace

    async def collect(self, now: float) -> Batch:
        """One walk. InputError if the storage cannot be judged: the estimate is unknown then."""
        limit = str(math.ceil(self.timeout))
        walk = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "collectors.reclaimable", self.path, str(self._grace), limit,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            out, err = await walk.communicate()
        finally:
            if walk.returncode is None:
                walk.kill()
                await walk.wait()
        told = err.decode("utf-8", "replace").strip()
        if walk.returncode == 1:
            raise InputError(self.path, told, _REMEDY)
        if walk.returncode:
            raise SeawallError(f"{self.path}: the walk ended with {walk.returncode} {told[-300:]}")
        count, size = map(int, out.split())
        batch = Batch(notes=[f"{self.path}: {count} blob(s) of {size} bytes have no manifest"])
        batch.samples.append(
            Sample(self.registry, STORAGE_RECLAIMABLE, now, float(size), labels(volume=self.path))
        )
        return batch

    async def stored(self) -> None:
        """Nothing to advance: each walk begins anew."""


def main(path: str, grace: str, limit: str) -> int:
    """Print `COUNT BYTES`; exit 1, with the reason on stderr, where the storage cannot be judged. Dies after
    `limit` seconds, also when Seawall was killed and nobody waits any more."""
    os.nice(19)
    signal.alarm(int(limit))
    try:
        garbage = reclaimable(Path(path), float(grace), time.time())
    except (Unreadable, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    print(len(garbage), sum(garbage.values()))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
