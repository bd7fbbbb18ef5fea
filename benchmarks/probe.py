"""The pull probe: a whole pull beside blackbox_exporter's probe of one URL, and 500 registries at once.

Both look at the same real registry in the same run. The exporter is asked over HTTP, as Prometheus asks it;
its own processor time counts, not the asking.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from benchmarks.figure import Figure
from collectors.probe import PullProbe
from collectors.pulling.exchange import Endpoint
from collectors.pulling.images import parse_image
from collectors.pulling.pull import Wanted, probe
from seawall.config import Config
from seawall.demo.host import free_ports, until
from seawall.demo.images import PROBE, push_all
from seawall.demo.stand import open_stand
from seawall.sources import build_collectors
from seawall.stores.memory import MemoryEvents

PULLS = int(os.environ.get("SEAWALL_PULLS", "2000"))
REGISTRIES, INTERVAL, ROUNDS = 500, 10.0, 3
IMAGE = "seawall/probe:1"


def measure() -> list[Figure]:
    """Processor time of the prober alone; the registry is a process of its own."""
    with tempfile.TemporaryDirectory(prefix="seawall-probe-") as name:
        folder = Path(name)
        with open_stand(folder / "registry", "process") as stand:
            push_all(stand.url, recipes=[PROBE])
            pull = asyncio.run(_pulls(stand.url, IMAGE))
            base = asyncio.run(_pulls(stand.url, None))
            figures = [
                Figure("probe: a whole pull, processor time", pull * 1000, 4.4, "ms"),
                Figure("probe: GET /v2/, processor time", base * 1000, 1.0, "ms"),
                Figure(
                    f"probe: {REGISTRIES} whole pulls every 10 s, of a core", 100 * _fleet(stand.url), 50, "%"
                ),
            ]
            if shutil.which("prometheus-blackbox-exporter"):
                other = _blackbox(folder, f"{stand.url}/v2/")
                figures.insert(
                    0, Figure("probe: a whole pull / blackbox_exporter, one URL", pull / other, 5, "x")
                )
            return figures


async def _pulls(url: str, image: str | None) -> float:
    """Seconds of processor time of one, over PULLS, four at a time."""
    wanted = Wanted(parse_image(image) if image else None, 10.0)
    endpoint, left = Endpoint(url), iter(range(PULLS))

    async def some() -> None:
        for _ in left:
            found = await probe(endpoint, wanted)
            assert found.ok and not found.note, found

    began = time.process_time()
    await asyncio.gather(*(some() for _ in range(4)))
    return (time.process_time() - began) / PULLS


def _fleet(url: str) -> float:
    """Share of a core for REGISTRIES probes spread over INTERVAL, collected for ROUNDS."""
    config = Config.model_validate(
        {
            "registries": [{"name": f"r{n}", "url": url} for n in range(REGISTRIES)],
            "probe": {"image": IMAGE, "interval": INTERVAL},
        }
    )
    probes = [it for it in build_collectors(config, MemoryEvents()) if isinstance(it, PullProbe)]
    assert len(probes) == REGISTRIES

    async def one(number: int, collector: PullProbe, start: float) -> None:
        for turn in range(ROUNDS):
            due = start + INTERVAL * (turn + number / REGISTRIES)
            await asyncio.sleep(due - time.monotonic())
            batch = await collector.collect(time.time())
            assert batch.samples[0].value == 1.0, batch.notes

    async def all_of_them() -> None:
        start = time.monotonic()
        await asyncio.gather(*(one(n, collector, start) for n, collector in enumerate(probes)))

    began = time.process_time()
    asyncio.run(all_of_them())
    return (time.process_time() - began) / (INTERVAL * ROUNDS)


def _blackbox(folder: Path, target: str) -> float:
    """Seconds of the exporter's processor time for one probe, over PULLS."""
    with _exporter(folder) as (process, url), httpx.Client(base_url=url, trust_env=False) as client:
        asked = f"/probe?module=http_2xx&target={target}"
        assert "probe_success 1" in client.get(asked).text
        before = process.cpu_times()
        for _ in range(PULLS):
            client.get(asked)
        after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / PULLS


@contextmanager
def _exporter(folder: Path) -> Iterator[tuple[psutil.Process, str]]:
    config, port = folder / "blackbox.yml", free_ports(1)[0]
    config.write_text(
        "modules: {http_2xx: {prober: http, timeout: 5s, http: {preferred_ip_protocol: ip4}}}\n"
    )
    url = f"http://127.0.0.1:{port}"
    command = ["prometheus-blackbox-exporter", f"--config.file={config}"]
    command.append(f"--web.listen-address=127.0.0.1:{port}")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            assert until(lambda: _answers(url), 20), "blackbox_exporter did not start"
            yield psutil.Process(process.pid), url
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=2).is_success
    except httpx.HTTPError:
        return False
