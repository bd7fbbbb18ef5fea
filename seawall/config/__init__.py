"""seawall.yaml: strict, frozen models. Unknown keys are refused, secrets come from files or env.

Precedence: flag > environment > file > default. `docs/configuration.md` lists every key.
"""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, IPvAnyAddress, model_validator

from seawall.config.alerting import Alertmanager, Notify
from seawall.config.api import Server
from seawall.config.audit import Audit
from seawall.config.base import Model
from seawall.config.repairs import Repairs
from seawall.config.runs import Runs
from seawall.config.slo import Incidents, Maintenance
from seawall.config.stores import AtScale
from seawall.config.trust import Trust
from seawall.core.errors import InputError
from seawall.core.times import parse_duration
from seawall.yamlfile import Document, read_yaml, validate

CONFIG_ENV = "SEAWALL_CONFIG"
DEFAULT_FILE = Path("seawall.yaml")
SHIPPED_SLOS = Path(__file__).parents[2] / "alerts" / "slos.yaml"


def _seconds(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _http_url(value: object) -> object:
    if isinstance(value, str):
        if not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", value):
            raise ValueError("is not an http:// or https:// URL without user and password in it")
        return value.rstrip("/")
    return value


CONTAINER = "container:"


def _log_source(value: object) -> object:
    """`-` and `container:NAME` stay text, everything else is a path (or a pattern of paths)."""
    if not isinstance(value, str) or value == "-":
        return value
    if not value.startswith(CONTAINER):
        return Path(value)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value.removeprefix(CONTAINER)):
        raise ValueError(f"{value!r} names no container; write it like container:registry")
    return value


LogSource = Annotated[Path | str, BeforeValidator(_log_source)]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
HttpUrl = Annotated[str, BeforeValidator(_http_url)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]


class Process(Model):
    """How a registry that runs as a plain process is started."""

    pidfile: Path
    command: tuple[str, ...] = Field(min_length=1)
    log: Path | None = None


class Registry(Model):
    """One watched registry."""

    name: Name
    kind: Literal["distribution", "harbor", "zot", "quay", "nexus"] = "distribution"
    url: HttpUrl
    username: str | None = None
    password_file: Path | None = None
    password_env: str | None = None
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    metrics_url: HttpUrl | None = None
    logs: tuple[LogSource, ...] = ()
    client_logs: tuple[LogSource, ...] = ()
    audit_log: bool = False
    scan_overview: bool = False
    trivy_reports: Path | None = None
    trust: Trust = Trust()
    container: str | None = None
    runtime: Literal["auto", "podman", "docker"] = "auto"
    runtime_env: Mapping[str, str] = Field(default_factory=dict)
    process: Process | None = None
    repairs: Repairs = Repairs()

    @model_validator(mode="after")
    def _one_password(self) -> "Registry":
        if self.password_file and self.password_env:
            raise ValueError("has both password_file and password_env; keep one")
        if self.client_key and not self.client_cert:
            raise ValueError("has client_key without client_cert; name the certificate too")
        if bool(self.username) != bool(self.password_file or self.password_env):
            raise ValueError("needs username together with password_file or password_env")
        return self

    @model_validator(mode="after")
    def _restartable(self) -> "Registry":
        if self.repairs.config_file and not (self.container or self.process):
            raise ValueError("repairs.config_file needs container or process: the registry must be restarted")
        return self

    @model_validator(mode="after")
    def _followed(self) -> "Registry":
        if others := [str(log) for log in self.client_logs if log not in self.logs]:
            raise ValueError(f"client_logs names {', '.join(others)}, which logs does not; name it there too")
        return self

    @model_validator(mode="after")
    def _account(self) -> "Registry":
        if (self.audit_log or self.scan_overview) and not self.username:
            raise ValueError("audit_log and scan_overview need Harbor's API: set username and a password key")
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
    """A volume that holds a registry's blobs, as this machine or a node_exporter sees it."""

    registry: Name
    path: Path
    node_exporter: HttpUrl | None = None
    reclaimable: Seconds | None = None

    @model_validator(mode="after")
    def _here(self) -> "Storage":
        if self.node_exporter and self.reclaimable:
            raise ValueError("reclaimable walks a folder of this machine; drop it, or node_exporter")
        return self


class Stores(AtScale):
    """Where things are kept; the scheme chooses the engine."""

    samples: str = "duckdb:"
    events: str = "duckdb:"
    records: str = "sqlite:"


