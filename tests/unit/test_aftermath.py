"""After the run, over real stores, judge and cycle; runner and clock are fakes: undo, escalation, restarts,
what is learned, and who may start a run."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from remediation.archive import is_packed
from remediation.briefing import briefing
from remediation.catalogue import Catalogue
from remediation.lifecycle import Lifecycle
from remediation.weighing import weighed
from seawall.core.actions import ActionState as S
from seawall.core.actions import Preview, Risk
from seawall.core.errors import RunFailed
from seawall.core.incidents import IncidentState
from seawall.core.ports import Found
from tests.fakes import T, outcome
from tests.serving import until
from tests.unit.test_cycle import World

ACTION = {
    "name": "mend",
    "playbook": "playbook.yml",
    "title": "Mend it",
    "trigger": {"slo": "availability"},
    "targets": "registry_servers",
    "risk": "low",
    "cooldown": "0s",
    "timeout": "1m",
    "verify": {"slo": "availability", "window": "60s"},
    "undo": {"playbook": "undo.yml"},
}
PLAY = [{"name": "x", "hosts": "registry_servers", "tasks": [{"ansible.builtin.debug": {"msg": "x"}}]}]


def book(folder: Path, **changes) -> Path:
    at = folder / "books" / "mend"
    at.mkdir(parents=True)
    (at / "action.yaml").write_text(yaml.safe_dump({**ACTION, **changes}))
    for name in ("playbook.yml", "undo.yml"):
        (at / name).write_text(yaml.safe_dump(PLAY))
    (at / "README.md").write_text("For a test.\n")
    return at.parent


class Mending(World):
    """A world whose only playbook is `mend`."""

    def __init__(self, folder: Path, leads=lambda: True, **changes) -> None:
        super().__init__(folder)
        catalogue, faults = Catalogue.load([book(folder, **changes)])
        assert not faults
        self.leads = leads
        shop = replace(self.bench.shop, catalogue=catalogue, leadership=self)
        self.shop = shop
        self.bench.cycle = Lifecycle(shop, lambda action: self.bench.heard.append(action.state))
        self.cycle._p = replace(self.cycle._p, repair=self.bench.cycle)
        self.cycle._verifier = replace(self.cycle._verifier, repair=self.bench.cycle)

    def term(self) -> int:
        return 7

    def run(self, before: str = "+++--"):
        """An incident whose repair has been approved."""
        self.rounds(before)
        action = self.bench.until(self.action.id, S.AWAITING_APPROVAL)
        self.bench.cycle.approve(action.id, "ada", "go")
        return action.id


@pytest.fixture
def world(tmp_path):
    return Mending(tmp_path)


def wait_for_undo(world, id):
    """The undo ends in a thread of the lifecycle; the next turn reads its outcome."""

    def undone():
        undo = world.records.action(id).undo
        return undo is not None and undo.outcome is not None

    until(undone, 10, "the undo")
    return world.records.action(id)


def test_a_repair_that_did_not_help_is_taken_back_and_escalated(world):
    id = world.run()
    world.bench.until(id, S.VERIFYING)
    digest = world.records.action(id).preview.digest
    world.rounds("-------")
    undone = wait_for_undo(world, id)
    assert undone.undo.id.endswith("-undo") and undone.undo.outcome == "successful"
    world.round(False)
    action = world.records.action(id)
    assert action.state is S.ROLLED_BACK
    assert "did not recover in time" in action.reason
    assert world.bench.runner.runs == [digest, digest]
    incident = world.incidents[0]
    assert incident.state is IncidentState.OPEN
    texts = [line.text for line in incident.timeline]
    assert any("act-1 is taken back" in text for text in texts)
    assert any(text.startswith("escalated, rolled back: ") for text in texts)


def test_an_undo_that_fails_leaves_it_to_people(world):
    id = world.run()
    world.bench.until(id, S.VERIFYING)
    world.bench.runner.status = "failed"
    world.rounds("-------")
    wait_for_undo(world, id)
    world.round(False)
    action = world.records.action(id)
    assert action.state is S.ESCALATED and "the undo failed" in action.reason
    assert "not rolled back" in world.incidents[0].timeline[-1].text


def test_without_an_undo_it_is_escalated(tmp_path):
    world = Mending(tmp_path, undo={"none": "nothing to take back"})
    id = world.run()
    world.bench.until(id, S.VERIFYING)
    world.rounds("-------")
    assert world.records.action(id).state is S.ESCALATED
    assert world.records.action(id).undo is None
    assert len(world.bench.runner.runs) == 1


def test_nothing_is_taken_back_while_seawall_is_frozen(world):
    id = world.run()
    world.bench.until(id, S.VERIFYING)
    world.records.freeze(True, "bob", T, "hands off")
    world.rounds("-------")
    assert world.records.action(id).state is S.ESCALATED
    assert len(world.bench.runner.runs) == 1


def test_a_run_that_failed_after_a_change_is_taken_back(world):
    world.bench.runner.status = "failed"
    id = world.run()
    undone = wait_for_undo(world, id)
    assert undone.run.outcome == "failed" and undone.undo is not None
    assert len(world.bench.runner.runs) == 2


def test_an_undo_that_a_restart_interrupted_is_found_again_and_not_repeated(world):
    id = world.run()
    action = world.bench.until(id, S.VERIFYING)
    begun = replace(action, undo=replace(action.run, id="4-undo", outcome=None, ended_at=None))
    world.records.transition(action, begun, "test", T, {"reason": "taken back"})
    folder = world.bench.folder / id / "4-undo"
    folder.mkdir(parents=True)
    (folder / "job.json").write_text("{}")
    world.bench.runner.found = Found("ended", outcome(T + 5))
    world.bench.cycle.recover()
    wait_for_undo(world, id)
    world.round(False)
    assert world.records.action(id).state is S.ROLLED_BACK
    assert len(world.bench.runner.runs) == 1


def test_an_undo_that_is_lost_is_never_repeated_blindly(world):
    id = world.run()
    action = world.bench.until(id, S.VERIFYING)
    begun = replace(action, undo=replace(action.run, id="4-undo", outcome=None, ended_at=None))
    world.records.transition(action, begun, "test", T, {"reason": "taken back"})
    folder = world.bench.folder / id / "4-undo"
    folder.mkdir(parents=True)
    (folder / "job.json").write_text("{}")
    world.bench.cycle.recover()
    assert wait_for_undo(world, id).undo.outcome == "lost"
    world.round(False)
    assert world.records.action(id).state is S.ESCALATED
    assert len(world.bench.runner.runs) == 1


def test_a_worker_that_is_lost_while_seawall_lives_is_in_doubt_and_planned_again(world):
    def lost(*_):
        raise RunFailed("the worker left no outcome")

    world.bench.runner.run = lost
    id = world.run()
    world.bench.until(id, S.IN_DOUBT)
    until(lambda: len(world.records.actions()[0]) == 2, 10, "a new plan")
    again = world.bench.until("act-2", S.AWAITING_APPROVAL)
    assert again.approvals == () and again.incident == world.records.action(id).incident


def test_the_control_is_written_with_the_first_round(world):
    id = world.run()
    world.bench.until(id, S.VERIFYING)
    world.rounds("+")
    proof = world.records.action(id).verification
    assert proof.recovering is False and "not getting better" in proof.control
    assert world.bench.cycle.briefing(id)["statistics"]["runs"] == 0
    world.rounds("++")
    assert world.records.action(id).state is S.SUCCEEDED
    brief = world.bench.cycle.briefing(id)
    assert (brief["hosts"], brief["fleet"], brief["share"]) == (["localhost"], 1, 1.0)
    assert brief["statistics"]["runs"] == 0  # its own run is no experience from before it
    later = replace(world.records.action(id), id="act-9", created_at=world.clock.now())
    found = briefing(later, None, world.records)["statistics"]
    assert (found["runs"], found["success_rate"], found["recovering"]) == (1, 1.0, 0)
    assert found["median_recovery"] == pytest.approx(30)
    assert found["text"] == "100% of 1 run helped, proved after 30s (median)"


def test_a_registry_that_was_well_already_is_not_put_down_to_the_repair(world):
    world.rounds("+++--")
    action = world.bench.until(world.action.id, S.AWAITING_APPROVAL)
    world.rounds("++")
    world.bench.cycle.approve(action.id, "ada", "go")
    world.bench.until(action.id, S.VERIFYING)
    world.rounds("+++")
    done = world.records.action(action.id)
    assert done.state is S.SUCCEEDED and done.verification.recovering is True
    later = replace(done, id="act-9", created_at=world.clock.now())
    text = briefing(later, None, world.records)["statistics"]["text"]
    assert text.endswith("1 of them may have recovered by itself")


def test_a_signal_verifies_where_the_playbook_names_one(tmp_path):
    verify = {"signal": "seawall_probe_success", "op": ">=", "value": 1, "window": "60s", "rounds": 2}
    world = Mending(tmp_path, verify=verify)
    id = world.run()
    world.bench.until(id, S.VERIFYING)
    world.rounds("-+")
    assert world.records.action(id).verification.good_rounds == 1
    world.rounds("+")
    assert world.records.action(id).state is S.SUCCEEDED
    assert "seawall_probe_success is 1, wanted >= 1" in world.incidents[0].timeline[-1].text


def test_only_the_leader_starts_a_run(tmp_path):
    leads = [True]
    world = Mending(tmp_path, leads=lambda: leads[0])
    world.rounds("+++--")
    id = world.bench.until(world.action.id, S.AWAITING_APPROVAL).id
    leads[0] = False
    world.bench.cycle.approve(id, "ada", "go")
    world.bench.until(id, S.APPROVED)
    world.bench.cycle.thaw()
    assert world.bench.runner.runs == []
    leads[0] = True
    world.bench.cycle.recover()
    world.bench.until(id, S.VERIFYING)
    assert world.records.action(id).run.term == 7
    assert len(world.bench.runner.runs) == 1


@pytest.mark.parametrize(
    ("declared", "hidden", "shown"),
    [
        (Risk.LOW, (), Risk.LOW),
        (Risk.LOW, ("a",), Risk.MEDIUM),
        (Risk.MEDIUM, ("a", "b"), Risk.HIGH),
        (Risk.HIGH, ("a",), Risk.HIGH),
    ],
)
def test_what_cannot_be_previewed_raises_the_risk(declared, hidden, shown):
    assert weighed(declared, Preview("d", "", 1, hidden, "", T)) is shown


def test_folders_of_old_actions_go_and_those_of_young_ones_are_packed(world):
    id = world.run()
    world.bench.until(id, S.VERIFYING)
    world.rounds("+++")
    folder = world.bench.folder / id / "3-run"
    folder.mkdir(parents=True)
    for name in ("job.json", "lock", "outcome.json", "events.jsonl", "worker.log"):
        (folder / name).write_text("{}\n")
    # The step after the action's end may be packing the same folder in its thread.
    until(lambda: world.bench.cycle.keep(3600) or is_packed(folder), 10, "a packed folder")
    world.clock.move(3601)
    until(
        lambda: world.bench.cycle.keep(3600) or not (world.bench.folder / id).exists(), 10, "an empty place"
    )
