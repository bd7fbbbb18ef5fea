"""An undo with the real Ansible: what the run changed is taken back, by the copies that were approved."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from remediation.catalogue import Catalogue
from remediation.lifecycle import Lifecycle
from remediation.runs import AnsibleRunner
from seawall.core.actions import ActionState as S
from seawall.core.incidents import IncidentState
from seawall.core.signals import Sample, labels
from tests.serving import until
from tests.unit.test_aftermath import book
from tests.unit.test_cycle import World

pytestmark = pytest.mark.integration


def play(state: str) -> list[dict]:
    line = {"path": "{{ file }}", "line": f"mode: {state}", "regexp": "^mode: "}
    tasks = [{"name": f"Set {state}", "ansible.builtin.lineinfile": line}]
    return [{"name": state, "hosts": "registry_servers", "gather_facts": False, "tasks": tasks}]


def mending(tmp_path: Path, **changes: object) -> tuple[World, Lifecycle, Path, Path]:
    """A world that mends with the real Ansible; its lifecycle, the file that is changed, the playbooks."""
    file = tmp_path / "config"
    file.write_text("mode: writable\n")
    books = book(tmp_path, inputs={"file": {"type": "path", "default": str(file)}}, **changes)
    (books / "mend" / "playbook.yml").write_text(yaml.safe_dump(play("readonly")))
    (books / "mend" / "undo.yml").write_text(yaml.safe_dump(play("writable")))
    catalogue, faults = Catalogue.load([books])
    assert not faults
    world = World(tmp_path)
    shop = replace(world.bench.shop, catalogue=catalogue, runner=AnsibleRunner())
    repair = world.bench.cycle = Lifecycle(shop)
    world.cycle._p = replace(world.cycle._p, repair=repair)
    world.cycle._verifier = replace(world.cycle._verifier, repair=repair)
    return world, repair, file, books


def test_a_repair_that_did_not_help_is_really_taken_back(tmp_path: Path) -> None:
    world, repair, file, books = mending(tmp_path)
    world.rounds("+++--")
    id = world.action.id
    until(lambda: world.records.action(id).state is S.AWAITING_APPROVAL, 60, "the preview")
    assert "+mode: readonly" in world.records.action(id).preview.diff
    repair.approve(id, "ada", "go")
    until(lambda: world.records.action(id).state is S.VERIFYING, 60, "the run")
    assert file.read_text() == "mode: readonly\n"
    # What lies in the catalogue now is not what was approved: the undo takes the approved copy.
    (books / "mend" / "undo.yml").write_text(yaml.safe_dump(play("destroyed")))
    world.rounds("-------")
    until(lambda: (it := world.records.action(id).undo) and it.outcome, 60, "the undo")
    assert file.read_text() == "mode: writable\n"
    world.round(False)
    action = world.records.action(id)
    assert action.state is S.ROLLED_BACK
    assert action.undo is not None and action.undo.changed == 1
    folder = tmp_path / id
    until(lambda: all((it / "artifacts.tar.gz").exists() for it in folder.iterdir()), 20, "the packing")
    assert [line.phase for line in repair.output(id)][-1] == "undo"


def test_what_only_protects_is_really_released_when_the_row_is_good_again(tmp_path: Path) -> None:
    shield = {"signal": "seawall_shield", "op": ">=", "value": 1, "window": "1h", "rounds": 1}
    released = {"playbook": "undo.yml", "offered": True}
    world, repair, file, _ = mending(tmp_path, verify=shield, undo=released)
    # Ansible's runs end by the real clock; the world's stands ahead of it, so that its rounds come after.
    world.clock.move(time.time() + 600 - world.clock.now())

    def turn(ok: bool) -> None:
        world.samples.append([Sample("main", "seawall_shield", world.clock.now() + 9, 1.0, labels(x="y"))])
        world.round(ok)

    def carried(id: str) -> None:
        until(lambda: world.records.action(id).state is S.AWAITING_APPROVAL, 60, "the preview")
        repair.approve(id, "ada", "go")
        until(lambda: world.records.action(id).state is S.VERIFYING, 60, "the run")

    world.rounds("+++--")
    first = world.action.id
    carried(first)
    assert file.read_text() == "mode: readonly\n"
    for ok in (False, True, True, True):
        turn(ok)
    undo = world.action
    assert undo.takes_back == first and world.incidents[0].state is IncidentState.OPEN
    carried(undo.id)
    assert "+mode: writable" in world.records.action(undo.id).preview.diff
    assert file.read_text() == "mode: writable\n"
    turn(True)
    assert world.records.action(undo.id).state is S.SUCCEEDED
    assert world.incidents[0].state is IncidentState.RESOLVED
