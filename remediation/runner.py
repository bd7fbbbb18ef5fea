"""The worker: runs one playbook with ansible-runner and leaves its outcome in the folder.

`python -m remediation.runner FOLDER`, started by remediation.runs with a clean environment, in a
session of its own, with FOLDER/lock (locked) as its standard input. Reads job.json, env/extravars
(0600), inventory/hosts, project/ and library/; writes events.jsonl while it runs, outcome.json last.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from ansible_runner.interface import run as run_ansible

from remediation.diffs import mask, secret_values, unified
from remediation.runs import ssh_folder, stop, write_outcome
from seawall.core.ports import Change, Outcome

_MAX_EVENTS = 1 << 20
_MAX_TEXT = 2000
_MAX_LOOKED_AT = 1 << 16
_WEIGHED_EVERY = 0.2
_PASSWORD = re.compile(r"\bansible_\w*pass\w*[\"']?\s*[:=]\s*(\"[^\"]+\"|'[^']+'|[^\s,}]+)")
_ASKED = re.compile(r"become|sudo.*password|password is required", re.I)
_MAY_NOT = "let its user become the other without a password, or set ansible_become_password"
_SETTINGS = {"pexpect_timeout": 0.2, "suppress_output_file": True}
_RESULTS = {
    "runner_on_ok": "ok",
    "runner_item_on_ok": "ok",
    "runner_on_skipped": "skipped",
    "runner_on_failed": "failed",
    "runner_item_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
    "runner_retry": "retrying",
}


class Record:
    """What the events tell. ansible-runner's handlers must be fast and never raise."""

    def __init__(self, folder: Path, secrets: frozenset[str], check: bool) -> None:
        self.first_task_at: float | None = None
        self.first_change_at: float | None = None
        self.skipped: dict[str, None] = {}
        self.unreachable, self.hosts, self.failure, self.output = False, 0, "", ""
        self._folder, self._secrets, self._check = str(folder), secrets, check
        self._started, self._left = dict[str, float](), _MAX_EVENTS
        self._changed: dict[tuple[str, str], str] = {}
        self._diffs: dict[tuple[str, str], list[str]] = {}
        self._file = (folder / "events.jsonl").open("x", encoding="utf-8", buffering=1)

    def handle(self, event: dict[str, Any]) -> bool:
        """Take one event; False: ansible-runner keeps no copy of it, which could hold secrets."""
        try:
            self._take(event, event.get("event_data") or {}, datetime.fromisoformat(event["created"]))
        except Exception as error:
            said = f"event {event.get('event')} not understood: {error!r}"[:_MAX_TEXT]
            print(mask(said, self._secrets), file=sys.stderr)  # noqa: T201
        return False

    def _take(self, event: dict[str, Any], data: dict[str, Any], created: datetime) -> None:
        kind, at = event["event"], created.timestamp()
        if kind in ("playbook_on_task_start", "playbook_on_handler_task_start"):
            self._begin(data, at)
        elif kind == "runner_on_file_diff":
            self._differ(data, data.get("diff"))
        elif kind == "runner_item_on_skipped" and self._check:
            self._skip(data, data.get("res") or {})
        elif kind in _RESULTS:
            self._result(kind, event.get("stdout") or "", data, at)
        elif kind == "playbook_on_stats":
            self.hosts = len(data.get("processed") or ())
        elif kind in ("verbose", "error"):
            self.output = (self.output + event.get("stdout", "") + "\n")[-_MAX_TEXT:]

    def _begin(self, data: dict[str, Any], at: float) -> None:
        self._started[data["task_uuid"]] = at
        if self.first_task_at is None:
            self.first_task_at = at
        self._say(at, f"task: {data.get('task')}")

    def _result(self, kind: str, stdout: str, data: dict[str, Any], at: float) -> None:
        result, word = data.get("res") or {}, _RESULTS[kind]
        # A no_log result comes without its `changed`; the printed word still tells.
        if word == "ok" and (result.get("changed") or stdout.lstrip().startswith("changed:")):
            word = "changed"
            self._change(data, result)
        elif word == "skipped" and self._check:
            self._skip(data, _printed(stdout))
        elif word in ("failed", "unreachable") and not data.get("ignore_errors"):
            reason = _reason(result)
            if _ASKED.search(reason):
                reason += f"; {_MAY_NOT}"
            # Ansible calls a sudo that waits for a password unreachable, too.
            self.unreachable |= word == "unreachable" and not _ASKED.search(reason)
            self.failure = self._clean(f"{data.get('host')}: {data.get('task')}: {reason}")
        self._say(at, f"{word}: [{data.get('host')}] {data.get('task')}{_printout(result, kind)}")

    def _change(self, data: dict[str, Any], result: dict[str, Any]) -> None:
        self._changed.setdefault((data["host"], data["task_uuid"]), str(data.get("task")))
        self._differ(data, result.get("diff"))
        started = self._started.get(data["task_uuid"])
        if self.first_change_at is None:
            self.first_change_at = started

    def _differ(self, data: dict[str, Any], diff: Any) -> None:
        # This run's own folder is in the paths of temporary files.
        text = unified(diff, self._secrets).replace(self._folder, "<run>")
        known = self._diffs.setdefault((data["host"], data["task_uuid"]), [])
        if text and text not in known:
            known.append(text)

    def _skip(self, data: dict[str, Any], result: dict[str, Any]) -> None:
        """Not previewed: skipped by check mode itself, or by a condition on it. Others are just not due."""
        condition = result.get("false_condition")
        by_loop = (
            "results" in result or "skipped_reason" in result or result.get("msg") == "All items skipped"
        )
        if "ansible_check_mode" in str(condition) or (condition is None and not by_loop):
            self.skipped[str(data.get("task"))] = None

    def _clean(self, text: str) -> str:
        """Masked before it is cut for good, so that no half of a secret is left."""
        return mask(text[:_MAX_LOOKED_AT], self._secrets)[:_MAX_TEXT]

    def _say(self, at: float, line: str) -> None:
        text = json.dumps({"at": at, "line": self._clean(line)})
        if self._left > 0:
            self._left -= len(text) + 1
            end = json.dumps({"at": at, "line": "(further lines are left out)"})
            print(text if self._left > 0 else end, file=self._file)

    def close(self) -> None:
        """No more lines."""
        self._file.close()

    def changes(self) -> tuple[Change, ...]:
        """By task, in the order in which they came."""
        return tuple(
            Change(key[0], self._clean(task), "\n".join(self._diffs.get(key, ())))
            for key, task in self._changed.items()
        )

    def said(self) -> str:
        """Why it failed: the last failure, else the last output."""
        return self.failure or self._clean(self.output.strip()) or "ansible-playbook gave no reason"


