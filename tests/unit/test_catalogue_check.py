"""`seawall playbooks --check`: what is wrong with a playbook is found, with file, line and remedy."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from remediation import catalogue_check, catalogue_inputs
from remediation.catalogue import SHIPPED, load_playbook
from remediation.catalogue_check import Finding, check, sound

COLOUR = "  colour:\n    type: string\n  url:\n"
SEAWALL = Path(sys.executable).parent / "seawall"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    copy = tmp_path / "extra" / "mine"
    shutil.copytree(SHIPPED / "quarantine-image", copy)
    edit(copy / "action.yaml", "name: quarantine-image", "name: mine")
    return copy


def wrong(folder: Path) -> list[Finding]:
    return [it for it in check([folder]) if it.ok is not True]


def test_every_shipped_playbook_is_sound() -> None:
    findings = list(check([SHIPPED]))
    assert [it for it in findings if it.ok is not True] == []
    names = {folder.name for folder in SHIPPED.iterdir()}
    for kind in ("schema", "inputs", "syntax", "lint"):
        assert {it.playbook for it in findings if it.name == kind} == names


def test_every_shipped_playbook_has_a_test_that_a_second_run_changes_nothing() -> None:
    tests = Path(__file__).parents[1] / "integration"
    texts = {path.name: path.read_text() for path in tests.glob("test_*.py")}
    own = {
        "restart-registry": "test_container_state.py",
        "restart-registry-process": "test_process_state.py",
        "protect-disk": "test_playbook_collect_garbage.py",
    }
    for folder in SHIPPED.iterdir():
        text = texts[own.get(folder.name, f"test_playbook_{folder.name.replace('-', '_')}.py")]
        assert f'"{folder.name}"' in text
        shown = ("changes_nothing_again()", "again.changes", "outcome.changes) == (")
        assert any(words in text for words in shown), folder.name


FAULTS = [
    ("action.yaml", "  url:\n", COLOUR, "inputs", 8, "inputs.colour is used nowhere"),
    (
        "playbook.yml",
        "{{ proxy_test }}",
        "{{ proxy_tset }}",
        "inputs",
        28,
        "the variable proxy_tset is no input",
    ),
    ("playbook.yml", "when: not", "when: wind and not", "inputs", 44, "the variable wind is no input"),
    (
        "playbook.yml",
        "name: Block the image",
        "name: block the image",
        "lint",
        20,
        "block the image (name[casing])",
    ),
    ("undo.yml", "deny_map:", "deny_mop:", "syntax", None, "couldn't resolve module/action 'deny_mop'"),
]


def test_faults_are_told_with_file_and_line(mine: Path) -> None:
    for file, old, new, *_ in FAULTS:
        edit(mine / file, old, new)
    told = wrong(mine.parent)
    for file, _, _, name, line, found in FAULTS:
        [fault] = [it for it in told if it.name == name and found in it.found]
        at = f"{mine / file}:" if line is None else f"{mine / file}:{line}: "
        assert fault.found.startswith(at)
        assert (fault.playbook, fault.ok, bool(fault.remedy)) == ("mine", False, True)


def test_a_broken_action_yaml_is_told_and_the_rest_is_checked(mine: Path) -> None:
    edit(mine / "action.yaml", "risk: medium", "risk: mild")
    shutil.copytree(SHIPPED / "harbor-gc", mine.parent / "harbor-gc")
    [fault] = wrong(mine.parent)
    assert (fault.playbook, fault.name, fault.ok) == ("mine", "schema", False)
    assert fault.found == f"{mine / 'action.yaml'}:48: risk is 'mild'"
    assert fault.remedy


def test_what_tasks_define_and_ansible_knows_is_no_input(mine: Path) -> None:
    (mine / "extra.yml").write_text(
        "- name: Look\n  ansible.builtin.debug:\n    msg: '{{ one.stdout }} {{ hostvars }}'\n"
        "  register: one\n  loop: [1]\n  loop_control: {loop_var: turn}\n"
        "  when: turn > 0 and two | default(1)\n"
        "- name: Keep\n  ansible.builtin.set_fact: {two: '{{ item }}'}\n"
    )
    assert catalogue_inputs.faults(load_playbook(mine)) == []


def test_ansible_lint_that_is_missing_is_said_plainly(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "ansible-playbook").symlink_to(Path(sys.executable).parent / "ansible-playbook")
    monkeypatch.setattr(catalogue_check, "_BIN", programs)
    [told] = wrong(mine.parent)
    assert (told.name, told.ok, told.found) == (
        "lint",
        None,
        "ansible-lint is not installed: style is not checked",
    )
    assert sound([told])


@pytest.fixture
def seawall(mine: Path, tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    config = tmp_path / "seawall.yaml"
    config.write_text("playbooks: extra\n")

    def call(*more: str) -> "subprocess.CompletedProcess[str]":
        command = [str(SEAWALL), "playbooks", "--config", str(config), *more]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return call


def test_the_verb_lists_checks_and_tells_by_its_exit_code(
    mine: Path, seawall: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    listed = seawall("--json")
    assert listed.returncode == 0
    items = {it["name"]: it for it in json.loads(listed.stdout)["items"]}
    assert items["mine"]["answers"] == "unsigned_pulls"
    assert items["mine"]["undo"] == {"playbook": "undo.yml", "offered": False}

    edit(mine / "action.yaml", "  url:\n", COLOUR)
    checked = seawall("--check", "--json")
    assert checked.returncode == 1, checked.stderr
    told = json.loads(checked.stdout)
    assert not told["ok"]
    [fault] = [it for it in told["checks"] if not it["ok"]]
    assert set(fault) == {"playbook", "name", "ok", "found", "remedy"}
    assert (fault["playbook"], fault["name"]) == ("mine", "inputs")

    assert seawall("--chek").returncode == 2
    mine.parent.rename(mine.parent.with_name("elsewhere"))
    gone = seawall("--check")
    assert gone.returncode == 2
    assert "is not a folder of playbooks" in gone.stderr
