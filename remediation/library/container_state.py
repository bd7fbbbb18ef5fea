#!/usr/bin/python
"""Ansible module: start, stop or restart a container through the docker or podman command line."""

import json
import os
import pwd
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: container_state
short_description: Start, stop or restart a container, with check mode and diff
description:
  - Works over the docker or podman command line, which may need C(environment:) on the play.
  - The diff shows status, exit code, image and restart policy; nothing that changes by itself.
options:
  name: {description: Name or id of an existing container., type: str, required: true}
  state:
    description: C(restarted) starts a container that is not running.
    type: str
    choices: [started, stopped, restarted]
    default: started
  runtime:
    description: C(auto) takes the first of podman and docker that knows the container.
    type: str
    choices: [auto, podman, docker]
    default: auto
  stop_seconds: {description: Seconds between SIGTERM and SIGKILL., type: int, default: 10}
  wait_seconds: {description: How long it may take until it runs (or has stopped)., type: int, default: 30}
"""
RETURN = r"""
performed: {description: True if something was really done (false in check mode)., type: bool}
container: {description: "runtime, status, exit_code, image, restart_policy, started_at", type: dict}
"""
_POLL_SECONDS = 0.1
_SETTLED_SECONDS = 0.3
_RUNNING = "running"


class Containers:
    """The command line of one runtime."""

    def __init__(self, module, program):
        self._module, self._program = module, program
        self.runtime = Path(program).name

    def call(self, *arguments):
        """(exit code, stdout, stderr)."""
        return self._module.run_command([self._program, *arguments], environ_update=_home())

    def inspect(self, name):
        """(facts, "") or (None, why)."""
        code, out, err = self.call("container", "inspect", name)
        if code:
            return None, err.strip() or out.strip()
        document = json.loads(out)[0]
        state, host = document["State"], document.get("HostConfig") or {}
        facts = {
            "runtime": self.runtime,
            "status": state["Status"],
            "exit_code": state.get("ExitCode", 0),
            "image": document.get("ImageName") or (document.get("Config") or {}).get("Image", ""),
            "restart_policy": (host.get("RestartPolicy") or {}).get("Name") or "no",
            "started_at": state.get("StartedAt", ""),
        }
        return facts, ""


def _home():
    """The user's own home: rootless podman keeps its containers there, docker its contexts. Ansible
    itself may run with another."""
    user, runtime_dir = pwd.getpwuid(os.geteuid()), f"/run/user/{os.geteuid()}"
    found = {"HOME": user.pw_dir}
    if os.geteuid() and Path(runtime_dir).is_dir():
        found["XDG_RUNTIME_DIR"] = os.environ.get("XDG_RUNTIME_DIR", runtime_dir)
    return found


def find(module):
    """The runtime that knows the container, and its facts. Fails the module if none does."""
    wanted, name = module.params["runtime"], module.params["name"]
    reasons = []
    for runtime in ("podman", "docker") if wanted == "auto" else (wanted,):
        program = module.get_bin_path(runtime)
        if program is None:
            reasons.append(f"{runtime} is not installed")
            continue
        containers = Containers(module, program)
        facts, reason = containers.inspect(name)
        if facts:
            return containers, facts
        reasons.append(f"{runtime}: {reason}")
    module.fail_json(msg=f"container {name!r} cannot be inspected ({'; '.join(reasons)})")


def steps(state, status, stop_seconds):
    """The runtime's verbs that lead from `status` to `state`; none if it is there already."""
    if state == "stopped":
        return [] if status in ("exited", "created", "stopped") else [("stop", "-t", str(stop_seconds))]
    thaw = [("unpause",)] if status == "paused" else []
    if state == "restarted" and (status == _RUNNING or thaw):
        return [*thaw, ("restart", "-t", str(stop_seconds))]
    return thaw or ([] if status == _RUNNING else [("start",)])


def describe(name, facts, status, note=""):
    """One side of the diff; an exit code only says something about a container that has ended."""
    lines = [f"container: {name}", f"status: {status}{note}"]
    if status not in (_RUNNING, "created", "paused"):
        lines.append(f"exit code: {facts['exit_code']}")
    lines += [f"image: {facts['image']}", f"restart policy: {facts['restart_policy']}"]
    return "\n".join(lines) + "\n"


def expected(module, facts):
    """What the container will look like afterwards."""
    name, state = module.params["name"], module.params["state"]
    if state == "stopped":
        # The exit code cannot be known before.
        return describe(name, facts, "exited").replace(f"exit code: {facts['exit_code']}\n", "")
    restarted = state == "restarted" and facts["status"] in (_RUNNING, "paused")
    return describe(name, facts, _RUNNING, " (restarted)" if restarted else "")


def wait(module, containers):
    """Until the container runs and goes on running (or has stopped); fails the module if it does not."""
    name, stopping = module.params["name"], module.params["state"] == "stopped"
    latest, since = time.monotonic() + module.params["wait_seconds"], None
    while True:
        facts, reason = containers.inspect(name)
        if facts is None:
            module.fail_json(msg=f"container {name!r} is gone: {reason}")
        if (facts["status"] == _RUNNING) == stopping:
            since = None
        elif since is None:
            since = time.monotonic()
        if since is not None and (stopping or time.monotonic() - since >= _SETTLED_SECONDS):
            return facts
        if time.monotonic() > latest:
            wanted = "stopped" if stopping else _RUNNING
            code = f", exit code {facts['exit_code']}" if facts["status"] != _RUNNING else ""
            seconds = module.params["wait_seconds"]
            module.fail_json(
                msg=f"container {name!r} is {facts['status']}{code} after {seconds} s, not {wanted}",
                changed=True,
                container=facts,
            )
        time.sleep(_POLL_SECONDS)


def main():
    """Inspect, act, wait."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "default": "started", "choices": ["started", "stopped", "restarted"]},
            "runtime": {"type": "str", "default": "auto", "choices": ["auto", "podman", "docker"]},
            "stop_seconds": {"type": "int", "default": 10},
            "wait_seconds": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    name = module.params["name"]
    containers, facts = find(module)
    todo = steps(module.params["state"], facts["status"], module.params["stop_seconds"])
    if not todo:
        module.exit_json(changed=False, performed=False, container=facts)
    diff = {
        "before_header": name,
        "after_header": name,
        "before": describe(name, facts, facts["status"]),
        "after": expected(module, facts),
    }
    if module.check_mode:
        module.exit_json(changed=True, performed=False, container=facts, diff=diff)
    for step in todo:
        code, out, err = containers.call(*step, name)
        if code:
            module.fail_json(msg=f"{containers.runtime} {step[0]} {name}: {err.strip() or out.strip()}")
    module.exit_json(changed=True, performed=True, container=wait(module, containers), diff=diff)


if __name__ == "__main__":
    main()
