"""The collectors of figures that a configuration names: metrics pages, Harbor's API, volumes, and what is
read back from stored samples."""

from collections.abc import Callable, Iterator

import httpx

from collectors.caches import CacheRatios
from collectors.distribution import REMEDY as DISTRIBUTION_REMEDY
from collectors.distribution import DistributionMetrics
from collectors.growth import StorageGrowth
from collectors.harbor import REMEDY as HARBOR_REMEDY
from collectors.harbor import HarborExporter, harbor_page
from collectors.harbor_api import HarborApi
from collectors.node_exporter import RemoteVolume
from collectors.other_registries import REMEDIES, RULES
from collectors.pages import Target
from collectors.reclaimable import Reclaimable
from collectors.rules import MetricsPage
from collectors.storage import Volume
from seawall.config import Config, Registry, Storage
from seawall.core.ports import Collector, SampleStore
from seawall.sources.events import client_of

COMPONENTS = ("core", "registry", "jobservice")
_REMEDIES = {"distribution": DISTRIBUTION_REMEDY, "harbor": HARBOR_REMEDY, **REMEDIES}
# What a kind does not tell, whatever is configured; said by `seawall check`.
CANNOT = {
    "distribution": "tells nothing of disk, garbage collection and replication; its histogram has no status"
    " code; 2.8 does not count the misses of blobs in its pull-through cache",
    "harbor": "core's latencies are summaries, which cannot be pooled; no latency by status code; of volumes"
    " only core's own path",
    "zot": "its latencies are whole seconds since 1.4.3: P99 needs the log of a proxy before it",
    "quay": "tells nothing of disk and garbage collection",
    "nexus": "tells status classes only (2xx), and nothing by repository or of latency that could be pooled",
}


def page_collectors(registry: Registry) -> Iterator[Collector]:
    """The registry's metrics pages, and Harbor's API."""
    if registry.metrics_url:
        yield from _pages(registry, target_of(registry, registry.metrics_url))
    if registry.kind == "harbor":
        yield HarborApi(
            registry.name, client_of(registry), bool(registry.username), bool(registry.metrics_url)
        )


def _pages(registry: Registry, target: Target) -> Iterator[Collector]:
    if registry.kind == "distribution":
        yield DistributionMetrics(registry.name, target)
    elif registry.kind == "harbor":
        yield HarborExporter(registry.name, target)
        yield from (harbor_page(registry.name, target, component) for component in COMPONENTS)
    else:
        yield MetricsPage(registry.name, target, RULES[registry.kind])


def target_of(registry: Registry, url: str) -> Target:
    """Where a page is. The registry's account goes with the request only to the registry's own address."""
    login: Callable[[], tuple[str, str]] | None = None
    if (username := registry.username) and _origin(url) == _origin(registry.url):

        def login() -> tuple[str, str]:
            return username, registry.password()

    ca_file = str(registry.ca_file) if registry.ca_file else None
    return Target(url, _REMEDIES[registry.kind], ca_file, login=login)


def _origin(text: str) -> tuple[str, str, int | None]:
    url = httpx.URL(text)
    return url.scheme, url.host, url.port


def storage_collectors(config: Config) -> Iterator[Collector]:
    """Volumes: of this machine, or as a node_exporter tells them."""
    for volume in config.storage:
        if volume.node_exporter:
            yield RemoteVolume(volume.registry, str(volume.path), volume.node_exporter)
        else:
            yield Volume(volume.registry, str(volume.path))


def slow_collectors(config: Config, samples: SampleStore) -> Iterator[Collector]:
    """What reads back stored samples, and walks through storage; not for a `seawall check`."""
    for registry in config.registries:
        yield StorageGrowth(registry.name, samples)
        yield CacheRatios(registry.name, samples)
    yield from (_walk(volume, volume.reclaimable) for volume in config.storage if volume.reclaimable)


def _walk(volume: Storage, interval: float) -> Collector:
    return Reclaimable(volume.registry, str(volume.path), interval)
