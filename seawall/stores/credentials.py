"""Secrets of the stores at scale, read when a store is opened; never from a URL."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from seawall.config import read_secret
from seawall.config.stores import Access
from seawall.core.errors import InputError


def server_url(url: str, scheme: str, place: str) -> str:
    """`SCHEME+http(s)://host[:port][/path]` -> the http(s) URL without a final slash. InputError."""
    plain = url.removeprefix(f"{scheme}+")
    parts = urlsplit(plain)
    if plain == url or parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(place, f"{url!r} names no server", f"write it like {scheme}+https://host:port")
    if parts.username or parts.password or parts.query or parts.fragment:
        remedy = "use username with password_file, or token_file"
        raise InputError(place, "a user, password or query stands in the URL", remedy)
    return plain.rstrip("/")


def basic_auth(access: Access, place: str) -> tuple[str, str] | None:
    """(user, password), if configured. InputError when the secret is not there."""
    if access.username is None:
        return None
    return access.username, _secret(access.password_file, access.password_env, place)


def token(access: Access, place: str) -> str | None:
    """The bearer token or API key, if configured. InputError when the secret is not there."""
    if access.token_file is None and access.token_env is None:
        return None
    return _secret(access.token_file, access.token_env, place)


def secret_of(file: Path | None, env: str | None, place: str) -> str | None:
    """The secret, if one is configured. InputError when it is not there."""
    return None if file is None and env is None else _secret(file, env, place)


def _secret(file: Path | None, env: str | None, place: str) -> str:
    if env is not None:
        if not os.environ.get(env):
            raise InputError(place, f"${env} is not set", "export it, or name a file instead")
        return os.environ[env]
    assert file is not None  # noqa: S101 (the model has seen to it)
    return read_secret(file, place)
