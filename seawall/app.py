"""The wiring: the only module that knows every part."""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from alerts.correlate import Correlation
from alerts.silences import AlertmanagerSilences
from alerts.slos import load_rows
from collectors.probe import PullProbe
from remediation.catalogue import Catalogue
from remediation.lifecycle import Lifecycle
from remediation.policy import load_policy
from remediation.runs import AnsibleRunner
from remediation.workshop import Workshop
from seawall import __version__, leading
from seawall.api import (
    actions,
    audit,
    auth,
    events,
    health,
    images,
    incidents,
    openapi,
    problems,
    records,
    reports,
    runs,
    slos,
    stream,
    tokens,
    users,
    webhooks,
)
from seawall.api.gate import Gate
from seawall.api.idempotency import Idempotency
from seawall.api.limits import Buckets, RateLimit
from seawall.audit.export import AuditExport
from seawall.config import Config, Registry, read_secret
from seawall.config.repairs import repairs_facts
from seawall.console import drawing, external, pages
from seawall.core.errors import InputError
from seawall.core.ports import EventStore, SampleStore
from seawall.cycle import Cycle, Parts
from seawall.detecting import keep_watch, restored_watch, save_watch
from seawall.identity import Accounts
from seawall.identity.confirm import Confirmation
from seawall.identity.external import ExternalLogin
from seawall.identity.files import vault_of
from seawall.identity.oidc import Provider
from seawall.identity.signed_links import SignedLinks, key_of
from seawall.judging import judge_of, recall
from seawall.retraining import Retraining
from seawall.schedule import build as build_schedule
from seawall.schedule import stop as stop_schedule
from seawall.service import Intake, Service
from seawall.sources import build_collectors
from seawall.statefolder import StateFolder
from seawall.stores import duckdb, memory, recent, scaled
from seawall.stores.sql import SqlRecords
from seawall.telemetry import Telemetry
from seawall.telling import Telling, peer_of
from seawall.turning import Turns

RETENTION_DAYS = 180
SHIPPED_PLAYBOOKS = Path(__file__).parent.parent / "remediation" / "playbooks"
CHOICES = {
    "samples": ("duckdb", "memory", *scaled.SAMPLES),
    "events": ("duckdb", "memory", *scaled.EVENTS),
    "records": ("sqlite", *scaled.RECORDS, "memory"),
}
log = logging.getLogger(__name__)


class SystemClock:
    """The only adapter that asks the time."""

    def now(self) -> float:
        """Unix seconds, UTC."""
        return time.time()


@dataclass(frozen=True)
class Stores:
    """The opened stores; `database` is there when DuckDB holds samples or events."""

    samples: SampleStore
    events: EventStore
    records: SqlRecords
    database: duckdb.DuckDatabase | None


def check_stores(config: Config) -> None:
    """InputError for a store that its kind does not have."""
    for kind, known in CHOICES.items():
        url = getattr(config.stores, kind)
        if url.partition(":")[0] not in known:
            choices = ", ".join(f"{choice}:" for choice in known)
            raise InputError(f"stores.{kind}", f"{url!r} is not a store for {kind}", f"use one of {choices}")


def open_stores(config: Config, state: Path) -> Stores:
    """Engines by URL; InputError for a scheme that the kind does not have."""
    check_stores(config)
    paths = {
        url.partition(":")[2] for url in (config.stores.samples, config.stores.events) if "duckdb" in url
    }
    if len(paths) > 1:
        raise InputError("stores", "samples and events name two DuckDB folders", "name one for both")
    database = duckdb.DuckDatabase(Path(paths.pop() or state / "data"), clock=time.time) if paths else None
    at = config.stores
    samples: SampleStore | None = scaled.open_samples(at.samples, at.prometheus, state, time.time)
    events: EventStore | None = scaled.open_events(at.events, at.elasticsearch, state, time.time)
    if database and "duckdb" in at.samples:
        samples = recent.RecentSamples(duckdb.DuckSamples(database), time.time)
    if database and "duckdb" in at.events:
        events = duckdb.DuckEvents(database)
    return Stores(
        samples or memory.MemorySamples(),
        events or memory.MemoryEvents(),
        scaled.open_records(at.records, at.postgresql, state),
        database,
    )


