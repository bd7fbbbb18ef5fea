"""1,000 pulls a second of 5,000 images: told, looked up, judged and counted, with the store in DuckDB.

One image in fifty is not signed. The registry answers from a process of its own; the pulls are told by a
clock of the benchmark's, 25 minutes of them as fast as they are judged: what is remembered of the last
ten minutes is full in the second third.
"""

import asyncio
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.figure import Figure
from collectors.pull_signatures import PullSignatures
from collectors.pulling.exchange import Endpoint
from collectors.pulls.looks import Looks, Pace
from collectors.signatures.trust import Trusts
from seawall.core.signals import Event
from seawall.stores.duckdb import DuckDatabase, DuckEvents
from tests.pulling import Stock, T
from tests.signing import digest

A_SECOND = 1000
SECONDS = int(os.environ.get("SEAWALL_UNSIGNED_SECONDS", "1500"))
IMAGES, CLIENTS, UNSIGNED = 5000, 40, 50
TURN = 2  # seconds


def measure() -> list[Figure]:
    """Processor time a pull, look-ups an image and recheck, wrong counts, growth of the process."""
    ours, theirs = multiprocessing.Pipe()
    stock, digests = _stock()
    server = multiprocessing.Process(target=_serve, args=(stock, theirs))
    server.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            return asyncio.run(_pull(str(ours.recv()), stock.trusts(), digests, Path(folder)))
    finally:
        ours.send(None)
        server.join()


def _stock() -> tuple[Stock, list[str]]:
    stock, digests = Stock(), []
    for number in range(IMAGES):
        image = stock.image(b"%d" % number, f"t{number}")
        if number % UNSIGNED:
            stock.sign(image)
        digests.append(digest(image))
    return stock, digests


def _serve(stock: Stock, pipe: Connection) -> None:
    with stock.served() as url:
        pipe.send(url)
        pipe.recv()


async def _pull(url: str, trusts: Trusts, digests: list[str], folder: Path) -> list[Figure]:
    store = DuckEvents(DuckDatabase(folder))
    looks = Looks(Endpoint(url), lambda: trusts, 60.0, Pace(200, 8))
    collector = PullSignatures("main", store, looks, grace=0.0)
    spent, sizes = 0.0, list[float]()
    for second in range(0, SECONDS, TURN):
        store.append(list(_told(digests, second)), {})
        began = time.process_time()
        await _turn(collector, store, T + second + TURN)
        spent += time.process_time() - began
        sizes.append(_resident())
    end, idle = T + SECONDS, 0
    while idle < 2:  # a full house is read on in the turn after
        end += TURN
        idle = 0 if await _turn(collector, store, end) or collector.waiting else idle + 1
    counts = store.pull_counts("main", T, end, end)
    wanted = _wanted()
    wrong = abs(counts.signed - wanted[0]) + abs(counts.unsigned - wanted[1]) + counts.unknown
    store.close()
    third = len(sizes) // 3
    bound = IMAGES + IMAGES // UNSIGNED * (SECONDS / 60 + 1)
    return [
        Figure("verdicts on pulls, processor time a pull", spent / SECONDS / A_SECOND * 1e6, 300, "µs"),
        Figure("images looked at, share of those that were due", looks.made / bound, 1, "x"),
        Figure("pulls counted wrongly", wrong, 0, ""),
        Figure("the process at its largest", max(sizes), 512, "MiB"),
        Figure(
            "growth over the last third", max(sizes[2 * third :]) - max(sizes[third : 2 * third]), 32, "MiB"
        ),
    ]


async def _turn(collector: PullSignatures, store: DuckEvents, now: float) -> int:
    told = 0
    while True:
        batch = await collector.collect(now)
        told += store.append(batch.events, batch.checkpoints)
        await collector.stored()
        if not collector.more:
            return told


def _told(digests: list[str], start: int) -> Iterator[Event]:
    """Pulls of `TURN` seconds."""
    for number in range(start * A_SECOND, (start + TURN) * A_SECOND):
        image, client = _who(number)
        fields = {
            "event.action": "pull",
            "event.dataset": "distribution.notification",
            "registry.operation": "manifest",
            "registry.repository": "team/app",
            "registry.digest": digests[image],
            "registry.reference": f"t{image}",
            "http.request.method": "GET",
            "client.ip": f"10.0.0.{client}",
            "user_agent.original": "containerd/1.7.24",
        }
        yield Event(f"pull-{number}", T + number / A_SECOND, "main", fields)


def _who(number: int) -> tuple[int, int]:
    """(image, client) of a pull, spread without a pattern (Knuth's multiplicative hash)."""
    mixed = number * 2654435761 % 2**32
    return mixed % IMAGES, mixed // IMAGES % CLIENTS


def _wanted() -> tuple[int, int]:
    """(signed, unsigned) pulls: one an image and client, again after five minutes."""
    last: dict[tuple[int, int], float] = {}
    counts = [0, 0]
    for number in range(SECONDS * A_SECOND):
        who, at = _who(number), number / A_SECOND
        if at - last.get(who, -1e9) >= 300:
            last[who] = at
            counts[who[0] % UNSIGNED == 0] += 1
    return counts[0], counts[1]


def _resident() -> float:
    """Resident size now, MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / (1 << 20)
