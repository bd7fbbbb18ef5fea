"""A repair whose alert a real Alertmanager inhibits or silences: held when decided and when it begins."""

import shutil
import subprocess
import time

import httpx
import pytest
import yaml

from alerts.posting import Peer, silence
from alerts.silences import AlertmanagerSilences
from alerts.slos import load_rows
from seawall.core.actions import ActionState as S
from seawall.core.errors import Refused
from seawall.core.times import rfc3339
from tests.serving import free_port, until
from tests.unit.test_deciding import approved_but_not_begun, bench_of

pytestmark = pytest.mark.integration
HALL = {"alertname": "HallDown", "registry": "main"}
DOWN = {
    "alertname": "SeawallRegistryUnavailable",
    "registry": "main",
    "slo": "availability",
    "severity": "page",
}
CONFIG = {
    "route": {"receiver": "nobody"},
    "receivers": [{"name": "nobody"}],
    "inhibit_rules": [
        {
            "source_matchers": ['alertname="HallDown"'],
            "target_matchers": ['alertname=~"Seawall.*"'],
            "equal": ["registry"],
        }
    ],
}


@pytest.fixture
def peer(tmp_path):
    program = shutil.which("prometheus-alertmanager")
    assert program, "prometheus-alertmanager is not installed (apt-test.txt)"
    (tmp_path / "am.yml").write_text(yaml.safe_dump(CONFIG))
    port = free_port()
    command = [
        program, f"--config.file={tmp_path / 'am.yml'}", f"--storage.path={tmp_path / 'am'}",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
    ]  # fmt: skip
    with (tmp_path / "am.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    peer = Peer(f"http://127.0.0.1:{port}")
    until(lambda: ready(peer), 30, "a ready Alertmanager")
    yield peer
    process.terminate()
    process.wait(20)


def ready(peer: Peer) -> bool:
    try:
        return httpx.get(f"{peer.url}/-/ready", timeout=2).is_success
    except httpx.HTTPError:
        return False


def fire(peer: Peer, labels: dict[str, str], over: bool = False) -> None:
    now = time.time()
    alert = {
        "labels": labels,
        "startsAt": rfc3339(now - 60),
        "endsAt": rfc3339(now - 1 if over else now + 600),
    }
    peer.post("alerts", [alert])


def word(peer: Peer) -> str | None:
    return AlertmanagerSilences(peer, load_rows()).silenced("main", "availability")


def test_an_inhibited_alert_holds_its_repair_at_the_decision_and_at_the_execution(peer, tmp_path):
    bench = bench_of(tmp_path / "runs", silences=AlertmanagerSilences(peer, load_rows()))
    fire(peer, DOWN)
    assert until(lambda: word(peer) is None, 10, "an alert that nothing inhibits")
    action = approved_but_not_begun(bench)

    fire(peer, HALL)  # after the approval, before the run
    text = until(lambda: word(peer), 20, "the inhibition")
    assert text == "SeawallRegistryUnavailable is inhibited by HallDown in Alertmanager"
    bench.cycle._execute(action.id)
    held = bench.records.action(action.id)
    assert held.state is S.APPROVED and "it waits: " in held.history[-1][2] and text in held.history[-1][2]
    assert bench.runner.runs == []

    fire(peer, HALL, over=True)
    until(lambda: word(peer) is None, 20, "the end of the inhibition")
    bench.cycle.expire(bench.clock.now())  # what waits is looked at again
    bench.until(action.id, S.VERIFYING)
    assert len(bench.runner.runs) == 1

    fire(peer, HALL)
    until(lambda: word(peer), 20, "the inhibition")
    other = bench_of(tmp_path / "more", silences=AlertmanagerSilences(peer, load_rows()))
    asked = other.awaiting()
    assert any("inhibited by HallDown" in line for _, _, line in asked.history)
    with pytest.raises(Refused, match="inhibited by HallDown"):
        other.cycle.approve(asked.id, "ada", "now")
    assert other.records.action(asked.id).state is S.AWAITING_APPROVAL


def test_a_silence_with_a_matcher_on_a_label_that_only_alertmanager_knows_holds_too(peer):
    """Its own status says so, where our labels alone would not tell."""
    fire(peer, DOWN | {"hall": "north"})
    until(lambda: httpx.get(f"{peer.url}/api/v2/alerts", timeout=5).json(), 10, "the alert")
    assert word(peer) is None
    now = time.time()
    by_hall = [{"name": "hall", "value": "north", "isRegex": False, "isEqual": True}]
    body = {"matchers": by_hall, "startsAt": rfc3339(now), "endsAt": rfc3339(now + 600),
            "createdBy": "ada", "comment": "move"}  # fmt: skip
    peer.post("silences", body)
    assert "is silenced by" in until(lambda: word(peer), 20, "the silence")
    silence(peer, "main", now, now + 600, "bob", "all of it")
    assert until(lambda: (word(peer) or "").startswith("silenced in Alertmanager by bob"), 20, "bob's")
