"""The exact JSON shapes of DESIGN section 9, made from the core types; times become RFC 3339."""

from collections.abc import Sequence
from typing import Any

from seawall.core.actions import Action, Approval, Preview, Run, Verification
from seawall.core.foresight import Anomaly, Forecast, Verdict
from seawall.core.incidents import Incident
from seawall.core.ports import Score
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


def _band(it: Score) -> Json:
    return {
        "model": it.model,
        "expected": it.expected,
        "lower": it.lower,
        "upper": it.upper,
        "score": it.score,
        "silent": it.silent,
    }


def signal(
    registry: str, name: str, point: tuple[float, float, Score], shadow: Score | None, gate: Verdict | None
) -> Json:
    """The newest (time, observed, word) of a signal, the LSTM's word in shadow, the gate's verdict."""
    at, observed, score = point
    return {
        "registry": registry,
        "signal": name,
        "at": rfc3339(at),
        "observed": observed,
        **_band(score),
        "shadow": _band(shadow) if shadow else None,
        "gate": verdict(gate) if gate else None,
    }


def verdict(it: Verdict) -> Json:
    """What the gate found of the LSTM for one signal."""
    return {
        "passed": it.passed,
        "reason": it.reason,
        "version": it.version,
        "at": rfc3339(it.at),
        "samples": it.samples,
        "losses": dict(it.losses),
        "bounds": dict(it.bounds),
        "alerts": it.alerts,
        "allowed": it.allowed,
    }


def anomaly(it: Anomaly) -> Json:
    """An unusual episode of a signal."""
    return {
        "registry": it.registry,
        "signal": it.signal,
        "model": it.model,
        "since": rfc3339(it.since),
        "until": _time(it.until),
        "at": rfc3339(it.at),
        "observed": it.observed,
        "expected": it.expected,
        "lower": it.lower,
        "upper": it.upper,
        "score": it.score,
        "channel": it.channel,
        "parts": [{"signal": part.signal, "score": part.score} for part in it.parts],
        "similar": [rfc3339(at) for at in it.similar],
        "promise": it.promise,
        "text": it.text,
    }


def forecast(it: Forecast) -> Json:
    """The forecast of one row."""
    return {
        "slo": it.slo,
        "registry": it.registry,
        "at": rfc3339(it.at),
        "horizon": it.horizon,
        "probability": it.probability,
        "at_risk": it.at_risk,
        "since": _time(it.since),
        "crossing": {
            "expected": _time(it.crossing),
            "earliest": _time(it.interval[0]),
            "latest": _time(it.interval[1]),
        },
        "model": it.model,
        "reason": it.reason,
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


def _verification(it: Verification | None, undo: Run | None) -> Json | None:
    if it is None:
        return None
    return {
        "slo": it.slo,
        "until": rfc3339(it.until),
        "good_rounds": it.good_rounds,
        "needed_rounds": it.needed_rounds,
        "recovered_at": _time(it.recovered_at),
        "signal": it.signal,
        "control": it.control,
        "recovering": it.recovering,
        "undo": _run(undo),
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
        "verification": _verification(it.verification, it.undo),
    }


def event(it: Event) -> Json:
    """An event's flat ECS document with its id and time."""
    return {"@timestamp": rfc3339(it.at), "event.id": it.id, "registry.name": it.registry, **it.fields}
