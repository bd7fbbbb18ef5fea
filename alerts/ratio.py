"""Rows of type ratio: the share of bad among all events that counters counted, and how fast it burns.

A rise between two readings of a series counts in the minute of the later one; a counter that fell was reset.
A series counts from its second reading on, as Prometheus's `increase` has it, without its extrapolation.
"""

import math
import re
import threading
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from alerts.burn_rate import exhausted_in
from alerts.slos import BurnWindow
from seawall.core.ports import SampleStore
from seawall.core.signals import Labels, Sample
from seawall.core.slos import Indicator, SloRow, SloStatus, Status
from seawall.core.times import format_duration, month_of

HOUR = 3600.0
DAY_HOURS = 24
SETTLED_AFTER = 900.0  # late data younger than this needs no `heard`
SCRAPE = 300.0  # in which the reading before a span is looked for; older than this, readings are stale
LEAST_EVENTS = 20  # fewer in a short span decide nothing
KEPT_HOURS = 24 * 63


@dataclass(frozen=True, slots=True)
class Hour:
    """Bad and all events of the 60 minutes of an hour."""

    bad: "array[float]"
    total: "array[float]"


class Counted:
    """Events of one row and registry, by Unix hour."""

    def __init__(self, hours: Mapping[int, Hour]) -> None:
        self._hours = hours

    def between(self, start: float, end: float) -> tuple[float, float]:
        """(bad, all) of the whole minutes in [start, end), Unix seconds."""
        first, after = int(start // 60), int(end // 60)
        bad = total = 0.0
        for number in range(first // 60, (after + 59) // 60):
            hour = self._hours.get(number)
            if hour is not None:
                part = slice(max(first - number * 60, 0), max(after - number * 60, 0))
                bad, total = bad + sum(hour.bad[part]), total + sum(hour.total[part])
        return bad, total


class Ratios:
    """Judges ratio rows over a sample store. Whole hours that are settled are kept, as minutes are."""

    def __init__(self, samples: SampleStore, windows: Sequence[BurnWindow]) -> None:
        self._samples, self._windows = samples, tuple(windows)
        self._hours: dict[tuple[str, str], dict[int, Hour]] = {}
        self._lock, self._late = threading.Lock(), 0

    def heard(self, registry: str, at: float) -> None:
        """Data of `at` was kept: its hour, and the next one's first rise, are counted anew."""
        with self._lock:
            self._late += 1
            for (name, _), hours in self._hours.items():
                if name == registry:
                    for hour in (int(at // HOUR), int(at // HOUR) + 1):
                        hours.pop(hour, None)

    def indicator(self, row: SloRow, registry: str, now: float, since: float | None) -> Indicator:
        """The share in the last `row.indicator` seconds, or since `since`; under 20 events say nothing."""
        start = now - row.indicator if since is None else max(now - HOUR, since)
        bad, total = totals(self._read(row, registry, start, math.nextafter(now, math.inf)))
        span = format_duration(now - start)
        if total < LEAST_EVENTS:
            return Indicator(None, f"only {total:.0f} events in {span}; {LEAST_EVENTS} are needed")
        share = bad / total
        ok = row.objective.holds(share)
        reason = f"{share:.3%} of {total:.0f} events are bad in {span}"
        return Indicator(ok, reason, share, ok, now, None if ok else start, round(total))

    def judge(self, row: SloRow, registry: str, now: float, indicator: Indicator) -> SloStatus:
        """The share over the window up to the last whole minute."""
        end = now // 60 * 60
        start, until = month_of(now) if row.window is None else (end - row.window, end)
        longest = max((window.spans[0] for window in self._windows), default=HOUR)
        counted = self._counted(row, registry, min(start, end - longest), end)
        bad, total = counted.between(start, end)
        allowed = row.objective.value
        share = bad / total if total else None
        hour = _share(counted.between(end - HOUR, end))
        burnt = self._burning(counted, end, allowed)
        fresh = bool(self._samples.latest(registry, row.signal, now - SCRAPE, now))
        left = None if share is None else 1 - share / allowed
        return SloStatus(
            name=row.name,
            registry=registry,
            status=_status(row, share, fresh, indicator, burnt),
            indicator_ok=indicator.ok,
            value=share,
            unit=row.unit,
            threshold=allowed,
            window=(start, until),
            samples=round(total),
            budget_remaining_ratio=left,
            burn_rate=None if hour is None else hour / allowed,
            breach_probability=None,
            reason="; ".join(_told(bad, total, allowed, fresh, indicator, burnt)),
            at=now,
            since=indicator.since,
            now_reason=indicator.reason,
            exhausted_in=None if left is None else _spent_in(left, (hour or 0.0) / allowed, until - start),
        )

    def _burning(self, counted: Counted, end: float, allowed: float) -> BurnWindow | None:
        for window in self._windows:
            parts = [counted.between(end - span, end) for span in window.spans]
            if parts[1][1] >= LEAST_EVENTS and all(
                (_share(part) or 0) / allowed >= window.factor for part in parts
            ):
                return window
        return None

    def _counted(self, row: SloRow, registry: str, start: float, end: float) -> Counted:
        """The hours that touch [start, end); those that are settled are read once."""
        key, first, after = (registry, row.name), int(start // HOUR), int((end - SETTLED_AFTER) // HOUR)
        with self._lock:
            held, late = dict(self._hours.get(key, {})), self._late
        missing = [hour for hour in range(first, after) if hour not in held]
        for begin in range(min(missing, default=after), after, DAY_HOURS):
            wanted = [hour for hour in missing if begin <= hour < begin + DAY_HOURS]
            if wanted:
                read = self._read(row, registry, wanted[0] * HOUR, (wanted[-1] + 1) * HOUR)
                held |= {hour: read.get(hour, _EMPTY) for hour in wanted}
        with self._lock:
            if late == self._late:  # else something came meanwhile, of which this may not know
                self._hours[key] = {hour: it for hour, it in held.items() if hour >= after - KEPT_HOURS}
        return Counted(held | self._read(row, registry, max(first, after) * HOUR, end))

    def _read(self, row: SloRow, registry: str, start: float, end: float) -> dict[int, Hour]:
        """Rises of readings in [start, end), by hour and minute, straight from the store."""
        before = self._samples.latest(registry, row.signal, start - SCRAPE, math.nextafter(start, -math.inf))
        series: dict[Labels, list[Sample]] = {}
        for sample in [*before, *self._samples.range(registry, row.signal, start, end)]:
            series.setdefault(sample.labels, []).append(sample)
        hours: dict[int, Hour] = {}
        for labels, readings in series.items():
            if not matches(labels, row.among):
                continue
            bad = matches(labels, row.bad)
            for one, two in pairwise(readings):
                rise = two.value - one.value if two.value >= one.value else two.value
                minute = int(two.at // 60)
                hour = hours.get(minute // 60) or hours.setdefault(minute // 60, _hour())
                hour.total[minute % 60] += rise
                hour.bad[minute % 60] += rise if bad else 0.0
        return hours


_ZEROS = (0.0,) * 60
_EMPTY = Hour(array("d"), array("d"))


def _hour() -> Hour:
    return Hour(array("d", _ZEROS), array("d", _ZEROS))


def matches(labels: Labels, wanted: Labels) -> bool:
    """Does a series have these labels? `wanted` are regular expressions of whole values."""
    has = dict(labels)
    return all(re.fullmatch(pattern, has.get(name, "")) for name, pattern in wanted)


def totals(hours: Mapping[int, Hour]) -> tuple[float, float]:
    """(bad, all) of all of them."""
    return sum(sum(it.bad) for it in hours.values()), sum(sum(it.total) for it in hours.values())


def _spent_in(left: float, rate: float, span: float) -> float | None:
    """Seconds until the rest of the budget is spent, at this burn rate and an even flow of events."""
    return exhausted_in(left, rate, 1 / span)


def _share(part: tuple[float, float]) -> float | None:
    return part[0] / part[1] if part[1] else None


def _status(
    row: SloRow, share: float | None, fresh: bool, indicator: Indicator, burnt: BurnWindow | None
) -> Status:
    if share is not None and not row.objective.holds(share):
        return Status.BREACHED
    if share is None or not fresh:
        return Status.UNKNOWN
    return Status.AT_RISK if burnt or indicator.ok is False else Status.OK


def _told(
    bad: float, total: float, allowed: float, fresh: bool, indicator: Indicator, burnt: BurnWindow | None
) -> list[str]:
    told = [f"{bad:.0f} of {total:.0f} events are bad, {allowed:.3%} allowed" if total else "no event yet"]
    told.append(indicator.reason)
    if not fresh:
        told.append(f"nothing was measured in the last {format_duration(SCRAPE)}")
    if burnt:
        told.append(f"over {burnt.long} the budget burns more than {burnt.factor:g} times too fast")
    return told
