"""A whole `seawall up` that pulls from 500 registries every 10 s: collected, kept, judged, told.

One real registry answers to all 500 names, so what is measured is Seawall's side. Warm-up is a minute: the
first rounds load what later ones find in memory.
"""

import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import httpx
import psutil
import yaml
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.figure import Figure
from seawall.demo.host import free_ports, until
from seawall.demo.images import PROBE, push_all
from seawall.demo.stand import open_stand

REGISTRIES = int(os.environ.get("SEAWALL_REGISTRIES", "500"))
SECONDS = float(os.environ.get("SEAWALL_MANY_SECONDS", "120"))
INTERVAL, WARM_UP, STOP = 10.0, 60.0, 10.0


def measure() -> list[Figure]:
    """Rounds and turns that are missing of those due, processor time, memory, age of the judgements."""
    with tempfile.TemporaryDirectory(prefix="seawall-many-") as name:
        folder = Path(name)
        with open_stand(folder / "registry", "process") as stand:
            push_all(stand.url, recipes=[PROBE])
            config = {
                "registries": [{"name": f"r{n:03}", "url": stand.url} for n in range(REGISTRIES)],
                "probe": {"interval": f"{INTERVAL:.0f}s", "timeout": "5s", "image": "seawall/probe:1"},
            }
            (folder / "seawall.yaml").write_text(yaml.safe_dump(config))
            return _watch(folder)


def _watch(folder: Path) -> list[Figure]:
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "seawall", "up", "--config", str(folder / "seawall.yaml")]
    command += ["--port", str(port), "--state", str(folder / "state")]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            assert until(lambda: _healthy(port), 180), (folder / "log").read_text()
            time.sleep(WARM_UP)
            token = (folder / "state" / "admin-token").read_text().strip()
            figures = _measured(psutil.Process(process.pid), port, token)
        finally:
            began = time.monotonic()
            process.terminate()
            process.wait(60)
        stopped = time.monotonic() - began
    said = (folder / "log").read_text()
    assert "Traceback" not in said and "CancelledError" not in said, said[-4000:]
    return [*figures, Figure("many: SIGTERM to the end", stopped, STOP, "s")]


def _measured(process: psutil.Process, port: int, token: str) -> list[Figure]:
    url = f"http://127.0.0.1:{port}"
    began, before, cpu = time.monotonic(), _counts(url), sum(process.cpu_times()[:2])
    time.sleep(SECONDS)
    seconds, share = time.monotonic() - began, sum(process.cpu_times()[:2]) - cpu
    rounds, pulls, turns = (now - then for now, then in zip(_counts(url), before, strict=True))
    due = REGISTRIES / INTERVAL
    load = os.getloadavg()[0]
    print(
        f"many: {rounds / seconds:.1f} rounds/s, {pulls / rounds:.1%} of them good,"
        f" {turns / seconds:.1f} turns/s"
    )
    print(
        f"many: {due:.0f} a second are due; {1000 * share / rounds:.1f} ms of a core a round; load {load:.1f}"
    )
    return [
        Figure("many: rounds that were missing, of those due", 100 * (1 - rounds / seconds / due), 2, "%"),
        Figure("many: share of one core", 100 * share / seconds, 50, "%"),
        Figure("many: RSS", process.memory_info().rss / 2**20, 500, "MiB"),
        Figure("many: age of the oldest judgement", _oldest(url, token), INTERVAL + 5, "s"),
    ]


def _counts(url: str) -> tuple[float, float, float]:
    """(rounds, pulls that succeeded, turns) since the start; each round connects."""
    text, rounds, pulls, turns = httpx.get(f"{url}/metrics", timeout=60).text, 0.0, 0.0, 0.0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "seawall_probe_duration_seconds_count":
                rounds += sample.value * (sample.labels["phase"] == "connect")
                pulls += sample.value * (sample.labels["phase"] == "total")
            elif sample.name == "seawall_cycle_duration_seconds_count":
                turns += sample.value
    return rounds, pulls, turns


def _oldest(url: str, token: str) -> float:
    """Seconds since the oldest of the newest judgements; every registry has one."""
    found, cursor = dict[str, float](), ""
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as api:
        while cursor is not None:
            page = api.get("/api/v1/slos", params={"limit": 200} | ({"cursor": cursor} if cursor else {}))
            for item in page.raise_for_status().json()["items"]:
                found[item["registry"]] = _unix(item["at"])
            cursor = page.json()["next"]
    assert len(found) == REGISTRIES, len(found)
    return time.time() - min(found.values())


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=2).is_success
    except httpx.HTTPError:
        return False
