"""A run seen while it goes on, over the API, the command line and the console; and stopped."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
import yaml

from tests.e2e.test_up import TOKEN, alert, deliver
from tests.serving import Up, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
SECRET = "sw_planted-in-the-output-of-a-task"


def talking_playbook(folder: Path) -> Path:
    book = folder / "books" / "talk"
    book.mkdir(parents=True)
    action = {
        "name": "talk",
        "playbook": "playbook.yml",
        "title": "Talk",
        "trigger": {"slo": "availability"},
        "inputs": {"gate": {"type": "path", "default": str(folder / "gate")}},
        "targets": "registry_servers",
        "risk": "low",
        "cooldown": "0s",
        "timeout": "2m",
        "verify": {"slo": "availability", "window": "10m"},
        "undo": {"none": "a test"},
    }
    (book / "action.yaml").write_text(yaml.safe_dump(action))
    tasks = [
        {"name": "Say it", "ansible.builtin.debug": {"msg": f"hello, the token is {SECRET}"}},
        {
            "name": "Wait",
            "ansible.builtin.wait_for": {"path": "{{ gate }}", "timeout": 90},
            "when": "not ansible_check_mode",
        },
        {"name": "Say bye", "ansible.builtin.debug": {"msg": "bye"}},
    ]
    play = {"name": "Talk", "hosts": "registry_servers", "gather_facts": False, "tasks": tasks}
    (book / "playbook.yml").write_text(yaml.safe_dump([play]))
    (book / "README.md").write_text("For a test.\n")
    return book.parent


@pytest.fixture
def service(tmp_path, secret_file):
    up = Up(
        tmp_path,
        {
            "registries": [{"name": "main", "url": "http://127.0.0.1:1"}],
            "probe": {"interval": "1h", "timeout": "1s"},
            "playbooks": str(talking_playbook(tmp_path)),
            "webhooks": {"alertmanager": {"token_file": str(secret_file("token", TOKEN))}},
        },
    )
    up.start()
    yield up
    up.stop()


def action_of(service: Up, state: str):
    def found():
        items = [it for it in service.get("/actions")["items"] if it["playbook"] == "talk"]
        return items and items[0]["state"] == state and items[0]

    return until(found, 60, f"an action that is {state}")


def running(service: Up) -> str:
    """The id of the action once its run waits at the gate."""
    assert deliver(service, alert(registry="main")).status_code == 202
    id = str(action_of(service, "awaiting_approval")["id"])
    with service.api() as api:
        api.post(f"/api/v1/actions/{id}/approve", json={"reason": "go"}).raise_for_status()
    until(lambda: any(line == ("run", "task: Wait") for line in said(service, id)), 60, "the run at the gate")
    return id


def of_run(heard: list[str]) -> list[str]:
    """The lines of the run itself, without those of its checks: `TIME PHASE TEXT`."""
    return [line for line in heard if line.split()[1:2] == ["run"]]


def said(service: Up, id: str) -> list[tuple[str, str]]:
    return [(it["phase"], it["text"]) for it in service.get(f"/actions/{id}/output?limit=200")["items"]]


def test_a_run_is_followed_live_and_its_story_is_whole(service, tmp_path):
    id = running(service)
    command = [sys.executable, "-m", "seawall", "actions", id, "--follow", "--state", str(service.state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
        heard: list[str] = []
        reader = threading.Thread(target=lambda: heard.extend(iter(follower.stdout.readline, "")))
        reader.start()
        until(lambda: any("task: Wait" in line for line in of_run(heard)), 30, "the live line")
        assert not any("bye" in line for line in of_run(heard))
        (tmp_path / "gate").touch()
        until(lambda: any("Say bye: bye" in line for line in of_run(heard)), 30, "the last line")
        follower.terminate()
        reader.join()
    lines = said(service, id)
    assert [phase for phase, _ in lines] == sorted(
        (phase for phase, _ in lines), key=["check", "final-check", "run"].index
    )
    assert ("run", "ok: [localhost] Say it: hello, the token is ****") in lines
    with service.api() as api:
        pages = [api.get(path).text for path in (f"/actions/{id}", f"/api/v1/actions/{id}")]
    assert "What it says" in pages[0] and "Say bye: bye" in pages[0]
    assert not any(SECRET in text for text in (*pages, *map(str, lines), *heard, service.log.read_text()))
    first = service.get(f"/actions/{id}/output?limit=1")
    rest = service.get(f"/actions/{id}/output?limit=200&cursor={first['next']}")
    assert len(rest["items"]) == len(lines) - 1


def test_the_stream_goes_on_where_it_was_cut(service, tmp_path):
    id = running(service)
    with service.api() as api:
        begun = [data for kind, data in events(api, id, "", 3) if kind == "line"]
        (tmp_path / "gate").touch()
        action_of(service, "verifying")
        again = [data for kind, data in events(api, id, begun[1]["cursor"], 1) if kind == "line"]
    assert again[0] == begun[2]


def events(api: httpx.Client, id: str, last: str, lines: int) -> list[tuple[str, dict]]:
    """What the stream sends until it has sent so many lines."""
    found: list[tuple[str, dict]] = []
    headers = {"Last-Event-ID": last} if last else {}
    with api.stream("GET", f"/api/v1/actions/{id}/follow", headers=headers) as answer:
        kind = ""
        for raw in answer.iter_lines():
            name, _, value = raw.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                found.append((kind, json.loads(value)))
                if sum(1 for it, _ in found if it == "line") == lines:
                    break
    return found


def test_cancel_stops_a_run_and_leaves_no_process(service):
    id = running(service)
    done = service.cli("cancel", id, "--reason", "wrong registry")
    assert done.returncode == 0, done.stderr
    action = action_of(service, "failed")
    assert action["run"]["outcome"] == "cancelled"
    until(lambda: not service.workers(), 10, "the end of every process")
    follow = service.cli("actions", id, "--follow", "--json")
    assert follow.returncode == 1
    kinds = [json.loads(line)["event"] for line in follow.stdout.splitlines()]
    assert kinds[-1] == "end" and "line" in kinds
    folder = service.state / "runs" / id / action["run"]["id"]
    until(
        lambda: (folder / "artifacts.tar.gz").exists() and not (folder / "project").exists(), 20, "a packing"
    )
    assert len(said(service, id)) == kinds.count("line")


def test_the_briefing_tells_reach_risk_and_what_is_not_previewed(service):
    assert deliver(service, alert(registry="main")).status_code == 202
    id = action_of(service, "awaiting_approval")["id"]
    brief = service.get(f"/actions/{id}/briefing")
    assert (brief["hosts"], brief["fleet"], brief["share"]) == (["localhost"], 1, 1.0)
    assert (brief["declared_risk"], brief["risk"]) == ("low", "medium")
    assert brief["risk_reason"] == "1 task cannot be previewed: one tier higher"
    assert brief["statistics"]["text"] == "it has not run yet"


def test_follow_without_an_action_is_misuse(service):
    assert service.cli("actions", "--follow").returncode == 2
    missing = service.cli("actions", "act-99", "--follow")
    assert missing.returncode == 1 and "no action" in missing.stderr
