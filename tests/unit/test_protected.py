"""Protected, not healed: a repair whose proof is not the incident's row; its undo is offered afterwards."""

import pytest
from prometheus_client import generate_latest

from remediation.catalogue import SHIPPED, load_playbook
from remediation.weighing import weighed
from seawall.core.actions import ActionState as S
from seawall.core.actions import Preview, Risk
from seawall.core.errors import InputError
from seawall.core.incidents import IncidentState
from seawall.core.signals import Sample, labels
from seawall.telemetry import Telemetry
from tests.fakes import T
from tests.serving import until
from tests.unit.test_aftermath import Mending, book

SHIELD = {"signal": "seawall_shield", "op": ">=", "value": 1, "window": "10m", "rounds": 2}
OFFERED = {"playbook": "undo.yml", "offered": True}


class Shielded(Mending):
    """Its only playbook is proved by a signal; which files ran is kept in `files`."""

    def __init__(self, folder, **changes) -> None:
        super().__init__(folder, **{"verify": SHIELD, "undo": OFFERED} | changes)
        self.files: list[str] = []
        run = self.bench.runner.run

        def kept(target, *rest):
            self.files.append(target.playbook.name)
            return run(target, *rest)

        self.bench.runner.run = kept

    def round(self, ok: bool) -> None:
        pairs = labels(volume="/srv")
        self.samples.append([Sample("main", "seawall_shield", self.clock.now() + 9, 1.0, pairs)])
        super().round(ok)

    def protect(self) -> str:
        """Approved, run and proved, while the row is still bad."""
        id = self.run()
        self.bench.until(id, S.VERIFYING)
        self.rounds("--")
        assert self.records.action(id).state is S.SUCCEEDED
        return id

    def story(self) -> list[str]:
        return [line.text for line in self.incidents[0].timeline]


@pytest.fixture
def world(tmp_path):
    return Shielded(tmp_path)


def offered(world):
    """The undo that waits for a person."""
    return world.bench.until(world.action.id, S.AWAITING_APPROVAL)


def test_an_incident_whose_row_is_still_bad_stays_open_and_says_why(world):
    id = world.protect()
    assert world.incidents[0].state is IncidentState.OPEN
    [line] = [text for text in world.story() if text.startswith("protected, not healed, by")]
    assert id in line and "seawall_shield is 1, wanted >= 1; still bad: " in line
    world.rounds("---")
    assert len(world.incidents[0].actions) == 1  # nothing is offered while it is bad


def test_the_undo_is_offered_when_there_is_room_and_heals_the_incident_when_it_has_run(world):
    id = world.protect()
    world.rounds("+++")
    undo = offered(world)
    assert (undo.takes_back, undo.playbook, undo.inputs) == (id, "mend", world.records.action(id).inputs)
    assert f"{undo.id}: the row is good again; this would take {id} (mend) back" in world.story()
    assert "undo.yml" in undo.preview.manual
    world.rounds("++++")
    assert len(world.incidents[0].actions) == 2  # offered once
    assert world.incidents[0].state is IncidentState.OPEN
    world.bench.cycle.approve(undo.id, "ada", "there is room")
    world.bench.until(undo.id, S.VERIFYING)
    world.rounds("++")
    assert world.records.action(undo.id).state is S.SUCCEEDED
    assert world.files == ["playbook.yml", "undo.yml"]
    assert world.incidents[0].state is IncidentState.RESOLVED
    assert f"{id} was taken back by {undo.id}" in world.story()[-1]
    assert world.bench.cycle.briefing(undo.id)["statistics"]["runs"] == 1  # the undo is no run of the repair


def test_a_rejected_undo_leaves_it_protected_and_ends_the_incident(world):
    world.protect()
    world.rounds("+++")
    world.bench.cycle.reject(offered(world).id, "ada", "it stays shut until Monday")
    world.rounds("+")
    assert world.incidents[0].state is IncidentState.RESOLVED
    assert world.files == ["playbook.yml"]


def test_an_undo_that_nobody_answered_is_offered_again(world):
    world.protect()
    world.rounds("+++")
    first = offered(world)
    world.clock.move(3600)
    world.rounds("++++")
    assert world.records.action(first.id).state is S.EXPIRED
    assert offered(world).id != first.id and world.incidents[0].state is IncidentState.OPEN


def test_an_undo_that_fails_keeps_the_incident_open_and_is_not_taken_back_itself(world):
    world.protect()
    world.rounds("+++")
    undo = offered(world)
    world.bench.runner.status = "failed"
    world.bench.cycle.approve(undo.id, "ada", "go")
    failed = world.bench.until(undo.id, S.FAILED)
    assert failed.undo is None
    world.rounds("+++")
    assert world.incidents[0].state is IncidentState.OPEN


def test_without_offered_the_incident_resolves_by_itself(tmp_path):
    world = Shielded(tmp_path, undo={"playbook": "undo.yml"})
    world.protect()
    world.rounds("+++")
    assert world.incidents[0].state is IncidentState.RESOLVED
    assert world.files == ["playbook.yml"]


def test_offered_needs_a_playbook_and_protect_disk_is_so(tmp_path):
    assert load_playbook(SHIPPED / "protect-disk").way_back.offered
    with pytest.raises(InputError, match="nothing to offer"):
        load_playbook(book(tmp_path, undo={"none": "no way back", "offered": True}) / "mend")


# what is told and counted ----------------------------------------------------------------------


def test_a_failed_run_without_an_undo_is_a_line_of_the_incidents_story(tmp_path):
    world = Shielded(tmp_path, undo={"none": "nothing to take back"})
    world.bench.runner.status = "failed"
    id = world.run()
    world.bench.until(id, S.FAILED)
    words = f"{id}: the run ended failed"  # written after the transition, by the lifecycle's own thread
    until(lambda: any(text.startswith(words) for text in world.story()), 10, "the line")


def test_each_run_is_counted_once_whatever_its_verification_takes(tmp_path):
    world = Shielded(tmp_path)
    telemetry = Telemetry(world.records)
    world.bench.cycle._changed = telemetry.action
    world.protect()
    page = generate_latest(telemetry.registry).decode()
    assert 'seawall_runs_total{outcome="successful",playbook="mend"} 1.0' in page


@pytest.mark.parametrize(
    ("declared", "previewable", "shown"),
    [
        (Risk.LOW, True, Risk.LOW),
        (Risk.LOW, False, Risk.MEDIUM),
        (Risk.MEDIUM, False, Risk.HIGH),
        (Risk.HIGH, False, Risk.HIGH),
    ],
)
def test_a_playbook_that_is_not_previewable_is_one_tier_riskier(declared, previewable, shown):
    assert weighed(declared, Preview("d", "", 1, (), "", T), previewable) is shown


def test_that_tier_counts_for_the_approvers_and_is_told(tmp_path):
    world = Shielded(tmp_path, previewable=False)
    world.rounds("+++--")
    action = world.bench.until(world.action.id, S.AWAITING_APPROVAL)
    assert action.risk is Risk.MEDIUM  # declared low
    reason = world.bench.cycle.briefing(action.id)["risk_reason"]
    assert reason == "its playbook says that check mode does not show all: one tier higher"
