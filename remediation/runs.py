"""The host's side of a run: starts one worker process a folder, and finds it again after a restart.

The worker holds a lock on FOLDER/lock from before it exists (its standard input is the locked file)
until it ends. So `held` means running, whatever became of the Seawall that started it and whoever
has its process id now.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil

from remediation.diffs import LIBRARY
from seawall.core.errors import RunFailed
from seawall.core.ports import Change, Found, Outcome, Target

MARK = "SEAWALL_RUN"
MEMORY = 1 << 30
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TURN = 0.05
_GRACE = 3.0
_LATE = 30.0


class AnsibleRunner:
    """Runs playbooks with ansible-runner, each call in a folder of its own that must be fresh. A run whose
    processes take more than `memory` bytes together is stopped."""

    def __init__(self, memory: int = MEMORY) -> None:
        self._memory = memory

    def check(self, target: Target) -> Outcome:
        """Check mode with diff; changes nothing. RunFailed if the folder was used before or the
        worker left nothing readable."""
        return self._execute(target, "check", "", None)

    def run(
        self, target: Target, approval_digest: str, on_line: Callable[[str], None] | None = None
    ) -> Outcome:
        """The real run. RunFailed if the folder was used before (nothing was started), or if the
        worker was lost (it may have changed something)."""
        return self._execute(target, "run", approval_digest, on_line)

    def _execute(
        self, target: Target, mode: str, approval: str, on_line: Callable[[str], None] | None
    ) -> Outcome:
        target = replace(target, folder=target.folder.resolve())
        worker = _start(target, {"mode": mode, "approval_digest": approval, "memory": self._memory})
        self._attend(target, worker, _Tail(target.folder / "events.jsonl", on_line))
        found = self.find(target.folder)
        if found.outcome is None:
            raise RunFailed(f"the worker of {target.folder} left no outcome: {_last_words(target.folder)}")
        return found.outcome

    def _attend(self, target: Target, worker: "subprocess.Popen[bytes]", lines: "_Tail") -> None:
        latest = time.monotonic() + target.timeout + _LATE
        while worker.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(_TURN)
            lines.read()
            if time.monotonic() > latest:
                self.cancel(target.folder)
        lines.read()

    def find(self, folder: Path) -> Found:
        """What became of the run of that folder. What a killed worker left behind is stopped first,
        so that `lost` means that nothing of it runs any more."""
        folder = folder.resolve()
        running = _held(folder)  # before the outcome is read: who lets go has written it
        if outcome := read_outcome(folder):
            return Found("ended", outcome)
        if running:
            return Found("running")
        stop(folder)
        return Found("lost")

    def wait(self, folder: Path, timeout: float, on_line: Callable[[str], None] | None = None) -> Found:
        """Wait up to `timeout` seconds for a run that another Seawall process started."""
        latest, lines = time.monotonic() + timeout, _Tail(folder / "events.jsonl", on_line)
        found = self.find(folder)
        while found.state == "running" and time.monotonic() < latest:
            time.sleep(_TURN)
            lines.read()
            found = self.find(folder)
        return found

    def cancel(self, folder: Path) -> bool:
        """Stop it and everything that it started; False if it is not running. A worker that does not
        stop by itself is killed (then the run is lost)."""
        folder = folder.resolve()
        if self.find(folder).state != "running":
            return False
        (folder / "cancel").touch(mode=0o600)
        if self.wait(folder, 2 * _GRACE + 1).state == "running":
            stop(folder, workers=True)
        return True


def _start(target: Target, how: Mapping[str, Any]) -> "subprocess.Popen[bytes]":
    folder = target.folder
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        with _claimed(folder, {**how, **_job(target)}) as lock:
            _fill(target)
            return _spawn(folder, lock)
    except OSError as error:
        raise RunFailed(f"the worker of {folder} could not be started: {error}") from error


def _job(target: Target) -> dict[str, Any]:
    return {"playbook": target.playbook.name, "source": str(target.playbook), "timeout": target.timeout}


@contextlib.contextmanager
def _claimed(folder: Path, job: Mapping[str, Any]) -> Iterator[int]:
    """The lock of a folder in which nothing was ever started. job.json can be created only once."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _write(folder / "job.json", json.dumps(job, indent=2))
        _sync(folder)
        yield lock
    except (BlockingIOError, FileExistsError) as error:
        raise RunFailed(f"a run was already started in {folder}; it is never run twice") from error
    finally:
        os.close(lock)