def facts_of(registry: Registry, storage: Path | None = None) -> dict[str, Any]:
    """What a playbook's inputs may take from a registry's configuration (`from: registry.*`); `storage` is
    its first volume."""
    facts: dict[str, Any] = {
        "name": registry.name,
        "url": registry.url,
        "container": registry.container,
        "runtime": registry.runtime,
        "runtime_env": dict(registry.runtime_env),
        "repairs": repairs_facts(registry.repairs),
        "storage": str(storage) if storage else None,
    }
    if registry.process:
        process = registry.process
        facts["process"] = {
            "pidfile": str(process.pidfile),
            "command": list(process.command),
            "log": str(process.log) if process.log else None,
        }
    if registry.kind == "harbor" and registry.username and registry.password_file:
        facts["harbor"] = {
            "username": registry.username,
            "login_file": str(registry.password_file),
            "ca_file": str(registry.ca_file) if registry.ca_file else None,
        }
    return facts


def _facts(config: Config) -> dict[str, dict[str, Any]]:
    here = [volume for volume in config.storage if not volume.node_exporter]
    volumes = {volume.registry: volume.path for volume in reversed(here)}
    return {registry.name: facts_of(registry, volumes.get(registry.name)) for registry in config.registries}


def build_service(config: Config, state: StateFolder) -> tuple[Service, Stores]:
    """Everything but the server."""
    stores = open_stores(config, state.path)
    telemetry = Telemetry(stores.records)
    with whole(stores, telemetry):
        return _service(config, state, stores, telemetry), stores


@contextmanager
def whole(stores: Stores, telemetry: Telemetry) -> Iterator[None]:
    """All of a start or nothing: where it fails, the stores are closed and let go of. The threads of the
    repairs live on and hold the telemetry, whose queues hold the stores."""
    try:
        yield
    except BaseException:
        telemetry.queues.clear()
        for store in (stores.samples, stores.events, stores.records):
            store.close()
        raise


def _service(config: Config, state: StateFolder, stores: Stores, telemetry: Telemetry) -> Service:
    clock = SystemClock()
    leadership = leading.leadership_of(stores.records, state.path)
    telemetry.leading = acts = leading.acting(leadership)
    rows = load_rows(config.slos)
    judge = judge_of(config, stores.samples, stores.events)
    folders = [SHIPPED_PLAYBOOKS, *([config.playbooks] if config.playbooks else [])]
    catalogue, broken = Catalogue.load(folders)
    shop = Workshop(
        records=stores.records,
        runner=AnsibleRunner(config.runs.memory << 20),
        catalogue=catalogue,
        policy=load_policy(config.policy),
        clock=clock,
        facts=_facts(config),
        folder=config.runs.folder or state.path / "runs",
        inventory=config.inventory,
        leadership=leadership,
        silences=AlertmanagerSilences(peer_of(it), rows) if (it := config.alertmanager) else None,
    )
    repair = Lifecycle(shop, telemetry.action, lambda id: telemetry.say("run", {"id": id}))
    watch = restored_watch(rows, state)
    parts = Parts(
        clock=clock,
        collectors=build_collectors(config, stores.events, stores.samples),
        samples=stores.samples,
        events=stores.events,
        records=stores.records,
        judge=judge,
        correlator=Correlation(rows),
        repair=repair,
        observer=telemetry,
        watcher=watch,
        acting=acts,
        collects=leading.collects(config, acts),
        reopen=config.incidents.reopen,
    )
    accounts = Accounts(stores.records, stores.records, clock, vault_of(state))
    return Service(
        config=config,
        clock=clock,
        samples=stores.samples,
        events=stores.events,
        records=stores.records,
        judge=judge,
        cycle=Cycle(parts),
        watch=watch,
        repair=repair,
        leadership=leadership,
        telemetry=telemetry,
        intake=Intake(stores.events, telemetry),
        webhook_tokens=_webhook_tokens(config),
        broken_playbooks=broken,
        recall=lambda at: recall(config, stores.samples, stores.events, at),
        accounts=accounts,
        confirmation=Confirmation(accounts, stores.records, clock, config.server.confirm_within),
        links=SignedLinks(key_of(state), stores.records, clock, config.server.public_url or ""),
        external=_external(config, accounts, stores.records, clock),
    )


