"""The month in figures: how each promise was kept, what broke it, what was repaired, what was left out."""

from collections.abc import Iterable, Sequence
from typing import Any

from seawall import shapes
from seawall.core.incidents import Incident
from seawall.core.ports import RecordStore
from seawall.core.slos import SloRow, SloStatus, SloType, Status
from seawall.core.stages import Judge
from seawall.core.times import month_of, parse_time, rfc3339

Json = dict[str, Any]
DAY, HOUR = 86400.0, 3600.0
EDGE = 0.001  # seconds: the last hour is judged as this month's, not as the first of the next


def month_span(month: str, now: float) -> tuple[float, float, float]:
    """`2026-10` -> its start and end, and the moment up to which it can be judged. ValueError."""
    try:
        start, end = month_of(parse_time(f"{month}-01T00:00:00Z"))
    except ValueError:
        raise ValueError(f"{month!r} is no month; write it like 2026-10") from None
    if start > now:
        raise ValueError(f"{month} has not begun")
    return start, end, min(end, now)


def slo_report(
    judge: Judge,
    registries: Sequence[str],
    incidents: Iterable[Incident],
    month: str,
    now: float,
) -> Json:
    """Rows of every registry, judged at the end of each hour, with the incidents that overlap the month. A
    row of minutes tells its month whole; of others `value` is the worst hour. A month that lasts is told up
    to now. ValueError for a month that is none, or has not begun."""
    start, end, until = month_span(month, now)
    rows = [it for name in registries for it in _rows(judge, name, start, until)]
    overlapping = [
        _incident(it) for it in incidents if it.opened_at < until and (it.resolved_at or until) >= start
    ]
    return {
        "month": month,
        "start": rfc3339(start),
        "end": rfc3339(end),
        "until": rfc3339(until),
        "rows": rows,
        "incidents": sorted(overlapping, key=lambda it: str(it["opened_at"])),
    }


def every_incident(records: RecordStore) -> list[Incident]:
    """All of them, page after page."""
    found, cursor = records.incidents(limit=200)
    while cursor is not None:
        more, cursor = records.incidents(limit=200, cursor=cursor)
        found += more
    return found


def _rows(judge: Judge, registry: str, start: float, until: float) -> list[Json]:
    hours: dict[str, list[SloStatus]] = {row.name: [] for row in judge.rows}
    at = start
    while at < until:
        at = min(at + HOUR, until)
        for status in judge.judge(registry, at - EDGE):
            hours[status.name].append(status)
    return [_row(row, hours[row.name], start) for row in judge.rows]


def _row(row: SloRow, hours: list[SloStatus], start: float) -> Json:
    told = hours[-1] if row.type is SloType.TIME_SLICES else _worst(row, hours)
    broken = [it for it in hours if it.status is Status.BREACHED]
    known = [it for it in hours if it.value is not None]
    return {
        **shapes.slo(told),
        "title": row.title,
        "op": row.objective.op,
        "kept": not broken if known else None,
        "hours": {"judged": len(hours), "known": len(known), "breached": len(broken)},
        "excluded": hours[-1].excluded,
        "unknown": hours[-1].unknown,
        "days": _days(row, hours, start),
        "series": [{"at": rfc3339(it.at), "value": it.value} for it in known],
    }


def _worst(row: SloRow, hours: list[SloStatus]) -> SloStatus:
    known = [it for it in hours if it.value is not None]
    pick = max if row.objective.op.startswith("<") else min
    return pick(known, key=lambda it: it.value or 0.0, default=hours[-1])


def _days(row: SloRow, hours: list[SloStatus], start: float) -> list[Json]:
    """Of each day the worst status among its hours: breached, at_risk, unknown, ok."""
    order = (Status.BREACHED, Status.AT_RISK, Status.UNKNOWN, Status.OK)
    days: dict[int, list[SloStatus]] = {}
    for it in hours:
        days.setdefault(int((it.at - start) // DAY), []).append(it)
    return [
        {
            "day": rfc3339(start + day * DAY)[:10],
            "status": min((it.status for it in found), key=order.index).value,
            "value": _worst(row, found).value,
        }
        for day, found in sorted(days.items())
    ]


def _incident(it: Incident) -> Json:
    took = None if it.resolved_at is None else it.resolved_at - it.opened_at
    return {**shapes.incident(it), "duration": took, "reopened": it.reopened}
