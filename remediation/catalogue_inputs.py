"""Are the inputs that action.yaml declares the variables that the playbook's files use, and no others?"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, TemplateSyntaxError, meta, nodes

from remediation.catalogue import Lenient, Playbook
from seawall.yamlfile import read_text

# Keywords whose text is an expression without braces.
_BARE = ("when", "until", "failed_when", "changed_when", "that", "var")
_LOOPS = ("loop_var", "index_var")
_DEFINES = ("vars", "set_fact", "ansible.builtin.set_fact")
_MAGIC = re.compile(
    r"(ansible|role|play|inventory|playbook)_\w+"
    r"|item|omit|vars|hostvars|groups|group_names|environment|lookup|query|q|now|undef|range|true|false|none"
)
_JINJA = Environment()  # noqa: S701 - it only parses


@dataclass
class Used:
    """Variables that files use (name -> `file:line` of the first use), and those that they define."""

    places: dict[str, str] = field(default_factory=dict)
    defined: set[str] = field(default_factory=set)


def faults(playbook: Playbook) -> list[tuple[str, str, str]]:
    """(place, finding, remedy) for each input that nothing uses and each variable that nothing gives."""
    used, found = used_by(playbook.folder), []
    action = playbook.folder / "action.yaml"
    for name in playbook.inputs:
        if name not in used.places:
            place = f"{action}:{_line_of(action, name)}"
            found.append((place, f"inputs.{name} is used nowhere", "use it in the playbook, or drop it"))
    known = set(playbook.inputs) | used.defined
    for name, place in used.places.items():
        if name not in known and not _MAGIC.fullmatch(name):
            remedy = f"add inputs.{name} to action.yaml, or define it in the playbook"
            found.append((place, f"the variable {name} is no input", remedy))
    return found


def used_by(folder: Path) -> Used:
    """Of every YAML file below a playbook's folder but action.yaml, and of Jinja templates."""
    used = Used()
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".yml", ".yaml") and path.name != "action.yaml":
            node = yaml.compose(read_text(path), Loader=Lenient)
            if node is not None:
                _defined_by_file(path, node, used)
                _walk(path, node, "", used)
        elif path.suffix == ".j2":
            _take(read_text(path), f"{path}:1", used)
    return used


def _defined_by_file(path: Path, node: yaml.Node, used: Used) -> None:
    """A role's defaults, and files of variables: their keys are variables."""
    if {"defaults", "vars"} & set(path.parts) and isinstance(node, yaml.MappingNode):
        used.defined |= {name.value for name, _ in node.value}


def _walk(path: Path, node: yaml.Node, key: str, used: Used) -> None:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value in _DEFINES and isinstance(value, yaml.MappingNode):
                used.defined |= {inner.value for inner, _ in value.value}
            if name.value in ("register", *_LOOPS):
                used.defined.add(str(value.value))
            _walk(path, value, str(name.value), used)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _walk(path, value, key, used)
    else:
        bare = key in _BARE and "{{" not in str(node.value)
        text = "{{ " + str(node.value) + " }}" if bare else str(node.value)
        _take(text, f"{path}:{node.start_mark.line + 1}", used)


def _take(text: str, place: str, used: Used) -> None:
    for name in _names(text):
        used.places.setdefault(name, place)


def _names(text: str) -> Iterator[str]:
    if "{{" not in text and "{%" not in text:
        return
    try:
        tree: Any = _JINJA.parse(text)
    except TemplateSyntaxError:
        return  # ansible-playbook --syntax-check tells it better
    # Ansible's own filters and tests are not known here; only that they are there matters.
    for node in tree.find_all((nodes.Filter, nodes.Test)):
        known: Any = _JINJA.filters if isinstance(node, nodes.Filter) else _JINJA.tests
        known.setdefault(node.name, bool)
    yield from sorted(meta.find_undeclared_variables(tree))


def _line_of(action: Path, name: str) -> int:
    lines = action.read_text(encoding="utf-8").splitlines()
    return next((n for n, line in enumerate(lines, 1) if re.match(rf"\s+[\"']?{name}[\"']?:", line)), 1)
