"""Consent: races, expiry, revocation, silences, escalation; over the real records and state machine."""

import shutil
import threading
from dataclasses import replace

import pytest

from remediation.catalogue import SHIPPED, Catalogue
from remediation.lifecycle import Lifecycle
from remediation.policy import Blast, Escalation, Limit, Policy, Rule
from seawall.core.actions import ActionState as S
from seawall.core.actions import Risk
from seawall.core.errors import Conflict, InputError, Refused, SeawallError
from seawall.core.incidents import Finding
from seawall.core.ports import Target
from tests.fakes import FakeRunner, T
from tests.unit.test_lifecycle import Bench


class Quiet:
    """Silences at the port that reaches outside: `text` is what is silenced; `away` cannot be asked."""

    def __init__(self) -> None:
        self.text: str | None = None
        self.away = False

    def silenced(self, registry: str, slo: str | None) -> str | None:
        if self.away:
            raise SeawallError("no answer")
        return self.text


class Copying(FakeRunner):
    """Copies the playbook's folder first, as the worker does."""

    def check(self, target: Target):
        shutil.copytree(target.playbook.parent, target.folder / "project")
        return super().check(target)


def bench_of(folder, policy: Policy | None = None, runner=None, catalogue=None, **parts) -> Bench:
    bench = Bench(folder, policy)
    bench.runner = runner(bench.clock) if runner else bench.runner
    bench.shop = replace(
        bench.shop, runner=bench.runner, catalogue=catalogue or bench.shop.catalogue, **parts
    )
    bench.cycle = Lifecycle(bench.shop, lambda action: bench.heard.append(action.state))
    return bench


def approved_but_not_begun(bench: Bench):
    """An approved action whose run has not been started yet."""
    action = bench.awaiting()
    submit = bench.cycle._submit
    bench.cycle._submit = lambda *_: None
    action = bench.cycle.approve(action.id, "ada", "seen")
    bench.cycle._submit = submit
    return action


def high(bench: Bench):
    action = bench.awaiting()
    return bench.records.transition(action, replace(action, risk=Risk.HIGH), "test", T, {})


def started(bench: Bench, id: str) -> None:
    bench.cycle._execute(id)


# consent --------------------------------------------------------------------------------------


def test_two_approvers_of_a_high_risk_race_and_both_count_once(tmp_path):
    bench = Bench(tmp_path)
    action = high(bench)
    gate = threading.Barrier(2)

    def approve(name: str) -> None:
        gate.wait(10)
        bench.cycle.approve(action.id, name, "it is down")

    people = [threading.Thread(target=approve, args=(name,)) for name in ("ada", "bob")]
    for person in people:
        person.start()
    for person in people:
        person.join()
    after = bench.until(action.id, S.VERIFYING)
    assert {approval.by for approval in after.approvals} == {"ada", "bob"}
    assert len(bench.runner.runs) == 1


def test_high_risk_and_a_rejection_need_a_reason(tmp_path):
    bench = Bench(tmp_path)
    action = high(bench)
    for step in (bench.cycle.approve, bench.cycle.reject, bench.cycle.revoke):
        with pytest.raises(InputError, match="say why"):
            step(action.id, "ada", "  ")
    assert bench.records.action(action.id).state is S.AWAITING_APPROVAL


@pytest.mark.parametrize(("late", "state"), [(-0.001, S.VERIFYING), (0.0, S.EXPIRED)])
def test_an_approval_that_comes_as_the_question_expires(tmp_path, late, state):
    bench = Bench(tmp_path)
    action = bench.awaiting()
    bench.clock.at = action.expires_at + late
    if state is S.EXPIRED:
        with pytest.raises(Conflict, match="expired"):
            bench.cycle.approve(action.id, "ada")
    else:
        bench.cycle.approve(action.id, "ada")
    bench.clock.at = action.expires_at
    bench.cycle.expire(bench.clock.now())
    bench.until(action.id, state)
    assert len(bench.runner.runs) == (state is S.VERIFYING)


