"""`seawall check`: the configuration and every connection, each with its remedy."""

import asyncio
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from alerts.slos import load_rows, load_windows
from collectors.certificates import RegistryCertificate
from collectors.probe import LOCAL, PullProbe
from collectors.pulling.pull import Wanted, probe
from collectors.signatures.configured import read_trusts
from remediation.catalogue import Catalogue
from remediation.policy import load_policy
from seawall import config as configuration
from seawall import public_url
from seawall.app import SHIPPED_PLAYBOOKS, SystemClock, check_stores
from seawall.config import Config, Registry, Site
from seawall.config.oidc import Oidc
from seawall.config.trust import Trust
from seawall.core.errors import InputError, Overloaded, SeawallError, StoreUnavailable
from seawall.core.ports import Collector
from seawall.core.times import rfc3339
from seawall.identity.oidc import Provider
from seawall.sources import build_collectors, endpoint_of, sites_of
from seawall.sources.metrics import CANNOT
from seawall.stores import scaled
from seawall.stores.memory import MemoryEvents
from seawall.tls import described


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `kind` is file or connection: it decides the exit code."""

    name: str
    ok: bool
    found: str
    remedy: str = ""
    kind: str = "connection"

    def shape(self) -> dict[str, Any]:
        """As DESIGN section 9 has it."""
        return {key: value for key, value in asdict(self).items() if key != "kind"}


def exit_code(checks: list[Check]) -> int:
    """2 a file is wrong, 1 a connection failed, 0 fine."""
    if any(not check.ok and check.kind == "file" for check in checks):
        return 2
    return 0 if all(check.ok for check in checks) else 1


def run(path: Path | None, why: str) -> list[Check]:
    """Every check, in the order in which a person would mend things."""
    checks: list[Check] = []
    try:
        config = configuration.load(path)
        checks.append(Check("config", True, f"{path or 'none'} ({why})", kind="file"))
    except InputError as error:
        return [_failed("config", error)]
    checks += _files(config)
    checks += _local(config)
    checks += asyncio.run(_connections(config))
    return checks


def _failed(name: str, error: InputError, kind: str = "file") -> Check:
    return Check(name, False, f"{error.place}: {error.finding}", error.remedy, kind)


def _tried(name: str, step: Callable[[], str]) -> Check:
    try:
        return Check(name, True, step(), kind="file")
    except InputError as error:
        return _failed(name, error)


def _names(config: Config) -> list[str]:
    return [registry.name for registry in config.registries]


def _files(config: Config) -> Iterator[Check]:
    yield _tried("slos", lambda: f"{len(load_rows(config.slos, _names(config)))} row(s) in {config.slos}")
    yield _tried("burn windows", lambda: f"{len(load_windows())} window(s)")
    yield _tried("policy", lambda: f"the default is {load_policy(config.policy).default}")
    folders = [SHIPPED_PLAYBOOKS, *([config.playbooks] if config.playbooks else [])]
    try:
        catalogue, broken = Catalogue.load(folders)
    except InputError as error:
        yield _failed("playbooks", error)
        return
    for playbook in catalogue:
        yield Check(f"playbook {playbook.name}", True, playbook.title, kind="file")
    for fault in broken:
        yield _failed("playbook", fault)


def _local(config: Config) -> Iterator[Check]:
    def stores() -> str:
        check_stores(config)
        return f"{config.stores.samples} {config.stores.events} {config.stores.records}"

    yield _tried("stores", stores)
    if config.stores.records.partition(":")[0] in scaled.RECORDS:
        yield _records(config)
    for registry in config.registries:
        yield Check(
            f"kind of {registry.name}", True, f"{registry.kind}: {CANNOT[registry.kind]}", kind="file"
        )
    for registry in (it for it in config.registries if it.trust.configured):
        yield _tried(f"trust of {registry.name}", partial(_trusted, registry.trust))
    if config.server.tls_cert:
        yield _tried("server.tls_cert", lambda: described(config.server, time.time()))
    if config.server.oidc:
        yield _provider(config.server.oidc)
    if wrong := public_url.trouble(config):
        remedy = "write the address at which people reach Seawall into server.public_url"
        yield Check("server.public_url", True, f"warning: {wrong}", remedy, kind="file")
    ansible = shutil.which("ansible-playbook", path=str(Path(sys.executable).parent))
    remedy = "" if ansible else "install Seawall's own requirements (make setup)"
    yield Check("ansible-playbook", bool(ansible), ansible or "not found", remedy)


def _provider(oidc: Oidc) -> Check:
    try:
        return Check("server.oidc", True, Provider(oidc, "", SystemClock()).greet())
    except InputError as error:
        return _failed("server.oidc", error)
    except Overloaded as error:
        return Check("server.oidc", False, str(error), "mend server.oidc.issuer, or reach the provider")


def _records(config: Config) -> Check:
    try:
        return Check("records", True, scaled.ask_records(config.stores.records, config.stores.postgresql))
    except InputError as error:
        return _failed("records", error)
    except StoreUnavailable as error:
        found = " ".join(str(error).split())
        return Check("records", False, found, "start PostgreSQL, or mend stores.records (docs/stores.md)")


def _trusted(trust: Trust) -> str:
    """Whom a registry's configuration believes. InputError."""
    found = read_trusts(trust)
    rules = [found.own, *(rule.trust for rule in found.rules)]
    keys = sum(len(it.keys) for it in rules)
    said = (
        f"{keys} key(s), {sum(len(it.roots) + len(it.authorities) for it in rules)} authority certificate(s)"
    )
    identities = [len(it.keyless.identities) for it in rules if it.keyless]
    return f"{said}, {sum(identities)} keyless identity(ies)" if identities else said


