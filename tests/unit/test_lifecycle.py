"""The state machine driven over a real record store and catalogue; only the runner and clock are fakes."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from remediation.catalogue import SHIPPED, Catalogue
from remediation.lifecycle import Lifecycle
from remediation.policy import Policy, Rule
from remediation.workshop import Workshop
from seawall.core.actions import ActionState as S
from seawall.core.actions import Risk
from seawall.core.errors import Conflict, NotFound, Refused
from seawall.core.incidents import Finding
from seawall.core.ports import Found
from seawall.stores.sql import SqlRecords
from tests.fakes import FakeClock, FakeRunner, T, outcome

FACTS = {
    "main": {"name": "main", "url": "http://127.0.0.1:5000", "container": "registry", "runtime": "podman"}
}


class Bench:
    """One lifecycle with everything that a test wants to reach."""

    def __init__(self, folder: Path, policy: Policy | None = None, records: SqlRecords | None = None) -> None:
        self.clock = FakeClock()
        self.runner = FakeRunner(self.clock)
        self.records = records or SqlRecords("memory:")
        self.heard: list[S] = []
        self.folder = folder
        self.shop = Workshop(
            records=self.records,
            runner=self.runner,
            catalogue=Catalogue.load([SHIPPED])[0],
            policy=policy or Policy(),
            clock=self.clock,
            facts=FACTS,
            folder=folder,
        )
        self.cycle = Lifecycle(self.shop, lambda action: self.heard.append(action.state))

    def incident(self, fingerprint: str = "main/availability"):
        found = Finding(
            "seawall", fingerprint, "main", "availability", "main: down", "down", self.clock.now()
        )
        return self.records.open_incident(found, "seawall")[0]

    def propose(self):
        made, _ = self.cycle.propose(self.incident())
        return made[0]

    def until(self, id: str, *states: S):
        """The action once it is in one of `states`; the steps run in the lifecycle's own threads."""
        end = time.monotonic() + 10
        while (action := self._found(id)) is None or action.state not in states:
            assert time.monotonic() < end, f"{id} is {action and action.state}: {action and action.history}"
            time.sleep(0.005)
        return action

    def _found(self, id: str):
        """The action; None while it is not there yet."""
        try:
            return self.records.action(id)
        except NotFound:
            return None

    def awaiting(self):
        return self.until(self.propose().id, S.AWAITING_APPROVAL)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_a_proposal_is_previewed_and_waits_for_a_person(bench):
    action = bench.awaiting()
    assert "exited" in action.preview.diff and action.preview.changes == 1
    assert action.expires_at == T + 3600
    assert bench.runner.runs == []


def test_an_approved_action_is_checked_again_run_once_and_verified(bench):
    action = bench.awaiting()
    bench.cycle.approve(action.id, "ada", "seen")
    after = bench.until(action.id, S.VERIFYING)
    assert bench.runner.runs == [action.preview.digest]
    assert bench.runner.checks == 2
    assert after.run.outcome == "successful" and after.verification.slo == "availability"


def test_a_second_approval_of_the_same_action_is_a_conflict(bench):
    action = bench.awaiting()
    bench.cycle.approve(action.id, "ada")
    with pytest.raises(Conflict):
        bench.cycle.approve(action.id, "bob")
    bench.until(action.id, S.VERIFYING)
    assert len(bench.runner.runs) == 1


