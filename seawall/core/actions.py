"""What is done about it: the state machine of DESIGN section 6."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class ActionState(StrEnum):
    """Where an action stands."""

    PROPOSED = "proposed"
    PREVIEWED = "previewed"
    AWAITING_APPROVAL = "awaiting_approval"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    RUNNING = "running"
    VERIFYING = "verifying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    ESCALATED = "escalated"
    IN_DOUBT = "in_doubt"


_S = ActionState

# approved -> proposed: the world moved between approval and run, so the approval is void and a
# new preview is asked for. running -> proposed never happens: a run is never repeated blindly.
TRANSITIONS: Mapping[ActionState, frozenset[ActionState]] = {
    _S.PROPOSED: frozenset({_S.PREVIEWED, _S.REJECTED, _S.EXPIRED, _S.FAILED}),
    _S.PREVIEWED: frozenset({_S.AWAITING_APPROVAL, _S.APPROVED, _S.REJECTED, _S.EXPIRED}),
    _S.AWAITING_APPROVAL: frozenset({_S.APPROVED, _S.REJECTED, _S.EXPIRED, _S.PROPOSED}),
    _S.APPROVED: frozenset({_S.RUNNING, _S.PROPOSED, _S.REJECTED, _S.EXPIRED, _S.FAILED}),
    _S.RUNNING: frozenset({_S.VERIFYING, _S.FAILED, _S.IN_DOUBT}),
    _S.VERIFYING: frozenset({_S.SUCCEEDED, _S.FAILED, _S.ROLLED_BACK, _S.ESCALATED}),
    _S.REJECTED: frozenset(),
    _S.EXPIRED: frozenset(),
    _S.SUCCEEDED: frozenset(),
    _S.FAILED: frozenset({_S.ESCALATED}),
    _S.ROLLED_BACK: frozenset({_S.ESCALATED}),
    _S.ESCALATED: frozenset(),
    _S.IN_DOUBT: frozenset({_S.ESCALATED}),
}
OPEN_STATES = frozenset(
    {_S.PROPOSED, _S.PREVIEWED, _S.AWAITING_APPROVAL, _S.APPROVED, _S.RUNNING, _S.VERIFYING}
)


class Risk(StrEnum):
    """What can go wrong if the playbook is wrong; high needs two people."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Preview:
    """Check mode with diff on the real targets.

    `digest` is hex SHA-256 over playbook content, inputs, inventory and the diff without volatile
    values: exactly what is approved. `changes` counts the tasks that would change something. `hosts` are
    those that the run would touch, `fleet` is how many the inventory knows (0: not told).
    """

    digest: str
    diff: str
    changes: int
    not_previewable: tuple[str, ...]
    manual: str
    at: float
    hosts: tuple[str, ...] = ()
    fleet: int = 0


@dataclass(frozen=True, slots=True)
class Approval:
    """One person's (or the policy's) consent to exactly one digest, until a moment."""

    by: str
    at: float
    until: float
    digest: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One execution. `outcome` is None while it runs, then successful | failed | timeout |
    cancelled | unreachable. `check_first_task_at`: when the final check's first task began; `term`: of the
    leader that started it (0: there was only one Seawall)."""

    id: str
    started_at: float
    check_first_task_at: float | None = None
    ended_at: float | None = None
    outcome: str | None = None
    changed: int | None = None
    first_task_at: float | None = None
    first_change_at: float | None = None
    message: str = ""
    term: int = 0


@dataclass(frozen=True, slots=True)
class Verification:
    """Did it help? Judged by the row's indicator on data measured after the run ended; or, where `signal`
    names one, by its samples, which must hold `op` `value`.

    `control` says how it stood before the run, `recovering` whether it was well or getting better by
    itself then (None: not known).
    """

    slo: str
    until: float
    good_rounds: int = 0
    needed_rounds: int = 3
    recovered_at: float | None = None
    last_round_at: float | None = None
    signal: str | None = None
    op: str = ""
    value: float = 0.0
    control: str = ""
    recovering: bool | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """One proposed repair for one incident. `version` counts the changes (compare-and-set); `undo` is the run
    that takes a repair back which did not help; `takes_back` names the action whose undo this one is."""

    id: str
    incident: str
    playbook: str
    registry: str
    state: ActionState
    risk: Risk
    requested_by: str
    inputs: Mapping[str, Any]
    created_at: float
    expires_at: float | None = None
    preview: Preview | None = None
    approvals: tuple[Approval, ...] = ()
    run: Run | None = None
    verification: Verification | None = None
    undo: Run | None = None
    reason: str = ""
    history: tuple[tuple[float, str, str], ...] = field(default=())
    version: int = 0
    takes_back: str | None = None


_STEP = re.compile(r"nobody decided within .+: step (\d+), tell (.+)$")


def escalation_text(waited: str, number: int, whom: str) -> str:
    """How a step of the escalation chain is written into an action's history; `escalations` reads it."""
    return f"nobody decided within {waited}: step {number}, tell {whom}"


def escalations(action: Action) -> Iterator[tuple[float, int, str]]:
    """The steps of the escalation chain that were taken: (Unix seconds, number from 1, whom to tell)."""
    for at, _, line in action.history:
        if found := _STEP.search(line):
            yield at, int(found[1]), found[2]
