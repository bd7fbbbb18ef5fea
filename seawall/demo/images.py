"""Multi-architecture images whose layers are seeded noise, pushed as the Distribution API wants it.

    index -> manifest of linux/amd64 and linux/arm64 -> config and 2 to 4 gzip'd tar layers

The same names always get the same digests. Sizes are what one client pulls, in MiB.
"""

import gzip
import hashlib
import io
import json
import random
import tarfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import httpx

from seawall.core.errors import InputError

OCI = "application/vnd.oci.image"
INDEX, MANIFEST, CONFIG = f"{OCI}.index.v1+json", f"{OCI}.manifest.v1+json", f"{OCI}.config.v1+json"
LAYER = f"{OCI}.layer.v1.tar+gzip"
PLATFORMS = ("amd64", "arm64")
MIB = 1024 * 1024
_WORKERS = 3


@dataclass(frozen=True, slots=True)
class Image:
    """One pushed image. `digest` is the index's; `size` is the bytes that a pull of one platform moves."""

    repository: str
    tag: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to build: the layers' sizes in bytes, uncompressed."""

    repository: str
    tag: str
    layers: tuple[int, ...]


PROBE = Recipe("seawall/probe", "1", (2048, 1024))
RECIPES = (
    PROBE,
    Recipe("harbour/tide-table", "1.4.2", (MIB * 3 // 4, MIB // 4)),
    Recipe("harbour/pilot-roster", "2.0.1", (MIB * 3 // 2, MIB // 2)),
    Recipe("harbour/crane-control", "3.1.0", (MIB * 2, MIB * 3 // 2, MIB // 2)),
    Recipe("harbour/manifest-api", "5.2.7", (MIB * 5, MIB * 2, MIB)),
    Recipe("harbour/customs-web", "1.27.3", (MIB * 10, MIB * 6, MIB * 3, MIB)),
    Recipe("harbour/radar-model", "0.9.0", (MIB * 24, MIB * 16, MIB * 8, MIB * 2)),
)

Progress = Callable[[int, int], None]


class Push:
    """One push of several images; counts the layer bytes that the registry has taken."""

    def __init__(self, client: httpx.Client, total: int, progress: Progress) -> None:
        self._client, self._total, self._progress = client, total, progress
        self._done, self._lock = 0, Lock()

    def image(self, recipe: Recipe) -> Image:
        """Build and push one image: blobs, then manifests, then the index by its tag."""
        manifests = [self._platform(recipe, architecture) for architecture in PLATFORMS]
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [m for m, _ in manifests]}
        digest = self._manifest(recipe.repository, INDEX, index, recipe.tag)["digest"]
        return Image(recipe.repository, recipe.tag, digest, manifests[0][1])

    def _platform(self, recipe: Recipe, architecture: str) -> tuple[dict[str, Any], int]:
        name = f"{recipe.repository}:{recipe.tag}/{architecture}"
        pushed = [self._layer(recipe.repository, name, n, size) for n, size in enumerate(recipe.layers)]
        layers, diff_ids = [blob for blob, _ in pushed], [diff_id for _, diff_id in pushed]
        config = self._blob(recipe.repository, CONFIG, config_document(architecture, diff_ids))
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
        manifest = self._manifest(recipe.repository, MANIFEST, document)
        size = manifest["size"] + sum(blob["size"] for blob in (config, *layers))
        return {**manifest, "platform": {"architecture": architecture, "os": "linux"}}, size

    def _layer(self, repository: str, name: str, number: int, size: int) -> tuple[dict[str, Any], str]:
        tar = layer(name, number, size)
        return self._blob(repository, LAYER, gzip.compress(tar, 0, mtime=0)), digest_of(tar)

    def _blob(self, repository: str, media_type: str, body: bytes) -> dict[str, Any]:
        digest = digest_of(body)
        begun = self._client.post(f"/v2/{repository}/blobs/uploads/").raise_for_status()
        place = (
            httpx.URL(str(begun.url)).join(begun.headers["location"]).copy_merge_params({"digest": digest})
        )
        headers = {"content-type": "application/octet-stream"}
        self._client.put(place, content=body, headers=headers).raise_for_status()
        with self._lock:
            self._done += len(body)
            self._progress(min(self._done, self._total), self._total)
        return {"mediaType": media_type, "digest": digest, "size": len(body)}

    def _manifest(
        self, repository: str, media_type: str, document: dict[str, Any], tag: str | None = None
    ) -> dict[str, Any]:
        body = json.dumps(document, sort_keys=True).encode()
        place = f"/v2/{repository}/manifests/{tag or digest_of(body)}"
        self._client.put(place, content=body, headers={"content-type": media_type}).raise_for_status()
        return {"mediaType": media_type, "digest": digest_of(body), "size": len(body)}


def push_all(
    url: str, progress: Progress = lambda done, total: None, recipes: Iterable[Recipe] = RECIPES
) -> list[Image]:
    """Build and push every recipe to the registry at `url`; `progress` gets (bytes done, bytes in all).

    InputError if the registry refuses or does not answer.
    """
    # The largest image first, or it would be pushed alone at the end.
    ordered = sorted(recipes, key=lambda recipe: -sum(recipe.layers))
    total = len(PLATFORMS) * sum(sum(recipe.layers) for recipe in ordered)
    with httpx.Client(base_url=url, timeout=30.0) as client, ThreadPoolExecutor(_WORKERS) as pool:
        push = Push(client, total, progress)
        try:
            return list(pool.map(push.image, ordered))[::-1]
        except httpx.HTTPError as error:
            raise InputError(url, f"the push failed: {error}", "read the registry's log") from error


def digest_of(body: bytes) -> str:
    """`sha256:<hex>` of the bytes."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def layer(name: str, number: int, size: int) -> bytes:
    """A tar archive of one file with `size` bytes of noise, the same for the same name and number."""
    archive, entry = io.BytesIO(), tarfile.TarInfo(f"opt/layer-{number}/payload.bin")
    entry.size = size
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(entry, io.BytesIO(random.Random(f"{name}/{number}").randbytes(size)))  # noqa: S311
    return archive.getvalue()


def config_document(architecture: str, diff_ids: list[str]) -> bytes:
    """The image's configuration (OCI image-spec config.md) over its uncompressed layers' digests."""
    rootfs = {"type": "layers", "diff_ids": diff_ids}
    document = {"architecture": architecture, "os": "linux", "config": {}, "rootfs": rootfs}
    return json.dumps(document, sort_keys=True).encode()


def save(images: Iterable[Image], path: Path) -> None:
    """Write them as JSON, for the traffic generator."""
    path.write_text(json.dumps([asdict(image) for image in images], indent=1))


def load(path: Path) -> list[Image]:
    """Read what `save` wrote. InputError if it is something else."""
    try:
        return [Image(**item) for item in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError) as error:
        raise InputError(str(path), f"no list of images: {error}", "write it with images.save") from None
