"""A whole Seawall around the console, on real parts: stores, judge, cycle, lifecycle, gate and server.

Fakes stand at the ports only: the clock and the runner.
"""

import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from cryptography.fernet import Fernet
from fastapi import FastAPI

from alerts.correlate import Correlation
from alerts.evaluate import Evaluator
from alerts.slos import load_rows, load_windows
from models.lstm import Lstm
from models.watch import Watch
from remediation.catalogue import SHIPPED, Catalogue
from remediation.lifecycle import Lifecycle
from remediation.policy import Policy
from remediation.workshop import Workshop
from seawall.app import build_app
from seawall.config import Config
from seawall.core.actions import Action, ActionState
from seawall.core.incidents import Incident
from seawall.core.signals import (
    PROBE_DURATION,
    PROBE_SUCCESS,
    STORAGE_USED_RATIO,
    Batch,
    Event,
    Sample,
    labels,
)
from seawall.cycle import Cycle, Parts
from seawall.identity import Accounts
from seawall.identity.confirm import Confirmation
from seawall.identity.credentials import Vault
from seawall.service import Intake, Service
from seawall.stores.memory import MemoryEvents, MemorySamples
from seawall.stores.sql import SqlRecords
from seawall.telemetry import Telemetry
from tests.fakes import FakeClock, FakeRunner
from tests.serving import free_port

HARBOUR = "harbour"
STEP = 5.0
CONTAINER = {"name": HARBOUR, "url": "http://127.0.0.1:5000", "container": "registry", "runtime": "podman"}


@dataclass
class Tide:
    """A collector whose registry is up or down; each collection is one probe round and some pulls."""

    registry: str = HARBOUR
    name: str = "probe"
    interval: float = STEP
    timeout: float = 4.0
    up: bool = True
    rounds: int = 0

    async def collect(self, now: float) -> Batch:
        self.rounds += 1
        swell = 0.02 + 0.004 * (self.rounds * 7 % 11) / 11
        samples = [
            Sample(self.registry, PROBE_SUCCESS, now, float(self.up), labels(site="local")),
            Sample(self.registry, STORAGE_USED_RATIO, now, 0.217 + self.rounds / 1e4, labels(volume="/srv")),
        ]
        if self.up:
            place = labels(site="local", phase="total")
            samples.append(Sample(self.registry, PROBE_DURATION, now, swell, place))
        notes = [] if self.up else ["connection refused at /v2/"]
        return Batch(samples=samples, events=[self._pull(now, i, swell) for i in range(9)], notes=notes)

    def _pull(self, now: float, number: int, swell: float) -> Event:
        fields = {
            "registry.operation": "manifest",
            "registry.repository": f"team/app-{number % 3}",
            "http.request.method": "GET",
            "http.response.status_code": 200 if self.up else 502,
            "event.duration": (0.3 + 5 * swell + number / 100) * 1e9,
            "client.ip": f"10.0.0.{number % 4}",
            "user_agent.original": "containerd/2.0",
        }
        return Event(f"{self.rounds}-{number}", now - number / 10, self.registry, fields)

    async def stored(self) -> None:
        """Nothing to advance."""


@dataclass
class Stand:
    """The running whole. `url` is where it listens; `leaving` closes what visitors opened."""

    url: str
    service: Service
    clock: FakeClock
    runner: FakeRunner
    tide: Tide
    leaving: ExitStack

    async def live(self, rounds: int) -> None:
        """So many probe rounds, each judged."""
        for _ in range(rounds):
            self.clock.move(STEP)
            await self.service.cycle.collect(self.tide)
            self.service.cycle.turn([HARBOUR])

    async def sink(self) -> tuple[Incident, Action]:
        """The registry goes down; its incident, and its repair that waits for a person."""
        self.tide.up = False
        await self.live(3)
        incident = self.service.records.incidents()[0][0]
        return incident, self.reach(incident.actions[0], ActionState.AWAITING_APPROVAL)

    def reach(self, id: str, state: ActionState) -> Action:
        """The action once it is in this state; fails loudly after ten seconds."""
        deadline = time.monotonic() + 10
        while (action := self.service.records.action(id)).state is not state:
            assert time.monotonic() < deadline, f"{id} is {action.state}: {action.history}"
            time.sleep(0.01)
        return action

    def token(self, name: str, role: str) -> str:
        """A new token's secret."""
        return self.service.new_token(name, role, "test", None)


def build(folder: Path, clock: FakeClock, runner: FakeRunner, tide: Tide) -> Service:
    """The service as seawall.app wires it, on memory stores and SQLite."""
    samples, events = MemorySamples(), MemoryEvents()
    records = SqlRecords(f"sqlite:{folder / 'records.sqlite'}")
    telemetry, rows = Telemetry(records), load_rows()
    judge = Evaluator(rows, load_windows(), samples, events, STEP)
    catalogue, broken = Catalogue.load([SHIPPED])
    shop = Workshop(records, runner, catalogue, Policy(), clock, {HARBOUR: CONTAINER}, folder / "runs")
    repair = Lifecycle(shop, telemetry.action)
    watch = Watch(rows, Lstm())
    parts = Parts(
        clock, [tide], samples, events, records, judge, Correlation(rows), repair, telemetry, watch
    )  # fmt: skip
    config = Config.model_validate({"registries": [{"name": HARBOUR, "url": "http://127.0.0.1:5000"}]})
    accounts = Accounts(records, records, clock, Vault(Fernet.generate_key()))
    return Service(
        config=config,
        clock=clock,
        samples=samples,
        events=events,
        records=records,
        judge=judge,
        cycle=Cycle(parts),
        watch=watch,
        repair=repair,
        telemetry=telemetry,
        intake=Intake(events, telemetry),
        accounts=accounts,
        confirmation=Confirmation(accounts, records, clock, config.server.confirm_within),
        broken_playbooks=broken,
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.broadcast.open()
    yield


@contextmanager
def serve(service: Service) -> Iterator[str]:
    """uvicorn on a free port of 127.0.0.1, in a thread of its own."""
    port = free_port()
    app = build_app(service, _lifespan)
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=1, ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 15
    while not server.started:
        assert thread.is_alive() and time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def stand(folder: Path) -> Iterator[Stand]:
    """Everything, served."""
    clock, tide = FakeClock(time.time()), Tide()
    runner = FakeRunner(clock)
    service = build(folder, clock, runner, tide)
    with serve(service) as url, ExitStack() as leaving:
        yield Stand(url, service, clock, runner, tide, leaving)
    service.records.close()
