"""The state machine of DESIGN section 6, driven: propose, preview, approve, run, verify.

Every transition is one compare-and-set on the record, committed before its effect. Slow work
(check mode, the run) happens in worker processes that a small thread pool waits for.
"""

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from remediation import diffs
from remediation.catalogue import Catalogue, Playbook, content_digest
from remediation.inventory import inventory_text
from remediation.policy import Policy
from seawall.core.actions import OPEN_STATES, Action, ActionState, Approval, Preview, Run
from seawall.core.errors import Conflict, NotFound, Refused, SeawallError
from seawall.core.incidents import Incident
from seawall.core.ports import Clock, Outcome, RecordStore, Runner, Target
from seawall.core.times import format_duration

POLICY = "policy"
SEAWALL = "seawall"
CREW = 4
log = logging.getLogger(__name__)
S = ActionState


@dataclass(frozen=True)
class Workshop:
    """What the lifecycle works with. `facts` (by registry) fill the playbooks' inputs."""

    records: RecordStore
    runner: Runner
    catalogue: Catalogue
    policy: Policy
    clock: Clock
    facts: Mapping[str, Mapping[str, Any]]
    folder: Path
    inventory: Path | None = None


class Lifecycle:
    """Carries actions from proposal to the end of their run; `changed` is called after each step."""

    def __init__(self, shop: Workshop, changed: Callable[[Action], None] = lambda _: None) -> None:
        self._shop, self._changed = shop, changed
        self._records = shop.records
        self._work: queue.SimpleQueue[tuple[Callable[[str], None], str]] = queue.SimpleQueue()
        # Daemons: a stop of Seawall does not wait for a playbook; its worker goes on and is found again.
        for number in range(CREW):
            threading.Thread(target=self._labour, name=f"action-{number}", daemon=True).start()

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

    def _propose(self, playbook: Playbook, inputs: Mapping[str, Any], incident: Incident) -> Action | None:
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
            ),
            SEAWALL,
        )
        if action:
            self._submit(self._preview, action.id)
        return action

    def _preview(self, id: str) -> None:
        action = self._records.action(id)
        playbook = self._playbook(action)
        target = self._target(action, playbook, "check")
        outcome = self._shop.runner.check(target)
        if outcome.status != "successful":
            reason = f"the preview failed ({outcome.status}): {outcome.message}"
            self._to(action, S.FAILED, SEAWALL, reason, reason=reason)
            return
        preview = self._previewed(action, playbook, target, outcome)
        mode, why = self._shop.policy.decide(playbook.name, action.registry, action.risk)
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
        inventory = self._inventory(playbook)
        content = content_digest(target.folder / "project", target.folder / "library")
        return Preview(
            digest=diffs.digest(content, action.inputs, inventory, outcome),
            diff=diffs.render(outcome),
            changes=len(outcome.changes),
            not_previewable=outcome.skipped,
            manual=diffs.manual(playbook.path, action.inputs, inventory),
            at=self._shop.clock.now(),
        )

    def _approved_by_policy(self, action: Action, preview: Preview, why: str) -> None:
        now = self._shop.clock.now()
        approval = Approval(POLICY, now, now + self._shop.policy.approval_valid_for, preview.digest, why)
        self._to(action, S.APPROVED, POLICY, why, approvals=(approval,))
        self._submit(self._execute, action.id)

    # decide ----------------------------------------------------------------------------------

    def approve(self, id: str, by: str, reason: str = "", digest: str | None = None) -> Action:
        """One person's consent to the preview as it stands. Refused or Conflict say why not."""
        action = self._records.action(id)
        preview = self._check_approvable(action, by, digest)
        now = self._shop.clock.now()
        approval = Approval(by, now, now + self._shop.policy.approval_valid_for, preview.digest, reason)
        approvals = (*action.approvals, approval)
        if len(approvals) < self._shop.policy.people(action.risk):
            return self._to(action, action.state, by, "one more person must approve", approvals=approvals)
        action = self._to(action, S.APPROVED, by, reason or "approved", approvals=approvals)
        self._submit(self._execute, action.id)
        return action

    def _check_approvable(self, action: Action, by: str, digest: str | None) -> Preview:
        if action.state is not S.AWAITING_APPROVAL or action.preview is None:
            raise Conflict(
                f"action {action.id} is {action.state}; only one that awaits approval can be approved"
            )
        if action.expires_at is not None and self._shop.clock.now() >= action.expires_at:
            raise Conflict(f"action {action.id} has expired; a new preview is needed")
        if digest is not None and digest != action.preview.digest:
            raise Conflict(f"action {action.id} has another preview now; read it again before you approve")
        if by == action.requested_by:
            raise Refused(f"{by} requested action {action.id}; another person must approve it")
        if any(approval.by == by for approval in action.approvals):
            raise Refused(f"{by} has approved action {action.id} already; another person must")
        self._refuse_if_frozen()
        return action.preview

    def _refuse_if_frozen(self) -> None:
        frozen, by = self._records.frozen()
        if frozen:
            raise Refused(f"Seawall is frozen {by}; `seawall unfreeze` lifts it")

    def reject(self, id: str, by: str, reason: str = "") -> Action:
        """Before the run has begun: it will not run."""
        action = self._records.action(id)
        return self._to(action, S.REJECTED, by, reason or "rejected", reason=reason)

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
        if action.state is not S.APPROVED or action.preview is None or self._held(action):
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
        if not self._held(action):
            self._run(action, playbook, target, outcome.first_task_at)

    def _held(self, action: Action) -> bool:
        """Frozen (it waits) or past its approval (it expires)."""
        if self._records.frozen()[0]:
            return True
        if self._shop.clock.now() < min(approval.until for approval in action.approvals):
            return False
        self._to(action, S.EXPIRED, SEAWALL, "the approval ran out before the run began")
        return True

    def _run(self, action: Action, playbook: Playbook, checked: Target, checked_at: float | None) -> None:
        """Runs the copies that the final check has just digested, not what lies in the catalogue by now."""
        target = replace(
            self._target(action, playbook, "run"),
            playbook=checked.folder / "project" / playbook.playbook,
            library=checked.folder / "library",
        )
        run = Run(id=target.folder.name, started_at=self._shop.clock.now(), check_first_task_at=checked_at)
        action = self._to(action, S.RUNNING, SEAWALL, f"run {run.id}", run=run)
        self._finish(action, playbook, self._shop.runner.run(target, action.approvals[0].digest))

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
        if outcome.status == "successful":
            until = self._shop.clock.now() + playbook.verify.window
            verification = playbook.verification(until)
            text = f"the run changed {run.changed} task(s); verifying {verification.slo}"
            self._to(action, S.VERIFYING, SEAWALL, text, run=run, verification=verification)
        else:
            reason = f"the run ended {outcome.status}: {outcome.message}"
            self._to(action, S.FAILED, SEAWALL, reason, run=run, reason=reason)

    # time and restarts -----------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """Approvals that nobody gave in time."""
        for action in self._open():
            if action.state is S.AWAITING_APPROVAL and action.expires_at and now >= action.expires_at:
                self._to(
                    action, S.EXPIRED, SEAWALL, "nobody approved it in time", reason="nobody approved in time"
                )

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
        """After a restart: every open action is found again; none is run twice blindly."""
        work = {
            S.PROPOSED: self._preview,
            S.PREVIEWED: self._restart_preview,
            S.APPROVED: self._execute,
            S.RUNNING: self._resume,
        }
        for action in self._open():
            if action.state in work:
                self._submit(work[action.state], action.id)

    def _restart_preview(self, id: str) -> None:
        action = self._records.action(id)
        mode, why = self._shop.policy.decide(action.playbook, action.registry, action.risk)
        if mode != "observe":
            until = self._shop.clock.now() + self._shop.policy.ask_for
            self._to(action, S.AWAITING_APPROVAL, SEAWALL, f"asked a person; {why}", expires_at=until)

    def _resume(self, id: str) -> None:
        action = self._records.action(id)
        playbook = self._playbook(action)
        found = self._shop.runner.wait(self._run_folder(action), playbook.timeout)
        if found.outcome is not None:
            self._finish(action, playbook, found.outcome)
            return
        reason = "Seawall stopped during the run and nothing tells how it ended; it is planned again"
        action = self._to(action, S.IN_DOUBT, SEAWALL, reason, reason=reason)
        self._propose(playbook, action.inputs, self._records.incident(action.incident))

    def verifying(self) -> list[Action]:
        """Actions whose effect is being measured."""
        return [action for action in self._open() if action.state is S.VERIFYING]

    def settle(self, action: Action, to: ActionState, text: str, **changes: Any) -> Action:
        """Write a step of the verification."""
        return self._to(action, to, SEAWALL, text, **changes)

    # parts -----------------------------------------------------------------------------------

    def _open(self) -> list[Action]:
        return self._records.actions(tuple(OPEN_STATES), limit=200)[0]

    def _to(self, action: Action, state: ActionState, actor: str, text: str, **changes: Any) -> Action:
        after = replace(action, state=state, **changes)
        saved = self._records.transition(action, after, actor, self._shop.clock.now(), {"reason": text})
        self._changed(saved)
        return saved

    def _submit(self, step: Callable[[str], None], id: str) -> None:
        self._work.put((step, id))

    def _labour(self) -> None:
        while True:
            self._guarded(*self._work.get())

    def _guarded(self, step: Callable[[str], None], id: str) -> None:
        """A step that fails says so on its action; a lost race is not a failure."""
        try:
            step(id)
        except Conflict as error:
            log.info("action %s: %s", id, error)
        except Exception as error:
            log.exception("action %s failed", id)
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
            playbook=playbook.path,
            inputs=action.inputs,
            inventory=self._inventory(playbook),
            timeout=playbook.timeout,
        )

    def _run_folder(self, action: Action) -> Path:
        assert action.run is not None  # noqa: S101 - a running action has its run
        return self._shop.folder / action.id / action.run.id
