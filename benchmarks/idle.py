"""What `seawall up` costs when nothing happens: one registry, probed every 10 s, for 5 minutes."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil
import yaml

from benchmarks.figure import Figure
from seawall.demo.host import free_ports, until
from seawall.demo.images import PROBE, push_all
from seawall.demo.stand import open_stand

SECONDS = float(os.environ.get("SEAWALL_IDLE_SECONDS", "300"))


def measure() -> list[Figure]:
    """Peak RSS of the whole process tree and its CPU time, over SECONDS after a minute's warm-up."""
    with tempfile.TemporaryDirectory(prefix="seawall-idle-") as name:
        folder = Path(name)
        with open_stand(folder / "registry", "process") as stand:
            push_all(stand.url, recipes=[PROBE])
            config = {
                "registries": [
                    {
                        "name": "main",
                        "url": stand.url,
                        "metrics_url": stand.metrics_url,
                        "logs": [str(stand.log_file)],
                    }
                ],
                "storage": [{"registry": "main", "path": str(stand.data)}],
                "probe": {"interval": "10s", "timeout": "5s", "image": "seawall/probe:1"},
            }
            (folder / "seawall.yaml").write_text(yaml.safe_dump(config))
            return _watch(folder)


def _watch(folder: Path) -> list[Figure]:
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "seawall", "up", "--config", str(folder / "seawall.yaml")]
    command += ["--port", str(port), "--state", str(folder / "state")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            assert until(lambda: _healthy(port), 40), "Seawall did not start"
            time.sleep(min(60.0, SECONDS))
            return _measured(psutil.Process(process.pid))
        finally:
            process.terminate()


def _healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=2).is_success
    except httpx.HTTPError:
        return False


def _measured(root: psutil.Process) -> list[Figure]:
    peak, began, before = 0, time.monotonic(), _cpu(root)
    while time.monotonic() - began < SECONDS:
        peak = max(peak, sum(one.memory_info().rss for one in _tree(root)))
        time.sleep(1)
    share = (_cpu(root) - before) / (time.monotonic() - began)
    return [
        Figure("idle: peak RSS of the process tree", peak / 2**20, 400, "MiB"),
        Figure("idle: share of one core", share * 100, 5, "%"),
    ]


def _tree(root: psutil.Process) -> list[psutil.Process]:
    return [root, *root.children(recursive=True)]


def _cpu(root: psutil.Process) -> float:
    times = root.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)
