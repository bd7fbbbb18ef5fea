"""Elasticsearch away, then back: how fast the spool empties into an emulator (noida-db), beside the same
documents sent straight into it by the official client's own helpers, one at a time and four at once.

`SEAWALL_DRAIN_EVENTS` is how many events (default 100,000). Seconds of the clock, the emulator's included: it
runs on the same machine.
"""

import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch, helpers

from benchmarks.figure import Figure
from benchmarks.stores import BATCH, batches
from seawall.config.stores import ElasticsearchAccess
from seawall.stores.elasticsearch import ElasticsearchEvents
from seawall.stores.elasticsearch_documents import document, document_id
from seawall.stores.elasticsearch_templates import kind_of, stream
from tests.serving import until
from tests.store_servers import EmulatorNode, Noida

EVENTS = int(os.environ.get("SEAWALL_DRAIN_EVENTS", "100000"))
LONGEST = 3600.0
AT_ONCE = 4
TURNS = 2  # of each way; the faster one counts


def measure() -> list[Figure]:
    """Events a second of each way, and how much longer than the faster peer the spool takes."""
    with tempfile.TemporaryDirectory(prefix="seawall-drain-") as name:
        folder = Path(name)
        one, four, ours = (
            min(way(folder / f"{name}-{turn}") for turn in range(TURNS))
            for name, way in (
                ("one", partial(_peer, send=_one_at_a_time)),
                ("four", partial(_peer, send=_four_at_once)),
                ("ours", _drained),
            )
        )
    return [
        Figure("drain: seconds over the faster official helper's", ours / min(one, four), 1.5, "x"),
        Figure("drain: events a second from the spool", EVENTS / ours, math.inf, "/s"),
        Figure("drain: events a second, streaming_bulk", EVENTS / one, math.inf, "/s"),
        Figure(f"drain: events a second, parallel_bulk of {AT_ONCE}", EVENTS / four, math.inf, "/s"),
    ]


def _one_at_a_time(client: Elasticsearch, actions: Iterator[dict[str, Any]]) -> Any:
    return helpers.streaming_bulk(client, actions, BATCH)


def _four_at_once(client: Elasticsearch, actions: Iterator[dict[str, Any]]) -> Any:
    return helpers.parallel_bulk(client, actions, AT_ONCE, BATCH)


def _opened(server: Noida, folder: Path) -> ElasticsearchEvents:
    access = ElasticsearchAccess(replicas=0, timeout=120.0)
    return ElasticsearchEvents(
        f"elasticsearch+{server.url}", access, folder / "spool", time.time, EmulatorNode
    )


def _drained(folder: Path) -> float:
    server = Noida(folder / "noida").start()
    store = _opened(server, folder)
    try:
        store.append([], {"log": "prepared"})
        server.stop()
        for batch in batches(EVENTS):
            store.append(batch, {"log": batch[-1].id})
        waiting = store.depth
        began = time.perf_counter()
        server.start()
        up = time.perf_counter()
        until(lambda: store.depth == 0, LONGEST, "the spool was emptied")
        ended = time.perf_counter()
        print(f"{waiting} deliveries waited; the emulator started in {up - began:.1f} s")
        assert _count(store) == EVENTS, "events are missing or doubled"
        return ended - up
    finally:
        store.close()
        server.stop()


def _peer(folder: Path, send: Callable[[Elasticsearch, Iterator[dict[str, Any]]], Any]) -> float:
    server = Noida(folder / "noida").start()
    store = _opened(server, folder)
    try:
        store.append([], {"log": "prepared"})  # the same templates
        ready = list(_actions())
        began = time.perf_counter()
        for done, _ in send(store._client, iter(ready)):
            assert done
        took = time.perf_counter() - began
        assert _count(store) == EVENTS
        return took
    finally:
        store.close()
        server.stop()


def _actions() -> Iterator[dict[str, Any]]:
    for batch in batches(EVENTS):
        for seq, event in enumerate(batch, 1):
            yield {
                "_op_type": "create",
                "_index": stream(kind_of(event), "default"),
                "_id": document_id(event.id),
                "_source": document(event, seq),
            }


def _count(store: ElasticsearchEvents) -> int:
    store._client.indices.refresh(index="logs-seawall.*")
    return int(store._client.count(index="logs-seawall.*")["count"])
