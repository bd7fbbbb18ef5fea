"""Runs with the real ansible-runner: previews, secrets, kill -9 on both sides, cancel and time-out."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from remediation import diffs
from remediation.catalogue import content_digest
from remediation.inventory import inventory_text
from remediation.runs import AnsibleRunner, read_outcome
from seawall.core.errors import RunFailed
from seawall.core.ports import Outcome, Target

pytestmark = pytest.mark.integration
RUNNER = AnsibleRunner()
HEAD = "- hosts: registry_servers\n  gather_facts: false\n  tasks:\n"


@pytest.fixture
def target(tmp_path: Path) -> Callable[..., Target]:
    """Targets over one playbook folder; each call has a fresh run folder."""
    count = iter(range(100))

    def make(
        tasks: str = "", inputs: dict[str, Any] | None = None, timeout: float = 60, **changes: Any
    ) -> Target:
        playbook = tmp_path / "playbook" / "playbook.yml"
        playbook.parent.mkdir(exist_ok=True)
        if tasks:
            playbook.write_text(HEAD + tasks)
        folder = tmp_path / "runs" / str(next(count))
        made = Target(folder, playbook, inputs or {}, inventory_text("registry_servers"), timeout)
        return replace(made, **changes)

    return make


def left_over(folder: Path) -> list[int]:
    """Processes that carry the run's mark (worker, ansible-playbook and all that they start)."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("SEAWALL_RUN") == str(folder) and process.status() != "zombie":
                found.append(process.pid)
    return found


def until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    """The first true answer; a test that waits in vain fails."""
    latest = time.monotonic() + seconds
    while time.monotonic() < latest:
        if answer := condition():
            return answer
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


COPY = """
    - name: Write the file
      ansible.builtin.copy: {dest: "{{ path }}", content: "colour: {{ colour }}\\n", mode: "0600"}
    - name: Never due
      ansible.builtin.command: "true"
      when: colour == 'green'
    - name: Touch by shell
      ansible.builtin.command: "touch {{ path }}.shell"
    - name: Hide behind check mode
      ansible.builtin.debug: {msg: x}
      when: not ansible_check_mode
    - name: Several
      ansible.builtin.copy: {dest: "{{ path }}.{{ item }}", content: "{{ item }}\\n", mode: "0600"}
      loop: [a, b]
"""


