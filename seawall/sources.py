"""The collectors of a configuration: a probe for every registry, and what else it names."""

from collectors.distribution import DistributionMetrics
from collectors.logs import FollowedLog
from collectors.probe import PullProbe
from collectors.storage import Volume
from seawall.config import Config, Registry
from seawall.core.ports import Collector, EventStore

METRICS_INTERVAL = 15.0
STORAGE_INTERVAL = 30.0
SITE = "local"


def build_collectors(config: Config, events: EventStore) -> list[Collector]:
    """A probe for every registry, and what else its configuration names."""
    collectors: list[Collector] = []
    for registry in config.registries:
        collectors.append(probe_of(registry, config))
        if registry.metrics_url:
            collectors.append(
                DistributionMetrics(
                    registry=registry.name,
                    url=registry.metrics_url,
                    ca_file=str(registry.ca_file) if registry.ca_file else None,
                    interval=METRICS_INTERVAL,
                    timeout=5.0,
                )
            )
        for path in registry.logs:
            follower = FollowedLog(registry=registry.name, path=str(path), interval=config.probe.interval / 2)
            follower.restore(events.checkpoint(follower.source))
            collectors.append(follower)
    collectors += [
        Volume(registry=volume.registry, path=str(volume.path), interval=STORAGE_INTERVAL)
        for volume in config.storage
    ]
    return collectors


def probe_of(registry: Registry, config: Config) -> PullProbe:
    """The synthetic pull of a registry as configured."""
    return PullProbe(
        registry=registry.name,
        site=SITE,
        url=registry.url,
        image=config.probe.image,
        username=registry.username,
        password=registry.password if registry.username else None,
        ca_file=str(registry.ca_file) if registry.ca_file else None,
        interval=config.probe.interval,
        timeout=config.probe.timeout,
    )
