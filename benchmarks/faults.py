"""Telemetry of the real docker-registry under faults: `python -m benchmarks.faults --out DIR [NAME...]`.

One round of real requests stands for ten seconds: the clock of the recording runs faster than the wall's, the
latencies are real. Clients and the probe reach the registry through a proxy that delays them; pushes are
real pushes, the kill is a real SIGKILL. Needs `docker-registry` (Debian).
"""

import argparse
import csv
import gzip
import http.client
import io
import math
import os
import random
import socket
import socketserver
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from seawall.core.times import rfc3339
from seawall.demo.images import INDEX, PROBE, digest_of, push_all
from seawall.demo.registry import RegistryStand
from seawall.demo.stand import open_stand

START = 1_795_478_400.0  # 2026-11-24T00:00:00Z
ROUND = 10.0  # seconds of the recording's clock
CALM, LONGEST, DAY = 2160, 900, 8640  # rounds: six hours before a fault, how long it may last, a whole day
AFTER = 12  # rounds that are recorded after the breach
PUSHES = 6  # rounds from one push to the next
POOLED = 30  # rounds: the P99 is over the requests of the last five minutes
REQUESTS, CLIENTS = 12.0, 16  # a round on average; at one time
CAPACITY, FILLED = 64 << 20, 26 << 20  # bytes of the volume, and what is there at first
TIMEOUT = 5.0
COLUMNS = (
    "manifest_p99_seconds", "request_rate", "error_ratio", "used_ratio", "probe_seconds", "probe_success",
)  # fmt: skip
MANIFEST = f"/v2/{PROBE.repository}/manifests/{PROBE.tag}"


@dataclass(slots=True)
class Fault:
    """What is wrong after `seconds` of it: delay of a request, share of the usual requests, bytes pushed a
    minute, whether the registry is dead; and which row breaks the promise."""

    delay: Callable[[float, random.Random], float] = lambda seconds, chance: 0.0
    share: Callable[[float], float] = lambda seconds: 1.0
    pushed: Callable[[float], int] = lambda seconds: 6 << 10
    dead: Callable[[float], bool] = lambda seconds: False
    breached: Callable[[dict[str, float]], bool] = lambda row: False
    calm: int = CALM
    rounds: int = CALM + LONGEST


def _slow_disk(seconds: float, chance: random.Random) -> float:
    """More and more requests wait for a disk that answers later and later."""
    hours = seconds / 3600
    return chance.expovariate(1 / (0.05 + 0.6 * hours)) if chance.random() < 0.4 * hours else 0.0


FAULTS = {
    "normal": Fault(rounds=DAY),
    "slow_disk": Fault(delay=_slow_disk, breached=lambda row: row["manifest_p99_seconds"] > 0.5),
    "creeping_latency": Fault(
        delay=lambda seconds, chance: seconds / 3600 * 0.5 * chance.uniform(0.8, 1.2),
        breached=lambda row: row["manifest_p99_seconds"] > 0.5,
    ),
    "silent_rate_drop": Fault(
        share=lambda seconds: max(0.15, 1 - 0.85 * seconds / 3600),
        dead=lambda seconds: seconds > 4500,
        breached=lambda row: row["probe_success"] == 0,
    ),
    "filling_disk": Fault(
        pushed=lambda seconds: round((6 << 10) + seconds / 3600 * (480 << 10)),
        breached=lambda row: row["used_ratio"] > 0.85,
    ),
}
"""name -> what happens; the promise is that of the SLO matrix."""


class _Relay(socketserver.BaseRequestHandler):
    """One request: wait as the fault says, ask the registry, hand its answer on."""

    server: "Proxy"

    def handle(self) -> None:
        """Relay until the registry closes; a dead one closes at once."""
        asked = self.request.recv(65536)
        time.sleep(self.server.delay())
        try:
            with socket.create_connection(self.server.behind, TIMEOUT) as upstream:
                upstream.sendall(asked)
                while answer := upstream.recv(65536):
                    self.request.sendall(answer)
        except OSError:
            return


class Proxy(socketserver.ThreadingTCPServer):
    """Stands before `behind` (host, port) and delays each request by `delay()` seconds."""

    daemon_threads, request_queue_size = True, 128

    def __init__(self, behind: tuple[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), _Relay)
        self.behind = behind
        self.delay: Callable[[], float] = lambda: 0.0


