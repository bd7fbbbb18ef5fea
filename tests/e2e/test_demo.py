"""The main job as a newcomer runs it: one command, a real registry, healed or not."""

import fcntl
import json
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

import httpx
import psutil
import pytest

from seawall.core.errors import InputError
from seawall.core.times import parse_time
from seawall.demo import host, servers
from tests.serving import until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(400),
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="docker-registry is not installed"),
]
SUMMARY = {
    "healed", "probe_interval", "detect", "approve", "recover", "failed_pulls", "bad_minutes", "incident",
    "action", "started", "timeline",
}  # fmt: skip
CONTAINER = pytest.mark.skipif(
    not (shutil.which("podman") or shutil.which("docker")), reason="neither podman nor docker is installed"
)


def demo(*arguments: str, temporary: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "seawall", "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )


class Terminal:
    """A terminal of 80 columns, in which a person runs the demo."""

    def __init__(self, temporary: Path) -> None:
        self._ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (24, 80))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "seawall", "demo", "--process"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "TMPDIR": str(temporary), "TERM": "xterm"},
        )
        os.close(theirs)
        self.text = ""

    def read_until(self, pattern: str, seconds: float) -> str:
        """What the pattern's first group is, once it is there."""
        end = time.monotonic() + seconds
        while (found := re.search(pattern, self.text)) is None:
            assert select.select([self._ours], [], [], max(end - time.monotonic(), 0))[0], self.text[-2000:]
            read = os.read(self._ours, 65536).decode(errors="replace")
            self.text += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", read)
        return found[1]

    def press(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def close(self) -> None:
        """Whatever became of the test, the demo ends."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
        os.close(self._ours)


def missing_servers() -> str:
    """What `--stores scaled` lacks on this machine, in words; "" if nothing."""
    try:
        servers.check_programs()
    except InputError as error:
        return error.place
    return ""


def emulators(temporary: Path) -> list[int]:
    """Processes that lie in the demo's folder; the emulator's command line does not name it."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(temporary) in process.cwd():
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def leftovers(temporary: Path) -> list[str]:
    """Processes that name the demo's folder, and what lies in it."""
    named = []
    for process in psutil.process_iter():
        try:
            if str(temporary) in " ".join(process.cmdline()):
                named.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return named + [str(path) for path in temporary.iterdir()]


@pytest.fixture
def temporary():
    """Short, as podman's socket paths want it."""
    folder = Path(tempfile.mkdtemp(prefix="swd-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--yes"], marks=CONTAINER, id="container"),
        pytest.param(["--process", "--auto"], id="process"),
    ],
)
def test_the_registry_is_killed_found_approved_healed_and_proved(arguments, temporary):
    process = demo(*arguments, "--json", temporary=temporary)
    out, err = process.communicate(timeout=360)
    assert process.returncode == 0, err[-4000:]
    summary = json.loads(out)
    assert set(summary) == SUMMARY
    assert summary["healed"] is True
    assert summary["detect"] <= 2 * summary["probe_interval"] + 1
    assert parse_time(summary["started"]["after"]) > parse_time(summary["started"]["before"])
    action = summary["action"]
    assert (action["state"], action["run"]["outcome"], action["run"]["changed"]) == (
        "succeeded",
        "successful",
        1,
    )
    assert [a["by"] for a in action["approvals"]] == ["policy" if "--auto" in arguments else "second-person"]
    assert summary["incident"]["state"] == "resolved"
    assert action["approvals"][0]["digest"] == action["preview"]["digest"]
    texts = " ".join(line["text"] for line in summary["timeline"])
    assert "killing the registry" in texts and "healed by" in texts
    assert summary["failed_pulls"] > 0
    assert leftovers(temporary) == []


def test_ctrl_c_in_the_middle_leaves_nothing_behind(temporary):
    process = demo("--process", temporary=temporary)
    until(lambda: any(temporary.glob("seawall-demo-*/traffic.json")), 60, "traffic")
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err[-2000:]
    assert time.monotonic() - began < 40
    assert leftovers(temporary) == []


def test_a_person_approves_as_told_looks_around_and_ends_it_with_ctrl_c(temporary):
    terminal = Terminal(temporary)
    try:
        approve = terminal.read_until(r"as \S+:\n +(\S.* approve act-\d+ --state \S+)\n", 180)
        done = subprocess.run(shlex.split(approve), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        url = terminal.read_until(r"stays up at (\S+) for 10m; Enter or Ctrl-C ends it\n", 180)
        assert httpx.get(f"{url}healthz").is_success
        terminal.press(b"\x03")
        terminal.read_until(r"(cleaning up)", 10)
        assert terminal.process.wait(60) == 0
        assert "healed and proved" in terminal.text
    finally:
        terminal.close()
    assert leftovers(temporary) == []


SCALED = pytest.mark.skipif(
    missing_servers() != "", reason=f"not installed (apt-test.txt): {missing_servers()}"
)


@SCALED
def test_the_same_story_in_the_stores_at_scale(temporary):
    temporary.chmod(0o711)  # PostgreSQL runs as nobody where we are root
    process = demo("--process", "--yes", "--json", "--stores", "scaled", temporary=temporary)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-4000:]
    summary = json.loads(out)
    assert set(summary) == {*SUMMARY, "stores"} and summary["healed"] is True
    assert "NOT Elasticsearch" in " ".join(line["text"] for line in summary["timeline"])
    assert summary["bad_minutes"] is not None, "the promise was judged over what was read back"
    stores = summary["stores"]
    # What the servers themselves tell, asked without Seawall.
    assert stores["samples"]["written"] >= 6 and stores["samples"]["scraped"] >= 6
    assert stores["events"]["documents"] >= summary["failed_pulls"] + 200
    assert (stores["records"]["incidents"], stores["records"]["actions"]) == (1, 1)
    assert stores["records"]["audit"] >= 8
    assert stores["alerts"] == ["SeawallRegistryUnavailable"]
    assert leftovers(temporary) == []


@SCALED
def test_ctrl_c_ends_every_server_too(temporary):
    temporary.chmod(0o711)
    process = demo("--process", "--stores", "scaled", temporary=temporary)
    until(lambda: any(temporary.glob("seawall-demo-*/traffic.json")), 90, "traffic")
    names = " ".join(leftovers(temporary))
    assert all(it in names for it in ("prometheus.yml", "alertmanager.yml", "postgresql/data")), names
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err[-2000:]
    assert leftovers(temporary) == [] and emulators(temporary) == []


def test_missing_servers_are_named_with_the_line_that_installs_them(temporary, monkeypatch):
    tools = temporary / "bin"
    tools.mkdir()
    monkeypatch.setattr(host, "SYSTEM_PATH", "")
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(InputError) as caught:
        servers.check_programs()
    assert "prometheus, prometheus-alertmanager" in str(caught.value)
    assert "apt-get install -y --no-install-recommends prometheus prometheus-alertmanager" in str(
        caught.value
    )


def test_a_folder_that_nobody_may_enter_is_said(temporary):
    (temporary / "a" / "b" / "servers").mkdir(parents=True)
    temporary.chmod(0o700)
    with pytest.raises(InputError, match="nobody may not pass through it"):
        servers._let_in(temporary / "a" / "b" / "servers")