def _printed(stdout: str) -> dict[str, Any]:
    """A skipped result is only printed: `skipping: [host] => {...}`."""
    with contextlib.suppress(ValueError):
        result = json.loads(stdout[stdout.index("{") :])
        return result if isinstance(result, dict) else {}
    return {}


def _printout(result: dict[str, Any], kind: str) -> str:
    """What a task printed, for the live log: its standard output or its message; "" where it is hidden."""
    if "censored" in result or kind in ("runner_on_skipped", "runner_retry"):
        return ""
    said = str(result.get("stdout") or result.get("msg") or "")[:_MAX_LOOKED_AT].strip()
    return f": {said}" if said else ""


def _reason(result: dict[str, Any]) -> str:
    if "censored" in result:
        return "the result is hidden (no_log)"
    details = [result.get("msg"), result.get("stderr") or result.get("module_stderr")]
    return " - ".join(str(detail).strip() for detail in details if detail) or "failed without a message"


class Watch:
    """Ends the run at its deadline, at a cancel file, at SIGTERM, or when its processes take too much memory
    (bytes, all together). `ended` says which."""

    def __init__(self, folder: Path, timeout: float, memory: int) -> None:
        self.ended = ""
        self.memory = memory
        self._folder, self._deadline, self._told = folder, time.monotonic() + timeout, False
        signal.signal(signal.SIGTERM, self._tell)
        # A thread of its own: the library may be busy with one long line when memory runs out.
        threading.Thread(target=self._weigh, daemon=True).start()

    def _tell(self, *_: object) -> None:
        self._told = True

    def _weigh(self) -> None:
        while not self.ended:
            if _memory_of(psutil.Process()) > self.memory:
                self.ended = "memory"
                stop(self._folder)
            time.sleep(_WEIGHED_EVERY)

    def over(self) -> bool:
        """The cancel callback. Processes are ended here, by id: ansible-runner would only kill the
        group of ansible-playbook, and its workers have left that."""
        if not self.ended:
            if self._told or (self._folder / "cancel").exists():
                self.ended = "cancelled"
            elif time.monotonic() > self._deadline:
                self.ended = "timeout"
        if self.ended:
            stop(self._folder)
        return bool(self.ended)


