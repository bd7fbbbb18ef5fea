"""Seawall and its workers killed at random moments over a stream of incidents.

No incident is lost, no playbook runs twice for one approval, no process is left, the audit chain holds.
"""

import os
import random
import time
from pathlib import Path

import pytest
import yaml

from seawall.stores.sql import SqlRecords
from tests.e2e.test_up import TOKEN, alert, deliver
from tests.serving import Up, kill_process, until

KILLS = 200 if os.environ.get("SEAWALL_SOAK") else 20
REGISTRIES = [f"r{number}" for number in range(8)]
ENDED = {"verifying", "succeeded", "failed", "escalated", "in_doubt", "expired", "rejected"}
pytestmark = [pytest.mark.e2e, pytest.mark.soak, pytest.mark.timeout(120 + 30 * KILLS)]


def playbook(folder: Path, marks: Path) -> Path:
    """Each run leaves one line, its own folder's name, before and after half a second of work."""
    book = folder / "books" / "mark"
    book.mkdir(parents=True)
    action = {
        "name": "mark",
        "playbook": "playbook.yml",
        "title": "Leave a mark",
        "trigger": {"slo": "availability"},
        "inputs": {"marks": {"type": "path", "default": str(marks)}},
        "targets": "registry_servers",
        "risk": "low",
        "cooldown": "0s",
        "timeout": "1m",
        "verify": {"slo": "availability", "window": "10m"},
        "undo": {"none": "a test"},
    }
    (book / "action.yaml").write_text(yaml.safe_dump(action))
    line = {
        "path": "{{ marks }}",
        "create": True,
        "line": "{{ lookup('env', 'HOME') }} {{ now(fmt='%s.%f') }}",
    }
    tasks = [
        {"name": "Mark", "ansible.builtin.lineinfile": line},
        {"name": "Work", "ansible.builtin.wait_for": {"timeout": 1}, "when": "not ansible_check_mode"},
    ]
    play = {"hosts": "registry_servers", "gather_facts": False, "tasks": tasks}
    (book / "playbook.yml").write_text(yaml.safe_dump([{"name": "Mark", **play}]))
    (book / "README.md").write_text("For a test.\n")
    return book.parent


def test_random_kills_lose_nothing_and_double_nothing(tmp_path, secret_file):
    rng = random.Random(1)
    marks = tmp_path / "marks"
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump({"default": "auto"}))
    service = Up(
        tmp_path,
        {
            "registries": [{"name": name, "url": "http://127.0.0.1:1"} for name in REGISTRIES],
            "probe": {"interval": "30s", "timeout": "1s"},
            "policy": str(tmp_path / "policy.yaml"),
            "playbooks": str(playbook(tmp_path, marks)),
            "webhooks": {"alertmanager": {"token_file": str(secret_file("token", TOKEN))}},
        },
    )
    service.start()
    try:
        told = storm(service, rng)
        until(lambda: not unsettled(service), 180, lambda: f"the end of {unsettled(service)}")
        until(lambda: not service.workers(), 60, "the end of every worker")
    finally:
        service.stop()
    judge(service, told, marks)


def storm(service: Up, rng: random.Random) -> set[str]:
    """Alerts, each acknowledged by 202 before it counts as told, and kills between them."""
    told: set[str] = set()
    for number in range(KILLS):
        registry = REGISTRIES[number % len(REGISTRIES)]
        if deliver(service, alert(fingerprint=f"f{number}", registry=registry)).status_code == 202:
            told.add(registry)
        time.sleep(rng.uniform(0.0, 3.0))
        service.kill()
        workers = service.workers()
        if workers and rng.random() < 0.3:
            kill_process(rng.choice(workers))
        service.start()
    return told


def unsettled(service: Up) -> list[str]:
    """The actions that have not ended, with their states."""
    with service.api() as api:
        actions = api.get("/api/v1/actions?limit=200").json()["items"]
    return (
        [f"{it['id']} ({it['state']})" for it in actions if it["state"] not in ENDED] if actions else ["any"]
    )


def judge(service: Up, told: set[str], marks: Path) -> None:
    records = SqlRecords(f"sqlite:{service.state / 'records.sqlite'}")
    try:
        incidents, actions = records.incidents(limit=1000)[0], records.actions(limit=1000)[0]
        assert {incident.registry for incident in incidents} >= told
        checked, fault = records.audit_verify()
    finally:
        records.close()
    assert fault is None and checked > 0
    runs = [line.split()[0] for line in marks.read_text().splitlines()]
    assert runs, "nothing ran"
    assert len(runs) == len(set(runs)), "a run was repeated"
    by_action = [Path(run).parent.name for run in runs]
    assert len(by_action) == len(set(by_action)), "an approval was used twice"
    started = {action.id for action in actions if action.run is not None}
    assert set(by_action) <= started, "a run that no record knows"