def test_a_preview_tells_all_and_changes_nothing(target: Callable[..., Target], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("colour: red\n")
    first = RUNNER.check(target(COPY, {"path": str(path), "colour": "blue"}))
    assert (first.status, first.message) == ("successful", "")
    assert path.read_text() == "colour: red\n"
    assert sorted(it.name for it in tmp_path.iterdir()) == ["file", "playbook", "runs"]
    assert [(change.host, change.task) for change in first.changes] == [
        ("localhost", "Write the file"),
        ("localhost", "Several"),
    ]
    assert "-colour: red\n+colour: blue" in first.changes[0].diff
    assert "+a" in first.changes[1].diff
    assert "+b" in first.changes[1].diff
    assert first.skipped == ("Touch by shell", "Hide behind check mode")
    assert first.first_task_at is not None
    assert first.started_at <= first.first_task_at == first.first_change_at <= first.ended_at


def test_the_digest_is_stable_and_follows_the_world(target: Callable[..., Target], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("colour: red\n")
    inputs = {"path": str(path), "colour": "blue"}

    def digest(inputs: dict[str, Any]) -> str:
        it = target(COPY, inputs)
        return diffs.digest(content_digest(it.playbook.parent), inputs, it.inventory, RUNNER.check(it))

    first = digest(inputs)
    assert digest(inputs) == first
    path.write_text("colour: grey\n")
    moved = digest(inputs)
    assert len({first, moved, digest({**inputs, "colour": "pink"})}) == 3


def test_a_run_does_it_once_and_tells_it_live(target: Callable[..., Target], tmp_path: Path) -> None:
    it, lines = target(COPY, {"path": str(tmp_path / "file"), "colour": "blue"}), list[str]()
    outcome = RUNNER.run(it, "d" * 64, lines.append)
    assert outcome.status == "successful"
    assert (tmp_path / "file").read_text() == "colour: blue\n"
    assert [change.task for change in outcome.changes] == ["Write the file", "Touch by shell", "Several"]
    assert outcome.skipped == ()
    assert lines[:3] == ["task: Write the file", "changed: [localhost] Write the file", "task: Never due"]
    assert json.loads((it.folder / "job.json").read_text())["approval_digest"] == "d" * 64
    found = RUNNER.find(it.folder)
    assert (found.state, found.outcome) == ("ended", outcome)
    assert RUNNER.cancel(it.folder) is False
    until(lambda: not left_over(it.folder), 3)


def test_a_folder_is_private_and_never_used_twice(target: Callable[..., Target], tmp_path: Path) -> None:
    it = target(COPY, {"path": str(tmp_path / "file"), "colour": "blue"})
    RUNNER.check(it)
    with pytest.raises(RunFailed, match="never run twice"):
        RUNNER.run(it, "d")
    assert not (tmp_path / "file").exists()
    assert RUNNER.find(tmp_path / "nothing").state == "lost"
    assert it.folder.stat().st_mode & 0o777 == 0o700
    for path in it.folder.iterdir():
        if path.name not in ("project", "library"):
            assert path.stat().st_mode & 0o077 == 0, path


SECRET = "swordfish-4711"
SECRETS = """
    - name: Hidden by no_log
      ansible.builtin.copy: {dest: "{{ path }}", content: "{{ password }}\\n", mode: "0600"}
      no_log: true
    - name: Careless with a diff
      ansible.builtin.copy: {dest: "{{ path }}.2", content: "the word is {{ password }}\\n", mode: "0600"}
    - name: Careless {{ password }}
      ansible.builtin.debug: {msg: "{{ password }}"}
    - name: Careless with a failure
      ansible.builtin.fail: {msg: "not {{ password }}"}
"""


def test_secrets_are_in_no_artifact_and_no_argv(target: Callable[..., Target], tmp_path: Path) -> None:
    seen = list[str]()

    def look(line: str) -> None:
        seen.append(line)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                seen.extend(process.cmdline())

    it = target(SECRETS, {"path": str(tmp_path / "file"), "password": SECRET})
    outcome = RUNNER.run(it, "d", look)
    assert outcome.status == "failed"
    assert outcome.message == "localhost: Careless with a failure: not ****"
    assert [change.task for change in outcome.changes] == ["Hidden by no_log", "Careless with a diff"]
    assert outcome.changes[0].diff == ""
    assert "+the word is ****" in outcome.changes[1].diff
    assert any("ansible-playbook" in word for word in seen)
    assert not [word for word in seen if SECRET in word]
    files = [path for path in it.folder.rglob("*") if path.is_file()]
    assert len(files) > 8
    assert not [path for path in files if SECRET in path.read_text(errors="replace")]
    assert (tmp_path / "file").read_text() == SECRET + "\n"


def test_the_worker_knows_nothing_of_seawalls_environment(
    target: Callable[..., Target], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEAWALL_TOKEN", SECRET)
    monkeypatch.setenv("ANSIBLE_CHECK_MODE_MARKERS", "1")
    it = target(
        f'    - ansible.builtin.shell: "env > {tmp_path}/env; cat /proc/$PPID/cmdline > {tmp_path}/parent"\n'
    )
    assert RUNNER.run(it, "d").status == "successful"
    names = {line.partition("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert "SEAWALL_TOKEN" not in names
    assert {"PATH", "HOME", "LANG", "ANSIBLE_HOST_KEY_CHECKING"} <= names
    assert f"HOME={it.folder}" in (tmp_path / "env").read_text()
    assert "ANSIBLE_HOST_KEY_CHECKING=True" in (tmp_path / "env").read_text()


@pytest.mark.parametrize(
    ("tasks", "changes", "status", "message"),
    [
        ("    - {name: Break, ansible.builtin.fail: {msg: boom}}\n", {}, "failed", "localhost: Break: boom"),
        ("    - no_such_module: {}\n", {}, "failed", "no_such_module"),
        ("    - ansible.builtin.ping:\n", {"inventory": "[others]\nx\n"}, "failed", "no host of the"),
        (
            "    - {name: Try, ansible.builtin.fail: {msg: boom}, ignore_errors: true}\n",
            {},
            "successful",
            "",
        ),
    ],
)  # fmt: skip
def test_how_it_ended_is_told(
    target: Callable[..., Target], tasks: str, changes: dict[str, Any], status: str, message: str
) -> None:
    outcome = RUNNER.run(target(tasks, **changes), "d")
    assert outcome.status == status
    assert message in outcome.message
    assert outcome.first_change_at is None


@pytest.mark.skipif(not shutil.which("ssh"), reason="needs an ssh client")
def test_a_host_that_cannot_be_reached_is_told(target: Callable[..., Target]) -> None:
    inventory = "[registry_servers]\nfar ansible_host=127.0.0.1 ansible_port=1\n"
    outcome = RUNNER.check(target("    - {name: Hello, ansible.builtin.ping: }\n", inventory=inventory))
    assert outcome.status == "unreachable"
    assert outcome.message.startswith("far: Hello: ")


# kill -9, cancel, time-out ---------------------------------------------------------------------

SLOW = """
    - name: Say that it began
      ansible.builtin.copy: {dest: "{{ folder }}/began", content: "x", mode: "0600"}
    - name: Wait
      ansible.builtin.command: "sleep 300"
    - name: Never reached
      ansible.builtin.copy: {dest: "{{ folder }}/after", content: "x", mode: "0600"}
"""
WAITING = """
    - name: Say that it began
      ansible.builtin.copy: {dest: "{{ folder }}/began", content: "x", mode: "0600"}
    - name: Wait
      ansible.builtin.wait_for: {path: "{{ folder }}/go", timeout: 60, sleep: 1}
    - name: Count
      ansible.builtin.shell: "echo once >> {{ folder }}/count"
"""
PARENT = """
import json, sys
from pathlib import Path
from remediation.runs import AnsibleRunner
from seawall.core.ports import Target
folder, playbook, inputs, inventory = json.loads(sys.argv[1])
AnsibleRunner().run(Target(Path(folder), Path(playbook), inputs, inventory, 120.0), "d")
"""


def start_elsewhere(it: Target) -> "subprocess.Popen[bytes]":
    """Another Seawall that runs it."""
    job = json.dumps([str(it.folder), str(it.playbook), dict(it.inputs), it.inventory])
    return subprocess.Popen([sys.executable, "-c", PARENT, job])


@pytest.fixture
def running(target: Callable[..., Target], tmp_path: Path) -> Iterator[Callable[..., tuple[Target, Any]]]:
    """Start a run in a thread and wait until its slow task is there; what is left is cancelled."""
    started = list[Path]()

    def start(tasks: str, timeout: float = 60) -> tuple[Target, Any]:
        it, result = target(tasks, {"folder": str(tmp_path)}, timeout), dict[str, Any]()
        started.append(it.folder)

        def run() -> None:
            try:
                result["outcome"] = RUNNER.run(it, "d")
            except RunFailed as error:
                result["error"] = error

        thread = threading.Thread(target=run)
        thread.start()
        until(lambda: "task: Wait" in read(it.folder / "events.jsonl"))

        def ended() -> dict[str, Any]:
            thread.join(30)
            assert not thread.is_alive()
            return result

        return it, ended

    yield start
    for folder in started:
        RUNNER.cancel(folder)


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_the_worker_outlives_a_killed_seawall(target: Callable[..., Target], tmp_path: Path) -> None:
    it = target(WAITING, {"folder": str(tmp_path)})
    parent = start_elsewhere(it)
    try:
        until(lambda: (tmp_path / "began").exists())
    finally:
        parent.kill()
        parent.wait()
    assert RUNNER.find(it.folder).state == "running"
    with pytest.raises(RunFailed, match="never run twice"):
        RUNNER.run(it, "d")
    (tmp_path / "go").touch()
    found = RUNNER.wait(it.folder, 30)
    assert found.state == "ended"
    assert found.outcome is not None
    assert found.outcome.status == "successful"
    assert (tmp_path / "count").read_text() == "once\n"
    until(lambda: not left_over(it.folder), 3)


def test_a_killed_worker_is_lost_and_leaves_nothing_running(running: Any, tmp_path: Path) -> None:
    it, ended = running(SLOW)
    sleeping = until(lambda: sleepers(it.folder))
    worker = next(
        pid for pid in left_over(it.folder) if "remediation.runner" in psutil.Process(pid).cmdline()
    )
    os.kill(worker, signal.SIGKILL)
    assert "left no outcome" in str(ended()["error"])
    assert RUNNER.find(it.folder).state == "lost"
    until(lambda: not left_over(it.folder), 3)
    assert not [pid for pid in sleeping if psutil.pid_exists(pid) and alive(pid)]
    assert not (tmp_path / "after").exists()


def sleepers(folder: Path) -> list[int]:
    return [pid for pid in left_over(folder) if alive(pid) and "sleep" in psutil.Process(pid).cmdline()]


def alive(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() != "zombie"
    return False


def test_cancel_leaves_no_process(running: Any, tmp_path: Path) -> None:
    it, ended = running(SLOW)
    until(lambda: sleepers(it.folder))
    begin = time.monotonic()
    assert RUNNER.cancel(it.folder) is True
    assert time.monotonic() - begin < 7
    until(lambda: not left_over(it.folder), 3)
    outcome = ended()["outcome"]
    assert (outcome.status, outcome.message) == ("cancelled", "cancelled")
    assert [change.task for change in outcome.changes] == ["Say that it began"]
    assert not (tmp_path / "after").exists()
    assert RUNNER.cancel(it.folder) is False


def test_a_worker_that_does_not_hear_is_killed(running: Any) -> None:
    it, ended = running(SLOW)
    worker = next(
        pid for pid in left_over(it.folder) if "remediation.runner" in psutil.Process(pid).cmdline()
    )
    os.kill(worker, signal.SIGSTOP)
    assert RUNNER.cancel(it.folder) is True
    assert "left no outcome" in str(ended()["error"])
    until(lambda: not left_over(it.folder), 3)
    assert RUNNER.find(it.folder).state == "lost"


def test_a_time_out_leaves_no_process(running: Any, tmp_path: Path) -> None:
    it, ended = running(SLOW, timeout=5)
    outcome: Outcome = ended()["outcome"]
    assert (outcome.status, outcome.message) == ("timeout", "stopped at its time limit")
    assert 5 <= outcome.ended_at - outcome.started_at < 12
    until(lambda: not left_over(it.folder), 3)
    assert not (tmp_path / "after").exists()


def test_sigterm_to_the_worker_is_a_cancel(running: Any) -> None:
    it, ended = running(SLOW)
    worker = next(
        pid for pid in left_over(it.folder) if "remediation.runner" in psutil.Process(pid).cmdline()
    )
    os.kill(worker, signal.SIGTERM)
    assert ended()["outcome"].status == "cancelled"
    until(lambda: not left_over(it.folder), 3)


def test_an_outcome_that_is_not_ours_is_told(tmp_path: Path) -> None:
    (tmp_path / "outcome.json").write_text('{"status": "successful"}')
    with pytest.raises(RunFailed, match="cannot be read"):
        read_outcome(tmp_path)
