#!/usr/bin/python
"""Ansible module: block an image at an nginx proxy by a line in a deny map."""

import os
import re
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: deny_map
short_description: Manifests that an nginx before the registry refuses, with check mode and diff
description:
  - The file is included in a C(map $uri $NAME) block; each line is C("~^pattern$" 1;). Other lines are kept.
  - The proxy's configuration is tested with the new file in place before it is reloaded. If the test or the
    reload fails, the old file comes back and the module fails.
options:
  file: {description: Absolute path; made if it is missing., type: path, required: true}
  digest: {description: "sha256:<64 hex digits>, refused in every repository.", type: str, required: true}
  repository: {description: Where C(reference) stands., type: str, default: ""}
  reference: {description: A tag that leads to the digest; refused too., type: str, default: ""}
  state: {type: str, choices: [denied, released], required: true}
  enforced:
    description: Does the proxy act as C(state) says? If not, it is reloaded even if the file is right.
    type: bool
    required: true
  test: {description: Program and arguments that check it., type: list, elements: str, required: true}
  reload: {description: Program and arguments that load it., type: list, elements: str, required: true}
"""
RETURN = r"""
entries: {description: How many lines the map has at the end., type: int}
"""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def lines_of(module):
    """The lines of this image. Fails the module where a part is not what it should be."""
    digest, repository, tag = (module.params[key] for key in ("digest", "repository", "reference"))
    if not _DIGEST.fullmatch(digest):
        module.fail_json(msg=f"{digest!r} is no digest; write it like sha256:<64 hex digits>")
    # Any text before /manifests/: a digest is the same image in every repository, behind any prefix.
    found = [f'"~/manifests/{digest}$" 1;']
    if tag and not tag.startswith("sha256:"):
        if not (_TAG.fullmatch(tag) and _REPOSITORY.fullmatch(repository)):
            module.fail_json(msg=f"{repository!r}, {tag!r} are no repository and tag")
        path = re.escape(f"/v2/{repository}/manifests/{tag}").replace(r"\-", "-").replace(r"\/", "/")
        found.append(f'"~^{path}$" 1; # {digest}')
    return found


def wanted(text, mine, digest, state):
    """The text of the file afterwards."""
    kept = text.splitlines()
    if state == "denied":
        kept += [line for line in mine if line not in kept]
    else:
        kept = [line for line in kept if digest not in line]
    return "".join(f"{line}\n" for line in kept)


def write(path, text):
    """Whole or not at all, with the mode that it had."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(name).chmod(mode)
    Path(name).replace(path)


def put_back(path, before):
    """The file as it was; missing if it was missing."""
    if before is None:
        path.unlink(missing_ok=True)
    else:
        write(path, before)


def act(module, path, before, text):
    """Write, test, reload; back to the old file where one of them fails."""
    try:
        write(path, text)
    except OSError as error:
        module.fail_json(msg=f"{path} cannot be written: {error}")
    for step in ("test", "reload"):
        code, out, err = module.run_command(module.params[step])
        if code:
            put_back(path, before)
            said = (err.strip() or out.strip()).splitlines()
            why = said[-1] if said else f"code {code}"
            module.fail_json(msg=f"the proxy's {step} failed, {path} is as it was: {why}")


def main():
    """Look, write, test, reload."""
    module = AnsibleModule(
        argument_spec={
            "file": {"type": "path", "required": True},
            "digest": {"type": "str", "required": True},
            "repository": {"type": "str", "default": ""},
            "reference": {"type": "str", "default": ""},
            "state": {"type": "str", "required": True, "choices": ["denied", "released"]},
            "enforced": {"type": "bool", "required": True},
            "test": {"type": "list", "elements": "str", "required": True},
            "reload": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    path, state, enforced = Path(module.params["file"]), module.params["state"], module.params["enforced"]
    mine = lines_of(module)
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        module.fail_json(msg=f"{path} cannot be read: {error}")
    text = wanted(before or "", mine, module.params["digest"], state)
    if text == (before or "") and before is not None and enforced:
        module.exit_json(changed=False, entries=len(text.splitlines()))
    diff = {
        "before_header": str(path),
        "after_header": str(path),
        "before": (before or "") + ("" if enforced else "# not loaded by the proxy\n"),
        "after": text,
    }
    if not module.check_mode:
        act(module, path, before, text)
    module.exit_json(changed=True, entries=len(text.splitlines()), diff=diff)


if __name__ == "__main__":
    main()
