#!/usr/bin/python
"""Ansible module: start Harbor's garbage collection through its API, and wait for its end."""

import base64
import json
import time
from datetime import datetime, timezone
from pathlib import Path
from urllib.error import HTTPError, URLError

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url

DOCUMENTATION = r"""
module: harbor_gc
short_description: Harbor's garbage collection by its API v2.0, with check mode and diff
description:
  - Does nothing if a collection ended well less than C(fresh_hours) ago; waits for one that runs.
  - Untagged artifacts are never deleted (C(delete_untagged) is false): a stopped container may need one.
  - Never run on a real Harbor; made after its published API and tested against a stand-in.
options:
  url: {description: "Harbor's address, without /api.", type: str, required: true}
  username: {type: str, required: true}
  login_file: {description: File on the target with the password., type: path, required: true}
  ca_file: {type: path}
  fresh_hours: {type: int, default: 6}
  wait_seconds: {type: int, default: 3000}
"""
RETURN = r"""
job: {description: The number of the collection., type: int}
"""
_RUNNING = ("pending", "running", "scheduled")
_GOOD = ("success", "finished")
_POLL_SECONDS = 1.0


class Harbor:
    """Its API."""

    def __init__(self, module):
        self._module, self._base = module, module.params["url"].rstrip("/") + "/api/v2.0"
        try:
            secret = Path(module.params["login_file"]).read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            module.fail_json(msg=f"{module.params['login_file']} cannot be read: {error}")
        module.no_log_values.add(secret)
        pair = base64.b64encode(f"{module.params['username']}:{secret}".encode()).decode()
        self._headers = {"Authorization": f"Basic {pair}", "Content-Type": "application/json"}

    def ask(self, path, body=None):
        """The JSON of an answer, or None where there is none. Fails the module if Harbor refuses."""
        method, data = ("POST", json.dumps(body)) if body is not None else ("GET", None)
        try:
            answer = open_url(
                self._base + path,
                data=data,
                method=method,
                headers=self._headers,
                timeout=20,
                follow_redirects="none",
                ca_path=self._module.params["ca_file"],
            )
            text = answer.read().decode()
            return json.loads(text) if text.strip() else None
        except HTTPError as error:
            right = {
                401: "the login is refused",
                403: "the account may not collect garbage (system administrator)",
            }
            why = right.get(error.code, error.reason)
            self._module.fail_json(msg=f"{method} {path}: {error.code}: {why}")
        except (URLError, OSError, ValueError) as error:
            self._module.fail_json(msg=f"{method} {path}: {error}")

    def newest(self):
        """The collection that was begun last, or None."""
        found = self.ask("/system/gc?page_size=1&sort=-creation_time")
        return found[0] if found else None


def status(job):
    """In lower case; none if there is no collection."""
    return str(job.get("job_status", "")).lower() if job else "none"


def age_hours(job):
    """Since its end; None where Harbor does not tell."""
    try:
        ended = datetime.fromisoformat(job["update_time"].replace("Z", "+00:00"))
    except (KeyError, ValueError, AttributeError):
        return None
    now = datetime.now(timezone.utc)  # noqa: UP017 - a target may have an older Python
    return (now - ended).total_seconds() / 3600


def wait(module, harbor, known):
    """Until the newest collection, another one than `known`, has ended; its record."""
    latest = time.monotonic() + module.params["wait_seconds"]
    while True:
        job = harbor.newest()
        if job and job.get("id") != known and status(job) not in _RUNNING:
            return job
        if time.monotonic() > latest:
            module.fail_json(
                msg=f"the collection is {status(job)} after {module.params['wait_seconds']} s", changed=True
            )
        time.sleep(_POLL_SECONDS)


def main():
    """Look, start, wait."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "username": {"type": "str", "required": True},
            "login_file": {"type": "path", "required": True},
            "ca_file": {"type": "path"},
            "fresh_hours": {"type": "int", "default": 6},
            "wait_seconds": {"type": "int", "default": 3000},
        },
        supports_check_mode=True,
    )
    harbor = Harbor(module)
    job = harbor.newest()
    age = age_hours(job) if status(job) in _GOOD else None
    if age is not None and age < module.params["fresh_hours"]:
        module.exit_json(changed=False, job=job.get("id"), msg="a collection ended well a short while ago")
    running = status(job) in _RUNNING
    diff = {
        "before_header": module.params["url"],
        "after_header": module.params["url"],
        "before": f"garbage collection: {status(job)}\n",
        "after": "garbage collection: success (untagged artifacts are kept)\n",
    }
    if module.check_mode:
        module.exit_json(changed=not running, diff=diff if not running else {})
    if not running:
        body = {"schedule": {"type": "Manual"}, "parameters": {"delete_untagged": False, "dry_run": False}}
        harbor.ask("/system/gc/schedule", body)
    ended = wait(module, harbor, None if running or not job else job.get("id"))
    if status(ended) not in _GOOD:
        module.fail_json(
            msg=f"the collection {ended.get('id')} ended as {ended.get('job_status')}", changed=True
        )
    module.exit_json(changed=not running, job=ended.get("id"), diff=diff)


if __name__ == "__main__":
    main()