def test_a_playbook_that_changes_after_the_approval_voids_it(tmp_path):
    shutil.copytree(SHIPPED / "restart-registry", tmp_path / "books/restart-registry")
    catalogue, broken = Catalogue.load([tmp_path / "books"])
    assert not broken
    bench = bench_of(tmp_path / "runs", runner=Copying, catalogue=catalogue)
    action = approved_but_not_begun(bench)
    book = tmp_path / "books/restart-registry/playbook.yml"
    book.write_text(book.read_text() + "\n# one more line\n")
    started(bench, action.id)
    again = bench.until(action.id, S.AWAITING_APPROVAL)
    assert again.approvals == () and bench.runner.runs == []
    assert again.preview.digest != action.preview.digest


def test_an_approval_for_another_digest_never_starts_a_run(tmp_path):
    bench = Bench(tmp_path)
    action = approved_but_not_begun(bench)
    other = replace(action.approvals[0], digest="0" * 64)
    bench.records.transition(action, replace(action, approvals=(other,)), "test", T, {})
    started(bench, action.id)
    assert bench.records.action(action.id).state is S.EXPIRED and bench.runner.runs == []


# revocation -----------------------------------------------------------------------------------


def test_an_approval_revoked_before_the_start_stops_the_run_and_is_audited(tmp_path):
    bench = Bench(tmp_path)
    action = approved_but_not_begun(bench)
    assert bench.cycle.revoke(action.id, "bob", "wrong host").state is S.REJECTED
    started(bench, action.id)
    assert bench.runner.runs == []
    entry = bench.records.audit_entries(limit=1)[0][0]
    assert (entry["actor"], entry["event"]) == ("bob", "action.rejected")
    assert "approval revoked: wrong host" in entry["detail"]


def test_the_first_of_two_takes_only_the_own_approval_back(tmp_path):
    bench = Bench(tmp_path)
    action = high(bench)
    bench.cycle.approve(action.id, "ada", "it is down")
    with pytest.raises(Conflict, match="no approval to take back"):
        bench.cycle.revoke(action.id, "bob", "no")
    assert bench.cycle.revoke(action.id, "ada", "I was wrong").approvals == ()
    assert bench.cycle.approve(action.id, "bob", "it is down").state is S.AWAITING_APPROVAL


def test_what_runs_cannot_be_revoked(tmp_path):
    bench = Bench(tmp_path)
    bench.runner.hold = threading.Event()
    action = bench.awaiting()
    bench.cycle.approve(action.id, "ada")
    bench.until(action.id, S.RUNNING)
    with pytest.raises(Conflict, match="seawall cancel"):
        bench.cycle.revoke(action.id, "ada", "too late")
    bench.runner.hold.set()
    bench.until(action.id, S.VERIFYING)


# what stands in the way -----------------------------------------------------------------------


def test_a_silence_set_after_the_approval_stops_the_run_until_it_ends(tmp_path):
    quiet = Quiet()
    bench = bench_of(tmp_path, silences=quiet)
    action = approved_but_not_begun(bench)
    quiet.text = "silenced by ops"
    started(bench, action.id)
    held = bench.records.action(action.id)
    assert held.state is S.APPROVED and bench.runner.runs == []
    assert "it waits: silenced by ops (silences)" in held.history[-1][2]
    bench.cycle.expire(bench.clock.now())
    quiet.text = None
    bench.cycle.expire(bench.clock.now())
    bench.until(action.id, S.VERIFYING)


def test_a_silence_that_outlasts_the_approval_lets_it_expire(tmp_path):
    quiet = Quiet()
    bench = bench_of(tmp_path, silences=quiet)
    action = approved_but_not_begun(bench)
    quiet.text = "silenced by ops"
    started(bench, action.id)
    bench.clock.move(600)
    bench.cycle.expire(bench.clock.now())
    bench.until(action.id, S.EXPIRED)
    assert bench.runner.runs == []


