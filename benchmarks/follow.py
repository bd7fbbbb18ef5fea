"""A followed log, end to end: lines of a file -> events -> DuckDB, the checkpoint in each commit."""

import asyncio
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure
from collectors.logs import FollowedLog
from seawall.stores.duckdb import DuckDatabase, DuckEvents

LINES = 300_000
START = 1_790_000_000


def lines(count: int, start: int = START, first: int = 0) -> Iterator[str]:
    """As a registry writes them, 100 a second: an access line and an application line for each request,
    whose digest is its own; requests are numbered from `first`."""
    for number in range(first, first + count // 2):
        at = time.gmtime(start + (number - first) // 50)
        digest = f"sha256:{number * 2654435761 % 2**64:064x}"
        client, path = f"10.0.{number % 7}.{number % 251}", f"/v2/team/app{number % 97}/manifests/{digest}"
        agent = "containerd/1.7.2"
        clock = time.strftime("%d/%b/%Y:%H:%M:%S +0000", at)
        yield f'{client} - - [{clock}] "GET {path} HTTP/1.1" 200 1234 "" "{agent}"\n'
        yield (
            f'time="{time.strftime("%Y-%m-%dT%H:%M:%S", at)}.{number % 1000:03d}Z" level=info'
            f' msg="response completed" go.version=go1.19.8 http.request.host="registry:5000"'
            f' http.request.id={number:08x} http.request.method=GET http.request.remoteaddr="{client}:4711"'
            f' http.request.uri="{path}" http.request.useragent="{agent}"'
            f" http.response.contenttype=application/vnd.oci.image.index.v1+json"
            f" http.response.duration=8.937191ms http.response.status=200 http.response.written=1234\n"
        )


def measure() -> list[Figure]:
    """Microseconds of processor time a line, and what the second half of the lines added to the process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "registry.log"
        with path.open("w") as file:
            file.writelines(lines(LINES))
        seconds, grown = asyncio.run(_follow(path, DuckEvents(DuckDatabase(Path(folder) / "data"))))
    return [
        Figure("followed log to DuckDB, processor time a line", seconds / LINES * 1e6, 60, "µs"),
        Figure("growth of the process over the second half", grown, 32, "MiB"),
    ]


async def _follow(path: Path, store: DuckEvents) -> tuple[float, float]:
    log = FollowedLog("main", str(path))
    began, kept, half = time.process_time(), 0, 0.0
    while True:
        batch = await log.collect(float(START))
        kept += store.append(batch.events, batch.checkpoints)
        await log.stored()
        if kept >= LINES // 2 and not half:
            half = _peak()
        if not log.more:
            break
    spent = time.process_time() - began
    assert kept == LINES
    store.close()
    return spent, _peak() - half


def _peak() -> float:
    """Largest resident size so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