@dataclass(slots=True)
class Recorder:
    """One recording: the registry behind a proxy, its clients, and what they see."""

    stand: RegistryStand
    proxy: Proxy
    fault: Fault
    pool: ThreadPoolExecutor
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    latencies: deque[list[float]] = field(default_factory=lambda: deque(maxlen=POOLED))
    used: float = 0.0

    def rows(self) -> Iterator[dict[str, float]]:
        """A row a round, until some rounds after the breach."""
        self._push(FILLED)
        left = math.inf
        for i in range(self.fault.rounds):
            row = self._round(i)
            yield row
            left = min(left - 1, AFTER if self.fault.breached(row) and i >= self.fault.calm else math.inf)
            if left <= 0:
                return

    def _round(self, i: int) -> dict[str, float]:
        seconds = max(0.0, (i - self.fault.calm) * ROUND)
        self.proxy.delay = lambda: self.fault.delay(seconds, self.chance)
        if self.fault.dead(seconds) and self.stand.running():
            self.stand.kill()
        day = 1 + 0.3 * math.sin(2 * math.pi * i * ROUND / 86400)
        wanted = REQUESTS * day * self.fault.share(seconds) * self.chance.uniform(0.7, 1.3)
        answers = list(self.pool.map(lambda _: self._get(MANIFEST), range(round(wanted))))
        probe = self._get("/v2/")
        if i % PUSHES == 0 and probe is not None:
            self._push(self.fault.pushed(seconds))
            self.used = _used(self.stand.data) / CAPACITY
        good = [it for it in answers if it is not None]
        self.latencies.append(good)
        return {
            "manifest_p99_seconds": _p99([it for some in self.latencies for it in some]),
            "request_rate": len(good) / ROUND,
            "error_ratio": 1 - len(good) / len(answers) if answers else 0.0,
            "used_ratio": self.used,
            "probe_seconds": math.nan if probe is None else probe,
            "probe_success": float(probe is not None),
        }

    def _get(self, path: str) -> float | None:
        """Seconds to the last byte through the proxy; None when it failed."""
        began = time.perf_counter()
        client = http.client.HTTPConnection("127.0.0.1", self.proxy.server_address[1], timeout=TIMEOUT)
        try:
            client.request("GET", path, headers={"Accept": INDEX, "Connection": "close"})
            answer = client.getresponse()
            answer.read()
            return time.perf_counter() - began if answer.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            client.close()

    def _push(self, size: int) -> None:
        """A blob of noise, straight to the registry."""
        body = self.chance.randbytes(size)
        client = http.client.HTTPConnection(*self.proxy.behind, timeout=60)
        client.request("POST", f"/v2/{PROBE.repository}/blobs/uploads/")
        begun = client.getresponse()
        begun.read()
        place = urlsplit(begun.headers["Location"])
        query = f"{place.query}&digest={digest_of(body)}"
        headers = {"Content-Type": "application/octet-stream"}
        client.request("PUT", f"{place.path}?{query}", body, headers)
        assert client.getresponse().status == 201
        client.close()


def _p99(seconds: list[float]) -> float:
    """Nearest rank; NaN of none."""
    return sorted(seconds)[math.ceil(0.99 * len(seconds)) - 1] if seconds else math.nan


def _used(folder: Path) -> int:
    """Bytes of all files below, as the registry lays them out."""
    total, left = 0, [os.fspath(folder)]
    while left:
        for entry in os.scandir(left.pop()):
            if entry.is_dir(follow_symlinks=False):
                left.append(entry.path)
            else:
                total += entry.stat().st_size
    return total


def record(name: str, out: Path) -> None:
    """Write `out`/NAME.csv.gz, whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["timestamp", *COLUMNS])
    for i, row in enumerate(recorded(FAULTS[name])):
        words = ("" if math.isnan(row[c]) else f"{row[c]:.6g}" for c in COLUMNS)
        writer.writerow([rfc3339(START + i * ROUND), *words])
        if i % 500 == 0:
            sys.stderr.write(f"{name}: round {i}\n")
    (out / f"{name}.csv.gz").write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


def recorded(fault: Fault) -> Iterator[dict[str, float]]:
    """Rows of a registry that lives as long as they are asked for."""
    with (
        tempfile.TemporaryDirectory(prefix="seawall-faults-") as folder,
        open_stand(Path(folder) / "registry", "process") as stand,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        push_all(stand.url, recipes=[PROBE])
        where = urlsplit(stand.url)
        with Proxy((where.hostname or "", where.port or 0)) as proxy:
            threading.Thread(target=proxy.serve_forever, daemon=True).start()
            try:
                yield from Recorder(stand, proxy, fault, pool).rows()
            finally:
                proxy.shutdown()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FAULTS)}")
    parser.add_argument("--out", type=Path, required=True, help="folder of the recordings")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or FAULTS:
        record(name, arguments.out)


if __name__ == "__main__":
    main()