def test_nobody_approves_what_is_silenced(tmp_path):
    quiet = Quiet()
    bench = bench_of(tmp_path, silences=quiet)
    action = bench.awaiting()
    quiet.text = "silenced by ops"
    with pytest.raises(Refused, match="silenced by ops"):
        bench.cycle.approve(action.id, "ada")


def test_without_alertmanager_the_policy_asks_and_a_person_may(tmp_path):
    quiet = Quiet()
    quiet.away = True
    bench = bench_of(tmp_path, Policy(rules=(Rule(mode="auto"),)), silences=quiet)
    action = bench.awaiting()
    assert "silences are not known" in action.history[-1][2]
    bench.cycle.approve(action.id, "ada")
    bench.until(action.id, S.VERIFYING)


def test_auto_over_a_limit_becomes_a_question_that_says_why(tmp_path):
    bench = Bench(tmp_path, Policy(rules=(Rule(mode="auto"),), limits=(Limit(runs=1),)))
    bench.runner.world = "exited"
    bench.until(bench.propose().id, S.VERIFYING)
    bench.runner.world = "exited"
    made = bench.records.propose_action(
        replace(
            bench.records.action("act-1"),
            incident=other_incident(bench),
            state=S.PROPOSED,
            run=None,
            verification=None,
            preview=None,
            approvals=(),
            version=0,
            history=(),
        ),
        "seawall",
    )
    bench.cycle._preview(made.id)
    asked = bench.until(made.id, S.AWAITING_APPROVAL)
    assert "rule 1 says auto, but limit 1: 1 run(s) began" in asked.history[-1][2]
    with pytest.raises(Refused, match="limit 1"):
        bench.cycle.approve(made.id, "ada")


def other_incident(bench: Bench) -> str:
    found = Finding("other", "x", "main", None, "main: odd", "odd", bench.clock.now())
    return bench.records.open_incident(found, "seawall")[0].id


def test_a_run_waits_for_the_run_before_it_on_the_same_registry(tmp_path):
    bench = Bench(tmp_path)
    bench.runner.hold = threading.Event()
    first = bench.awaiting()
    bench.cycle.approve(first.id, "ada")
    running = bench.until(first.id, S.RUNNING)
    second = bench.records.propose_action(
        replace(running, incident=other_incident(bench), state=S.APPROVED, run=None, version=0), "seawall"
    )
    started(bench, second.id)
    held = bench.records.action(second.id)
    assert held.state is S.APPROVED and "act-1 is running on main (lock)" in held.history[-1][2]
    bench.runner.hold.set()
    bench.until(first.id, S.VERIFYING)
    assert len(bench.runner.runs) == 1


def test_what_would_touch_too_many_hosts_is_not_approved(tmp_path):
    bench = Bench(tmp_path, Policy(blast=Blast(hosts=1)))
    action = bench.awaiting()
    wide = replace(action.preview, hosts=("a", "b"), fleet=4)
    bench.records.transition(action, replace(action, preview=wide), "test", T, {})
    with pytest.raises(Refused, match="2 hosts; the policy allows 1"):
        bench.cycle.approve(action.id, "ada")


def test_a_question_climbs_the_chain_once_a_step(tmp_path):
    chain = (Escalation(after="10m", notify="second line"), Escalation(after="20m", notify="head"))
    bench = Bench(tmp_path, Policy(escalation=chain))
    action = bench.awaiting()
    for seconds in (599, 1, 5, 595, 5):
        bench.clock.move(seconds)
        bench.cycle.expire(bench.clock.now())
    told = [(at - T, text) for at, _, text in bench.records.action(action.id).history if "tell" in text]
    assert told == [
        (600, "awaiting_approval: nobody decided within 10m: step 1, tell second line"),
        (1200, "awaiting_approval: nobody decided within 20m: step 2, tell head"),
    ]
    assert bench.cycle.approve(action.id, "ada").state is S.APPROVED
