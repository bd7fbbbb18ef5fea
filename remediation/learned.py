"""What this playbook's runs have come to: learned from the records, shown before the next approval."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median

from seawall.core.actions import Action, ActionState
from seawall.core.ports import RecordStore

ENDED = (
    ActionState.SUCCEEDED,
    ActionState.FAILED,
    ActionState.ROLLED_BACK,
    ActionState.ESCALATED,
    ActionState.IN_DOUBT,
)
LOOKED_AT = 2000
"""The newest ended actions that are looked at, of all playbooks."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of one playbook on one registry or all. `recovering` of the `succeeded` were getting well by themselves
    already; `median_recovery` is seconds from the start of the run to the proof (None: never)."""

    runs: int = 0
    succeeded: int = 0
    recovering: int = 0
    rolled_back: int = 0
    median_recovery: float | None = None

    @property
    def success_rate(self) -> float | None:
        """0 to 1; None before the first run."""
        return self.succeeded / self.runs if self.runs else None


def statistics(records: RecordStore, playbook: str, before: float) -> Statistics:
    """What came of the playbook's runs, over the newest ended actions created `before` (Unix seconds)."""
    found = (it for it in _ended(records) if it.playbook == playbook and it.created_at < before)
    return count(it for it in found if it.run and not it.takes_back)


def count(actions: Iterable[Action]) -> Statistics:
    """The same over given actions that have run."""
    found = list(actions)
    won = [it for it in found if it.state is ActionState.SUCCEEDED]
    took = [
        it.verification.recovered_at - it.run.started_at
        for it in won
        if it.run and it.verification and it.verification.recovered_at is not None
    ]
    return Statistics(
        runs=len(found),
        succeeded=len(won),
        recovering=sum(1 for it in won if it.verification and it.verification.recovering),
        rolled_back=sum(1 for it in found if it.state is ActionState.ROLLED_BACK),
        median_recovery=median(took) if took else None,
    )


def _ended(records: RecordStore) -> Iterator[Action]:
    cursor: str | None = None
    for _ in range(LOOKED_AT // 200):
        page, cursor = records.actions(ENDED, 200, cursor)
        yield from page
        if cursor is None:
            return
