"""One pull for `seawall probe`: finds the registry's credentials in the configuration, if it is there."""

import ipaddress
import os
from pathlib import Path

from collectors.exchange import Credentials, tls_context
from collectors.probe import Pull, parse_image, probe
from seawall import config as configuration
from seawall.config import Registry
from seawall.core.errors import InputError


async def pull_once(image: str, config: Path | None, plain_http: bool, deadline: float) -> tuple[Pull, str]:
    """The pull, and the registry's URL. HTTPS, but plain HTTP on loopback or where it was asked for."""
    wanted = parse_image(image)
    if not wanted.host:
        raise InputError(image, "names no registry", "write it like registry.example.com:5000/team/app:1.0")
    registry = _configured(wanted.host, config)
    scheme = "http" if plain_http or _loopback(wanted.host) else "https"
    url = registry.url if registry else f"{scheme}://{wanted.host}"
    login = Credentials(registry.username, registry.password) if registry and registry.username else None
    tls = tls_context(str(registry.ca_file) if registry and registry.ca_file else None)
    return await probe(url, wanted, deadline, login, tls), url


def _configured(host: str, config: Path | None) -> Registry | None:
    path, _ = configuration.locate(config, os.environ)
    registries = configuration.load(path).registries
    return next((r for r in registries if r.url.partition("://")[2].partition("/")[0] == host), None)


def _loopback(host: str) -> bool:
    name = host.rsplit(":", 1)[0].strip("[]") if not host.endswith("]") else host.strip("[]")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
