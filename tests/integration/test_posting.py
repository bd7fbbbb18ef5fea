"""Seawall's alerts in a real Alertmanager: alive, over, and silenced."""

import shutil
import subprocess
from dataclasses import replace

import httpx
import pytest

from alerts.notify import Links
from alerts.posting import Peer, Poster, silence
from alerts.slos import load_rows
from seawall.core.errors import SeawallError
from seawall.core.incidents import Finding, IncidentState
from seawall.stores.sql import SqlRecords
from tests.serving import free_port, until

pytestmark = pytest.mark.integration


class Clock:
    def __init__(self, at: float) -> None:
        self.at = at

    def now(self) -> float:
        return self.at


@pytest.fixture
def peer(tmp_path):
    program = shutil.which("prometheus-alertmanager")
    assert program, "prometheus-alertmanager is not installed (apt-test.txt)"
    (tmp_path / "am.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    port = free_port()
    with (tmp_path / "am.log").open("wb") as log:
        process = subprocess.Popen(
            [program, f"--config.file={tmp_path / 'am.yml'}", f"--storage.path={tmp_path / 'am'}",
             f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="],
            stdout=log, stderr=log,
        )  # fmt: skip

    def ready() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/-/ready", timeout=2).is_success
        except httpx.HTTPError:
            return False

    until(ready, 30, "a ready Alertmanager")
    yield Peer(f"http://127.0.0.1:{port}")
    process.terminate()
    process.wait(20)


def alerts(peer: Peer) -> dict[str, dict]:
    found = httpx.get(f"{peer.url}/api/v2/alerts", timeout=5).json()
    return {it["labels"]["alertname"]: it for it in found}


def test_an_incident_is_an_alert_until_it_is_resolved_and_a_silence_holds(peer):
    import time

    now = time.time()
    records, clock = SqlRecords("memory:"), Clock(now)
    finding = Finding("seawall", "availability", "main", "availability", "main is down", "x", now - 30)
    incident, _ = records.open_incident(finding, "seawall")
    poster = Poster(peer, records, load_rows(), clock, Links("https://s", "https://r"), 60.0)
    poster.look()
    until(lambda: "SeawallRegistryUnavailable" in alerts(peer), 10, "the alert")
    mine = alerts(peer)["SeawallRegistryUnavailable"]
    assert mine["labels"] == {
        "alertname": "SeawallRegistryUnavailable", "registry": "main",
        "severity": "page", "slo": "availability",
    }  # fmt: skip
    assert mine["annotations"]["console_url"] == f"https://s/incidents/{incident.id}"
    assert "SeawallWatchdog" in alerts(peer)

    id = silence(peer, "main", now - 1, now + 3600, "ops", "disk swap")
    until(lambda: alerts(peer)["SeawallRegistryUnavailable"]["status"]["silencedBy"] == [id], 10, "silence")

    over = replace(records.incident(incident.id), state=IncidentState.RESOLVED, resolved_at=now)
    records.save_incident(over, "seawall", "incident.resolved", {}, now)
    poster.look()
    until(lambda: "SeawallRegistryUnavailable" not in alerts(peer), 10, "the end of the alert")
    records.close()


def test_an_alertmanager_that_is_away_is_an_error_and_is_asked_again(peer):
    away = Poster(
        Peer(f"http://127.0.0.1:{free_port()}", timeout=1), SqlRecords("memory:"), load_rows(), Clock(1e9),
        Links(), 60.0,
    )  # fmt: skip
    for _ in range(2):
        with pytest.raises(SeawallError, match="Alertmanager at"):
            away.look()