async def _connections(config: Config) -> list[Check]:
    pairs = [(registry, site) for registry in config.registries for site in sites_of(config)]
    probes = await asyncio.gather(*(_registry(registry, site, config) for registry, site in pairs))
    others = [c for c in build_collectors(config, MemoryEvents()) if not isinstance(c, PullProbe)]
    return [*probes, *await asyncio.gather(*(_collector(collector) for collector in others))]


async def _registry(registry: Registry, site: Site, config: Config) -> Check:
    name = f"registry {registry.name}" + ("" if site.name == LOCAL else f" from {site.name}")
    url = site.urls.get(registry.name, registry.url)
    try:
        endpoint = endpoint_of(registry, config.probe, site, url)
        pull = await probe(endpoint, Wanted(None, config.probe.timeout), now=time.time())
    except InputError as error:
        return _failed(name, error)
    if pull.ok:
        clock = f"; {pull.clock()}" if pull.clock() else ""
        return Check(name, True, f"{url} answers in {pull.seconds * 1000:.0f} ms{clock}")
    remedy = f"start the registry, or mend registries[{registry.name}].url"
    return Check(name, False, f"{url}: {pull.phase}: {pull.reason}", remedy)


async def _certificate(collector: RegistryCertificate) -> Check:
    name, now = f"certificate of {collector.registry}", time.time()
    try:
        found = await collector.look()
    except InputError as error:
        return _failed(name, error, kind="connection")
    except SeawallError as error:
        return Check(name, False, str(error), "see registry above")
    told = [found.trouble(now) or f"valid until {rfc3339(found.not_after)}", found.lifetime()]
    remedy = "renew it" if found.trouble(now) else "shorten it, and renew it by itself" if told[1] else ""
    return Check(name, not found.trouble(now), "; ".join(filter(None, told)), remedy)


async def _collector(collector: Collector) -> Check:
    if isinstance(collector, RegistryCertificate):
        return await _certificate(collector)
    name = f"{collector.name} of {collector.registry}"
    try:
        batch = await asyncio.wait_for(collector.collect(0.0), collector.timeout)
    except InputError as error:
        return _failed(name, error, kind="connection")
    except (SeawallError, OSError, TimeoutError) as error:
        return Check(name, False, str(error) or "no answer in time", "see docs/configuration.md")
    told = [f"{len(batch.samples)} sample(s), {len(batch.events)} event(s)", *batch.notes, *batch.asides]
    return Check(name, True, "; ".join(told))
