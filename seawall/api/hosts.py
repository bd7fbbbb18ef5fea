"""Which names may stand in the Host header: ours, so that a name that an attacker points at us (DNS
rebinding) gets nothing. An address is always ours: whoever sends it reached us by it."""

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from seawall.config import Config


def names_of(config: Config) -> frozenset[str]:
    """Names by which this Seawall may be called: this machine's, `server.host`, `server.public_url`'s, and
    `server.allowed_hosts`."""
    server = config.server
    public = urlsplit(server.public_url).hostname if server.public_url else None
    machine = socket.gethostname().lower()
    found: Iterable[str | None] = ("localhost", machine, server.host.lower(), public, *server.allowed_hosts)
    return frozenset(name.lower().rstrip(".") for name in found if name)


def is_ours(host: str, names: frozenset[str]) -> bool:
    """Is this Host header (name or address, with or without a port) one of ours?"""
    try:
        parts = urlsplit(f"//{host}")
        name, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not name or parts.username is not None or parts.path or parts.query:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.rstrip(".") in names
    return True
