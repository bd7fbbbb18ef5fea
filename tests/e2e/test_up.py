"""`seawall up` from outside: deliveries, restarts in the middle of a run, the gate, the live verbs."""

import getpass
import json
import re
import sqlite3
from pathlib import Path

import httpx
import pytest
import yaml

from tests.serving import until

pytestmark = pytest.mark.e2e
TOKEN = "alert-token-for-tests"


def alert(fingerprint="f00d", status="firing", registry="main", name="SeawallRegistryUnavailable", **more):
    labels = {"alertname": name, "registry": registry, "severity": "page"}
    return {
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "seawall",
        "groupLabels": {},
        "commonLabels": labels,
        "commonAnnotations": {},
        "externalURL": "http://127.0.0.1:9093",
        "alerts": [
            {
                "status": status,
                "labels": labels,
                "annotations": {"summary": "the registry does not answer"},
                "startsAt": "2026-11-24T03:00:00Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "",
                "fingerprint": fingerprint,
            }
        ],
        **more,
    }


def deliver(up, message, token=TOKEN):
    headers = {"Authorization": f"Bearer {token}"}
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return httpx.post(f"{up.url}/api/v1/webhooks/alertmanager", content=body, headers=headers, timeout=20)


def slow_playbook(folder: Path, marker: Path, seconds: float) -> Path:
    """A repair that leaves one line per run and takes its time."""
    book = folder / "books" / "slow-repair"
    book.mkdir(parents=True)
    action = {
        "name": "slow-repair",
        "playbook": "playbook.yml",
        "title": "A slow repair",
        "trigger": {"slo": "availability"},
        "inputs": {"marker": {"type": "path", "default": str(marker)}},
        "targets": "registry_servers",
        "risk": "low",
        "cooldown": "1m",
        "timeout": "1m",
        "verify": {"slo": "availability", "window": "30s"},
        "undo": {"none": "a test"},
    }
    (book / "action.yaml").write_text(yaml.safe_dump(action))
    play = {
        "name": "Repair slowly",
        "hosts": "registry_servers",
        "gather_facts": False,
        "tasks": [
            {
                "name": "Leave a line",
                "ansible.builtin.lineinfile": {
                    "path": "{{ marker }}", "line": "{{ lookup('pipe', 'date +%s%N') }}", "create": True,
                },
                "when": "not ansible_check_mode",
            },
            {"name": "Take time", "ansible.builtin.wait_for": {"timeout": seconds}},
        ],
    }  # fmt: skip
    (book / "playbook.yml").write_text(yaml.safe_dump([play]))
    (book / "README.md").write_text("For a test.\n")
    return book.parent


@pytest.fixture
def config(secret_file, tmp_path):
    """A registry that nobody serves: it is down from the start."""
    return {
        "registries": [{"name": "main", "url": "http://127.0.0.1:1"}],
        "probe": {"interval": "1s", "timeout": "800ms"},
        "webhooks": {"alertmanager": {"token_file": str(secret_file("alert-token", TOKEN))}},
        "playbooks": str(slow_playbook(tmp_path, tmp_path / "marker", 4.0)),
    }


def awaiting(service):
    actions = service.get("/actions")["items"]
    return next((it for it in actions if it["state"] == "awaiting_approval"), None)


def test_five_deliveries_of_one_alert_make_one_incident_and_one_run(up, config, tmp_path):
    service = up(config)
    answers = [deliver(service, alert()) for _ in range(5)]
    assert {answer.status_code for answer in answers} == {202}
    assert len({json.dumps(answer.json()) for answer in answers}) == 1
    action = until(lambda: awaiting(service), 30, "a preview")
    assert action["requested_by"] == "seawall"
    approver = service.person("ada", "approver")
    with service.api(approver) as api:
        assert api.post(f"/api/v1/actions/{action['id']}/approve").status_code == 200
        assert api.post(f"/api/v1/actions/{action['id']}/approve").status_code == 409
    until(lambda: service.get(f"/actions/{action['id']}")["run"], 30, "the run")
    assert deliver(service, alert()).status_code == 202
    until(lambda: service.get(f"/actions/{action['id']}")["state"] == "verifying", 30, "the run's end")
    assert len((tmp_path / "marker").read_text().splitlines()) == 1
    incidents = service.get("/incidents")["items"]
    assert len(incidents) == 1
    assert incidents[0]["actions"] == [action["id"]]


def test_kill_9_while_the_playbook_runs_then_start_again(up, config, tmp_path):
    service = up(config)
    action = until(lambda: awaiting(service), 30, "a preview")
    with service.api(service.person("ada", "approver")) as api:
        api.post(f"/api/v1/actions/{action['id']}/approve").raise_for_status()
    until(lambda: (tmp_path / "marker").exists(), 30, "the first task")
    service.kill()
    service.start()
    found = until(
        lambda: (it := service.get(f"/actions/{action['id']}"))["state"] in ("verifying", "in_doubt") and it,
        40,
        "the run found again",
    )
    assert found["state"] == "verifying"
    assert found["run"]["outcome"] == "successful"
    assert len((tmp_path / "marker").read_text().splitlines()) == 1
    assert service.get("/incidents")["items"][0]["actions"] == [action["id"]]


