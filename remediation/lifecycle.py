"""The state machine of DESIGN section 6, driven: propose, preview, approve, run, verify.

Every transition is one compare-and-set on the record, committed before its effect. Slow work
(check mode, the run) happens in worker processes that a small thread pool waits for.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from remediation import diffs
from remediation.aftermath import Aftermath
from remediation.briefing import briefing
from remediation.catalogue import Catalogue, Playbook, content_digest
from remediation.crew import CREW, Crew
from remediation.deciding import POLICY, SEAWALL, Deciding
from remediation.inventory import inventory_text, reach
from remediation.output import Line, lines
from remediation.releasing import file_of, releasing
from remediation.story import told_on
from remediation.weighing import weighed
from remediation.workshop import Workshop
from seawall.core.actions import OPEN_STATES, Action, ActionState, Approval, Preview, Run, Verification
from seawall.core.errors import Conflict, NotFound, RunFailed, SeawallError, StoreUnavailable
from seawall.core.incidents import Incident
from seawall.core.ports import Outcome, Target
from seawall.core.times import format_duration

ELSEWHERE = 60.0  # seconds beyond its time after which a run that another Seawall began has surely ended
log = logging.getLogger(__name__)
S = ActionState


class Lifecycle:
    """Carries actions from proposal to the end of their run; `changed` is called after each step, `said`
    with an action's id when its run has said something."""

    def __init__(
        self,
        shop: Workshop,
        changed: Callable[[Action], None] = lambda _: None,
        said: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._shop, self._changed = shop, changed
        self._records = shop.records
        self._starting = threading.Lock()
        self._crew = Crew(self._guarded, CREW)
        self._deciding = Deciding(shop, self._to, lambda id: self._submit(self._execute, id))
        self._after = Aftermath(shop, self.settle, self._target, self._submit, said)

    @property
    def catalogue(self) -> Catalogue:
        """The playbooks on offer."""
        return self._shop.catalogue

    # propose and preview ---------------------------------------------------------------------

    def propose(self, incident: Incident) -> tuple[list[Action], list[str]]:
        """Actions for an incident's row, and why other playbooks of that row cannot be offered."""
        if incident.slo is None:
            return [], []
        offers, reasons = self._shop.catalogue.proposals(
            incident.slo, self._shop.facts.get(incident.registry, {}), incident.facts
        )
        made = []
        for playbook, inputs in offers:
            if reason := self._cooling(playbook, incident.registry):
                reasons.append(reason)
            elif action := self._propose(playbook, inputs, incident):
                made.append(action)
        return made, reasons

    def _cooling(self, playbook: Playbook, registry: str) -> str | None:
        ended = self._records.last_run_end(playbook.name, registry)
        left = 0.0 if ended is None else ended + playbook.cooldown - self._shop.clock.now()
        return (
            f"{playbook.name} ran already; its cooldown ends in {format_duration(left)}" if left > 0 else None
        )

    def releasing(self, incident: Incident) -> bool:
        """The row is good again; is something still shut for it? See remediation.releasing."""
        return releasing(self._shop, incident, self._propose)

    def _propose(
        self,
        playbook: Playbook,
        inputs: Mapping[str, Any],
        incident: Incident,
        takes_back: str | None = None,
    ) -> Action | None:
        now = self._shop.clock.now()
        action = self._records.propose_action(
            Action(
                id="",
                incident=incident.id,
                playbook=playbook.name,
                registry=incident.registry,
                state=S.PROPOSED,
                risk=playbook.risk,
                requested_by=SEAWALL,
                inputs=dict(inputs),
                created_at=now,
                takes_back=takes_back,
            ),
            SEAWALL,
        )
        if action:
            self._submit(self._preview, action.id)
        return action

    def _preview(self, id: str) -> None:
        action = self._records.action(id)
        if action.state is not S.PROPOSED:
            return
        playbook = self._playbook(action)
        target = self._target(action, playbook, "check")
        outcome = self._shop.runner.check(target)
        if outcome.status != "successful":
            reason = f"the preview failed ({outcome.status}): {outcome.message}"
            self._to(action, S.FAILED, SEAWALL, reason, reason=reason)
            return
        preview = self._previewed(action, playbook, target, outcome)
        action = replace(action, risk=weighed(playbook.risk, preview, playbook.previewable))
        mode, why = self._deciding.mode(replace(action, preview=preview))
        action = self._to(
            action, S.PREVIEWED, SEAWALL, f"{preview.changes} change(s); {why}", preview=preview
        )
        if mode == "auto" and preview.changes:
            self._approved_by_policy(action, preview, why)
        elif mode != "observe":
            until = self._shop.clock.now() + self._shop.policy.ask_for
            self._to(action, S.AWAITING_APPROVAL, SEAWALL, f"asked a person; {why}", expires_at=until)

    def _previewed(self, action: Action, playbook: Playbook, target: Target, outcome: Outcome) -> Preview:
        """The digest covers the very copies that were checked, so that nothing can slip in beside it."""
        inventory = target.inventory
        touched = reach(playbook.targets, inventory, str(self._shop.inventory or "inventory"))
        content = content_digest(target.folder / "project", target.folder / "library")
        return Preview(
            digest=diffs.digest(content, action.inputs, inventory, outcome),
            diff=diffs.render(outcome),
            changes=len(outcome.changes),
            not_previewable=outcome.skipped,
            manual=diffs.manual(file_of(action, playbook), action.inputs, inventory, self._shop.inventory),
            at=self._shop.clock.now(),
            hosts=touched.hosts,
            fleet=touched.fleet,
        )

    def _approved_by_policy(self, action: Action, preview: Preview, why: str) -> None:
        now = self._shop.clock.now()
        approval = Approval(POLICY, now, now + self._shop.policy.approval_valid_for, preview.digest, why)
        self._to(action, S.APPROVED, POLICY, why, approvals=(approval,))
        self._submit(self._execute, action.id)

    # decide ----------------------------------------------------------------------------------

    def approve(self, id: str, by: str, reason: str = "", digest: str | None = None) -> Action:
        """One person's consent to the preview as it stands; errors say why not (remediation.deciding)."""
        return self._deciding.approve(id, by, reason, digest)

    def reject(self, id: str, by: str, reason: str = "") -> Action:
        """Before the run has begun: it will not run. InputError without a reason."""
        return self._deciding.reject(id, by, reason)

    def revoke(self, id: str, by: str, reason: str = "") -> Action:
        """Take an approval back before the run has begun (remediation.deciding)."""
        return self._deciding.revoke(id, by, reason)

    def cancel(self, id: str, by: str, reason: str = "") -> Action:
        """A running one is stopped with everything that it started; one not begun is rejected."""
        action = self._records.action(id)
        if action.state is not S.RUNNING or action.run is None:
            return self.reject(id, by, reason or "cancelled")
        self._records.audit(by, "action.cancel", id, {"reason": reason}, self._shop.clock.now())
        if not self._shop.runner.cancel(self._run_folder(action)):
            raise Conflict(f"the run of action {id} has ended already")
        return action

    # run -------------------------------------------------------------------------------------

    def _execute(self, id: str) -> None:
        """The final check, then the run; the digest that was approved must still be the world's."""
        action = self._records.action(id)
        if action.state is not S.APPROVED or action.preview is None or self._deciding.hold(action):
            return
        playbook = self._playbook(action)
        target = self._target(action, playbook, "final-check")
        outcome = self._shop.runner.check(target)
        if outcome.status != "successful":
            reason = f"the final check failed ({outcome.status}): {outcome.message}"
            self._to(action, S.FAILED, SEAWALL, reason, reason=reason)
            return
        if self._previewed(action, playbook, target, outcome).digest != action.preview.digest:
            reason = "the world has moved since the approval: it is void, a new preview is made"
            self._to(action, S.PROPOSED, SEAWALL, reason, approvals=(), preview=None, expires_at=None)
            self._submit(self._preview, id)
            return
        self._run(action, playbook, target, outcome.first_task_at)

    def _run(self, action: Action, playbook: Playbook, checked: Target, checked_at: float | None) -> None:
        """Runs the copies that the final check has just digested, not what lies in the catalogue by now."""
        target = replace(
            self._target(action, playbook, "run"),
            playbook=checked.folder / "project" / file_of(action, playbook).name,
            library=checked.folder / "library",
        )
        run = Run(
            id=target.folder.name,
            started_at=self._shop.clock.now(),
            check_first_task_at=checked_at,
            term=self._shop.leadership.term(),
        )
        with self._starting:  # locks and limits are judged one after the other
            if self._deciding.hold(action):
                return
            action = self._to(action, S.RUNNING, SEAWALL, f"run {run.id}", run=run)
        try:
            outcome = self._shop.runner.run(target, action.approvals[0].digest, self._after.pulse(action.id))
        except RunFailed as error:
            self._doubt(action, playbook, str(error))
            return
        self._finish(action, playbook, outcome)

    def _doubt(self, action: Action, playbook: Playbook, why: str) -> None:
        """Nothing tells how the run ended: it is never repeated blindly, a new plan is previewed."""
        reason = f"{why}; it is planned again"
        action = self._to(action, S.IN_DOUBT, SEAWALL, reason, reason=reason)
        self._propose(playbook, action.inputs, self._records.incident(action.incident), action.takes_back)

    def _finish(self, action: Action, playbook: Playbook, outcome: Outcome) -> None:
        assert action.run is not None  # noqa: S101 - a running action has its run
        run = replace(
            action.run,
            ended_at=outcome.ended_at,
            outcome=outcome.status,
            changed=len(outcome.changes),
            first_task_at=outcome.first_task_at,
            first_change_at=outcome.first_change_at,
            message=outcome.message,
        )
        verification = playbook.verification(self._shop.clock.now() + playbook.verify.window)
        if outcome.status == "successful":
            proof = verification.signal or verification.slo
            text = f"the run changed {run.changed} task(s); verifying {proof}"
            self._to(action, S.VERIFYING, SEAWALL, text, run=run, verification=verification)
        else:
            reason = f"the run ended {outcome.status}: {outcome.message}"
            if outcome.changes and self._after.take_back(action, reason, verification, run=run):
                return
            self._to(action, S.FAILED, SEAWALL, reason, run=run, reason=reason)

    # time and restarts -----------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """The clock's part: questions end or escalate, what waits is looked at again."""
        self._deciding.expire(now)

    def moot(self, incident: Incident, reason: str) -> None:
        """The incident is over: what has not begun will not begin."""
        for action in self._open():
            if action.incident == incident.id and action.state not in (S.RUNNING, S.VERIFYING):
                self._to(action, S.EXPIRED, SEAWALL, reason, reason=reason)

    def thaw(self) -> None:
        """After an unfreeze: what was approved meanwhile goes on (its approval may have run out)."""
        for action in self._open():
            if action.state is S.APPROVED:
                self._submit(self._execute, action.id)

    def recover(self) -> None:
        """After a restart, or a change of the leader: every open action is found again; none is run twice
        blindly."""
        self._find({**self._work_of(), S.PREVIEWED: self._restart_preview})

    def sweep(self) -> None:
        """Every few seconds: what another Seawall has left to the leader (consent given there), and what
        could not go on while the records were away."""
        self._find(self._work_of())

    def _work_of(self) -> dict[ActionState, Callable[[str], None]]:
        return {
            S.PROPOSED: self._preview,
            S.APPROVED: self._execute,
            S.RUNNING: self._resume,
            S.VERIFYING: self._after.undo,
        }

    def _find(self, work: Mapping[ActionState, Callable[[str], None]]) -> None:
        for action in self._open():
            if action.state in work and not self._crew.has(action.id):
                self._submit(work[action.state], action.id)

    def _restart_preview(self, id: str) -> None:
        action = self._records.action(id)
        if action.state is not S.PREVIEWED:
            return
        mode, why = self._deciding.mode(action)
        if mode != "observe":
            until = self._shop.clock.now() + self._shop.policy.ask_for
            self._to(action, S.AWAITING_APPROVAL, SEAWALL, f"asked a person; {why}", expires_at=until)

    def _resume(self, id: str) -> None:
        action = self._records.action(id)
        if action.state is not S.RUNNING:
            return
        playbook = self._playbook(action)
        if not self._may_judge(action, playbook):
            return
        pulse = self._after.pulse(id)
        found = self._shop.runner.wait(self._run_folder(action), playbook.timeout, pulse)
        if found.outcome is not None:
            self._finish(action, playbook, found.outcome)
            return
        self._doubt(action, playbook, "Seawall stopped during the run and nothing tells how it ended")

    def _may_judge(self, action: Action, playbook: Playbook) -> bool:
        """Its folder is here; or nobody shares these records, or the leader has waited until it must have
        ended: a run whose folder is elsewhere may go on there."""
        assert action.run is not None  # noqa: S101 - a running action has its run
        if action.run.term == 0 or self._run_folder(action).exists():
            return True
        late = self._shop.clock.now() > action.run.started_at + playbook.timeout + ELSEWHERE
        return late and self._shop.leadership.leads()

    def verifying(self) -> list[Action]:
        """Actions whose effect is being measured."""
        return [action for action in self._open() if action.state is S.VERIFYING]

    def take_back(self, action: Action, reason: str, proof: Verification) -> bool:
        """Begin the playbook's undo. False if it has none, or Seawall is frozen: nothing was done."""
        return self._after.take_back(action, reason, proof)

    def keep(self, seconds: float) -> None:
        """House keeping: folders of actions that ended longer ago are deleted, the others are packed."""
        self._after.keep(seconds)

    def output(self, id: str, after: str = "") -> Iterator[Line]:
        """What an action's workers said, after a cursor, the oldest first. NotFound if there is no action."""
        return lines(self._shop.folder / self._records.action(id).id, after)

    def briefing(self, id: str) -> dict[str, Any]:
        """What to know before approving an action: remediation.briefing has the shape."""
        action = self._records.action(id)
        return briefing(action, self._shop.catalogue.get(action.playbook), self._records)

    def settle(self, action: Action, to: ActionState, text: str, **changes: Any) -> Action:
        """Write a step of the verification, or of the undo."""
        return self._to(action, to, SEAWALL, text, **changes)

    # parts -----------------------------------------------------------------------------------

    def _open(self) -> list[Action]:
        return self._records.actions(tuple(OPEN_STATES), limit=200)[0]

    def _to(self, action: Action, state: ActionState, actor: str, text: str, **changes: Any) -> Action:
        after = replace(action, state=state, **changes)
        saved = self._records.transition(action, after, actor, self._shop.clock.now(), {"reason": text})
        self._changed(saved)
        if saved.state in (S.FAILED, S.IN_DOUBT):
            told_on(self._records, saved, f"action.{saved.state}_told", text, self._shop.clock.now())
        if saved.state not in OPEN_STATES:
            self._submit(self._after.tidy, saved.id)
        return saved

    def _submit(self, step: Callable[[str], None], id: str) -> None:
        self._crew.submit(step, id)

    def _guarded(self, step: Callable[[str], None], id: str) -> None:
        """A step that fails says so on its action; a lost race is not a failure. Who does not lead only looks
        after its own runs: the leader will find the action."""
        try:
            if step in (self._after.tidy, self._resume) or self._shop.leadership.leads():
                step(id)
        except Conflict as error:
            log.info("action %s: %s", id, error)
        except StoreUnavailable as error:
            log.error("action %s goes on once the store is back: %s", id, error)
        except Exception as error:
            log.exception("action %s failed", id)
            with suppress(Conflict):  # it ended otherwise meanwhile
                self._fail(id, error)

    def _fail(self, id: str, error: Exception) -> None:
        action = self._records.action(id)
        reason = str(error) if isinstance(error, SeawallError) else f"{type(error).__name__}: {error}"
        state = S.IN_DOUBT if action.state is S.RUNNING else S.FAILED
        self._to(action, state, SEAWALL, reason, reason=reason)

    def _playbook(self, action: Action) -> Playbook:
        playbook = self._shop.catalogue.get(action.playbook)
        if playbook is None:
            raise NotFound(f"playbook {action.playbook!r} is gone from the catalogue")
        return playbook

    def _inventory(self, playbook: Playbook) -> str:
        return inventory_text(playbook.targets, self._shop.inventory)

    def _target(self, action: Action, playbook: Playbook, kind: str) -> Target:
        parent = self._shop.folder / action.id
        parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = 1 + sum(1 for _ in parent.iterdir())
        return Target(
            folder=parent / f"{number}-{kind}",
            playbook=file_of(action, playbook),
            inputs=action.inputs,
            inventory=self._inventory(playbook),
            timeout=playbook.timeout,
        )

    def _run_folder(self, action: Action) -> Path:
        assert action.run is not None  # noqa: S101 - a running action has its run
        return self._shop.folder / action.id / action.run.id
