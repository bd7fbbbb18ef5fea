"""The deciding half of the state machine: may it run, who consents, who takes consent back, and when.

Every decision explains itself in words, is written into the action's history and audited. The executing half
(remediation.lifecycle) asks `hold` before a run and again in the moment in which it begins.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from remediation.policy import Mode
from remediation.policy_limits import Block, blocks, past_of, subject_of
from remediation.story import told_on
from remediation.workshop import Workshop
from seawall.core.actions import (
    OPEN_STATES,
    Action,
    ActionState,
    Approval,
    Preview,
    Risk,
    escalation_text,
)
from seawall.core.errors import Conflict, InputError, Refused, SeawallError
from seawall.core.times import format_duration

POLICY = "policy"
SEAWALL = "seawall"
TRIES = 5
S = ActionState


class Move(Protocol):
    """Writes one transition, audited."""

    def __call__(self, action: Action, state: ActionState, actor: str, text: str, **changes: Any) -> Action:
        """The saved action. Conflict if somebody was first."""
        ...


class Deciding:
    """Consent and its limits. `move` writes a transition, `start` is called with an approved action's id."""

    def __init__(self, shop: Workshop, move: Move, start: Callable[[str], None]) -> None:
        self._shop, self._move, self._start = shop, move, start
        self._records = shop.records

    # the policy ------------------------------------------------------------------------------

    def mode(self, action: Action) -> tuple[Mode, str]:
        """The policy's word on a previewed action, with everything that stands in the way of it."""
        now = self._shop.clock.now()
        mode, why = self._shop.policy.decide(action.playbook, action.registry, action.risk, now)
        against = [block for block in self.against(action, strict=True) if not block.passing]
        if against and mode == "auto":
            return "ask", f"{why}, but {words(against)}"
        return mode, f"{why}; {words(against)}" if against else why

    def against(self, action: Action, strict: bool = False) -> list[Block]:
        """What stands in its way now. `strict`: an Alertmanager that cannot be asked does, too."""
        now = self._shop.clock.now()
        past = past_of(self._records, self._shop.policy, now)
        found = blocks(self._shop.policy, subject_of(action), past, now)
        return [*found, *self._silenced(action, strict)]

    def _silenced(self, action: Action, strict: bool) -> list[Block]:
        if self._shop.silences is None:
            return []
        slo = self._records.incident(action.incident).slo
        try:
            text = self._shop.silences.silenced(action.registry, slo)
        except SeawallError as error:
            return [Block("silences", f"silences are not known ({error})")] if strict else []
        return [Block("silences", text)] if text else []

    # before the run --------------------------------------------------------------------------

    def hold(self, action: Action) -> bool:
        """True if it must not begin now: it waits (frozen, not the leader, something in the way), or its
        consent no longer holds, and then it expires. What it waits for is written down once."""
        if flaw := self.flaw(action):
            self._move(action, S.EXPIRED, SEAWALL, flaw, reason=flaw)
            return True
        if self._records.frozen()[0] or not self._shop.leadership.leads():
            return True
        strict = any(approval.by == POLICY for approval in action.approvals)
        against = self.against(action, strict)
        if not against:
            return False
        text = f"it waits: {words(against)}"
        if not action.history or action.history[-1][2] != f"{action.state}: {text}":
            self._move(action, action.state, SEAWALL, text)
        return True

    def flaw(self, action: Action) -> str | None:
        """Why the consent does not cover a run of this preview now; None if it does."""
        if action.preview is None or not action.approvals:
            return "nobody has approved it"
        if any(approval.digest != action.preview.digest for approval in action.approvals):
            return "the approval is for another preview"
        if self._shop.clock.now() >= min(approval.until for approval in action.approvals):
            return "the approval ran out before the run began"
        people = {approval.by for approval in action.approvals}
        if people == {POLICY} and action.risk is not Risk.HIGH:
            return None
        if len(people) < self._shop.policy.people(action.risk):
            return f"{self._shop.policy.people(action.risk)} different people must approve it"
        return None

    # people ----------------------------------------------------------------------------------

    def approve(self, id: str, by: str, reason: str = "", digest: str | None = None) -> Action:
        """One person's consent to the preview as it stands. Refused, Conflict or InputError say why not."""
        seen = digest
        for _ in range(TRIES):
            action = self._records.action(id)
            preview = self._check_approvable(action, by, reason, seen)
            seen = preview.digest  # a second try is for what the person saw at the first
            try:
                return self._consent(action, preview, by, reason)
            except Conflict:
                continue
        raise Conflict(f"action {id} changes too fast; try again")

    def _consent(self, action: Action, preview: Preview, by: str, reason: str) -> Action:
        now = self._shop.clock.now()
        approval = Approval(by, now, now + self._shop.policy.approval_valid_for, preview.digest, reason)
        approvals = (*action.approvals, approval)
        if len(approvals) < self._shop.policy.people(action.risk):
            return self._move(action, action.state, by, "one more person must approve", approvals=approvals)
        action = self._move(action, S.APPROVED, by, reason or "approved", approvals=approvals)
        self._start(action.id)
        return action

    def _check_approvable(self, action: Action, by: str, reason: str, digest: str | None) -> Preview:
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
        if action.risk is Risk.HIGH and not reason.strip():
            raise InputError("reason", f"action {action.id} has high risk", "say why it is right to run it")
        self._refuse_if_stopped(action)
        return action.preview

    def _refuse_if_stopped(self, action: Action) -> None:
        frozen, by = self._records.frozen()
        if frozen:
            raise Refused(f"Seawall is frozen {by}; `seawall unfreeze` lifts it")
        if against := [block for block in self.against(action) if not block.passing]:
            raise Refused(f"action {action.id} may not run now: {words(against)}")

    def reject(self, id: str, by: str, reason: str) -> Action:
        """Before the run has begun: it will not run. InputError without a reason."""
        if not reason.strip():
            raise InputError("reason", "a rejection needs one", "say why it must not run")
        return self._move(self._records.action(id), S.REJECTED, by, reason, reason=reason)

    def revoke(self, id: str, by: str, reason: str) -> Action:
        """Take an approval back before the run has begun. An approved action ends (rejected); where a second
        person is still awaited, the one's own approval is dropped. Conflict once it runs."""
        if not reason.strip():
            raise InputError("reason", "a revocation needs one", "say why the approval is taken back")
        action = self._records.action(id)
        text = f"approval revoked: {reason}"
        if action.state is S.APPROVED:
            return self._move(action, S.REJECTED, by, text, reason=text)
        kept = tuple(approval for approval in action.approvals if approval.by != by)
        if action.state is S.AWAITING_APPROVAL and len(kept) < len(action.approvals):
            return self._move(action, action.state, by, text, approvals=kept)
        remedy = f"; `seawall cancel {id}` stops it" if action.state is S.RUNNING else ""
        raise Conflict(f"action {id} is {action.state}: there is no approval to take back{remedy}")

    # time ------------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """Questions that nobody answered in time end; the others climb the escalation chain; what was
        approved and waits is looked at again."""
        for action in self._records.actions(tuple(OPEN_STATES), limit=200)[0]:
            if action.state is S.APPROVED:
                self.again(action)
            elif action.state is S.AWAITING_APPROVAL and action.expires_at and now >= action.expires_at:
                text = "nobody approved it in time"
                self._try(action, S.EXPIRED, text, reason="nobody approved in time")
            elif action.state is S.AWAITING_APPROVAL:
                self._escalate(action, now)

    def again(self, action: Action) -> None:
        """Look again at what waits for something in its way to pass."""
        if action.history and ": it waits: " in action.history[-1][2]:
            self._start(action.id)

    def _escalate(self, action: Action, now: float) -> None:
        if action.expires_at is None:
            return
        asked = action.expires_at - self._shop.policy.ask_for
        for number, step in enumerate(self._shop.policy.escalation, 1):
            text = escalation_text(format_duration(step.after), number, step.notify)
            told = any(at >= asked and line.endswith(text) for at, _, line in action.history)
            if now >= asked + step.after and not told:
                action = self._try(action, action.state, text)
                told_on(self._records, action, "action.escalation", text, now)

    def _try(self, action: Action, state: ActionState, text: str, **changes: Any) -> Action:
        """A step of the clock; a person who was first wins."""
        try:
            return self._move(action, state, SEAWALL, text, **changes)
        except Conflict:
            return replace(self._records.action(action.id))


def words(against: list[Block]) -> str:
    """Blocks as one sentence."""
    return "; ".join(f"{block.text} ({block.rule})" for block in against)
