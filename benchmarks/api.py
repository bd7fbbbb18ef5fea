"""The API under load on one core: 200 listeners of the stream and 500 requests a second for SECONDS.

Seawall is pinned to one core, the load to another. It probes a real docker-registry each second: its
cycle must not come late. `python -m benchmarks api`.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import yaml
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.figure import Figure
from seawall.demo.host import free_ports, until
from seawall.demo.images import PROBE, push_all
from seawall.demo.stand import open_stand

SECONDS = float(os.environ.get("SEAWALL_API_SECONDS", "20"))
LISTENERS, RATE, CONNECTIONS = 200, 500, 32
PATHS = ("/api/v1/slos", "/api/v1/incidents", "/api/v1/freeze", "/api/v1/actions", "/api/v1/forecasts")


def measure() -> list[Figure]:
    """Requests a second, their P99, listeners that heard everything, and how late the cycle was."""
    with tempfile.TemporaryDirectory(prefix="seawall-api-") as name:
        folder = Path(name)
        with open_stand(folder / "registry", "process") as stand:
            push_all(stand.url, recipes=[PROBE])
            config = {
                "registries": [{"name": "main", "url": stand.url}],
                "probe": {"interval": "1s", "timeout": "800ms", "image": "seawall/probe:1"},
                "server": {"requests_per_second": 100000, "requests_at_once": 100000},
            }
            (folder / "seawall.yaml").write_text(yaml.safe_dump(config))
            return _serve(folder)


def _serve(folder: Path) -> list[Figure]:
    port, cores = free_ports(1)[0], sorted(os.sched_getaffinity(0))
    command = [sys.executable, "-m", "seawall", "up", "--config", str(folder / "seawall.yaml")]
    command += ["--port", str(port), "--state", str(folder / "state")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            assert until(lambda: _healthy(port), 40), "Seawall did not start"
            psutil.Process(process.pid).cpu_affinity(cores[:1])
            os.sched_setaffinity(0, set(cores[-1:]))
            token = (folder / "state" / "admin-token").read_text().strip()
            return asyncio.run(_load(f"http://127.0.0.1:{port}", token, process.pid))
        finally:
            os.sched_setaffinity(0, set(cores))
            process.terminate()


def _healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=2).is_success
    except httpx.HTTPError:
        return False


async def _load(url: str, token: str, pid: int) -> list[Figure]:
    port, head = int(url.rpartition(":")[2]), f"Host: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"
    heard, ready = [0] * LISTENERS, asyncio.Semaphore(0)
    listeners = [asyncio.create_task(_listen(port, head, heard, it, ready)) for it in range(LISTENERS)]
    async with asyncio.timeout(60):
        for _ in listeners:
            await ready.acquire()
    turns, seconds = await _turns(url)
    cpu, began = psutil.Process(pid).cpu_times(), time.monotonic()
    took: list[float] = []
    due = iter(range(int(RATE * SECONDS)))
    await asyncio.gather(*(_ask(port, head, due, began, took) for _ in range(CONNECTIONS)))
    wall = time.monotonic() - began
    after = psutil.Process(pid).cpu_times()
    turns_after, seconds_after = await _turns(url)
    for task in listeners:
        task.cancel()
    await asyncio.gather(*listeners, return_exceptions=True)
    turned = turns_after - turns
    share = (after.user + after.system - cpu.user - cpu.system) / wall * 100
    took.sort()
    return [
        Figure(f"API: seconds for {len(took)} requests", wall, SECONDS * 1.02, "s"),
        Figure("API: P50 of a request, from when it was due", took[len(took) // 2] * 1000, 50, "ms"),
        Figure("API: P99 of a request, from when it was due", took[int(len(took) * 0.99)] * 1000, 500, "ms"),
        Figure("API: listeners that missed a message", sum(it < min(turned, max(heard)) - 1 for it in heard),
               0, ""),
        Figure("API: seconds between two turns (probed each second)", wall / max(turned, 1), 1.1, "s"),
        Figure("API: a turn of the cycle", (seconds_after - seconds) / max(turned, 1) * 1000, 500, "ms"),
        Figure("API: share of its core", share, 100, "%"),
    ]  # fmt: skip


async def _listen(port: int, head: str, heard: list[int], number: int, ready: asyncio.Semaphore) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /api/v1/stream HTTP/1.1\r\n{head}".encode())
    assert b" 200 " in await reader.readline()
    ready.release()
    while line := await reader.readline():
        heard[number] += line.strip() == b"event: slos"


async def _ask(port: int, head: str, due: Iterator[int], began: float, took: list[float]) -> None:
    """Requests at their times, whether or not the ones before have been answered in time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in due:
        at = began + number / RATE
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        writer.write(f"GET {PATHS[number % len(PATHS)]} HTTP/1.1\r\n{head}".encode())
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert b" 200 " in answer, answer
        length = int(answer.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        took.append(time.monotonic() - at)
    writer.close()


async def _turns(url: str) -> tuple[float, float]:
    """How many turns the cycle has made, and the seconds in them."""
    page = (await asyncio.to_thread(httpx.get, f"{url}/metrics", timeout=60)).text
    found = {
        sample.name: sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if family.name == "seawall_cycle_duration_seconds"
    }
    return found["seawall_cycle_duration_seconds_count"], found["seawall_cycle_duration_seconds_sum"]
