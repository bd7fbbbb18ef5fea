"""Events into the stores on one core: processor time of this process, in batches as a log brings them."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.figure import Figure
from seawall.config.stores import ElasticsearchAccess
from seawall.core.ports import EventStore
from seawall.core.signals import Event
from seawall.stores.duckdb import DuckDatabase, DuckEvents
from seawall.stores.elasticsearch import ElasticsearchEvents
from tests.store_servers import EmulatorNode, Noida

BATCH = 2000
T = 1_790_000_000.0


def measure() -> list[Figure]:
    """DuckDB alone; then the bulk path against an emulator, whose own time is not counted."""
    with tempfile.TemporaryDirectory(prefix="seawall-stores-") as name:
        folder = Path(name)
        database = DuckDatabase(folder / "data")
        embedded = _cost(DuckEvents(database), 300_000)
        database.close()
        server = Noida(folder / "noida").start()
        try:
            access = ElasticsearchAccess(replicas=0, timeout=120.0)
            url = f"elasticsearch+{server.url}"
            store = ElasticsearchEvents(url, access, folder / "spool", time.time, EmulatorNode)
            bulk = _cost(store, 40_000)
            assert store.depth == 0, "the emulator was too slow: events went to the spool"
            store.close()
        finally:
            server.stop()
    return [
        Figure("DuckDB: processor time an event (20 us: 50,000/s)", embedded, 20, "us"),
        Figure("Elasticsearch: the same of the bulk path (20,000/s)", bulk, 50, "us"),
    ]


def _cost(store: EventStore, count: int) -> float:
    """Microseconds an event."""
    spent = 0.0
    for batch in batches(count):
        began = time.process_time()
        assert store.append(batch, {"log": str(len(batch))}) == len(batch)
        spent += time.process_time() - began
    return spent / count * 1e6


def batches(count: int) -> Iterator[Sequence[Event]]:
    for first in range(0, count, BATCH):
        yield [_event(number) for number in range(first, first + BATCH)]


def _event(number: int) -> Event:
    fields = {
        "@timestamp": "2026-09-21T14:13:20.000Z",
        "event.dataset": "distribution.app",
        "event.action": "pull",
        "event.outcome": "success",
        "event.duration": 1_000_000 + number,
        "http.request.method": "GET",
        "http.request.id": f"0b3f4f0e-{number:012x}",
        "http.response.status_code": 200,
        "http.response.body.bytes": 1234,
        "url.original": f"/v2/team/app{number % 50}/manifests/1.{number % 7}",
        "user_agent.original": "containerd/1.7.24",
        "client.ip": f"10.0.{number % 5}.{number % 250}",
        "registry.repository": f"team/app{number % 50}",
        "registry.reference": f"1.{number % 7}",
        "registry.operation": "manifest",
        "seawall.format": "distribution.app",
        "log.level": "info",
    }
    return Event(f"bench-{number:012d}", T + number / 2000, "main", fields)
