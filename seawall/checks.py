"""`seawall check`: the configuration and every connection, each with its remedy."""

import asyncio
import contextlib
import os
import shutil
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from alerts.slos import load_rows, load_windows
from collectors.certificates import RegistryCertificate
from collectors.probe import LOCAL, PullProbe
from collectors.pulling.exchange import Endpoint
from collectors.pulling.images import parse_platform
from collectors.pulling.pull import Wanted, image_of, probe
from collectors.signatures.configured import read_trusts
from remediation.catalogue import Catalogue
from remediation.policy import load_policy
from seawall import config as configuration
from seawall import public_url
from seawall.app import SHIPPED_PLAYBOOKS, SystemClock, check_stores
from seawall.config import Config, Probe, Process, Registry, Site, read_secret
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

SECRETS = ("token_file", "password_file", "url_file", "client_secret_file", "client_key")
SECRET_VARIABLES = ("password_env", "token_env")
RUNTIMES = ("podman", "docker")
RUNTIME_ANSWERS = 5.0  # seconds


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
    yield from _secrets(config, "")
    if config.stores.records.partition(":")[0] in scaled.RECORDS:
        yield _records(config)
    for registry in config.registries:
        yield Check(
            f"kind of {registry.name}", True, f"{registry.kind}: {CANNOT[registry.kind]}", kind="file"
        )
    for name, process in ((it.name, it.process) for it in config.registries if not config.inventory):
        if process:
            yield _tried(f"process of {name}", partial(_startable, name, process))
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


def _secrets(model: BaseModel, place: str) -> Iterator[Check]:
    """Every secret that the configuration names, read as `up` reads it."""
    for key, value in model:
        here = f"{place}.{key}" if place else key
        if key in SECRETS and isinstance(value, Path):
            yield _tried(here, partial(_secret, value, here))
        if key in SECRET_VARIABLES and value is not None and not os.environ.get(value):
            yield Check(here, False, f"${value} is not set", "export it, or name a file", kind="file")
        for index, part in enumerate(value if isinstance(value, tuple) else (value,)):
            if isinstance(part, BaseModel):
                at = f"[{getattr(part, 'name', index)}]" if isinstance(value, tuple) else ""
                yield from _secrets(part, here + at)


def _secret(path: Path, place: str) -> str:
    read_secret(path, place)
    return str(path)


def _startable(name: str, process: Process) -> str:
    """Whether a repair could start it. InputError."""
    place, folder, program = f"registries[{name}].process", process.pidfile.parent, process.command[0]
    if not folder.is_dir():
        raise InputError(f"{place}.pidfile", f"there is no folder {folder}", "make it, or name another file")
    found = shutil.which(program)
    if found is None:
        wrong = "cannot be executed" if Path(program).is_file() else "there is no such program"
        remedy = "name the registry's program with its whole path, and let this user execute it"
        raise InputError(f"{place}.command", f"{program}: {wrong}", remedy)
    return f"{found}, pidfile {process.pidfile}"


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
    containers = [_container(it, config) for it in config.registries if it.container]
    others = [c for c in build_collectors(config, MemoryEvents()) if not isinstance(c, PullProbe)]
    told = await asyncio.gather(*containers, *(_collector(collector) for collector in others))
    return [*(one for found in probes for one in found), *told]


async def _registry(registry: Registry, site: Site, config: Config) -> list[Check]:
    """Does it answer, and does it give the image that the probe pulls?"""
    where = registry.name + ("" if site.name == LOCAL else f" from {site.name}")
    name = f"registry {where}"
    url = site.urls.get(registry.name, registry.url)
    try:
        endpoint = endpoint_of(registry, config.probe, site, url)
        pull = await probe(endpoint, Wanted(None, config.probe.timeout), now=time.time())
    except InputError as error:
        return [_failed(name, error)]
    if not pull.ok:
        remedy = f"start the registry, or mend registries[{registry.name}].url"
        return [Check(name, False, f"{url}: {pull.phase}: {pull.reason}", remedy)]
    clock = f"; {pull.clock()}" if pull.clock() else ""
    answers = Check(name, True, f"{url} answers in {pull.seconds * 1000:.0f} ms{clock}")
    if config.probe.image is None:
        return [answers]
    return [answers, await _image(f"image of {where}", registry, endpoint, config.probe)]


async def _image(name: str, registry: Registry, endpoint: Endpoint, asked: Probe) -> Check:
    """A whole pull of `probe.image`, as `seawall probe` does it."""
    assert asked.image is not None  # noqa: S101 - the caller has looked
    try:
        image = image_of(registry.url, asked.image)
        pull = await probe(
            endpoint, Wanted(image, asked.timeout, parse_platform(asked.platform)), now=time.time()
        )
    except InputError as error:
        return _failed(name, error)
    remedy = "push it there, or name another in probe.image"
    if not pull.ok:
        return Check(name, False, f"{asked.image}: {pull.phase}: {pull.reason}", remedy)
    if pull.note:
        return Check(name, False, f"healthy, but {asked.image} was not pulled: {pull.note}", remedy)
    return Check(name, True, f"{asked.image} pulled in {pull.seconds * 1000:.0f} ms, {pull.bytes} bytes")


async def _container(registry: Registry, config: Config) -> Check:
    """Does a runtime know it, as the repair asks?"""
    name = f"container of {registry.name}"
    if config.inventory:
        return Check(name, True, f"not looked at: repairs work on the hosts of {config.inventory}")
    reasons = []
    for runtime in RUNTIMES if registry.runtime == "auto" else (registry.runtime,):
        code, said = await _inspected(runtime, registry)
        if code == 0:
            return Check(name, True, f"{runtime} knows {registry.container}: {said}")
        reasons.append(f"{runtime}: {said}")
    keys = f"registries[{registry.name}].container, runtime or runtime_env"
    return Check(name, False, "; ".join(reasons), f"make the container, install its runtime, or mend {keys}")


async def _inspected(runtime: str, registry: Registry) -> tuple[int | None, str]:
    """The exit code of the runtime's `container inspect`, and what it said."""
    environment = {**os.environ, **registry.runtime_env}
    command = (runtime, "container", "inspect", "--format", "{{.State.Status}}", str(registry.container))
    try:
        asked = await asyncio.create_subprocess_exec(
            *command, env=environment, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
        )
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        return None, "it is not installed" if missing else str(error.strerror).lower()
    try:
        said, _ = await asyncio.wait_for(asked.communicate(), RUNTIME_ANSWERS)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            asked.kill()
        await asked.wait()
        return None, f"no answer within {RUNTIME_ANSWERS:.0f} s"
    return asked.returncode, " ".join(said.decode(errors="replace").split())[:200]


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
