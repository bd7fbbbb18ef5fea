"""The inventory that a playbook runs on: this machine by default, or the user's own file.

A file is INI or YAML, as Ansible reads it, or an executable script that answers `--list` in JSON. A
script is asked once a preview and frozen into YAML, so that the approval binds what it said.
"""

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from seawall.core.errors import InputError
from seawall.yamlfile import read_text

# Without ansible_python_interpreter Ansible looks for one, which costs a task and may find another Python.
_LOCAL = """[{group}]
localhost ansible_connection=local ansible_python_interpreter="{{{{ ansible_playbook_python }}}}"
"""
_SECONDS = 30.0
_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class Reach:
    """Blast radius: the hosts that a group touches, sorted, and how many hosts the inventory knows."""

    hosts: tuple[str, ...]
    fleet: int

    @property
    def share(self) -> float:
        """0 to 1; 0 where the inventory knows no host."""
        return len(self.hosts) / self.fleet if self.fleet else 0.0


def inventory_text(group: str, file: Path | None = None) -> str:
    """The content of `file` (INI or YAML, which must define `group`), what it says if it is a script, else
    this machine as the one host of `group`. InputError if the file cannot be read or the script fails."""
    if file is None:
        return _LOCAL.format(group=group)
    return _listed(file) if _is_script(file) else read_text(file)


def reach(group: str, text: str, place: str = "inventory") -> Reach:
    """The hosts of `group` in an inventory's text. InputError if Ansible cannot read it."""
    if text == _LOCAL.format(group=group):
        return Reach(("localhost",), 1)
    return _reach(group, text, place)


@functools.lru_cache(maxsize=64)
def _reach(group: str, text: str, place: str) -> Reach:
    # Ansible tells YAML from INI by trying, whatever the name. The file is 0600: inventories hold secrets.
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="inventory-") as file:
        file.write(text)
        file.flush()
        tree = _tree(_listed(Path(file.name), place), place)
    return Reach(tuple(sorted(_hosts(_find(tree, group) or {}))), len(_hosts(tree)))


def _is_script(file: Path) -> bool:
    return file.is_file() and os.access(file, os.X_OK)


def _listed(file: Path, place: str = "") -> str:
    """What Ansible makes of an inventory, as the YAML of an equal static one."""
    program = Path(sys.executable).parent / "ansible-inventory"
    command = [str(program), "-i", str(file), "--list", "--yaml", "--export"]
    with tempfile.TemporaryDirectory(prefix="inventory-") as home:
        env = {"PATH": f"{program.parent}:{_PATH}", "HOME": home, "LANG": "C.UTF-8"}
        env |= {"ANSIBLE_INVENTORY_UNPARSED_FAILED": "True", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_HOME": home}
        env |= {"ANSIBLE_LOCALHOST_WARNING": "False", "ANSIBLE_DEPRECATION_WARNINGS": "False"}
        try:
            done = subprocess.run(
                command, env=env, cwd=home, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise _wrong(place or str(file), f"gave no answer within {_SECONDS:g} s") from error
    if done.returncode:
        raise _wrong(place or str(file), f"cannot be read as an inventory ({_last(done.stderr)})")
    return yaml.safe_dump(_tree(done.stdout, place or str(file)), sort_keys=True, allow_unicode=True)


def _wrong(place: str, finding: str) -> InputError:
    return InputError(place, finding, "mend it; `ansible-inventory -i FILE --list` shows what Ansible reads")


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "without a word"


def _tree(text: str, place: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _wrong(place, "holds values that are not plain (a vault?)") from error
    return found if isinstance(found, dict) else {}


def _find(tree: Mapping[str, Any], group: str) -> Mapping[str, Any] | None:
    for name, body in tree.items():
        if name == group:
            return {name: body or {}}
        if found := _find((body or {}).get("children") or {}, group):
            return found
    return None


def _hosts(tree: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    for body in tree.values():
        found |= set((body or {}).get("hosts") or {}) | _hosts((body or {}).get("children") or {})
    return found