class Timeouts(Model):
    """Seconds that one phase of a pull may take; `probe.timeout` bounds them all."""

    dns: Seconds = 3.0
    connect: Seconds = 3.0
    tls: Seconds = 3.0
    auth_token: Seconds = 5.0
    manifest_index: Seconds = 5.0
    manifest_child: Seconds = 5.0
    blob_ttfb: Seconds = 5.0
    blob_transfer: Seconds | None = None
    redirect: Seconds = 5.0
    base: Seconds = 5.0


class Site(Model):
    """A place from which registries are probed: another address of this machine, or the far side of a
    forward proxy; `urls` where a registry has another URL there."""

    name: Name
    source: IPvAnyAddress | None = None
    proxy: HttpUrl | None = None
    urls: Mapping[str, HttpUrl] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _plain_proxy(self) -> "Site":
        if self.proxy and not re.fullmatch(r"http://[^/]+", self.proxy):
            raise ValueError(f"proxy {self.proxy!r} is no proxy; write it like http://proxy.example.com:3128")
        return self


class Probe(Model):
    """The synthetic pull."""

    interval: Seconds = 10.0
    timeout: Seconds = 8.0
    timeouts: Timeouts = Timeouts()
    image: str | None = None
    platform: str = Field(default="linux/amd64", pattern=r"^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?$")
    http2: bool = False
    throttling_fails: bool = False
    sites: tuple[Site, ...] = ()

    @model_validator(mode="after")
    def _sites_differ(self) -> "Probe":
        names = [site.name for site in self.sites]
        if double := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"sites: the name {sorted(double)[0]!r} stands twice; names are unique")
        return self

    @model_validator(mode="after")
    def _fits(self) -> "Probe":
        if self.timeout >= self.interval:
            raise ValueError(
                f"timeout {self.timeout:g}s does not fit into interval {self.interval:g}s; make it shorter"
            )
        return self


class Pulls(Model):
    """How pulls of unsigned images are counted: `lookups` images a second, `parallel` of them at once."""

    grace: Annotated[float, BeforeValidator(_seconds), Field(ge=0, le=3600)] = 120.0
    recheck: Seconds = 60.0
    lookups: float = Field(default=20.0, gt=0, le=1000)
    parallel: int = Field(default=4, ge=1, le=64)
    exclude_agents: tuple[str, ...] = (
        "cosign", "notation", "trivy", "grype", "syft", "clair", "kyverno", "policy-controller", "ratify",
    )  # fmt: skip
    exclude_users: tuple[str, ...] = ("robot$*Trivy-*", "robot$*Clair-*")


class Webhook(Model):
    """A webhook's own token."""

    token_file: Path


class Webhooks(Model):
    """One token a sender; a webhook without one is closed."""

    alertmanager: Webhook | None = None
    distribution: Webhook | None = None
    harbor: Webhook | None = None


class Config(Model):
    """All of seawall.yaml."""

    registries: tuple[Registry, ...] = ()
    storage: tuple[Storage, ...] = ()
    stores: Stores = Stores()
    slos: Path = SHIPPED_SLOS
    playbooks: Path | None = None
    policy: Path | None = None
    inventory: Path | None = None
    runs: Runs = Runs()
    maintenance: tuple[Maintenance, ...] = ()
    incidents: Incidents = Incidents()
    probe: Probe = Probe()
    pulls: Pulls = Pulls()
    server: Server = Server()
    webhooks: Webhooks = Webhooks()
    alertmanager: Alertmanager | None = None
    notify: Notify = Notify()
    audit: Audit = Audit()

    @model_validator(mode="after")
    def _names(self) -> "Config":
        names = [registry.name for registry in self.registries]
        if double := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"registries: the name {sorted(double)[0]!r} stands twice; names are unique")
        if sum(registry.logs.count("-") for registry in self.registries) > 1:
            raise ValueError("registries: several logs name `-`, but there is one standard input; keep one")
        for site in self.probe.sites:
            if unknown := sorted(set(site.urls) - set(names)):
                raise ValueError(
                    f"probe.sites[{site.name}].urls: no registry is named {unknown[0]!r}; known: {names}"
                )
        for planned in self.maintenance:
            if planned.registry not in (None, *names):
                raise ValueError(f"maintenance: no registry is named {planned.registry!r}; known: {names}")
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
    return Config.model_validate(_absolute(config.model_dump(), folder.resolve()))


def _absolute(value: Any, folder: Path) -> Any:
    if isinstance(value, Path):
        return value if value.is_absolute() else folder / value
    if isinstance(value, dict):
        return {key: _absolute(item, folder) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return tuple(_absolute(item, folder) for item in value)
    return value