def _fill(target: Target) -> None:
    """The playbook and the modules are copied, so that a run executes one state of them."""
    folder, ignore = target.folder, shutil.ignore_patterns("__pycache__")
    shutil.copytree(target.playbook.parent, folder / "project", ignore=ignore)
    shutil.copytree(target.library or LIBRARY, folder / "library", ignore=ignore)
    for name in ("env", "inventory", "tmp"):
        (folder / name).mkdir(mode=0o700)
    _write(folder / "inventory" / "hosts", target.inventory)
    _write(folder / "env" / "extravars", json.dumps(dict(target.inputs)))


def _spawn(folder: Path, lock: int) -> "subprocess.Popen[bytes]":
    out = os.open(folder / "worker.log", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-m", "remediation.runner", str(folder)],
            stdin=lock,
            stdout=out,
            stderr=out,
            cwd=folder,
            env=_environment(folder),
            start_new_session=True,
        )
    finally:
        os.close(out)


def _environment(folder: Path) -> dict[str, str]:
    """Nothing of Seawall's own environment: the worker hands its environment on and writes it down."""
    path = f"{Path(sys.executable).parent}:{_PATH}"
    return {"PATH": path, "HOME": str(folder), "LANG": "C.UTF-8", MARK: str(folder)}


def _write(path: Path, text: str) -> None:
    """A new 0600 file, durable. FileExistsError if there is one."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _held(folder: Path) -> bool:
    """True while a worker holds the lock. Probes share theirs, so they never see one another."""
    try:
        lock = os.open(folder / "lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(lock)


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Whole or not at all, and durable."""
    _write(folder / "outcome.json.tmp", json.dumps(asdict(outcome)))
    (folder / "outcome.json.tmp").rename(folder / "outcome.json")
    _sync(folder)


def read_outcome(folder: Path) -> Outcome | None:
    """None if the worker has not ended. RunFailed if the file is not one of ours."""
    try:
        raw = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
        changes = tuple(Change(**change) for change in raw.pop("changes"))
        return Outcome(changes=changes, skipped=tuple(raw.pop("skipped")), **raw)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise RunFailed(f"{folder / 'outcome.json'} cannot be read: {error}") from error


def ssh_folder(folder: Path) -> Path:
    """Where a run's shared SSH connections have their sockets: its own folder is too long a path for one."""
    return Path(tempfile.gettempdir()) / f"seawall-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"


def stop(folder: Path, workers: bool = False) -> None:
    """End every Ansible process of that folder's run, its SSH connections, and all that they started, SIGTERM
    first.

    A daemon that a playbook started on purpose has left their tree and is not touched.
    """
    roots = list(_of_run(folder, workers))
    tree = {child.pid: child for root in roots for child in _family(root)}
    _signal(tree.values(), "terminate")
    latest = time.monotonic() + _GRACE
    while (left := [it for it in tree.values() if _alive(it)]) and time.monotonic() < latest:
        time.sleep(0.02)
    late = {child.pid: child for root in left for child in _family(root)}
    _signal(late.values(), "kill")
    shutil.rmtree(ssh_folder(folder), ignore_errors=True)


def _of_run(folder: Path, workers: bool) -> Iterator[psutil.Process]:
    """By the mark in their environment, which outlives parents, sessions and process groups. A shared SSH
    connection has overwritten its environment with its title, which names its socket."""
    programs = ("ansible-playbook", "remediation.runner") if workers else ("ansible-playbook",)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if " ".join(process.cmdline()).startswith(f"ssh: {ssh_folder(folder)}/"):
                yield process
                continue
            ours = process.environ().get(MARK) == str(folder) and process.pid != os.getpid()
            if ours and any(word.endswith(programs) for word in process.cmdline()):
                yield process


def _family(root: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return [root, *root.children(recursive=True)]
    return []


def _signal(processes: Any, method: str) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            getattr(process, method)()


def _alive(process: psutil.Process) -> bool:
    """Zombies are dead. Nothing is reaped here: that is for the parent to do."""
    with contextlib.suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _last_words(folder: Path) -> str:
    with contextlib.suppress(OSError):
        return (folder / "worker.log").read_text(errors="replace").strip()[-500:] or "it said nothing"
    return "it said nothing"


class _Tail:
    """Hands on what was added to events.jsonl since the last look."""

    def __init__(self, path: Path, on_line: Callable[[str], None] | None) -> None:
        self._path, self._on_line = path, on_line
        self._position, self._rest = 0, b""

    def read(self) -> None:
        if self._on_line is None or not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._position)
            added = file.read()
        self._position += len(added)
        *whole, self._rest = (self._rest + added).split(b"\n")
        for line in whole:
            self._on_line(json.loads(line)["line"])
