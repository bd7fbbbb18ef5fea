"""URLs as they are sent, and which addresses a server may send the probe to."""

import ipaddress
import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from collectors.pulling.faults import Broken

_SAFE = "/%:@!$&'()*+,;=~?-._[]"
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9a-fA-F:.]+(?:%\w+)?", re.ASCII)


class Url(NamedTuple):
    """An http(s) URL: `host` without brackets, `target` (path and query) as it stands in the request."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def netloc(self) -> str:
        """The Host header: host and, unless it is the scheme's, port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: who may see a secret."""
        return self.scheme, self.host, self.port

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.target}"

    def join(self, location: str) -> "Url":
        """Where a Location or realm leads. Broken if that is no URL of HTTP."""
        return parse_url(urljoin(str(self), location.strip())) if location.strip() else parse_url("")


@lru_cache(maxsize=4096)
def parse_url(text: str) -> Url:
    """An absolute URL, without user and fragment. Broken if it is none of HTTP."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise Broken("sent to an address that is no URL") from error
    try:
        host = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError as error:
        raise Broken("sent to an address that is no URL") from error
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host) or port == 0:
        raise Broken("sent to an address that is no URL of HTTP")
    target = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_SAFE)
    return Url(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), target)


def is_address(host: str) -> bool:
    """Is it a literal IPv4 or IPv6 address?"""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_inner(address: str) -> bool:
    """Is it an address that only this machine or its platform reaches: loopback, link-local (a cloud's
    metadata service), unspecified, multicast? A registry elsewhere must not send the probe there."""
    ip = ipaddress.ip_address(address)
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast
