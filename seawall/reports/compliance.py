"""A month for an auditor: who approved what and what came of it, pulls of images that were not signed,
deletions, changes of accounts, failed log-ins, and whether the audit log can be trusted."""

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from seawall import shapes
from seawall.audit.head import head_of
from seawall.core.actions import Action
from seawall.core.ports import EventStore, RecordStore
from seawall.core.pulls import UNKNOWN, UNSIGNED, Culprit
from seawall.core.times import rfc3339
from seawall.event_search import Search, find
from seawall.reports.month import month_span

Json = dict[str, Any]
PAGE, MOST = 200, 1000
ACCOUNTS = ("user.", "token.", "session.reused")
CHANGES = ("freeze", "unfreeze", "action.cancel", "action.release_offered", "incident.protected")
FAILED = "login.failed"


def compliance_report(
    records: RecordStore, events: EventStore, registries: Sequence[str], month: str, now: float
) -> Json:
    """Everything of [start, min(end, now)); docs/reports.md lists the fields. Lists of events hold MOST at
    most, and say so (`cut`). ValueError for a month that is none, or has not begun."""
    start, end, until = month_span(month, now)
    entries = list(_entries(records, start, until))
    checked, wrong = records.audit_verify()
    seq, head = head_of(records)
    deleted = [_deletions(events, name, start, until) for name in registries]
    return {
        "month": month,
        "start": rfc3339(start),
        "end": rfc3339(end),
        "until": rfc3339(until),
        "audit": {"verified": wrong is None, "entries": checked, "wrong": wrong, "seq": seq, "head": head},
        "actions": [_action(it) for it in _actions(records, start, until)],
        "pulls": [_pulls(events, name, start, until) for name in registries],
        "deletions": [it for found, _ in deleted for it in found],
        "cut": any(more for _, more in deleted),
        "accounts": [it for it in entries if it["event"].startswith(ACCOUNTS)],
        "failed_logins": [it for it in entries if it["event"] == FAILED],
        "changes": [it for it in entries if it["event"] in CHANGES],
    }


def _entries(records: RecordStore, start: float, until: float) -> Iterator[Json]:
    """Audit entries of the span, the oldest first."""
    found: list[Json] = []
    cursor: str | None = None
    while True:
        page, cursor = records.audit_entries(PAGE, cursor)
        found += [it for it in page if start <= it["at"] < until]
        if cursor is None or page[-1]["at"] < start:
            break
    for it in reversed(found):
        detail = json.loads(it["detail"]) if isinstance(it["detail"], str) else it["detail"]
        told = {name: it[name] for name in ("seq", "actor", "event", "subject")}
        yield told | {"at": rfc3339(it["at"]), "detail": detail}


def _actions(records: RecordStore, start: float, until: float) -> list[Action]:
    """Those with a part in the span: proposed, decided or run then; the oldest first."""
    found: list[Action] = []
    cursor: str | None = None
    while True:
        page, cursor = records.actions(limit=PAGE, cursor=cursor)
        found += [it for it in page if any(start <= at < until for at in _moments(it))]
        if cursor is None:
            return sorted(found, key=lambda it: it.created_at)


def _moments(action: Action) -> list[float]:
    return [action.created_at, *(at for at, _, _ in action.history), *(it.at for it in action.approvals)]


def _action(it: Action) -> Json:
    """Who asked, who decided, what ran and what came of it."""
    whole = shapes.action(it)
    kept = ("id", "incident", "playbook", "registry", "risk", "state", "requested_by", "approvals", "run")
    recovered = it.verification.recovered_at if it.verification else None
    return {name: whole[name] for name in kept} | {
        "proposed_at": rfc3339(it.created_at),
        "digest": it.preview.digest if it.preview else None,
        "reason": it.reason,
        "recovered_at": None if recovered is None else rfc3339(recovered),
        "story": shapes.history(it),
    }


def _pulls(events: EventStore, registry: str, start: float, until: float) -> Json:
    counts = events.pull_counts(registry, start, until, math.inf)
    told = [
        _culprit(it, verdict)
        for verdict in (UNSIGNED, UNKNOWN)
        for it in events.culprits(registry, start, until, verdict, MOST)
    ]
    return {
        "registry": registry,
        "signed": counts.signed,
        "unsigned": counts.unsigned,
        "unknown": counts.unknown,
        "images": told,
    }


def _culprit(it: Culprit, verdict: str) -> Json:
    return {
        "signature": verdict,
        "repository": it.repository,
        "reference": it.reference,
        "digest": it.digest,
        "user": it.user,
        "client": it.client,
        "reason": it.reason,
        "count": it.count,
        "newest": rfc3339(it.at),
    }


def _deletions(events: EventStore, registry: str, start: float, until: float) -> tuple[list[Json], bool]:
    """Deletions that the registry's log, notifications or audit log told; are there more."""
    wanted = Search(registry, start, until, {"event.action": "delete"})
    found: list[Json] = []
    cursor: str | None = None
    while len(found) < MOST:
        page, cursor = find(events, wanted, PAGE, cursor)
        found += [
            {
                "at": rfc3339(it.at),
                "registry": registry,
                "repository": it.fields.get("registry.repository", ""),
                "reference": it.fields.get("registry.reference", it.fields.get("registry.digest", "")),
                "user": it.fields.get("user.name", ""),
                "client": it.fields.get("client.ip", ""),
                "outcome": it.fields.get("event.outcome", ""),
                "source": it.fields.get("event.dataset", ""),
            }
            for it in page
        ]
        if cursor is None:
            break
    return found[:MOST][::-1], cursor is not None
