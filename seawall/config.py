"""seawall.yaml: strict, frozen models. Unknown keys are refused, secrets come from files or env.

Precedence: flag > environment > file > default. `docs/configuration.md` lists every key.
"""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from seawall.core.errors import InputError
from seawall.core.times import parse_duration
from seawall.yamlfile import Document, read_yaml, validate

CONFIG_ENV = "SEAWALL_CONFIG"
DEFAULT_FILE = Path("seawall.yaml")
SHIPPED_SLOS = Path(__file__).parent.parent / "alerts" / "slos.yaml"


def _seconds(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _http_url(value: object) -> object:
    if isinstance(value, str):
        if not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", value):
            raise ValueError("is not an http:// or https:// URL without user and password in it")
        return value.rstrip("/")
    return value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
HttpUrl = Annotated[str, BeforeValidator(_http_url)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]


class Model(BaseModel):
    """Frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Trust(Model):
    """Whose signatures count. Read, not used yet: signature checks are not built (see README)."""

    keys: tuple[Path, ...] = ()
    trust_store: Path | None = None


class Process(Model):
    """How a registry that runs as a plain process is started."""

    pidfile: Path
    command: tuple[str, ...] = Field(min_length=1)
    log: Path | None = None


class Registry(Model):
    """One watched registry."""

    name: Name
    kind: Literal["distribution"] = "distribution"
    url: HttpUrl
    username: str | None = None
    password_file: Path | None = None
    password_env: str | None = None
    ca_file: Path | None = None
    metrics_url: HttpUrl | None = None
    logs: tuple[Path, ...] = ()
    trust: Trust = Trust()
    container: str | None = None
    runtime: Literal["auto", "podman", "docker"] = "auto"
    runtime_env: Mapping[str, str] = Field(default_factory=dict)
    process: Process | None = None

    @model_validator(mode="after")
    def _one_password(self) -> "Registry":
        if self.password_file and self.password_env:
            raise ValueError("has both password_file and password_env; keep one")
        if bool(self.username) != bool(self.password_file or self.password_env):
            raise ValueError("needs username together with password_file or password_env")
        return self

    def password(self) -> str:
        """The secret itself, read at use. InputError if it is not there."""
        place = f"registries[{self.name}]"
        if self.password_env:
            if self.password_env not in os.environ:
                raise InputError(place, f"${self.password_env} is not set", "export it, or use password_file")
            return os.environ[self.password_env]
        if self.password_file is None:
            raise InputError(place, "no password is configured", "set password_file or password_env")
        return read_secret(self.password_file, place)


class Storage(Model):
    """A volume that holds a registry's blobs, as this machine sees it."""

    registry: Name
    path: Path


class Stores(Model):
    """Where things are kept; the scheme chooses the engine."""

    samples: str = "duckdb:"
    events: str = "duckdb:"
    records: str = "sqlite:"


class Probe(Model):
    """The synthetic pull."""

    interval: Seconds = 10.0
    timeout: Seconds = 8.0
    image: str | None = None

    @model_validator(mode="after")
    def _fits(self) -> "Probe":
        if self.timeout >= self.interval:
            raise ValueError(
                f"timeout {self.timeout:g}s does not fit into interval {self.interval:g}s; make it shorter"
            )
        return self


class Server(Model):
    """Where Seawall itself listens."""

    host: str = "127.0.0.1"
    port: int = Field(default=8700, ge=0, le=65535)
    public_url: HttpUrl | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None


class Webhook(Model):
    """A webhook's own token."""

    token_file: Path


class Webhooks(Model):
    """One token a sender; a webhook without one is closed."""

    alertmanager: Webhook | None = None
    distribution: Webhook | None = None


class Config(Model):
    """All of seawall.yaml."""

    registries: tuple[Registry, ...] = ()
    storage: tuple[Storage, ...] = ()
    stores: Stores = Stores()
    slos: Path = SHIPPED_SLOS
    playbooks: Path | None = None
    policy: Path | None = None
    inventory: Path | None = None
    probe: Probe = Probe()
    server: Server = Server()
    webhooks: Webhooks = Webhooks()

    @model_validator(mode="after")
    def _names(self) -> "Config":
        names = [registry.name for registry in self.registries]
        if double := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"registries: the name {sorted(double)[0]!r} stands twice; names are unique")
        for volume in self.storage:
            if volume.registry not in names:
                raise ValueError(f"storage: no registry is named {volume.registry!r}; known: {names}")
        return self


def read_secret(path: Path, place: str) -> str:
    """A secret file's text without the final newline; others must not be able to read it."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise InputError(
            place, f"cannot read {path} ({error.strerror})", "create it with mode 0600"
        ) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO) & ~stat.S_IRGRP:
        raise InputError(place, f"{path} is open to other users (mode {mode & 0o777:04o})", "chmod 600 it")
    if not text:
        raise InputError(place, f"{path} is empty", "write the secret into it")
    return text


def locate(flag: Path | None, env: Mapping[str, str]) -> tuple[Path | None, str]:
    """The file to read and why: --config, $SEAWALL_CONFIG, ./seawall.yaml, or None (defaults)."""
    if flag is not None:
        return flag, "--config"
    if env.get(CONFIG_ENV):
        return Path(env[CONFIG_ENV]), f"${CONFIG_ENV}"
    if DEFAULT_FILE.exists():
        return DEFAULT_FILE, "./seawall.yaml"
    return None, "built-in defaults: no registry, embedded stores"


def load(path: Path | None) -> Config:
    """The validated configuration. InputError names file, line, key, finding and remedy."""
    if path is None:
        return Config()
    if not path.exists():
        raise InputError(str(path), "no such file", "create it (docs/configuration.md), or drop --config")
    document = read_yaml(path)
    return _resolved(validate(Config, document), path.parent, document)


def _resolved(config: Config, folder: Path, document: Document) -> Config:
    """Relative paths are relative to the file that names them."""
    data: dict[str, Any] = config.model_dump()
    return Config.model_validate(_absolute(data, folder.resolve()))


def _absolute(value: Any, folder: Path) -> Any:
    if isinstance(value, Path):
        return value if value.is_absolute() else folder / value
    if isinstance(value, dict):
        return {key: _absolute(item, folder) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return tuple(_absolute(item, folder) for item in value)
    return value
