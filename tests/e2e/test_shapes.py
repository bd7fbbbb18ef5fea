"""Every JSON shape of the contract (DESIGN section 9) as the API and the verbs print it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seawall.core.times import parse_time
from seawall.demo.images import PROBE, push_all
from seawall.demo.stand import open_stand
from tests.e2e.test_up import TOKEN, alert, deliver
from tests.serving import Up, until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="docker-registry is not installed"),
]

SLO = {
    "name", "registry", "status", "indicator_ok", "value", "unit", "threshold", "window", "samples",
    "budget_remaining_ratio", "burn_rate", "breach_probability", "reason", "at",
}  # fmt: skip
INCIDENT = {
    "id", "state", "severity", "registry", "slo", "title", "explanation", "impact", "opened_at",
    "acknowledged_by", "resolved_at", "causes", "actions",
}  # fmt: skip
ACTION = {
    "id", "incident", "playbook", "registry", "state", "risk", "requested_by", "preview", "approvals", "run",
    "verification",
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A registry with one image that is up, Seawall on it, and one alert that asks for a repair."""
    folder: Path = tmp_path_factory.mktemp("shapes")
    secret = folder / "alert-token"
    secret.touch(mode=0o600)
    secret.write_text(TOKEN)
    with open_stand(folder / "registry", "process") as stand:
        push_all(stand.url, recipes=[PROBE])
        service = Up(
            folder,
            {
                "registries": [
                    {
                        "name": "main",
                        "url": stand.url,
                        "metrics_url": stand.metrics_url,
                        "logs": [str(stand.log_file)],
                        "process": {"pidfile": str(stand.pidfile), "command": stand.serve},
                    }
                ],
                "storage": [{"registry": "main", "path": str(stand.data)}],
                "probe": {"interval": "1s", "timeout": "800ms", "image": "seawall/probe:1"},
                "webhooks": {"alertmanager": {"token_file": str(secret)}},
            },
        ).start()
        try:
            until(lambda: known(service), 40, "the judgement")
            deliver(service, alert())
            until(lambda: service.get("/actions")["items"][0]["preview"], 40, "the preview")
            yield service, stand
        finally:
            service.stop()


def known(service):
    rows = {row["name"]: row for row in service.get("/slos")["items"]}
    return rows["storage_capacity"]["status"] == "ok" and rows["availability"]["indicator_ok"]


def both(service, verb, path):
    """The same list from the verb and from the API."""
    printed, answered = service.cli_json(verb), service.get(path)
    assert set(printed) == set(answered) == {"items", "next"}
    return printed["items"], answered["items"]


def test_slo(world):
    for items in both(world[0], "slo", "/slos"):
        assert [row["name"] for row in items] == [
            "pull_latency", "storage_capacity", "unsigned_pulls", "availability",
        ]  # fmt: skip
        for row in items:
            assert set(row) == SLO
            assert row["status"] in ("ok", "at_risk", "breached", "unknown")
            assert row["indicator_ok"] in (True, False, None)
            assert set(row["window"]) == {"start", "end"}
            assert row["at"].endswith("Z") and parse_time(row["at"]) > 1.7e9
        thresholds = {row["name"]: (row["threshold"], row["unit"]) for row in items}
        assert thresholds["pull_latency"] == (0.5, "s")
        assert thresholds["storage_capacity"] == (0.85, "ratio")
        assert thresholds["availability"] == (300.0, "s")


def test_incident(world):
    for items in both(world[0], "incidents", "/incidents"):
        [incident] = items
        assert set(incident) == INCIDENT
        assert set(incident["impact"]) == {"failed_pulls", "repositories", "clients"}
        assert (incident["state"], incident["registry"], incident["slo"]) == ("open", "main", "availability")
        assert incident["resolved_at"] is None and isinstance(incident["causes"], list)
    assert world[0].get(f"/incidents/{incident['id']}") == incident


def test_action(world):
    for items in both(world[0], "actions", "/actions"):
        [action] = items
        assert set(action) == ACTION
        assert set(action["preview"]) == {"digest", "diff", "not_previewable", "manual"}
        assert len(action["preview"]["digest"]) == 64
        assert (action["playbook"], action["risk"]) == ("restart-registry-process", "low")
        assert action["approvals"] == [] and action["run"] is None and action["verification"] is None
    assert world[0].cli_json("actions", action["id"]) == action


def test_a_preview_of_a_registry_that_is_well_changes_nothing(world):
    [action] = world[0].get("/actions")["items"]
    assert "status" not in action["preview"]["diff"]


