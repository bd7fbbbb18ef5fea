"""The exact JSON shapes of DESIGN section 9, made from the core types; times become RFC 3339."""

from collections.abc import Sequence
from typing import Any

from seawall.core.actions import Action, Approval, Preview, Run, Verification
from seawall.core.incidents import Incident
from seawall.core.signals import Event
from seawall.core.slos import SloStatus
from seawall.core.times import rfc3339

Json = dict[str, Any]


def page(items: Sequence[Json], following: str | None = None) -> Json:
    """A list's envelope."""
    return {"items": list(items), "next": following}


def _time(at: float | None) -> str | None:
    return None if at is None else rfc3339(at)


def slo(status: SloStatus) -> Json:
    """A judged row."""
    return {
        "name": status.name,
        "registry": status.registry,
        "status": status.status.value,
        "indicator_ok": status.indicator_ok,
        "value": status.value,
        "unit": status.unit,
        "threshold": status.threshold,
        "window": {"start": rfc3339(status.window[0]), "end": rfc3339(status.window[1])},
        "samples": status.samples,
        "budget_remaining_ratio": status.budget_remaining_ratio,
        "burn_rate": status.burn_rate,
        "breach_probability": status.breach_probability,
        "reason": status.reason,
        "at": rfc3339(status.at),
    }


def incident(it: Incident) -> Json:
    """An incident."""
    return {
        "id": it.id,
        "state": it.state.value,
        "severity": it.severity.value,
        "registry": it.registry,
        "slo": it.slo,
        "title": it.title,
        "explanation": it.explanation,
        "impact": {
            "failed_pulls": it.impact.failed_pulls,
            "repositories": it.impact.repositories,
            "clients": it.impact.clients,
        },
        "opened_at": rfc3339(it.opened_at),
        "acknowledged_by": it.acknowledged_by,
        "resolved_at": _time(it.resolved_at),
        "causes": list(it.causes),
        "actions": list(it.actions),
    }


def timeline(it: Incident) -> list[Json]:
    """An incident's story, oldest first."""
    return [{"at": rfc3339(line.at), "actor": line.actor, "text": line.text} for line in it.timeline]


def history(it: Action) -> list[Json]:
    """An action's story, oldest first."""
    return [{"at": rfc3339(at), "actor": actor, "text": text} for at, actor, text in it.history]


def _preview(it: Preview | None) -> Json | None:
    if it is None:
        return None
    return {
        "digest": it.digest,
        "diff": it.diff,
        "not_previewable": list(it.not_previewable),
        "manual": it.manual,
    }


def _approval(it: Approval) -> Json:
    return {
        "by": it.by,
        "at": rfc3339(it.at),
        "until": rfc3339(it.until),
        "digest": it.digest,
        "reason": it.reason,
    }


def _run(it: Run | None) -> Json | None:
    if it is None:
        return None
    return {
        "id": it.id,
        "started_at": rfc3339(it.started_at),
        "ended_at": _time(it.ended_at),
        "outcome": it.outcome,
        "changed": it.changed,
        "check_first_task_at": _time(it.check_first_task_at),
        "first_task_at": _time(it.first_task_at),
        "first_change_at": _time(it.first_change_at),
        "message": it.message,
    }


def _verification(it: Verification | None) -> Json | None:
    if it is None:
        return None
    return {
        "slo": it.slo,
        "until": rfc3339(it.until),
        "good_rounds": it.good_rounds,
        "needed_rounds": it.needed_rounds,
        "recovered_at": _time(it.recovered_at),
    }


def action(it: Action) -> Json:
    """An action."""
    return {
        "id": it.id,
        "incident": it.incident,
        "playbook": it.playbook,
        "registry": it.registry,
        "state": it.state.value,
        "risk": it.risk.value,
        "requested_by": it.requested_by,
        "preview": _preview(it.preview),
        "approvals": [_approval(approval) for approval in it.approvals],
        "run": _run(it.run),
        "verification": _verification(it.verification),
    }


def event(it: Event) -> Json:
    """An event's flat ECS document with its id and time."""
    return {"@timestamp": rfc3339(it.at), "event.id": it.id, "registry.name": it.registry, **it.fields}
