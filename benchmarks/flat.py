"""Memory of Seawall's process while events pour in: into DuckDB, and through the bulk path into a receiver.

The receiver is a process that answers each item of a bulk request with "created" and keeps nothing: it stands
for no Elasticsearch, it only never makes the sender wait, which no emulator does for so many events.
`SEAWALL_FLAT_EVENTS` is how many events each takes (default 1,000,000).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import httpx
import psutil

from benchmarks.figure import Figure
from benchmarks.stores import batches
from seawall.config.stores import ElasticsearchAccess
from seawall.core.ports import EventStore
from seawall.demo.host import free_ports, until
from seawall.stores.duckdb import DuckDatabase, DuckEvents
from seawall.stores.elasticsearch import ElasticsearchEvents

EVENTS = int(os.environ.get("SEAWALL_FLAT_EVENTS", "1000000"))
WARM = 0.2  # of the events, before memory is first looked at
MIB = 2**20


def measure() -> list[Figure]:
    """MiB that memory grew from a fifth of the events to all of them, and its largest; events a second."""
    with tempfile.TemporaryDirectory(prefix="seawall-flat-") as name:
        folder = Path(name)
        database = DuckDatabase(folder / "data")
        found = _figures("DuckDB", DuckEvents(database), 64)
        database.close()
        with receiver("benchmarks.flat", free_ports(1)[0]) as url:
            access = ElasticsearchAccess(replicas=0, timeout=60.0)
            store = ElasticsearchEvents(f"elasticsearch+{url}", access, folder / "spool", time.time)
            found += _figures("bulk path", store, 16)
            assert store.depth == 0 and store.refused == 0
            store.close()
    return found


def _figures(name: str, store: EventStore, most: float) -> list[Figure]:
    process, taken, spent = psutil.Process(), 0, 0.0
    first = largest = 0.0
    for batch in batches(EVENTS):
        began = time.perf_counter()
        assert store.append(batch, {"log": str(taken)}) == len(batch)
        spent += time.perf_counter() - began
        taken += len(batch)
        now = process.memory_info().rss / MIB
        largest = max(largest, now)
        if not first and taken >= EVENTS * WARM:
            first = largest
    return [
        Figure(f"flat: {name}, growth over {EVENTS:,} events", largest - first, most, "MiB"),
        Figure(f"flat: {name}, the process at its largest", largest, 512, "MiB"),
        Figure(f"flat: {name}, time an event by the clock", spent / EVENTS * 1e6, 1e3, "us"),
    ]


@contextmanager
def receiver(module: str, port: int) -> Iterator[str]:
    """The URL of a receiver in a process of its own: `python -m module PORT`."""
    process = subprocess.Popen([sys.executable, "-m", module, str(port)])
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(url, trust_env=False).is_success
        except httpx.TransportError:
            return False

    try:
        assert until(answers, 20), "the receiver did not start"
        yield url
    finally:
        process.terminate()
        process.wait(10)


class Answers(BaseHTTPRequestHandler):
    """What a sender of bulk requests has to hear, and no more."""

    protocol_version = "HTTP/1.1"

    def reply(self, body: dict[str, object]) -> None:
        raw = json.dumps(body).encode()
        self.send_response(200)
        for name, value in (
            ("X-Elastic-Product", "Elasticsearch"),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(raw))),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/_bulk"):
            items = self.items(list(islice(body.splitlines(), None, None, 2)))
            self.reply(
                {"errors": any(it[kind]["status"] >= 300 for it in items for kind in it), "items": items}
            )
        elif self.path.startswith("/_data_stream"):
            self.reply({"data_streams": []})
        else:
            self.reply({"version": {"number": "8.19.0"}, "acknowledged": True})

    def items(self, actions: list[bytes]) -> list[dict[str, dict[str, int]]]:
        """The answer to each action of a bulk request."""
        return [{"create" if it.startswith(b'{"create') else "index": {"status": 201}} for it in actions]

    do_GET = do_PUT = do_POST = _any

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is told."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answers).serve_forever()
