#!/usr/bin/python
"""Ansible module: start or restart a plain process that a pidfile names."""

import os
import pwd
import signal
import subprocess
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: process_state
short_description: Start or restart a process that has no service manager, with check mode and diff
description:
  - The process is the one that C(pidfile) names, and only if its command line is C(command);
    a process that got the id later is never signalled.
  - It is started in a session of its own; its output is appended to C(log).
options:
  pidfile: {description: Absolute path; written after a start., type: path, required: true}
  command: {description: Program and arguments., type: list, elements: str, required: true}
  state: {type: str, choices: [started, restarted], default: started}
  log: {description: Absolute path., type: path, default: /dev/null}
  stop_seconds: {description: Seconds between SIGTERM and SIGKILL., type: int, default: 10}
  wait_seconds: {description: It must be alive for this long after the start., type: float, default: 0.5}
"""
RETURN = r"""
performed: {description: True if something was really done (false in check mode)., type: bool}
pid: {description: The process id at the end., type: int}
"""
_POLL_SECONDS = 0.05
# A daemon must not inherit what belongs to the run that started it.
_FOREIGN = ("ANSIBLE_", "AWX_", "RUNNER_", "SEAWALL_", "ORIGINAL_", "RUNNER")


def read_pid(pidfile):
    """The id in the file, or None."""
    try:
        pid = int(Path(pidfile).read_text().strip())
    except (OSError, ValueError):
        return None
    return pid if pid > 1 else None


def command_of(pid):
    """Command line of a process that lives (a zombie does not), or None. proc(5)."""
    process = Path(f"/proc/{pid}")
    try:
        if (process / "stat").read_text().rpartition(")")[2].split()[0] in "ZX":
            return None
        words = (process / "cmdline").read_bytes().split(b"\0")[:-1]
    except (OSError, IndexError):
        return None
    return [word.decode(errors="replace") for word in words]


def same(actual, wanted):
    """Equal but for the program's folder, and for the interpreter before a script."""
    tail = (actual or [])[-len(wanted) :]
    if len(tail) != len(wanted) or tail[1:] != wanted[1:]:
        return False
    return Path(tail[0]).name == Path(wanted[0]).name


def alive(pid, command):
    """True if the process lives and really is `command`."""
    return pid is not None and same(command_of(pid), command)


def stop(module, pid):
    """SIGTERM, wait, SIGKILL; fails the module if it does not go."""
    command = module.params["command"]
    for number, seconds in ((signal.SIGTERM, module.params["stop_seconds"]), (signal.SIGKILL, 5)):
        if alive(pid, command):
            os.kill(pid, number)
            os.kill(pid, signal.SIGCONT)  # one that is stopped hears nothing else
        latest = time.monotonic() + seconds
        while alive(pid, command) and time.monotonic() < latest:
            time.sleep(_POLL_SECONDS)
    if alive(pid, command):
        module.fail_json(msg=f"process {pid} does not end, not even by SIGKILL")


def start(module):
    """Start it detached; returns its id once it has lived for wait_seconds."""
    command, log = module.params["command"], module.params["log"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
    environment["HOME"] = pwd.getpwuid(os.geteuid()).pw_dir
    try:
        with Path(log).open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=environment,
                start_new_session=True,
            )
    except OSError as error:
        module.fail_json(msg=f"{command[0]} cannot be started: {error}")
    try:
        code = process.wait(module.params["wait_seconds"])
    except subprocess.TimeoutExpired:
        write_pid(module.params["pidfile"], process.pid)
        return process.pid
    module.fail_json(msg=f"{command[0]} ended at once with code {code}; its log is {log}", changed=True)


def write_pid(pidfile, pid):
    """Whole or not at all."""
    temporary = Path(f"{pidfile}.{pid}")
    temporary.write_text(f"{pid}\n")
    temporary.rename(pidfile)


def describe(module, status):
    """One side of the diff; no process id, which would change by itself."""
    return f"process: {' '.join(module.params['command'])}\nstatus: {status}\n"


def status_of(pid, command):
    """running, or in which way it is not."""
    if alive(pid, command):
        return "running"
    return "not running (the pidfile names another process)" if pid and command_of(pid) else "not running"


def main():
    """Look, act, wait."""
    module = AnsibleModule(
        argument_spec={
            "pidfile": {"type": "path", "required": True},
            "command": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "default": "started", "choices": ["started", "restarted"]},
            "log": {"type": "path", "default": "/dev/null"},
            "stop_seconds": {"type": "int", "default": 10},
            "wait_seconds": {"type": "float", "default": 0.5},
        },
        supports_check_mode=True,
    )
    command, state = module.params["command"], module.params["state"]
    pid = read_pid(module.params["pidfile"])
    running = alive(pid, command)
    if running and state == "started":
        module.exit_json(changed=False, performed=False, pid=pid)
    diff = {
        "before_header": module.params["pidfile"],
        "after_header": module.params["pidfile"],
        "before": describe(module, status_of(pid, command)),
        "after": describe(module, "running (restarted)" if running else "running"),
    }
    if module.check_mode:
        module.exit_json(changed=True, performed=False, diff=diff)
    if running:
        stop(module, pid)
    module.exit_json(changed=True, performed=True, pid=start(module), diff=diff)


if __name__ == "__main__":
    main()
