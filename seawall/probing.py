"""One pull for `seawall probe`, with the registry's login and TLS files where it is configured."""

import ipaddress
import os
import time
from dataclasses import dataclass
from pathlib import Path

from collectors.probe import LOCAL
from collectors.pulling.exchange import Endpoint
from collectors.pulling.images import Platform, parse_image, parse_platform
from collectors.pulling.pull import Pull, Wanted, probe
from seawall import config as configuration
from seawall.config import Config, Registry, Site
from seawall.core.errors import InputError
from seawall.sources import endpoint_of


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says; None: as configured. `timeout` is in seconds, of the whole pull."""

    image: str
    timeout: float
    plain_http: bool = False
    platform: str | None = None
    http2: bool = False
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    site: str | None = None


async def pull_once(asked: Asked, config: Path | None) -> tuple[Pull, str]:
    """The pull, and the registry's URL. HTTPS, but plain HTTP on loopback or where it was asked for."""
    image = parse_image(asked.image)
    if not image.host:
        remedy = "write it like registry.example.com:5000/team/app:1.0"
        raise InputError(asked.image, "names no registry", remedy)
    loaded = configuration.load(configuration.locate(config, os.environ)[0])
    endpoint = endpoint_asked(asked, image.host, loaded)
    platform = parse_platform(asked.platform) if asked.platform else Platform()
    wanted = Wanted(image, asked.timeout, platform, throttling_fails=False)
    return await probe(endpoint, wanted, now=time.time()), endpoint.url


def endpoint_asked(asked: Asked, host: str, config: Config) -> Endpoint:
    """How to reach a host: as configured, else HTTPS, else plain HTTP on loopback or where asked for.
    InputError."""
    site = _site(asked.site, config)
    registry = configured(host, config)
    if registry is None:
        scheme = "http" if asked.plain_http or is_loopback(host) else "https"
        registry = Registry(name="asked", url=f"{scheme}://{host}")
    flags = {"ca_file": asked.ca_file, "client_cert": asked.client_cert, "client_key": asked.client_key}
    registry = registry.model_copy(update={key: file for key, file in flags.items() if file})
    probing = config.probe.model_copy(update={"http2": asked.http2 or config.probe.http2})
    return endpoint_of(registry, probing, site, site.urls.get(registry.name, registry.url))


def _site(name: str | None, config: Config) -> Site:
    known = {site.name: site for site in config.probe.sites}
    if name is None:
        return Site(name=LOCAL)
    if name not in known:
        raise InputError(f"site {name!r}", "no such site", f"name one of probe.sites: {sorted(known)}")
    return known[name]


def configured(host: str, config: Config) -> Registry | None:
    """The registry of the configuration at a host."""
    return next((it for it in config.registries if Endpoint(it.url).netloc == host), None)


def is_loopback(host: str) -> bool:
    """Is it this machine, by address or as `localhost`?"""
    name = host.rsplit(":", 1)[0].strip("[]") if not host.endswith("]") else host.strip("[]")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