def test_check(world):
    command = [sys.executable, "-m", "seawall", "check", "--json", "--config", str(world[0].config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["ok"]) == (0, True), answer
    assert set(answer) == {"ok", "checks"}
    for one in answer["checks"]:
        assert set(one) == {"name", "ok", "found", "remedy"}
    names = {one["name"] for one in answer["checks"]}
    assert {"config", "slos", "registry main", "metrics of main", "storage of main"} <= names


def test_probe(world):
    host = world[1].url.removeprefix("http://")
    command = [sys.executable, "-m", "seawall", "probe", f"{host}/seawall/probe:1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["ok"]) == (0, True)
    names = {phase["name"] for phase in answer["phases"]}
    assert {"connect", "manifest_index", "manifest_child", "blob_ttfb", "blob_transfer"} <= names
    missing = subprocess.run([*command[:4], f"{host}/no/such:1"], capture_output=True, text=True, check=False)
    assert missing.returncode == 1 and "404" in missing.stdout


def test_playbooks(world):
    done = subprocess.run(
        [sys.executable, "-m", "seawall", "playbooks", "--json"], capture_output=True, text=True, check=True
    )
    items = json.loads(done.stdout)["items"]
    assert {it["name"] for it in items} >= {"restart-registry", "restart-registry-process"}
    listed = {it["name"] for it in world[0].get("/playbooks")["items"]}
    assert listed == {it["name"] for it in items}


def test_lists_are_paged_within_bounds(world):
    with world[0].api() as api:
        assert api.get("/api/v1/incidents?limit=0").status_code == 422
        assert api.get("/api/v1/incidents?limit=201").status_code == 422
        answer = api.get("/api/v1/incidents?cursor=nonsense")
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(answer.json()) == {"type", "title", "status", "detail"}
        assert api.get("/api/v1/incidents/inc-99").status_code == 404
        assert api.get("/api/v1/nothing").status_code == 404
        assert api.put("/api/v1/slos").status_code == 405


def test_people_acknowledge_and_note(world):
    service = world[0]
    with service.api() as api:
        [incident] = api.get("/api/v1/incidents").json()["items"]
        path = f"/api/v1/incidents/{incident['id']}"
        assert api.post(f"{path}/note", json={"text": "looking"}).status_code == 200
        first = api.post(f"{path}/acknowledge")
        assert (first.status_code, first.json()["acknowledged_by"]) == (200, "admin")
        assert api.post(f"{path}/acknowledge").status_code == 409
        assert api.post(f"{path}/assign", json={"to": " "}).status_code in (400, 422)
        handed = api.post(f"{path}/assign", json={"to": "ann"}).json()
        assert (handed["state"], handed["acknowledged_by"]) == ("acknowledged", "ann")
        texts = [line["text"] for line in api.get(f"{path}/timeline").json()["items"]]
        assert "looking" in texts and "acknowledged by admin" in texts
        assert "handed over to ann by admin" in texts
    told = service.cli("incidents", "note", incident["id"], "by the command", "--json")
    assert json.loads(told.stdout)["acknowledged_by"] == "ann"
    service.cli("slo")


def test_metrics_have_the_signals_of_the_contract(world):
    with world[0].api() as api:
        page = api.get("/metrics").text
    for name in (
        'seawall_probe_success{registry="main",site="local"} 1.0',
        "seawall_probe_duration_seconds_bucket",
        "seawall_storage_used_ratio",
        'seawall_slo_value{registry="main",slo="availability"}',
        'seawall_slo_status{registry="main",slo="unsigned_pulls",status="unknown"} 1.0',
        'seawall_collector_up{collector="metrics",registry="main"} 1.0',
        'seawall_log_lines_total{registry="main"',
        "seawall_requests_total{",
        "seawall_cycle_duration_seconds_count",
        'seawall_incidents{severity="page",state=',
    ):
        assert name in page, name


def test_history_is_judged_as_of_a_time(world):
    before = world[0].get("/slos?at=2020-01-01T00:00:00Z")["items"]
    assert {row["status"] for row in before} == {"unknown"}
    done = world[0].cli("slo", "--at", "yesterday")
    assert done.returncode == 2 and "RFC 3339" in done.stderr


@pytest.mark.parametrize("verb", ["slo", "incidents", "actions"])
def test_live_verbs_speak_plain_text_to_people(world, verb):
    done = world[0].cli(verb)
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr
    assert "main" in done.stdout


def test_one_action_is_told_with_its_diff_and_story(world):
    [action] = world[0].get("/actions")["items"]
    told = world[0].cli("actions", action["id"]).stdout
    assert "by hand:" in told and "proposed restart-registry-process" in told


@pytest.mark.parametrize("verb", ["check", "playbooks"])
def test_offline_verbs_speak_plain_text_to_people(world, verb):
    command = [sys.executable, "-m", "seawall", verb, "--config", str(world[0].config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "restart-registry-process" in done.stdout


def test_a_reader_without_a_service_is_told_what_to_start(tmp_path):
    command = [sys.executable, "-m", "seawall", "slo", "--state", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1 and "start `seawall up`" in done.stderr
