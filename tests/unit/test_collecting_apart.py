"""Collectors side by side in the real schedule: one that hangs, fails or breaks delays no other."""

import asyncio

import pytest

from alerts.correlate import Correlation
from alerts.evaluate import Evaluator
from alerts.slos import load_rows, load_windows
from collectors.distribution import REMEDY, DistributionMetrics
from collectors.harbor_api import HarborApi
from collectors.harbor_client import HarborClient
from collectors.node_exporter import RemoteVolume
from collectors.pages import Target
from collectors.storage import Volume
from seawall.core.signals import REQUESTS
from seawall.cycle import Cycle, Parts
from seawall.schedule import build, stop
from seawall.stores.memory import MemoryEvents, MemorySamples
from seawall.telemetry import Telemetry
from seawall.turning import Turns
from tests.scripted import serving
from tests.unit.test_lifecycle import Bench

PAGE = b'registry_http_requests_total{code="200",handler="blob",method="get"} 1\n'


class Broken(Volume):
    """A collector with a fault of ours."""

    async def collect(self, now):
        raise ZeroDivisionError


class Ticking:
    """A clock that moves at each look."""

    def __init__(self) -> None:
        self.at = 1e9

    def now(self) -> float:
        self.at += 1.0
        return self.at


@pytest.fixture
def parts(tmp_path):
    bench = Bench(tmp_path)
    samples, events, rows = MemorySamples(), MemoryEvents(), load_rows()
    return {
        "clock": Ticking(), "samples": samples, "events": events, "records": bench.records,
        "judge": Evaluator(rows, load_windows(), samples, events, 10.0), "correlator": Correlation(rows),
        "repair": bench.cycle, "observer": Telemetry(bench.records),
    }  # fmt: skip


async def test_one_that_hangs_or_breaks_delays_no_other(parts, tmp_path, caplog):
    def answer(request):
        return None if "hang" in request.path else (200, {}, PAGE)

    async with serving(answer) as server:
        hanging = [
            DistributionMetrics("hang", Target(f"{server.url}/hang", REMEDY, timeout=60.0)),
            HarborApi("hang", HarborClient(f"{server.url}/hang", timeout=60.0), False, False, timeout=60.0),
            RemoteVolume("hang", "/", f"{server.url}/hang", timeout=60.0),
        ]
        refused = DistributionMetrics("dead", Target("http://127.0.0.1:1/metrics", REMEDY))
        broken = Broken("broken", str(tmp_path))
        good = [DistributionMetrics("good", Target(f"{server.url}/metrics", REMEDY)), Volume("good", "/")]
        collectors = [*hanging, refused, broken, *good]
        for collector in collectors:
            collector.interval = 0.05
        cycle = Cycle(Parts(collectors=collectors, **parts))
        turns = Turns(cycle.turn)
        schedule = build(cycle, collectors, lambda collector: False, {}, turns)
        schedule.start()
        store, telemetry = parts["samples"], parts["observer"]
        async with asyncio.timeout(60):
            while len(store.range("good", REQUESTS, 0, 2e9)) < 5:
                await asyncio.sleep(0.01)
        schedule.pause()
        up = {key: works for key, (works, _) in telemetry.collectors.items()}
        assert up[("good", "metrics")] and up[("good", "storage")]
        assert up[("dead", "metrics")] is False and up[("broken", "storage")] is False
        assert not [key for key in up if key[0] == "hang"], "they still wait, and nobody waited for them"
    async with asyncio.timeout(60):  # the server is gone: those that hung learn it now
        while len(telemetry.collectors) < len(collectors):
            await asyncio.sleep(0.01)
    await stop(schedule, cycle, turns)
    assert "ZeroDivisionError" in caplog.text
