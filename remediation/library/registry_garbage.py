#!/usr/bin/python
"""Ansible module: measure or collect the garbage of a Distribution registry."""

import os
import pwd
import re
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: registry_garbage
short_description: What no manifest of a Distribution registry needs, measured or collected
description:
  - Runs the registry's own C(garbage-collect), first with C(--dry-run). Only blobs that no manifest names are
    deleted; untagged manifests stay, since a stopped container may still need one (C(--delete-untagged) is
    refused).
  - The registry must be read-only meanwhile; that is the playbook's part.
options:
  command:
    description: Program and arguments up to the configuration file, with C(garbage-collect) among them.
    type: list
    elements: str
    required: true
  config_file: {description: Distribution's file; its rootdirectory gives the sizes., type: path}
  state: {type: str, choices: [measured, collected], default: measured}
"""
RETURN = r"""
blobs: {description: How many blobs nothing needs (before the collection)., type: int}
bytes: {description: "Their size, or null where the folder cannot be seen from here.", type: int}
freed_bytes: {description: "What the collection freed, or null.", type: int}
"""
_ELIGIBLE = re.compile(r"^blob eligible for deletion: (sha256:[0-9a-f]{64})$", re.M)
_ROOT = re.compile(r"rootdirectory:\s*[\"']?([^\s\"',}]+)")
_REFUSED = ("--delete-untagged", "-m", "--dry-run", "-d")


def root_of(module):
    """The folder of the blobs as this host sees it, or None."""
    name = module.params["config_file"]
    try:
        found = _ROOT.search(Path(name).read_text(encoding="utf-8")) if name else None
    except (OSError, UnicodeDecodeError):
        return None
    root = Path(found[1]) / "docker/registry/v2/blobs" if found else None
    return root if root and root.is_dir() else None


def size(root, digests):
    """Bytes of those blobs that are there; None if nobody can tell."""
    if root is None:
        return None
    total = 0
    for digest in digests:
        algorithm, _, name = digest.partition(":")
        path = root / algorithm / name[:2] / name / "data"
        total += path.stat().st_size if path.is_file() else 0
    return total


def collect(module, dry):
    """The digests that the program names. Fails the module if it fails."""
    command = [*module.params["command"], *(["--dry-run"] if dry else [])]
    home = {"HOME": pwd.getpwuid(os.geteuid()).pw_dir}
    code, out, err = module.run_command(command, environ_update=home)
    if code:
        said = (err.strip() or out.strip()).splitlines()
        module.fail_json(msg=f"{command[0]} ended with code {code}: {said[-1] if said else 'no word'}")
    return sorted(set(_ELIGIBLE.findall(out)))


def shown(blobs, size_):
    """One side of the diff."""
    known = "" if size_ is None else f", {size_} bytes"
    return f"blobs that no manifest names: {blobs}{known}\n"


def main():
    """Measure; collect."""
    module = AnsibleModule(
        argument_spec={
            "command": {"type": "list", "elements": "str", "required": True},
            "config_file": {"type": "path"},
            "state": {"type": "str", "default": "measured", "choices": ["measured", "collected"]},
        },
        supports_check_mode=True,
    )
    command = module.params["command"]
    if "garbage-collect" not in command:
        module.fail_json(msg="command does not name garbage-collect")
    if bad := [word for word in command if word.split("=")[0] in _REFUSED]:
        module.fail_json(
            msg=f"{bad[0]} is refused: untagged manifests may still be needed; drop it from command"
        )
    found, root = collect(module, dry=True), root_of(module)
    known = {"blobs": len(found), "bytes": size(root, found)}
    if module.params["state"] == "measured" or not found:
        module.exit_json(changed=False, freed_bytes=0, **known)
    head = {"before_header": "garbage", "after_header": "garbage"}
    gone = 0 if root else None
    diff = {**head, "before": shown(len(found), known["bytes"]), "after": shown(0, gone)}
    if module.check_mode:
        module.exit_json(changed=True, freed_bytes=0, diff=diff, **known)
    done = collect(module, dry=False)
    left = size(root, done)
    freed = None if root is None else known["bytes"] - left
    module.exit_json(
        changed=True,
        freed_bytes=freed,
        diff=diff,
        msg=f"{len(done)} blobs deleted, {freed} bytes freed",
        **known,
    )


if __name__ == "__main__":
    main()