def test_two_people_race_and_one_run_comes_of_it(bench):
    action = bench.awaiting()
    results: list[str] = []

    def approve(name: str) -> None:
        try:
            bench.cycle.approve(action.id, name)
            results.append("won")
        except Conflict:
            results.append("lost")

    threads = [threading.Thread(target=approve, args=(f"p{i}",)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bench.until(action.id, S.VERIFYING)
    assert sorted(results) == ["lost"] * 5 + ["won"]
    assert len(bench.runner.runs) == 1


def test_an_approval_for_another_preview_is_refused(bench):
    action = bench.awaiting()
    with pytest.raises(Conflict, match="another preview"):
        bench.cycle.approve(action.id, "ada", digest="0" * 64)


def test_nobody_approves_their_own_request(bench):
    action = bench.awaiting()
    with pytest.raises(Refused, match="another person"):
        bench.cycle.approve(action.id, "seawall")


def test_high_risk_needs_two_different_people(bench, tmp_path):
    action = bench.awaiting()
    high = bench.records.transition(action, replace(action, risk=Risk.HIGH), "test", T, {})
    first = bench.cycle.approve(high.id, "ada", "it is down")
    assert first.state is S.AWAITING_APPROVAL
    with pytest.raises(Refused, match="approved action"):
        bench.cycle.approve(high.id, "ada", "it is down")
    assert bench.cycle.approve(high.id, "bob", "I agree").state is S.APPROVED
    bench.until(high.id, S.VERIFYING)


def test_an_expired_question_cannot_be_approved_and_expires(bench):
    action = bench.awaiting()
    bench.clock.move(3600)
    with pytest.raises(Conflict, match="expired"):
        bench.cycle.approve(action.id, "ada")
    bench.cycle.expire(bench.clock.now())
    assert bench.records.action(action.id).state is S.EXPIRED


def test_a_moved_world_voids_the_approval_and_asks_anew(bench):
    action = bench.awaiting()
    bench.runner.world = "paused"
    bench.cycle.approve(action.id, "ada")
    again = bench.until(action.id, S.AWAITING_APPROVAL)
    assert "paused" in again.preview.diff
    assert again.approvals == () and bench.runner.runs == []
    assert again.preview.digest != action.preview.digest


def test_a_freeze_stops_what_has_not_started_and_a_thaw_lets_it_go_on(bench):
    action = bench.awaiting()
    bench.records.freeze(True, "ada", T, "release")
    with pytest.raises(Refused, match="frozen by ada: release"):
        bench.cycle.approve(action.id, "bob")
    bench.records.freeze(False, "ada", T, "")
    bench.cycle.approve(action.id, "bob")
    bench.until(action.id, S.VERIFYING)


def test_a_freeze_after_the_approval_holds_the_run_until_the_thaw(tmp_path):
    bench = Bench(tmp_path)
    action = bench.awaiting()
    gate = threading.Event()
    check = bench.runner.check

    def slow_check(target):
        result = check(target)
        gate.wait(10)
        return result

    bench.runner.check = slow_check
    bench.cycle.approve(action.id, "ada")
    bench.records.freeze(True, "bob", T, "")
    gate.set()
    held = bench.until(action.id, S.APPROVED)
    assert bench.runner.runs == []
    bench.records.freeze(False, "bob", T, "")
    bench.cycle.thaw()
    bench.until(held.id, S.VERIFYING)
    assert len(bench.runner.runs) == 1


def test_a_rejected_action_does_not_run(bench):
    action = bench.awaiting()
    assert bench.cycle.reject(action.id, "ada", "not now").state is S.REJECTED
    with pytest.raises(Conflict):
        bench.cycle.approve(action.id, "bob")
    assert bench.runner.runs == []


def test_a_failed_run_says_so(bench):
    action = bench.awaiting()
    bench.runner.status = "timeout"
    bench.cycle.approve(action.id, "ada")
    after = bench.until(action.id, S.FAILED)
    assert after.run.outcome == "timeout" and "timeout" in after.reason


def test_the_policy_approves_by_itself_where_it_says_auto(tmp_path):
    bench = Bench(tmp_path, Policy(rules=(Rule(mode="auto", playbook="restart-*"),)))
    after = bench.until(bench.propose().id, S.VERIFYING)
    assert [approval.by for approval in after.approvals] == ["policy"]


def test_the_policy_never_runs_a_preview_that_changes_nothing(tmp_path):
    bench = Bench(tmp_path, Policy(rules=(Rule(mode="auto"),)))
    bench.runner.world = "running"
    action = bench.awaiting()
    assert action.preview.changes == 0 and bench.runner.runs == []


def test_observe_only_shows(tmp_path):
    bench = Bench(tmp_path, Policy(default="observe"))
    bench.until(bench.propose().id, S.PREVIEWED)
    assert bench.runner.runs == []


def test_a_playbook_that_ran_is_not_proposed_within_its_cooldown(bench):
    action = bench.awaiting()
    bench.cycle.approve(action.id, "ada")
    after = bench.until(action.id, S.VERIFYING)
    bench.cycle.settle(after, S.SUCCEEDED, "healed")
    made, reasons = bench.cycle.propose(bench.incident())
    assert made == []
    assert any("cooldown ends in" in reason for reason in reasons)


def test_what_a_registry_lacks_is_said(tmp_path):
    bench = Bench(tmp_path)
    bench.cycle._shop.facts["main"].pop("container")
    try:
        made, reasons = bench.cycle.propose(bench.incident())
    finally:
        FACTS["main"]["container"] = "registry"
    assert made == []
    assert any("set registry.container" in reason for reason in reasons)


# restarts ------------------------------------------------------------------------------------


def killed_while_running(tmp_path) -> tuple[Bench, str]:
    """A Seawall that died in the middle of a run: its runner never returned."""
    first = Bench(tmp_path)
    first.runner.hold = threading.Event()
    action = first.awaiting()
    first.cycle.approve(action.id, "ada")
    first.until(action.id, S.RUNNING)
    return Bench(tmp_path, records=first.records), action.id


def test_a_run_that_ended_meanwhile_is_found_and_verified(tmp_path):
    bench, id = killed_while_running(tmp_path)
    bench.runner.found = Found("ended", outcome(T + 5))
    bench.cycle.recover()
    after = bench.until(id, S.VERIFYING)
    assert after.run.ended_at == T + 6
    assert bench.runner.runs == []


def test_a_lost_run_is_in_doubt_and_planned_again_never_run_blindly(tmp_path):
    bench, id = killed_while_running(tmp_path)
    bench.cycle.recover()
    bench.until(id, S.IN_DOUBT)
    again = bench.until("act-2", S.AWAITING_APPROVAL)
    assert again.approvals == () and bench.runner.runs == []


@pytest.mark.parametrize("state", [S.PROPOSED, S.APPROVED])
def test_an_action_not_begun_goes_on_after_a_restart(tmp_path, state):
    first = Bench(tmp_path)
    action = first.awaiting()
    digest = action.preview.digest
    if state is S.APPROVED:
        first.cycle._submit = lambda *_: None
        first.cycle.approve(action.id, "ada")
    else:
        gone = replace(action, state=S.PROPOSED, preview=None)
        first.records.transition(action, gone, "test", T, {})
    bench = Bench(tmp_path, records=first.records)
    bench.cycle.recover()
    if state is S.APPROVED:
        bench.until(action.id, S.VERIFYING)
        assert bench.runner.runs == [digest]
    else:
        assert bench.until(action.id, S.AWAITING_APPROVAL).preview.digest == digest


def test_an_approval_that_ran_out_before_the_restart_expires(tmp_path):
    first = Bench(tmp_path)
    action = first.awaiting()
    first.cycle._submit = lambda *_: None
    first.cycle.approve(action.id, "ada")
    bench = Bench(tmp_path, records=first.records)
    bench.clock.move(601)
    bench.cycle.recover()
    bench.until(action.id, S.EXPIRED)
    assert bench.runner.runs == []
