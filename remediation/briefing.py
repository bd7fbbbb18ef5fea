"""What a person should know before the button: reach, risk, undo, and what came of this playbook before."""

from typing import Any

from remediation.catalogue import Playbook
from remediation.inventory import Reach
from remediation.learned import statistics
from seawall.core.actions import Action
from seawall.core.ports import RecordStore
from seawall.core.times import format_duration


def briefing(action: Action, playbook: Playbook | None, records: RecordStore) -> dict[str, Any]:
    """`{hosts, fleet, share, risk, declared_risk, risk_reason, takes_back, statistics}`; hosts and share are
    those of the preview (empty and 0 before it), `takes_back` names the action whose undo this one is,
    durations in seconds, rates 0 to 1 or null. The statistics are of actions created before this one, so that
    its own run does not count."""
    preview, past = action.preview, statistics(records, action.playbook, action.created_at)
    touched = Reach(preview.hosts, preview.fleet) if preview else Reach((), 0)
    hidden = len(preview.not_previewable) if preview else 0
    return {
        "hosts": list(touched.hosts),
        "fleet": touched.fleet,
        "share": touched.share,
        "risk": action.risk.value,
        "declared_risk": playbook.risk.value if playbook else action.risk.value,
        "risk_reason": _reason(hidden, playbook),
        "takes_back": action.takes_back,
        "statistics": {
            "runs": past.runs,
            "succeeded": past.succeeded,
            "recovering": past.recovering,
            "rolled_back": past.rolled_back,
            "success_rate": past.success_rate,
            "median_recovery": past.median_recovery,
            "text": words(past.runs, past.success_rate, past.median_recovery, past.recovering),
        },
    }


def _reason(hidden: int, playbook: Playbook | None) -> str:
    if hidden:
        return f"{hidden} {'task' if hidden == 1 else 'tasks'} cannot be previewed: one tier higher"
    if playbook is not None and not playbook.previewable:
        return "its playbook says that check mode does not show all: one tier higher"
    return ""


def words(runs: int, rate: float | None, recovery: float | None, recovering: int) -> str:
    """The statistics in one line."""
    if not runs or rate is None:
        return "it has not run yet"
    text = f"{rate:.0%} of {runs} {'run helped' if runs == 1 else 'runs helped'}"
    if recovery is not None:
        text += f", proved after {format_duration(recovery)} (median)"
    return text + (f"; {recovering} of them may have recovered by itself" if recovering else "")
