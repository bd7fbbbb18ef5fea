"""No path reaches running without a valid, unexpired approval whose digest matches (hypothesis, SQLite)."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from remediation import lifecycle
from remediation.catalogue import SHIPPED, Catalogue
from remediation.policy import Policy, Rule
from remediation.workshop import Workshop
from seawall.core.actions import ActionState as S
from seawall.core.actions import Risk
from seawall.core.errors import SeawallError
from seawall.core.incidents import Finding
from seawall.core.ports import Found
from seawall.stores.sql import SqlRecords
from tests.fakes import FakeClock, FakeRunner
from tests.unit.test_deciding import Quiet
from tests.unit.test_lifecycle import FACTS

PEOPLE = st.sampled_from(["ada", "bob", "seawall"])
CATALOGUE = Catalogue.load([SHIPPED])[0]
NEEDED = {Risk.LOW: 1, Risk.MEDIUM: 1, Risk.HIGH: 2}


class Judge(FakeRunner):
    """At each real run, looks into the records whether it may be."""

    machine: "Machine"

    def check(self, target):
        seen = super().check(target)
        self.machine.surprised()
        return seen

    def run(self, target, approval_digest, on_line=None):
        self.machine.judge(target, approval_digest)
        return super().run(target, approval_digest, on_line)


class Machine(RuleBasedStateMachine):
    """People, policy and clock act in any order; each step of the work is a rule, so that all interleave."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="seawall-machine-"))
        self.clock, self.quiet = FakeClock(), Quiet()
        self.runner = Judge(self.clock, found=Found("lost"))
        self.runner.machine = self
        self.records = SqlRecords(f"sqlite:{self.folder / 'records.sqlite'}")
        self.waiting: list = []
        self.consented: dict[tuple[str, str], str] = {}
        self.ran: set[tuple[str, float]] = set()
        self.cycle = self.seawall("ask")
        self.number = 0
        self.surprise = ""
        self.trouble()

    def seawall(self, mode):
        crew, lifecycle.CREW = lifecycle.CREW, 0  # its steps are taken by the rule `work`
        try:
            made = lifecycle.Lifecycle(
                Workshop(
                    records=self.records,
                    runner=self.runner,
                    catalogue=CATALOGUE,
                    policy=Policy(rules=(Rule(mode=mode),)),
                    clock=self.clock,
                    facts=FACTS,
                    folder=self.folder / "runs",
                    silences=self.quiet,
                )
            )
        finally:
            lifecycle.CREW = crew
        made._submit = lambda step, id: self.waiting.append((step, id))
        return made

    def judge(self, target, digest: str) -> None:
        """What must hold in the moment in which a run begins; told from the records and what people did."""
        action = self.records.action(target.folder.parent.name)
        now, people = self.clock.now(), {approval.by for approval in action.approvals}
        assert action.state is S.RUNNING
        assert action.preview.digest == digest
        assert all(approval.digest == digest and now < approval.until for approval in action.approvals)
        assert action.requested_by not in people
        assert people == {"policy"} or len(people) >= NEEDED[action.risk]
        assert people and not (people == {"policy"} and action.risk is Risk.HIGH)
        for by in people - {"policy"}:
            assert self.consented[action.id, by] == digest
        assert not self.records.frozen()[0] and self.quiet.text is None
        once = (action.id, action.approvals[0].at)
        assert once not in self.ran, "one approval, two runs"
        self.ran.add(once)

    def actions(self, *states: S):
        return self.records.actions(states or None, limit=200)[0]

    def tried(self, step, *words) -> bool:
        try:
            step(*words)
        except SeawallError:
            return False
        return True

    @rule()
    def trouble(self) -> None:
        self.number += 1
        found = Finding("x", str(self.number), "main", "availability", "down", "down", self.clock.now())
        self.runner.world = "exited"
        self.cycle.propose(self.records.open_incident(found, "seawall")[0])
        self.drain()

    def drain(self) -> None:
        while self.waiting:
            self.cycle._guarded(*self.waiting.pop(0))

    def surprised(self) -> None:
        """What happens while a check is made, between the first look and the begin of the run."""
        surprise, self.surprise = self.surprise, ""
        if surprise == "late":
            self.clock.move(601)
        elif surprise == "silence":
            self.quiet.text = "silenced by ops"
        elif surprise == "freeze":
            self.records.freeze(True, "ada", self.clock.now(), "release")
        elif surprise == "revoke":
            self.revoke("ada")

    @precondition(lambda self: self.waiting)
    @rule(which=st.integers(0, 3))
    def work(self, which: int) -> None:
        """One step of the work, not always the oldest."""
        self.cycle._guarded(*self.waiting.pop(min(which, len(self.waiting) - 1)))

    @rule()
    def sweep(self) -> None:
        """Every open action is looked for again, also those whose step waits already."""
        self.cycle.sweep()

    @rule(surprise=st.sampled_from(["late", "silence", "freeze", "revoke"]))
    def something_will_happen_during_the_next_check(self, surprise: str) -> None:
        self.surprise = surprise

    @rule(surprise=st.sampled_from(["", "", "", "late", "silence", "freeze", "revoke"]))
    def a_good_night(self, surprise: str) -> None:
        """Somebody is paged, two people approve, and the work is done."""
        self.trouble()
        self.approve("ada", True, "it is down")
        self.approve("bob", True, "it is down")
        self.surprise = surprise
        self.drain()

    @rule(seconds=st.sampled_from([0.0, 1.0, 599.0, 600.0]), moved=st.booleans())
    def a_slow_night(self, seconds: float, moved: bool) -> None:
        """The work comes late, perhaps in another world."""
        self.trouble()
        self.approve("bob", False, "it is down")
        self.approve("ada", False, "it is down")
        self.clock.move(seconds)
        self.runner.world = "paused" if moved else self.runner.world
        self.drain()

    @rule()
    def all_is_well_again(self) -> None:
        """What people had stopped may go on; what was repaired is proved."""
        self.quiet.text = None
        self.freeze(False)
        for action in self.cycle.verifying():
            self.cycle.settle(action, S.SUCCEEDED, "healed")
        self.clock.move(1800)

    @rule(by=PEOPLE, seen=st.booleans(), reason=st.sampled_from(["", "it is down"]))
    def approve(self, by: str, seen: bool, reason: str) -> None:
        for action in self.actions(S.AWAITING_APPROVAL)[:1]:
            digest = action.preview.digest
            if self.tried(self.cycle.approve, action.id, by, reason, digest if seen else None):
                self.consented[action.id, by] = digest

    @rule(by=PEOPLE)
    def approve_what_is_no_longer_so(self, by: str) -> None:
        for action in self.actions(S.AWAITING_APPROVAL)[:1]:
            assert not self.tried(self.cycle.approve, action.id, by, "x", "0" * 64)

    @rule(by=PEOPLE)
    def revoke(self, by: str) -> None:
        for action in self.actions(S.APPROVED, S.AWAITING_APPROVAL)[:1]:
            if self.tried(self.cycle.revoke, action.id, by, "wrong"):
                self.consented.pop((action.id, by), None)

    @rule(by=PEOPLE)
    def reject(self, by: str) -> None:
        for action in self.actions(S.APPROVED, S.AWAITING_APPROVAL)[:1]:
            self.tried(self.cycle.reject, action.id, by, "no")

    @rule()
    def a_higher_risk(self) -> None:
        for action in self.actions(S.AWAITING_APPROVAL)[:1]:
            after = replace(action, risk=Risk.HIGH)
            self.records.transition(action, after, "test", self.clock.now(), {})

    @rule(world=st.sampled_from(["exited", "paused", "dead"]))
    def the_world_moves(self, world: str) -> None:
        self.runner.world = world

    @rule(seconds=st.sampled_from([1.0, 300.0, 599.0, 601.0, 3600.0]))
    def time_goes_on(self, seconds: float) -> None:
        self.clock.move(seconds)
        self.cycle.expire(self.clock.now())

    @rule(frozen=st.booleans())
    def freeze(self, frozen: bool) -> None:
        """Or lift it: what was approved meanwhile goes on."""
        self.records.freeze(frozen, "ada", self.clock.now(), "release")
        if not frozen:
            self.cycle.thaw()

    @rule(text=st.sampled_from([None, "silenced by ops"]))
    def silence(self, text: str | None) -> None:
        self.quiet.text = text

    @rule(mode=st.sampled_from(["observe", "ask", "auto"]))
    def a_restart_with_another_policy(self, mode: str) -> None:
        """What was in memory is lost; the records stay."""
        self.waiting.clear()
        self.cycle = self.seawall(mode)
        self.cycle.recover()

    @invariant()
    def what_began_was_judged(self) -> None:
        begun = [action for action in self.actions() if action.run is not None]
        assert len(begun) <= len(self.ran)

    def teardown(self) -> None:
        assert self.records.audit_verify()[1] is None
        self.records.close()
        shutil.rmtree(self.folder)


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
