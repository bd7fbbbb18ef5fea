"""Elasticsearch away while events pour in, Seawall restarted meanwhile, then back: is each there once?

The receiver is a process that remembers the id of every document and refuses a second one (409), as a data
stream does; it stands for no Elasticsearch, it only keeps up, which no emulator does for so many events.
`SEAWALL_AWAY_EVENTS` is how many (default 200,000; 1,200,000 are ten minutes at 2,000 a second).
"""

import json
import math
import os
import sys
import tempfile
import time
from collections import Counter
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import httpx
import psutil

from benchmarks.figure import Figure
from benchmarks.flat import MIB, Answers, receiver
from benchmarks.stores import batches
from seawall.config.stores import ElasticsearchAccess
from seawall.demo.host import free_ports, until
from seawall.stores.elasticsearch import ElasticsearchEvents

EVENTS = int(os.environ.get("SEAWALL_AWAY_EVENTS", "200000"))
RATE, LONGEST = 2000, 600.0  # events a second that must be taken; seconds until the spool must be empty


def measure() -> list[Figure]:
    """Events a second into the spool and out of it, memory, what is missing and what came twice."""
    with tempfile.TemporaryDirectory(prefix="seawall-away-") as name:
        [port] = free_ports(1)
        folder, process = Path(name), psutil.Process()
        with receiver(__name__, port) as url:
            _prepare(url, folder)
        before, began = process.memory_info().rss, time.perf_counter()
        half = _store(url, folder)
        for number, batch in enumerate(batches(EVENTS)):
            if number == EVENTS // len(batch) // 2:
                half.close()
                half = _store(url, folder)  # as after a restart
            half.append(batch, {"log": batch[-1].id})
        kept = time.perf_counter() - began
        spooled = sum(it.stat().st_size for it in (folder / "spool").rglob("*") if it.is_file())
        with receiver(__name__, port):
            began = time.perf_counter()
            emptied = until(lambda: half.depth == 0, LONGEST)
            drained = time.perf_counter() - began if emptied else math.inf
            seen = httpx.get(f"{url}/seen", trust_env=False).json()
        grown = process.memory_info().rss - before
        half.close()
    return [
        Figure(f"away: {EVENTS:,} events kept, of {RATE} a second due", RATE * kept / EVENTS, 1, "x"),
        Figure("away: the spool", spooled / MIB, math.inf, "MiB"),
        Figure("away: seconds until it was empty", drained, LONGEST, "s"),
        Figure("away: memory grew by", grown / MIB, 128, "MiB"),
        Figure("away: events missing", EVENTS - seen["documents"], 0, ""),
        Figure("away: events that came twice", seen["again"], math.inf, ""),
    ]


def _prepare(url: str, folder: Path) -> None:
    store = _store(url, folder)
    store.append([], {"log": "prepared"})
    assert until(lambda: store.depth == 0, 30), "the store was not prepared"
    store.close()


def _store(url: str, folder: Path) -> ElasticsearchEvents:
    access = ElasticsearchAccess(replicas=0, timeout=30.0)
    return ElasticsearchEvents(f"elasticsearch+{url}", access, folder / "spool", time.time)


class _Remembers(Answers):
    seen: ClassVar[set[str]] = set()
    again: ClassVar[Counter[str]] = Counter()

    def items(self, actions: list[bytes]) -> list[dict[str, dict[str, int]]]:
        found = []
        for line in actions:
            [(kind, told)] = json.loads(line).items()
            known = kind == "create" and told["_id"] in self.seen
            if known:
                self.again["documents"] += 1
            elif kind == "create":
                self.seen.add(told["_id"])
            found.append({kind: {"status": 409 if known else 201}})
        return found

    def do_GET(self) -> None:
        if self.path == "/seen":
            self.reply({"documents": len(self.seen), "again": self.again["documents"]})
        else:
            super().do_GET()


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), _Remembers).serve_forever()
