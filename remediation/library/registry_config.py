#!/usr/bin/python
"""Ansible module: switch the read-only mode of a Distribution registry in its configuration file."""

import os
import re
import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

try:
    import yaml
except ImportError:  # told in main()
    yaml = None

DOCUMENTATION = r"""
module: registry_config
short_description: Read-only mode of Distribution, with check mode and diff
description:
  - Changes storage.maintenance.readonly.enabled and keeps every other byte, comments too. Written in place,
    since the file may be mounted into a container by itself; a copy lies beside it while it is written.
  - The first line of the file then says who did it and how it was. C(writable) takes back only what C(owner)
    did, byte for byte; a registry that a person made read-only stays so.
  - The registry reads its file at a start only. Needs PyYAML on the target.
options:
  file: {description: Absolute path of the configuration., type: path, required: true}
  state: {type: str, choices: [looked, readonly, writable], required: true}
  owner: {description: "Who does it: a word of lower case letters, digits and -.", type: str, required: true}
  until: {description: "When it will be writable again, for the diff.", type: str, default: ""}
"""
RETURN = r"""
readonly: {description: Is it read-only at the end (in check mode as it is now)?, type: bool}
owner: {description: Who made it read-only, empty if nobody of us., type: str}
"""
KEYS = ("storage", "maintenance", "readonly", "enabled")
_ABSENT = "absent:"
_MARK = re.compile(r"\A# Read-only by Seawall \(([a-z0-9-]+)\); before: (\S+)\n")


class Unfit(Exception):
    """The file is not as Distribution wants it."""


class Config:
    """The text of the file, and where the key stands in it."""

    def __init__(self, text):
        self.text = text
        mark = _MARK.match(text)
        self.owner, self.before = mark.groups() if mark else ("", "")
        self._offset = mark.end() if mark else 0
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            raise Unfit(f"is not YAML: {error}") from error
        self.nodes = [node]
        for key in KEYS:
            if not isinstance(node, yaml.MappingNode):
                raise Unfit(f"{key!r} has no mapping to stand in")
            node = next((value for name, value in node.value if name.value == key), None)
            if node is None:
                break
            self.nodes.append(node)
        if len(self.nodes) == 1:
            raise Unfit("has no `storage`: it is no configuration of Distribution")

    @property
    def scalar(self):
        """The node of the key's value, or None where the file does not have it."""
        return self.nodes[-1] if len(self.nodes) > len(KEYS) else None

    @property
    def readonly(self):
        """As the registry reads it."""
        return self.scalar is not None and yaml.safe_load(self._said()) is True

    def _said(self):
        return self.text[self.scalar.start_mark.index : self.scalar.end_mark.index]

    def closed(self, owner):
        """The text with read-only mode on."""
        if self.scalar is None:
            depth = len(self.nodes) - 1
            at, snippet, glue = self._gap(depth)
            before, body = _ABSENT + ".".join(KEYS[depth:]), self.text[:at] + snippet + glue + self.text[at:]
        else:
            before, body = self._said(), self._replaced("true")
        return f"# Read-only by Seawall ({owner}); before: {before}\n{body}"

    def opened(self):
        """The text as it was before `closed`."""
        if not self.before.startswith(_ABSENT):
            return self._replaced(self.before)[self._offset :]
        depth = len(KEYS) - len(self.before.removeprefix(_ABSENT).split("."))
        if 0 < depth < len(self.nodes):
            at, snippet, glue = self._gap(depth)
            if self.text.startswith(snippet + glue, at):
                return (self.text[:at] + self.text[at + len(snippet + glue) :])[self._offset :]
        return self._replaced("false")[self._offset :]  # somebody wrote in between

    def _replaced(self, value):
        if self.scalar is None:
            return self.text
        return self.text[: self.scalar.start_mark.index] + value + self.text[self.scalar.end_mark.index :]

    def _gap(self, depth):
        """Where the missing keys go into the mapping at `depth`: index, what is written, what follows it."""
        node, snippet = self.nodes[depth], "true"
        if not isinstance(node, yaml.MappingNode):
            raise Unfit(f"{'.'.join(KEYS[:depth])} is not a mapping")
        for number, key in enumerate(reversed(KEYS[depth:])):
            snippet = f"{key}: {snippet}" if number == 0 else f"{key}: {{{snippet}}}"
        if node.flow_style:
            others = [name for name, _ in node.value if name.value != KEYS[depth]]
            return node.start_mark.index + 1, snippet, ", " if others else ""
        first = node.value[0][0].start_mark
        return first.index, snippet, "\n" + " " * first.column


def rewrite(path, text):
    """In place: a file that is mounted into a container keeps its inode. The copy is for the worst moment."""
    copy = path.with_name(path.name + ".seawall-before")
    shutil.copy2(path, copy)
    with path.open("r+b") as file:
        data = text.encode()
        file.write(data)
        file.truncate(len(data))
        file.flush()
        os.fsync(file.fileno())
    copy.unlink()


def wanted(config, state, owner):
    """The text that the file should have."""
    if state == "readonly" and not config.readonly:
        return config.closed(owner)
    if state == "writable" and config.owner == owner:
        return config.opened()
    return config.text


def describe(path, config, until=""):
    """One side of the diff: only this key, since the file may hold secrets."""
    value = "true" if config.readonly else "false"
    return f"file: {path}\n{'.'.join(KEYS)}: {value}{until}\n"


def main():
    """Look, write."""
    module = AnsibleModule(
        argument_spec={
            "file": {"type": "path", "required": True},
            "state": {"type": "str", "required": True, "choices": ["looked", "readonly", "writable"]},
            "owner": {"type": "str", "required": True},
            "until": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    if yaml is None:
        module.fail_json(msg="PyYAML is missing on this host; install python3-yaml")
    if not re.fullmatch("[a-z0-9-]+", module.params["owner"]):
        module.fail_json(msg="owner is not a word of lower case letters, digits and -")
    path, state = Path(module.params["file"]), module.params["state"]
    try:
        config = Config(path.read_text(encoding="utf-8"))
        text = wanted(config, state, module.params["owner"])
        after = Config(text)
    except (OSError, UnicodeDecodeError, Unfit) as error:
        module.fail_json(msg=f"{path}: {error}")
    if text == config.text:
        module.exit_json(changed=False, readonly=config.readonly, owner=config.owner)
    until = f" ({module.params['until']})" if module.params["until"] else ""
    diff = {
        "before_header": str(path),
        "after_header": str(path),
        "before": describe(path, config),
        "after": describe(path, after, until),
    }
    if module.check_mode:
        module.exit_json(changed=True, readonly=config.readonly, owner=config.owner, diff=diff)
    try:
        rewrite(path, text)
    except OSError as error:
        module.fail_json(msg=f"{path} cannot be written: {error}")
    module.exit_json(changed=True, readonly=after.readonly, owner=after.owner, diff=diff)


if __name__ == "__main__":
    main()