def test_kill_9_of_seawall_and_its_worker_leaves_the_run_in_doubt_and_plans_again(up, config, tmp_path):
    service = up(config)
    action = until(lambda: awaiting(service), 30, "a preview")
    with service.api(service.person("ada", "approver")) as api:
        api.post(f"/api/v1/actions/{action['id']}/approve").raise_for_status()
    until(lambda: (tmp_path / "marker").exists(), 30, "the first task")
    service.kill()
    assert service.kill_workers() > 0
    service.start()
    until(lambda: service.get(f"/actions/{action['id']}")["state"] == "in_doubt", 30, "in_doubt")
    again = until(lambda: awaiting(service), 30, "a new plan")
    assert again["id"] != action["id"] and again["approvals"] == []
    assert len((tmp_path / "marker").read_text().splitlines()) == 1


def test_a_frozen_seawall_starts_nothing_until_it_is_thawed(up, config):
    service = up(config)
    action = until(lambda: awaiting(service), 30, "a preview")
    done = service.cli("freeze", "--reason", "release day")
    assert done.returncode == 0 and "release day" in done.stdout
    refused = service.cli("approve", action["id"])
    assert refused.returncode == 1 and "frozen" in refused.stderr
    service.kill()
    service.start()
    assert service.get("/freeze")["frozen"] is True
    assert service.cli("unfreeze").returncode == 0
    approved = service.cli("approve", action["id"], "--json")
    assert json.loads(approved.stdout)["state"] == "approved", approved.stderr
    assert json.loads(approved.stdout)["approvals"][0]["by"] == getpass.getuser()


def test_an_unreachable_registry_does_not_stop_the_rest(up, config, tmp_path):
    broken = tmp_path / "books" / "broken"
    broken.mkdir()
    (broken / "action.yaml").write_text("name: broken\ntitle: [\n")
    config["storage"] = [{"registry": "main", "path": str(tmp_path)}]
    service = up(config)
    rows = until(
        lambda: (
            (found := {row["name"]: row for row in service.get("/slos")["items"]})
            and found["storage_capacity"]["value"] is not None
            and found["availability"]["indicator_ok"] is False
            and found
        ),
        40,
        "the judgement",
    )
    assert set(rows) == {"pull_latency", "storage_capacity", "unsigned_pulls", "availability"}
    assert rows["unsigned_pulls"]["status"] == "unknown"
    assert re.search(r"action\.yaml:\d+", service.log.read_text())
    names = {it["name"] for it in service.get("/playbooks")["items"]}
    assert "restart-registry" in names


def test_the_audit_chain_holds_after_kills(up, config):
    service = up(config)
    until(lambda: awaiting(service), 30, "a preview")
    service.kill()
    service.start()
    entries = service.get("/audit?limit=200")["items"]
    assert {"incident.opened", "action.proposed", "action.previewed"} <= {e["event"] for e in entries}
    service.stop()
    with sqlite3.connect(service.state / "records.sqlite") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


# the gate ------------------------------------------------------------------------------------


OPEN = {
    "/healthz": 200,
    "/metrics": 200,
    "/readyz": 200,
    "/api/v1/auth/login": 422,
    "/api/v1/auth/logout": 200,
}


def test_everything_but_the_open_paths_needs_a_token(up):
    service = up({})
    spec = httpx.get(f"{service.url}/api/openapi.json").json()
    for path, methods in spec["paths"].items():
        for method in methods:
            answer = httpx.request(method, service.url + re.sub(r"\{.*?\}", "x", path))
            assert answer.status_code == OPEN.get(path, 401), (method, path)
    for path in ("/incidents", "/actions/act-1", "/nothing", "/api/v1/nothing", "/api/v1/slos?limit=x"):
        answer = httpx.get(service.url + path)
        assert answer.status_code == 401, path
    assert httpx.delete(service.url + "/api/v1/slos").status_code == 401
    assert httpx.get(service.url + "/").headers["location"] == "/login"
    wrong = httpx.get(service.url + "/api/v1/slos", headers={"Authorization": "Bearer sw_wrong"})
    assert wrong.status_code == 401
    assert wrong.headers["content-type"] == "application/problem+json"


def test_roles_are_kept(up):
    service = up({})
    viewer, operator = service.person("vic", "viewer"), service.person("olga", "operator")
    with service.api(viewer) as api:
        assert api.get("/api/v1/slos").status_code == 200
        assert api.post("/api/v1/freeze").status_code == 403
        assert api.get("/api/v1/audit").status_code == 403
        assert api.post("/api/v1/tokens", json={"name": "x", "role": "admin"}).status_code == 403
    with service.api(operator) as api:
        assert api.post("/api/v1/freeze").status_code == 200
        assert api.post("/api/v1/actions/act-1/approve").status_code == 403


def test_the_webhook_has_a_token_of_its_own(up, config):
    service = up(config)
    assert deliver(service, alert(), token="wrong").status_code == 401
    assert deliver(service, alert(), token=service.token()).status_code == 401
    with service.api(TOKEN) as api:
        assert api.get("/api/v1/slos").status_code == 401
    assert deliver(service, b"x" * (1024 * 1024 + 1)).status_code == 413
    assert deliver(service, b"not json").status_code == 400
    assert deliver(service, alert(version="3")).status_code == 400
    assert deliver(service, alert(name="SeawallWatchdog")).json() == {"incidents": []}


def test_an_alert_joins_the_open_incident_of_its_registry_and_row(up, config):
    service = up(config)
    until(lambda: service.get("/incidents")["items"], 30, "our own incident")
    answer = deliver(service, alert())
    incidents = service.get("/incidents")["items"]
    assert [it["id"] for it in incidents] == answer.json()["incidents"]
    assert any("Alertmanager says" in cause for cause in incidents[0]["causes"])


def test_two_seawalls_cannot_share_a_state_folder(up):
    service = up({})
    second = service.cli("up", "--port", "0")
    assert second.returncode == 2
    assert "another Seawall works in it" in second.stderr
