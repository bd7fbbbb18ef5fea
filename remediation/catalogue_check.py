"""Is every playbook of the catalogue sound? Schema, inputs, Ansible's own syntax check, ansible-lint.

That a second run changes nothing needs a target; tests/integration/test_playbook_*.py show it for the
shipped ones.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from remediation import catalogue_inputs
from remediation.catalogue import Catalogue, Playbook
from remediation.diffs import LIBRARY
from remediation.inventory import inventory_text

_SECONDS = 300.0
# no-handler: an order of steps that a handler would break (read-only, restart, collect, writable, restart).
# The rest of the profile holds.
_LINT = "profile: production\noffline: true\nskip_list: [no-handler]\n"
_BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of one playbook: `name` is schema, inputs, syntax or lint; `found` begins with file:line
    where something is wrong; `ok` is None where it could not be looked at."""

    playbook: str
    name: str
    ok: bool | None
    found: str = ""
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def check(folders: Sequence[Path]) -> Iterator[Finding]:
    """Everything about the playbooks of these folders, one playbook after the other, lint last (one call).
    InputError if one of `folders` is missing."""
    catalogue, broken = Catalogue.load(folders)
    for fault in broken:
        yield Finding(Path(fault.place.rpartition(":")[0] or fault.place).parent.name, "schema", False,
                      f"{fault.place}: {fault.finding}", fault.remedy)  # fmt: skip
    for playbook in catalogue:
        yield Finding(playbook.name, "schema", True)
        yield from _inputs(playbook)
        yield from _syntax(playbook)
    yield from _lint(list(catalogue))


def sound(findings: Iterable[Finding]) -> bool:
    """Nothing is wrong; what could not be looked at is told, and is no fault."""
    return all(finding.ok is not False for finding in findings)


def _inputs(playbook: Playbook) -> Iterator[Finding]:
    found = catalogue_inputs.faults(playbook)
    for place, finding, remedy in found:
        yield Finding(playbook.name, "inputs", False, f"{place}: {finding}", remedy)
    if not found:
        yield Finding(playbook.name, "inputs", True)


def _plays(playbook: Playbook) -> list[Path]:
    return [playbook.path, *([playbook.undo] if playbook.undo else [])]


def _syntax(playbook: Playbook) -> Iterator[Finding]:
    for path in _plays(playbook):
        with tempfile.TemporaryDirectory(prefix="seawall-check-") as home:
            inventory = Path(home) / "hosts"
            inventory.write_text(inventory_text(playbook.targets), encoding="utf-8")
            done = _call(["ansible-playbook", "--syntax-check", "-i", str(inventory), str(path)], home, home)
        if done is None:
            remedy = "install ansible-core beside Seawall (`make setup`)"
            yield Finding(playbook.name, "syntax", False, f"{path}: ansible-playbook is not there", remedy)
        elif done.returncode:
            yield Finding(
                playbook.name, "syntax", False, f"{path}: {_said(done.stderr)}", "mend the playbook"
            )
        else:
            yield Finding(playbook.name, "syntax", True, path.name)


def _said(text: str) -> str:
    """Ansible's error as one line, with its place where it tells one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    wanted = [line for line in lines if line.startswith(("[ERROR]", "ERROR!", "Origin:"))]
    return " ".join(wanted or lines[:3])[:500] or "it failed without a word"


def _lint(playbooks: Sequence[Playbook]) -> Iterator[Finding]:
    if not playbooks:
        return
    if not (_BIN / "ansible-lint").exists():
        remedy = "pip install 'ansible-lint' into Seawall's environment, then check again"
        yield Finding("all", "lint", None, "ansible-lint is not installed: style is not checked", remedy)
        return
    files = [str(path) for playbook in playbooks for path in _plays(playbook)]
    with tempfile.TemporaryDirectory(prefix="seawall-check-") as home:
        config = Path(home) / "lint.yml"
        config.write_text(_LINT, encoding="utf-8")
        command = ["ansible-lint", "-q", "--offline", "--nocolor", "-f", "json", "-c", str(config)]
        done = _call([*command, *files], home, home)
        wrong = _violations(done, Path(home))
    if wrong is None:
        said = _said(done.stderr) if done else f"no answer within {_SECONDS:g} s"
        yield Finding("all", "lint", None, f"ansible-lint failed: {said}", "run it by hand")
        return
    owner = {playbook.folder: playbook.name for playbook in playbooks}
    dirty = set()
    for path, line, rule, text in wrong:
        name = next((owner[folder] for folder in path.parents if folder in owner), path.parent.name)
        dirty.add(name)
        yield Finding(name, "lint", False, f"{path}:{line}: {text} ({rule})", f"see the rule {rule}")
    for playbook in playbooks:
        if playbook.name not in dirty:
            yield Finding(playbook.name, "lint", True)


def _violations(
    done: "subprocess.CompletedProcess[str] | None", home: Path
) -> list[tuple[Path, int, str, str]] | None:
    """(file, line, rule, text); None if ansible-lint itself failed."""
    if done is None:
        return None
    try:
        found = json.loads(done.stdout or "[]")
    except ValueError:
        return None
    if done.returncode and not found:
        return None
    return [_violation(it, home) for it in found]


def _violation(it: dict[str, Any], home: Path) -> tuple[Path, int, str, str]:
    at = it["location"]
    line = at.get("lines", {}).get("begin") or at.get("positions", {}).get("begin", {}).get("line", 1)
    text = str(it.get("content", {}).get("body") or it["description"]).splitlines()[0]
    path = Path(os.path.normpath(home.resolve() / at["path"]))
    return path, line if isinstance(line, int) else line.get("line", 1), it["check_name"], text


def _call(command: list[str], cwd: str, home: str) -> "subprocess.CompletedProcess[str] | None":
    """A program of Seawall's own environment, which must not look elsewhere for settings; None if it is not
    there or gives no answer."""
    env = {
        "PATH": f"{_BIN}:/usr/local/bin:/usr/bin:/bin",
        "HOME": home,
        "LANG": "C.UTF-8",
        "ANSIBLE_LIBRARY": str(LIBRARY),
        "ANSIBLE_HOME": home,
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCALHOST_WARNING": "False",
    }
    try:
        return subprocess.run(
            [str(_BIN / command[0]), *command[1:]],
            cwd=cwd, env=env, capture_output=True, text=True, timeout=_SECONDS, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
