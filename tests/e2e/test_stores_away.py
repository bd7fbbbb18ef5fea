"""Prometheus, what stands for Elasticsearch, and Seawall itself go away while clients pull from a registry.

The events are in the emulator behind the demo's dialect: the dialect is ended, as a cut network would do,
since the emulator keeps its documents in memory only.
"""

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from seawall.demo.images import INDEX, PROBE, push_all
from seawall.demo.servers import Servers, open_servers
from seawall.demo.stand import RegistryStand, open_stand
from tests.postgres import WITH_POSTGRES
from tests.serving import Up, until
from tests.store_servers import WITH_PROMETHEUS

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="docker-registry is not installed"),
    WITH_PROMETHEUS,
    WITH_POSTGRES,
]
MANIFEST = f"/v2/{PROBE.repository}/manifests/{PROBE.tag}"
AWAY = 6.0  # seconds before and after Seawall is killed


class Programs:
    """Starts the servers; each can be stopped, and started again with the same command."""

    def __init__(self) -> None:
        self._started: dict[str, tuple[list[str], Path, dict]] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __call__(self, command: list[str], log: Path, **options) -> subprocess.Popen[bytes]:
        name = command[2] if command[0] == sys.executable else Path(command[0]).name
        self._started[name] = command, log, options
        return self.start(name)

    def start(self, name: str) -> subprocess.Popen[bytes]:
        command, log, options = self._started[name]
        with log.open("ab") as out:
            self._running[name] = subprocess.Popen(command, stdout=out, stderr=out, **options)
        return self._running[name]

    def stop(self, name: str) -> None:
        process = self._running.pop(name)
        process.terminate()
        process.wait(20)

    def close(self) -> None:
        for name in list(self._running):
            self.stop(name)


class Clients(threading.Thread):
    """Pulls a manifest every 50 ms; each request has a user agent of its own. `sent` is what was answered."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url, self._over, self.sent = url, threading.Event(), list[str]()

    def run(self) -> None:
        with httpx.Client(base_url=self._url, trust_env=False, timeout=10) as client:
            while not self._over.wait(0.05):
                agent = f"away/{len(self.sent)}"
                assert client.get(MANIFEST, headers={"User-Agent": agent, "Accept": INDEX}).is_success
                self.sent.append(agent)

    def end(self) -> None:
        self._over.set()
        self.join(20)


@pytest.fixture
def open_folder():
    """PostgreSQL runs as nobody, who may not pass through pytest's folders."""
    with tempfile.TemporaryDirectory(prefix="seawall-away-") as name:
        yield Path(name)


@pytest.fixture
def programs(open_folder):
    started = Programs()
    yield started
    started.close()


@pytest.fixture
def registry(tmp_path):
    with open_stand(tmp_path / "registry", "process") as stand:
        push_all(stand.url, recipes=[PROBE])
        yield stand


def seawall(folder: Path, stand: RegistryStand, servers: Servers) -> Up:
    registry = {
        "name": "main",
        "url": stand.url,
        "metrics_url": stand.metrics_url,
        "logs": [str(stand.log_file)],
    }
    config = {
        "registries": [registry],
        "storage": [{"registry": "main", "path": str(stand.data)}],
        "probe": {"interval": "1s", "timeout": "800ms", "image": "seawall/probe:1"},
        "stores": servers.settings["stores"],
    }
    (folder / "seawall").mkdir()
    return Up(folder / "seawall", config)


def rows(up: Up) -> dict[str, dict]:
    return {row["name"]: row for row in up.get("/slos")["items"]}


def told(up: Up) -> set[str]:
    return {row["status"] for row in rows(up).values()}


def agents(servers: Servers) -> list[str]:
    """Of every access line of ours that the events' server holds."""
    httpx.post(f"{servers.events}/logs-seawall.*/_refresh", trust_env=False, timeout=20)
    body = {"size": 10_000, "query": {"match_all": {}}, "_source": ["user_agent.original", "event.dataset"]}
    url = f"{servers.events}/logs-seawall.access-demo/_search"
    hits = httpx.post(url, json=body, trust_env=False, timeout=20).json()["hits"]["hits"]
    lines = [hit["_source"] for hit in hits if hit["_source"]["event"]["dataset"] == "distribution.access"]
    found = [line.get("user_agent", {}).get("original", "") for line in lines]
    return [agent for agent in found if agent.startswith("away/")]


def rounds(servers: Servers) -> list[float]:
    """Seconds of every probe round that Prometheus holds of the last quarter of an hour."""
    query = "seawall_probe_success{job!='seawall'}[15m]"
    answer = httpx.get(
        f"{servers.prometheus}/api/v1/query", params={"query": query}, trust_env=False, timeout=20
    )
    return sorted(float(at) for series in answer.json()["data"]["result"] for at, _ in series["values"])


def test_nothing_is_lost_doubled_or_called_well(tmp_path, open_folder, programs, registry):
    servers = open_servers(open_folder / "servers", "127.0.0.1:1", programs, print)
    up, clients = seawall(tmp_path, registry, servers).start(), Clients(registry.url)
    try:
        clients.start()
        until(lambda: rows(up)["storage_capacity"]["status"] == "ok", 60, "a row that is known")
        for name in ("prometheus", "seawall.demo.dialect"):
            programs.stop(name)
        gone = time.time()
        until(lambda: told(up) == {"unknown"}, 30, lambda: str(rows(up)))
        assert servers.prometheus in rows(up)["storage_capacity"]["reason"]
        until(lambda: time.time() - gone > AWAY, AWAY + 1, "time to pass")
        up.kill()
        killed = time.time()
        up.start()
        again = time.time()
        until(lambda: time.time() - again > AWAY, AWAY + 1, "time to pass")
        assert told(up) == {"unknown"}
        for name in ("prometheus", "seawall.demo.dialect"):
            programs.start(name)
        until(lambda: rows(up)["storage_capacity"]["status"] == "ok", 60, lambda: str(rows(up)))
        until(lambda: rows(up)["availability"]["indicator_ok"], 60, lambda: str(rows(up)))
        clients.end()
        until(lambda: len(agents(servers)) >= len(clients.sent), 60, lambda: f"{len(agents(servers))} events")
        back = time.time()
        found = until(lambda: (it := rounds(servers)) and it[-1] >= back and it, 60, "a round after all")
    finally:
        clients.end()
        up.stop()
    assert sorted(agents(servers)) == sorted(clients.sent) and len(clients.sent) > 200
    assert len(found) == len(set(found)), "a round came twice"
    gaps = [(a, b) for a, b in pairwise(found) if b - a > 3]
    assert all(a <= killed + 1 and b >= killed for a, b in gaps) and len(gaps) <= 1, gaps
    assert "/_bulk" not in up.log.read_text(), "each request in the log"
    assert any(gone < at < killed for at in found) and any(again < at < again + AWAY for at in found)
