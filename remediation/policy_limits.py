"""What stands in a run's way: limits judged against what has run. Pure: live and replay use the same."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from remediation.policy import Policy
from seawall.core.actions import Action, ActionState
from seawall.core.ports import RecordStore
from seawall.core.times import format_duration

PAGE = 200


@dataclass(frozen=True, slots=True)
class Ran:
    """One run: `ended_at` None while it is going on (or taken back), `proving` while it is verified."""

    action: str
    playbook: str
    registry: str
    started_at: float
    ended_at: float | None = None
    proving: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """`rule` is the key of the policy that stands in the way, `text` says it in words. `passing`: an approved
    run waits for it in a queue; else nobody can approve before it is over."""

    rule: str
    text: str
    passing: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """The action that asks. `fleet` is how many hosts the inventory knows (0: not told)."""

    action: str
    playbook: str
    registry: str
    hosts: int = 0
    fleet: int = 0


def subject_of(action: Action) -> Subject:
    """An action as the limits see it."""
    preview = action.preview
    hosts, fleet = (len(preview.hosts), preview.fleet) if preview else (0, 0)
    return Subject(action.id, action.playbook, action.registry, hosts, fleet)


def blocks(policy: Policy, it: Subject, past: Sequence[Ran], at: float) -> list[Block]:
    """Everything that stands in its way at Unix time `at`; empty if nothing does."""
    others = [ran for ran in past if ran.action != it.action]
    return [
        *_blast(policy, it),
        *_windows(policy, it, at),
        *_cooldown(policy, it, others, at),
        *_limits(policy, it, others, at),
        *_locks(policy, it, others),
    ]


def _blast(policy: Policy, it: Subject) -> Iterator[Block]:
    most = policy.blast
    if most.hosts is not None and it.hosts > most.hosts:
        yield Block("blast.hosts", f"it would touch {it.hosts} hosts; the policy allows {most.hosts}")
    if most.share is not None and it.fleet and it.hosts / it.fleet > most.share:
        share = f"{it.hosts} of {it.fleet} hosts"
        yield Block("blast.share", f"it would touch {share}; the policy allows {most.share:.0%}")


def _windows(policy: Policy, it: Subject, at: float) -> Iterator[Block]:
    for window in policy.windows:
        if fnmatchcase(it.registry, window.registry) and window.hours.hold(at):
            yield Block("windows", f"the window {window.name!r} is open ({window.hours})")


def _cooldown(policy: Policy, it: Subject, past: Sequence[Ran], at: float) -> Iterator[Block]:
    same = [ran for ran in past if (ran.playbook, ran.registry) == (it.playbook, it.registry)]
    last = max((ran.ended_at or at for ran in same), default=None)
    left = 0.0 if last is None else last + policy.cooldown - at
    if policy.cooldown and left > 0:
        yield Block("cooldown", f"{it.playbook} ran on {it.registry}; wait {format_duration(left)} more")


def _limits(policy: Policy, it: Subject, past: Sequence[Ran], at: float) -> Iterator[Block]:
    for number, limit in enumerate(policy.limits, 1):
        if not (fnmatchcase(it.playbook, limit.playbook) and fnmatchcase(it.registry, limit.registry)):
            continue
        counted = [
            ran
            for ran in past
            if fnmatchcase(ran.playbook, limit.playbook)
            and fnmatchcase(ran.registry, limit.registry)
            and at - limit.per < ran.started_at <= at
        ]
        if len(counted) >= limit.runs:
            text = f"limit {number}: {len(counted)} run(s) began within {format_duration(limit.per)}"
            yield Block("limits", f"{text}; it allows {limit.runs}")


def _locks(policy: Policy, it: Subject, past: Sequence[Ran]) -> Iterator[Block]:
    """One run at a time on a registry; in a group the next waits until the last one is proved, too."""
    for ran in past:
        if ran.ended_at is None and ran.registry == it.registry:
            yield Block("lock", f"{ran.action} is running on {it.registry}", passing=True)
    for name, members in policy.groups.items():
        if it.registry not in members:
            continue
        for ran in past:
            busy = ran.ended_at is None or ran.proving
            if busy and ran.registry in members and ran.registry != it.registry:
                text = f"{ran.action} works on {ran.registry} of the same group {name!r}"
                yield Block("groups", text, passing=True)


def horizon(policy: Policy) -> float:
    """How many seconds back the limits look."""
    return max((policy.cooldown, *(limit.per for limit in policy.limits)))


def past_of(records: RecordStore, policy: Policy, now: float) -> list[Ran]:
    """What has run within the policy's horizon, and what is running, from the records."""
    longest = horizon(policy) + policy.ask_for + policy.approval_valid_for
    found = {action.id: action for action in _recent(records, now - longest)}
    busy = records.actions((ActionState.RUNNING, ActionState.VERIFYING), limit=PAGE)[0]
    found |= {action.id: action for action in busy}
    return [ran for action in found.values() if (ran := ran_of(action))]


def ran_of(action: Action) -> Ran | None:
    """The run of an action; None if it had none. An undo under way is a run under way."""
    if action.run is None:
        return None
    going = action.state is ActionState.RUNNING or (action.undo is not None and action.undo.ended_at is None)
    proving = action.state is ActionState.VERIFYING
    ended = None if going else (action.run.ended_at or action.run.started_at)
    return Ran(action.id, action.playbook, action.registry, action.run.started_at, ended, proving)


def _recent(records: RecordStore, since: float) -> Iterator[Action]:
    """Actions proposed since then, the newest first."""
    cursor: str | None = None
    while True:
        items, cursor = records.actions(limit=PAGE, cursor=cursor)
        for action in items:
            if action.created_at < since:
                return
            yield action
        if cursor is None:
            return
