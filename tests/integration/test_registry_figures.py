"""Figures of a real docker-registry: its pages, its pull-through cache, its garbage."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from collectors.caches import CacheRatios
from collectors.distribution import REMEDY, DistributionMetrics
from collectors.pages import Target
from collectors.reclaimable import Reclaimable, Unreadable, reclaimable
from seawall.core.counters import increase
from seawall.core.errors import SeawallError
from seawall.core.signals import (
    CACHE_HIT_RATIO,
    CACHE_REQUESTS,
    REGISTRY_MANIFEST,
    REQUESTS,
    STORAGE_RECLAIMABLE,
    labels,
)
from seawall.demo.images import Recipe, push_all
from seawall.stores.memory import MemorySamples
from tests.registries import INDEX, MANIFEST, Registry, push

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="no docker-registry (Debian package)"),
]
TYPES = {"accept": f"{INDEX}, {MANIFEST}"}
OCI = {"accept": "application/vnd.oci.image.index.v1+json"}


def metrics_of(registry: Registry) -> DistributionMetrics:
    return DistributionMetrics("reg", Target(registry.metrics_url, REMEDY))


def of(batch, signal):
    return {sample.labels: sample.value for sample in batch.samples if sample.signal == signal}


def pull(url: str, repository: str, tag: str) -> None:
    """Index, manifests and blobs, one after the other."""
    with httpx.Client(base_url=f"{url}/v2/{repository}", trust_env=False, headers=TYPES) as client:
        for child in client.get(f"/manifests/{tag}").raise_for_status().json()["manifests"]:
            image = client.get(f"/manifests/{child['digest']}").raise_for_status().json()
            for blob in (image["config"], *image["layers"]):
                client.get(f"/blobs/{blob['digest']}").raise_for_status()


async def test_requests_are_counted_as_the_registry_counts_them(registry):
    collector = metrics_of(registry)
    assert of(await collector.collect(1000.0), REQUESTS) == {}
    push(registry.url, "team/app", "1.0")
    with httpx.Client(trust_env=False) as client:
        for _ in range(7):
            client.get(f"{registry.url}/v2/team/app/manifests/none")
    batch = await collector.collect(1010.0)
    assert of(batch, REQUESTS)[labels(handler="manifest", code="404")] == 7
    assert of(batch, REQUESTS)[labels(handler="manifest", code="201")] == 2
    # The histogram has no code: the GETs that were answered 404 are in it, the PUTs are not.
    assert of(batch, f"{REGISTRY_MANIFEST}_bucket")[labels(le="+Inf")] == 7


async def test_a_restart_of_the_registry_loses_no_request(registry):
    collector, readings = metrics_of(registry), []

    async def ask(count: int) -> None:
        with httpx.Client(trust_env=False) as client:
            for _ in range(count):
                client.get(f"{registry.url}/v2/team/app/manifests/none")
        found = of(await collector.collect(1000.0), REQUESTS)
        readings.append(found[labels(handler="manifest", code="404")])

    await ask(1)
    await ask(9)
    registry.stop()
    with pytest.raises(SeawallError, match=r"refused; enable it with http\.debug"):
        await collector.collect(1000.0)
    registry.start()
    await ask(4)
    await ask(2)
    assert readings == [1, 10, 4, 6] and increase(readings) == 9 + 4 + 2


async def test_a_pull_through_cache_has_a_hit_ratio(registry, tmp_path):
    push(registry.url, "team/app", "1.0")
    folder = tmp_path / "cache"
    folder.mkdir()
    cache = Registry(folder, f"proxy: {{remoteurl: '{registry.url}'}}\n").start()
    store, now = MemorySamples(), time.time()
    try:
        collector = metrics_of(cache)
        for n in range(4):
            pull(cache.url, "team/app", "1.0")
            batch = await collector.collect(now - 100 + n)
            store.append(batch.samples)
        assert batch.notes == []
    finally:
        cache.stop()
    proxied = {pairs: value for pairs, value in of(batch, CACHE_REQUESTS).items() if "proxy" in str(pairs)}
    # Index and manifest of four pulls; both were fetched by the first one. Of blobs 2.8 does not tell.
    assert proxied == {
        labels(cache="proxy_manifest", status="hit"): 6,
        labels(cache="proxy_manifest", status="miss"): 2,
    }
    ratios = of(await CacheRatios("reg", store).collect(now), CACHE_HIT_RATIO)
    assert ratios[labels(cache="proxy_manifest")] == 1.0, "since the first reading all was in the cache"
    assert not [s for s in (await metrics_of(registry).collect(now)).samples if "proxy" in str(s.labels)]


class Collected:
    """What `garbage-collect --dry-run` says, and what we say."""

    def __init__(self, registry: Registry) -> None:
        config = registry.folder / f"{registry.port}.yml"
        command = ["docker-registry", "garbage-collect", "--dry-run", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.refused = done.stderr if done.returncode or "failed to" in done.stderr else ""
        self.theirs = set(re.findall(r"blob eligible for deletion: (\S+)", done.stdout))
        self.root = registry.folder / "data"

    def ours(self) -> dict[str, int]:
        return reclaimable(self.root, 0.0, time.time() + 1)

    def size(self, digest: str) -> int:
        name = digest.removeprefix("sha256:")
        return (self.root / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data").stat().st_size


@pytest.fixture
def stocked(tmp_path: Path, monkeypatch):
    """A registry that may delete, with images of several repositories that share layers."""
    monkeypatch.setenv("REGISTRY_STORAGE_DELETE_ENABLED", "true")
    registry = Registry(tmp_path).start()
    push_all(registry.url, recipes=[Recipe(f"harbour/deep/app{n}", "1", (9000 + n, 4000)) for n in range(4)])
    for name in ("team/app", "team/other"):
        push(registry.url, name, "1.0")
    yield registry
    registry.stop()


def delete(registry: Registry, repository: str, tag: str, headers: dict[str, str]) -> list[str]:
    """Delete what a tag points to; the children of that index."""
    with httpx.Client(base_url=f"{registry.url}/v2/{repository}/manifests", trust_env=False) as client:
        found = client.get(f"/{tag}", headers=headers)
        client.delete(f"/{found.headers['docker-content-digest']}").raise_for_status()
        return [child["digest"] for child in found.json()["manifests"]]


async def test_reclaimable_is_what_garbage_collect_would_delete(stocked):
    assert Collected(stocked).ours() == {}
    delete(stocked, "team/app", "1.0", TYPES)  # all is shared with team/other
    assert set(Collected(stocked).ours()) == Collected(stocked).theirs == set()
    for n in (0, 2):
        for child in delete(stocked, f"harbour/deep/app{n}", "1", OCI):
            if n:  # app0 keeps its children: only the index goes
                url = f"{stocked.url}/v2/harbour/deep/app{n}/manifests/{child}"
                httpx.delete(url, trust_env=False).raise_for_status()
    with httpx.Client(base_url=stocked.url, trust_env=False) as client:  # an upload without a manifest
        where = client.post("/v2/team/lost/blobs/uploads/").headers["location"]
        lost = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        client.put(f"{where}&digest={lost}", content=b"abc").raise_for_status()
    found = Collected(stocked)
    assert set(found.ours()) == found.theirs and len(found.theirs) > 8 and lost in found.theirs
    assert found.ours() == {digest: found.size(digest) for digest in found.theirs}
    batch = await Reclaimable("reg", str(found.root), 60.0, grace=0.0).collect(1.0)
    assert of(batch, STORAGE_RECLAIMABLE) == {labels(volume=str(found.root)): sum(found.ours().values())}
    subprocess.run(
        ["docker-registry", "garbage-collect", stocked.folder / f"{stocked.port}.yml"],
        capture_output=True, check=True,
    )  # fmt: skip
    assert Collected(stocked).ours() == {}


def blob_of_a_manifest(registry: Registry) -> Path:
    data = registry.folder / "data/docker/registry/v2"
    link = next((data / "repositories/harbour").rglob("_manifests/revisions/sha256/*/link"))
    name = link.read_text().removeprefix("sha256:")
    return data / "blobs/sha256" / name[:2] / name / "data"


def test_a_manifest_that_is_gone_is_passed_over_as_garbage_collect_does(stocked):
    shutil.rmtree(blob_of_a_manifest(stocked).parent)
    found = Collected(stocked)
    assert set(found.ours()) == found.theirs and not found.refused


def test_where_garbage_collect_gives_up_it_is_unknown(stocked):
    blob_of_a_manifest(stocked).write_bytes(b"bit rot")
    found = Collected(stocked)
    assert "failed to" in found.refused
    with pytest.raises(Unreadable, match="is no JSON"):
        found.ours()
