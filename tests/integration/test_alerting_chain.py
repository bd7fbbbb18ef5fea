"""Real Prometheus with the generated rules, real Alertmanager with a real Seawall: a killed registry is told
once, and resolved once."""

import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml

from dashboards.build import queries
from seawall.config import Config
from seawall.exports import KINDS, Options, export
from tests.registries import push
from tests.serving import free_port, until

pytestmark = pytest.mark.integration


class Servers:
    """Programs that answer at /-/ready; stopped by their pids."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, tuple[subprocess.Popen, str, list[str]]] = {}

    def __call__(self, name: str, port: int, *arguments: str) -> str:
        program = shutil.which(name)
        assert program, f"{name} is not installed (apt-test.txt)"
        return self._start(name, f"http://127.0.0.1:{port}", [program, *arguments])

    def _start(self, name: str, url: str, command: list[str]) -> str:
        with (self._folder / f"{name}.log").open("ab") as log:
            self._running[name] = (subprocess.Popen(command, stdout=log, stderr=log), url, command)

        def ready() -> bool:
            try:
                return httpx.get(f"{url}/-/ready", timeout=2).is_success
            except httpx.HTTPError:
                return False

        until(ready, 60, f"a ready {name}")
        return url

    def restart(self, name: str) -> None:
        """Ended and started again on its data."""
        process, url, command = self._running[name]
        process.terminate()
        process.wait(30)
        self._start(name, url, command)

    def stop(self) -> None:
        for process, _, _ in self._running.values():
            process.terminate()
            process.wait(30)


@pytest.fixture
def servers(tmp_path):
    made = Servers(tmp_path)
    yield made
    made.stop()


def alertmanager(servers, tmp_path, receiver: str) -> str:
    [path] = export("alertmanager", Config(), Options(), tmp_path / "am")
    made = yaml.safe_load(path.read_text())
    made["route"] |= {"group_wait": "3s", "group_interval": "3s"}
    for it in made["receivers"]:
        it.pop("webhook_configs", None)
        if it["name"] in ("page", "ticket"):
            it["webhook_configs"] = [{"url": receiver, "send_resolved": True}]
    path.write_text(yaml.safe_dump(made))
    port = free_port()
    return servers(
        "prometheus-alertmanager", port, f"--config.file={path}", f"--storage.path={tmp_path / 'am-data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
    )  # fmt: skip


def prometheus(servers, tmp_path, seawall: str, receiver: str, found: Config | None = None) -> str:
    folder = tmp_path / "prom"
    export("prometheus", found or Config(), Options(scrape=1.0), folder)
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["seawall.rules.yml"],
        "scrape_configs": [
            {"job_name": "seawall", "static_configs": [{"targets": [seawall.removeprefix("http://")]}]}
        ],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [receiver.removeprefix("http://")]}]}]
        },
    }
    (folder / "p.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    return servers(
        "prometheus", port, f"--config.file={folder / 'p.yml'}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}", "--rules.alert.resend-delay=1s",
    )  # fmt: skip


def test_a_killed_registry_is_told_once_and_resolved_once(up, registry, servers, people, tmp_path):
    push(registry.url, "team/app", "1.0")
    receiver, got = people
    address = alertmanager(servers, tmp_path, receiver)
    service = up(
        {
            "registries": [{"name": "main", "url": registry.url}],
            "probe": {"interval": "1s", "timeout": "800ms", "image": "team/app:1.0"},
            "alertmanager": {"url": address, "resend": "2s"},
        }
    )
    rules = prometheus(servers, tmp_path, service.url, address)

    def asked(expr: str) -> list:
        answer = httpx.get(f"{rules}/api/v1/query", params={"query": expr}, timeout=10).json()
        assert answer["status"] == "success", (expr, answer)
        return answer["data"]["result"]

    until(lambda: asked('seawall:slo_value:now{slo="availability"}'), 60, "a recorded indicator")
    board = KINDS["grafana"](Config(), Options())["seawall-slo-matrix.json"]
    for title, expr in queries(board):
        asked(expr.replace("$registry", "main"))
        if "forecast" not in expr:  # the models have not seen enough to forecast
            until(lambda expr=expr: asked(expr.replace("$registry", "main")), 120, f"data for {title}")
    registry.stop()
    until(lambda: got, 60, "a notification")
    until(
        lambda: asked('ALERTS{alertname="SeawallRegistryUnavailable",alertstate="firing",burn=""}'),
        60,
        "the rule",
    )
    registry.start()
    until(lambda: any(it["status"] == "resolved" for it in got), 90, "a resolved notification")
    assert [it["status"] for it in got] == ["firing", "resolved"]
    assert {it["commonLabels"]["alertname"] for it in got} == {"SeawallRegistryUnavailable"}


# A budget so large that no burn alert joins the group however long the restarts take.
SLOS = """\
slos:
  - name: availability
    type: time_slices
    signal: seawall_probe_success
    window: calendar-month
    objective: {op: "<=", value: 864000}
    alert: SeawallRegistryUnavailable
"""


def test_restarts_of_all_three_in_between_tell_nobody_again(up, registry, servers, people, tmp_path):
    push(registry.url, "team/app", "1.0")
    receiver, got = people
    (tmp_path / "slos.yaml").write_text(SLOS)
    address = alertmanager(servers, tmp_path, receiver)
    service = up(
        {
            "registries": [{"name": "main", "url": registry.url}],
            "probe": {"interval": "1s", "timeout": "800ms", "image": "team/app:1.0"},
            "alertmanager": {"url": address, "resend": "2s"},
            "slos": "slos.yaml",
        }
    )
    rules = prometheus(servers, tmp_path, service.url, address, Config(slos=tmp_path / "slos.yaml"))
    alert = 'alertname="SeawallRegistryUnavailable"'

    def recorded() -> list:
        query = {"query": 'seawall:slo_value:now{slo="availability"} == 0'}
        return httpx.get(f"{rules}/api/v1/query", params=query, timeout=10).json()["data"]["result"]

    def fires() -> list:
        query = {"query": f'ALERTS{{{alert}, alertstate="firing"}}'}
        return httpx.get(f"{rules}/api/v1/query", params=query, timeout=10).json()["data"]["result"]

    def held() -> list:
        return httpx.get(f"{address}/api/v2/alerts", params={"filter": alert}, timeout=10).json()

    until(recorded, 60, "a recorded indicator")
    registry.stop()
    until(lambda: got and fires(), 90, "a notification, and the rule")
    service.kill()
    service.start()
    servers.restart("prometheus-alertmanager")
    until(held, 60, "the alert in the new Alertmanager")
    servers.restart("prometheus")
    until(fires, 90, "the rule in the new Prometheus")
    assert [it["status"] for it in got] == ["firing"]
    registry.start()
    until(lambda: len(got) > 1 and not held(), 120, "a resolved notification")
    assert [it["status"] for it in got] == ["firing", "resolved"]
    [incident] = service.get("/incidents")["items"]
    assert incident["state"] == "resolved"
