"""restart-registry-process against a real process that serves /v2/."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from remediation.catalogue import SHIPPED, load_playbook
from remediation.inventory import inventory_text
from remediation.runs import AnsibleRunner
from seawall.core.ports import Outcome, Target
from tests.serving import free_port

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not shutil.which("busybox"), reason="needs busybox for a small HTTP server"),
]
RUNNER = AnsibleRunner()
RESTART = load_playbook(SHIPPED / "restart-registry-process")


class Server:
    """An HTTP server that answers /v2/, known by a pidfile."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        (folder / "www" / "v2").mkdir(parents=True)
        (folder / "www" / "v2" / "index.html").write_text("{}")
        self.url, self.pidfile, self.log = f"http://127.0.0.1:{port}", folder / "pid", folder / "log"
        self.command = ["busybox", "httpd", "-f", "-p", f"127.0.0.1:{port}", "-h", str(folder / "www")]

    def pid(self) -> int:
        return int(self.pidfile.read_text())

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/v2/", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        if psutil.Process(server.pid()).cmdline() == server.command:
            os.kill(server.pid(), signal.SIGKILL)


@pytest.fixture
def repair(server: Server, tmp_path: Path) -> Callable[[str], Outcome]:
    count = iter(range(100))

    def go(mode: str) -> Outcome:
        process = {"pidfile": str(server.pidfile), "command": server.command, "log": str(server.log)}
        inputs, reason = RESTART.resolve({"url": server.url, "process": process})
        assert inputs is not None, reason
        inventory = inventory_text(RESTART.targets)
        target = Target(tmp_path / f"run-{next(count)}", RESTART.path, inputs, inventory, RESTART.timeout)
        return RUNNER.check(target) if mode == "check" else RUNNER.run(target, "d")

    return go


def test_a_dead_process_is_previewed_started_and_left_alone_after(
    server: Server, repair: Callable[[str], Outcome]
) -> None:
    preview = repair("check")
    assert (preview.status, preview.message, preview.skipped) == ("successful", "", ())
    assert "-status: not running\n+status: running" in preview.changes[0].diff
    assert not server.pidfile.exists()

    done = repair("run")
    assert (done.status, done.changes) == ("successful", preview.changes)
    assert server.answers()
    pid = server.pid()
    process = psutil.Process(pid)
    assert process.cmdline() == server.command
    assert os.getsid(pid) == pid
    inherited = [key for key in process.environ() if key.startswith(("ANSIBLE", "SEAWALL", "AWX", "RUNNER"))]
    assert inherited == []

    again = repair("run")
    assert (again.status, again.changes) == ("successful", ())
    assert server.pid() == pid

    process.kill()
    until(lambda: not server.answers())
    assert repair("run").status == "successful"
    assert server.answers()
    assert server.pid() != pid


def until(condition: Callable[[], Any], seconds: float = 10) -> Any:
    latest = time.monotonic() + seconds
    while time.monotonic() < latest:
        if answer := condition():
            return answer
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def test_a_process_that_got_the_id_later_is_never_signalled(
    server: Server, repair: Callable[[str], Outcome]
) -> None:
    stranger = subprocess.Popen(["sleep", "120"])
    try:
        server.pidfile.write_text(f"{stranger.pid}\n")
        outcome = repair("run")
        assert (outcome.status, outcome.message) == ("successful", "")
        assert "-status: not running (the pidfile names another process)" in outcome.changes[0].diff
        assert stranger.poll() is None
        assert server.pid() != stranger.pid
        assert server.answers()
    finally:
        stranger.kill()
        stranger.wait()


def test_a_running_process_that_does_not_answer_is_restarted(
    server: Server, repair: Callable[[str], Outcome]
) -> None:
    with subprocess.Popen(server.command) as first:
        until(server.answers)
        server.pidfile.write_text(f"{first.pid}\n")
        shutil.move(server.pidfile.parent / "www" / "v2", server.pidfile.parent / "away")
        back = server.pidfile.parent / "www" / "v2"
        preview = repair("check")
        assert "-status: running\n+status: running (restarted)" in preview.changes[0].diff
        assert first.poll() is None
        shutil.move(server.pidfile.parent / "away", back)
        first.send_signal(signal.SIGSTOP)
        outcome = repair("run")
        assert (outcome.status, outcome.message) == ("successful", "")
        assert first.wait(5) != 0
    assert server.pid() != first.pid
    assert server.answers()


def test_a_command_that_ends_at_once_fails_clearly(server: Server, repair: Callable[[str], Outcome]) -> None:
    server.command = ["busybox", "false"]
    outcome = repair("run")
    assert outcome.status == "failed"
    assert "Restart the process: busybox ended at once with code 1; its log is" in outcome.message
    assert not server.pidfile.exists()


def test_a_command_that_is_not_there_fails_clearly(server: Server, repair: Callable[[str], Outcome]) -> None:
    server.command = ["/no/such/registry"]
    assert "/no/such/registry cannot be started: " in repair("run").message
