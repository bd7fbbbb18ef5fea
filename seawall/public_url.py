"""Where the links in messages lead: `server.public_url`, and what is wrong with it."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from seawall.config import Config


def is_loopback(url: str) -> bool:
    """Does the URL name the machine that reads it (localhost, 127.0.0.0/8, ::1)?"""
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def trouble(config: Config) -> str:
    """What people who are told by `notify.channels` or Alertmanager would stumble over; "" if nothing."""
    if not config.notify.channels and config.alertmanager is None:
        return ""
    url = config.server.public_url
    if url is None:
        return "not set, while notifications are on: their messages have no links"
    if is_loopback(str(url)):
        return f"{url} is loopback, while notifications are on: links work on this machine alone"
    return ""
