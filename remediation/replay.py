"""What another policy would have done over recorded actions, beside what happened. Reads, changes nothing."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from remediation.policy import Policy
from remediation.policy_limits import PAGE, Ran, blocks, subject_of
from seawall.core.actions import Action
from seawall.core.ports import RecordStore

POLICY = "policy"


@dataclass(frozen=True, slots=True)
class Replayed:
    """One action under both policies. `mode` and `why` are the other policy's; `blocked` its keys that
    stand in the way; `waited` seconds from the preview to the run (None: it never ran), `would_wait` under
    the other policy (None: a person would be asked who was not asked then, or nothing would run)."""

    action: Action
    was: str
    waited: float | None
    mode: str
    why: str
    blocked: tuple[str, ...]
    would_run: bool | None
    would_wait: float | None


def recorded(records: RecordStore, start: float, end: float) -> list[Action]:
    """Actions proposed in [start, end), the oldest first."""
    found: list[Action] = []
    cursor: str | None = None
    while True:
        items, cursor = records.actions(limit=PAGE, cursor=cursor)
        found += [action for action in items if start <= action.created_at < end]
        if cursor is None or items[-1].created_at < start:
            return sorted(found, key=lambda action: action.created_at)


def replay(actions: Iterable[Action], policy: Policy) -> Iterator[Replayed]:
    """Each previewed action, in time's order; those without a preview had nothing to decide."""
    past: list[Ran] = []
    for action in actions:
        if action.preview is None:
            continue
        told = _replayed(action, policy, past)
        if told.would_run:
            past.append(_would_run(action, told))
        yield told


def _replayed(action: Action, policy: Policy, past: Sequence[Ran]) -> Replayed:
    at = _decided_at(action)
    mode, why = policy.decide(action.playbook, action.registry, action.risk, at)
    begun = [_as_of(ran, at) for ran in past if ran.started_at <= at]
    against = blocks(policy, subject_of(action), begun, at)
    hard = [block for block in against if not block.passing]
    why = "; ".join([why, *(block.text for block in against)])
    people = [approval for approval in action.approvals if approval.by != POLICY]
    waited = action.run.started_at - at if action.run else None
    would_run: bool | None = None
    if mode == "auto" and hard:
        mode = "ask"
    if mode == "observe" or (mode == "ask" and hard):
        would_run = False
    elif mode == "auto":
        would_run = True
    elif _was(action) == "ask":  # people were asked: their answer is known
        would_run = action.run is not None and len({it.by for it in people}) >= policy.people(action.risk)
    wait = 0.0 if mode == "auto" else (waited if would_run else None)
    keys = tuple(block.rule for block in against)
    return Replayed(action, _was(action), waited, mode, why, keys, would_run, wait)


def _decided_at(action: Action) -> float:
    return action.preview.at if action.preview else action.created_at


def _was(action: Action) -> str:
    """Which way it went: observe, ask or auto, told by its records."""
    if any(approval.by == POLICY for approval in action.approvals):
        return "auto"
    asked = any(text.startswith("awaiting_approval") for _, _, text in action.history)
    return "ask" if asked else "observe"


def _would_run(action: Action, told: Replayed) -> Ran:
    """The run as the other policy would have begun it; it takes as long as it took then, or no time."""
    started = _decided_at(action) + (told.would_wait or 0.0)
    took = (action.run.ended_at - action.run.started_at) if action.run and action.run.ended_at else 0.0
    return Ran(action.id, action.playbook, action.registry, started, started + took)


def _as_of(ran: Ran, at: float) -> Ran:
    """A run as it stood at a moment."""
    going = ran.ended_at is not None and ran.ended_at > at
    return Ran(ran.action, ran.playbook, ran.registry, ran.started_at, None if going else ran.ended_at)