def _memory_of(root: psutil.Process) -> int:
    """Bytes that a process and all that it started hold, without the pages of files."""
    total = 0
    for process in [root, *root.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            found = process.memory_info()
            total += found.rss - found.shared
    return total


def work(folder: Path) -> Outcome:
    """Run the job of a folder to its end, whatever it is."""
    started = time.time()
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    inputs = json.loads((folder / "env" / "extravars").read_text(encoding="utf-8"))
    watch = Watch(folder, job["timeout"], job["memory"])
    secrets = secret_values(inputs) | _secrets_of(folder)
    with contextlib.closing(Record(folder, secrets, job["mode"] == "check")) as record:
        try:
            status, message = _judge(_run(folder, job, record, watch), record, watch)
        except (Exception, SystemExit) as error:  # the library calls sys.exit
            status, message = "failed", f"ansible-runner: {type(error).__name__}: {error}"
    return Outcome(
        status=status,
        message=message,
        changes=record.changes(),
        skipped=tuple(record.skipped),
        started_at=started,
        ended_at=time.time(),
        first_task_at=record.first_task_at,
        first_change_at=record.first_change_at,
    )


def _secrets_of(folder: Path) -> frozenset[str]:
    """Passwords that stand in the inventory."""
    text = (folder / "inventory" / "hosts").read_text(encoding="utf-8")
    return frozenset(found.strip("\"'") for found in _PASSWORD.findall(text) if len(found) > 3)


def _run(folder: Path, job: dict[str, Any], record: Record, watch: Watch) -> str:
    check = job["mode"] == "check"
    result = run_ansible(
        private_data_dir=str(folder),
        ident="run",
        playbook=job["playbook"],
        inventory=str(folder / "inventory" / "hosts"),
        cmdline="--check --diff" if check else "--diff",
        # Only then is it printed why a task was skipped.
        verbosity=1 if check else None,
        quiet=True,
        settings=dict(_SETTINGS),
        envvars=_ansible_environment(folder),
        event_handler=record.handle,
        cancel_callback=watch.over,
    )
    return str(result.status)


def _ansible_environment(folder: Path) -> dict[str, str]:
    return {
        "ANSIBLE_LIBRARY": str(folder / "library"),
        "ANSIBLE_HOME": str(folder / ".ansible"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(ssh_folder(folder)),
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
    }


def _judge(status: str, record: Record, watch: Watch) -> tuple[str, str]:
    if watch.ended == "memory":
        bound = f"{watch.memory / (1 << 20):g} MiB of memory (runs.memory)"
        return "failed", f"stopped: its processes took more than {bound}; let the task print less"
    if watch.ended:
        return watch.ended, "stopped at its time limit" if watch.ended == "timeout" else "cancelled"
    if status != "successful":
        return ("unreachable" if record.unreachable else "failed"), record.said()
    if record.hosts == 0:
        return "failed", "no host of the inventory is in the playbook's group"
    return "successful", ""


def _scrub(folder: Path) -> None:
    """The inputs have served; Ansible's own artifacts hold the environment, its facts the host's."""
    (folder / "env" / "extravars").unlink(missing_ok=True)
    shutil.rmtree(folder / "artifacts", ignore_errors=True)


def main(folder: Path) -> None:
    """Run the job, end what is left of it, write the outcome last."""
    held, lock = os.fstat(0), (folder / "lock").stat()
    if (held.st_dev, held.st_ino) != (lock.st_dev, lock.st_ino):
        sys.exit(f"standard input must be {folder / 'lock'}, locked; remediation.runs starts this worker")
    os.umask(0o077)
    ssh_folder(folder).mkdir(mode=0o700)
    outcome = work(folder)
    stop(folder)
    _scrub(folder)
    write_outcome(folder, outcome)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
