"""A real Alertmanager delivers to a real Seawall."""

import json
import shutil
import subprocess

import httpx
import pytest
import yaml

from tests.e2e.test_up import TOKEN
from tests.serving import free_port, until

PROGRAM = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(PROGRAM is None, reason="prometheus-alertmanager is not installed"),
]


@pytest.fixture
def alertmanager(tmp_path, secret_file):
    """Starts one that sends everything to a URL; stopped by its pid."""
    running = []

    def start(url: str) -> str:
        port = free_port()
        receiver = {
            "url": url,
            "http_config": {
                "authorization": {"credentials_file": str(secret_file("am-token", TOKEN))},
            },
            "send_resolved": True,
        }
        config = {
            "route": {
                "receiver": "seawall", "group_wait": "100ms", "group_interval": "1s", "repeat_interval": "1s",
            },
            "receivers": [{"name": "seawall", "webhook_configs": [receiver]}],
        }  # fmt: skip
        (tmp_path / "am.yml").write_text(yaml.safe_dump(config))
        command = [
            str(PROGRAM), f"--config.file={tmp_path / 'am.yml'}", f"--storage.path={tmp_path / 'am'}",
            f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
        ]  # fmt: skip
        with (tmp_path / "am.log").open("wb") as log:
            running.append(subprocess.Popen(command, stdout=log, stderr=log))
        address = f"http://127.0.0.1:{port}"
        until(lambda: ready(address), 20, "a ready Alertmanager")
        return address

    yield start
    for process in running:
        process.terminate()
        process.wait(20)


def ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/-/ready", timeout=2).is_success
    except httpx.HTTPError:
        return False


def post(address: str, **more: object) -> None:
    labels = {"alertname": "Custom", "registry": "main", "severity": "page"}
    alert = {"labels": labels, "annotations": {"summary": "a test"}, **more}
    httpx.post(f"{address}/api/v2/alerts", json=[alert], timeout=10).raise_for_status()


def test_repeated_deliveries_are_one_incident_and_resolved_closes_it(up, secret_file, alertmanager):
    service = up({"webhooks": {"alertmanager": {"token_file": str(secret_file("token", TOKEN))}}})
    address = alertmanager(f"{service.url}/api/v1/webhooks/alertmanager")
    post(address)
    until(lambda: service.get("/incidents")["items"], 30, "an incident")

    def delivered() -> int:
        page = httpx.get(f"{address}/metrics", timeout=5).text
        lines = [line for line in page.splitlines() if line.startswith("alertmanager_notifications_total{")]
        return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines if "webhook" in line)

    # It sends only what changed or is due again: once more after repeat_interval, at a group_interval.
    until(lambda: delivered() >= 3, 30, "three deliveries")
    [incident] = service.get("/incidents")["items"]
    assert (incident["registry"], incident["slo"], incident["state"]) == ("main", None, "open")
    assert len(incident["causes"]) == 1
    post(address, endsAt="2026-01-01T00:00:00Z", startsAt="2025-12-31T00:00:00Z")
    until(lambda: service.get(f"/incidents/{incident['id']}")["state"] == "resolved", 30, "the resolution")
    assert json.dumps(service.get("/incidents")["items"]).count('"inc-') == 1