def _external(
    config: Config, accounts: Accounts, records: SqlRecords, clock: SystemClock
) -> ExternalLogin | None:
    if config.server.oidc is None:
        return None
    provider = Provider(config.server.oidc, f"{config.server.public_url}{external.BACK}", clock)
    return ExternalLogin(provider, accounts, records, records, clock)


def _webhook_tokens(config: Config) -> dict[str, str]:
    hooks = {
        "alertmanager": config.webhooks.alertmanager,
        "distribution": config.webhooks.distribution,
        "harbor": config.webhooks.harbor,
    }
    return {
        name: read_secret(hook.token_file, f"webhooks.{name}.token_file")
        for name, hook in hooks.items()
        if hook
    }


def build_app(service: Service, lifespan: Callable[[FastAPI], Any] | None = None) -> FastAPI:
    """API and console behind the gate."""
    app = FastAPI(
        title="Seawall",
        version=__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.service = service
    app.state.broadcast = stream.Broadcast()
    service.telemetry.listeners.append(app.state.broadcast.say)
    api = (health, slos, incidents, actions, runs, records, events, images, reports, webhooks, stream)
    for module in (*api, auth, users, tokens, audit):
        app.include_router(module.router)
    app.include_router(pages.router)
    app.mount("/static", pages.static_app())
    problems.install(app, pages.error_page)
    openapi.install(app)
    limits = service.config.server
    buckets = Buckets(limits.requests_per_second, limits.requests_at_once, time.monotonic)
    app.add_middleware(Idempotency, service=service)
    app.add_middleware(
        Gate, service=service, login_page=pages.login_page(provider=external.label_of(service))
    )
    app.add_middleware(RateLimit, buckets=buckets)
    return app


def lifespan_of(service: Service, stores: Stores, state: StateFolder) -> Callable[[FastAPI], Any]:
    """Start: recover open actions, then tick. Stop: keep what the models learned, close the stores."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.broadcast.open()
        await asyncio.to_thread(leading.begin, service.leadership, service.repair)
        sweeper = asyncio.create_task(leading.follow(service.repair))
        writer = asyncio.create_task(service.intake.write())
        retraining = Retraining(stores.samples, service.registries, service.clock, state, service.watch)
        keeper = asyncio.create_task(keep_watch(service.watch, state, retraining.follow))
        telling = Telling(
            service.config,
            stores.records,
            service.clock,
            state.path,
            lambda: service.cycle.last_turn if service.ready() else 0.0,
            service.links.url if service.links else None,
            lambda incident: drawing.drawn(service, incident),
        )
        telling.acting = leading.acting(service.leadership)
        teller = asyncio.create_task(telling.follow())
        export = AuditExport(service.config.audit, stores.records, stores.events)
        exporter = asyncio.create_task(export.follow())
        service.telemetry.queues["notifications"] = telling.waiting
        service.telemetry.queues |= scaled.depths(samples=stores.samples, events=stores.events)
        turns = Turns(service.cycle.turn)
        service.telemetry.queues |= {"collections": service.cycle.keeper.depth, "turns": turns.depth}
        scheduler = build_schedule(
            service.cycle,
            service.cycle.collectors,
            lambda collector: isinstance(collector, PullProbe),
            {"house keeping": lambda: _house_keeping(service, stores), "learning": retraining.tick},
            turns,
        )
        scheduler.start()
        try:
            yield
        finally:
            retraining.stop()
            await stop_schedule(scheduler, service.cycle, turns)
            for task in (writer, keeper, teller, sweeper, exporter):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            save_watch(service.watch, state)
            leading.end(service.leadership)
            for store in (stores.samples, stores.events, stores.records):
                store.close()

    return lifespan


def _house_keeping(service: Service, stores: Stores) -> None:
    service.repair.keep(service.config.runs.keep)
    if stores.database:
        now = service.clock.now()
        stores.database.close_days(now)
        stores.database.expire(now - RETENTION_DAYS * 86400)


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; InputError when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    tcp = socket.socket(family, socket.SOCK_STREAM)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        tcp.bind((host, port))
    except OSError as error:
        tcp.close()
        remedy = "stop what listens there, or give --port another number"
        raise InputError(f"{host}:{port}", f"cannot listen ({error.strerror})", remedy) from error
    return tcp
