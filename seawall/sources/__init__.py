"""The collectors of a configuration: a probe for every registry, and what else it names."""

from collections import Counter

from collectors.caches import CountedLog
from collectors.certificates import RegistryCertificate
from collectors.exchange import TlsFiles
from collectors.probe import LOCAL, PullProbe
from collectors.pull_signatures import PullSignatures
from collectors.pulling.address import parse_url
from collectors.pulling.dial import Route
from collectors.pulling.exchange import Endpoint
from collectors.pulling.images import parse_platform
from collectors.pulling.pull import Wanted, image_of
from collectors.pulling.tokens import Credentials
from collectors.pulls.looks import Looks, Pace
from collectors.pulls.told import Excluded
from collectors.pulls.trusting import TrustFiles
from seawall.config import Config, Probe, Registry, Site, read_secret
from seawall.core.ports import Collector, EventStore, SampleStore
from seawall.sources.events import event_collectors
from seawall.sources.metrics import page_collectors, slow_collectors, storage_collectors


def build_collectors(
    config: Config, events: EventStore, samples: SampleStore | None = None
) -> list[Collector]:
    """A probe for every registry, and what else its configuration names. Without `samples` (a check) nothing
    that reads back what is stored, and no walk through storage."""
    collectors: list[Collector] = []
    for registry in config.registries:
        collectors += [probe_of(registry, config, site) for site in sites_of(config)]
        if registry.url.startswith("https:"):
            collectors.append(certificate_of(registry, config))
        collectors += page_collectors(registry)
        found = event_collectors(registry, events, config.probe.interval / 2)
        collectors += [CountedLog(one) if hasattr(one, "lines") else one for one in found]
    collectors += storage_collectors(config)
    if samples is not None:
        collectors += slow_collectors(config, samples)
        collectors += [verdicts_of(it, config, events) for it in config.registries if it.trust.configured]
    return named_apart(collectors)


def named_apart(collectors: list[Collector]) -> list[Collector]:
    """Two of one kind (volumes, logs) of a registry get numbers, since (registry, name) is a collector's
    identity: `storage`, `storage-2`."""
    seen: Counter[tuple[str, str]] = Counter()
    for collector in collectors:
        key = collector.registry, collector.name
        seen[key] += 1
        if seen[key] > 1:
            collector.name = f"{collector.name}-{seen[key]}"
    return collectors


def sites_of(config: Config) -> tuple[Site, ...]:
    """From where registries are probed: the configured sites, else this machine."""
    return config.probe.sites or (Site(name=LOCAL),)


def probe_of(registry: Registry, config: Config, site: Site) -> PullProbe:
    """The synthetic pull of a registry from a site, as configured."""
    probe, url = config.probe, site.urls.get(registry.name, registry.url)
    wanted = Wanted(
        image=image_of(registry.url, probe.image) if probe.image else None,
        deadline=probe.timeout,
        platform=parse_platform(probe.platform),
        throttling_fails=probe.throttling_fails,
    )
    return PullProbe(
        registry.name, endpoint_of(registry, probe, site, url), wanted, site.name, probe.interval
    )


def certificate_of(registry: Registry, config: Config) -> RegistryCertificate:
    """The registry's certificate, as the first site sees it."""
    site = sites_of(config)[0]
    return RegistryCertificate(registry.name, endpoint_of(registry, config.probe, site, registry.url))


def verdicts_of(registry: Registry, config: Config, events: EventStore) -> PullSignatures:
    """The verdicts on a registry's pulls; it goes on where it stopped. InputError for files of trust."""
    pulls, site = config.pulls, sites_of(config)[0]
    endpoint = endpoint_of(registry, config.probe, site, site.urls.get(registry.name, registry.url))
    looks = Looks(endpoint, TrustFiles(registry.trust), pulls.recheck, Pace(pulls.lookups, pulls.parallel))
    excluded = Excluded(pulls.exclude_agents, pulls.exclude_users)
    collector = PullSignatures(registry.name, events, looks, excluded, pulls.grace)
    collector.restore(events.checkpoint(collector.source))
    return collector


def endpoint_of(registry: Registry, probe: Probe, site: Site, url: str) -> Endpoint:
    """How a site reaches a registry: login, TLS files, limits, route."""
    login = Credentials(registry.username, registry.password) if registry.username else None
    return Endpoint(
        url=url,
        credentials=login,
        tls=tls_of(registry, probe.http2),
        route=Route(str(site.source) if site.source else None, parse_url(site.proxy) if site.proxy else None),
        limits={name: limit for name, limit in probe.timeouts if limit is not None},
    )


def tls_of(registry: Registry, http2: bool = False) -> TlsFiles:
    """A registry's own authority and our certificate for it. InputError if others can read its key."""
    if registry.client_key:
        read_secret(registry.client_key, f"registries[{registry.name}].client_key")
    named = (registry.ca_file, registry.client_cert, registry.client_key)
    ca_file, certificate, key = (str(file) if file else None for file in named)
    return TlsFiles(ca_file, certificate, key, http2)
