"""Bad, good and unknown minutes: the time slices of availability (registries.md section 4).

A site fails in a minute when at least half of its probes in it failed. A minute is bad when at
least half of the sites that reported fail, or when more than 5 % of at least 20 requests were
answered 5xx. A minute in which no site reported, and no such share was seen, is unknown. A minute that
lies wholly in a maintenance window is excluded: neither bad nor watched.
"""

import math
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from seawall.core.ports import EventStore, SampleStore, Slice
from seawall.core.slos import Exclusion

ERROR_SHARE = 0.05
MINIMUM_REQUESTS = 20
# Late data (a spool, a slow log) may still change minutes this young; older ones are counted once, and
# again when the ledger hears of something older.
SETTLED_AFTER = 900.0
HOUR = 3600.0
KEPT_HOURS = 24 * 63  # two months and a day

Exclusions = Callable[[str], Sequence[Exclusion]]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Minutes:
    """The classified minutes of a span: the bad ones by number, how many were watched at all, and how many
    maintenance excluded."""

    bad: frozenset[int]
    watched: int
    excluded: int = 0

    def bad_since(self, minute: int) -> int:
        """How many bad minutes from `minute` (a Unix minute) on."""
        return sum(1 for number in self.bad if number >= minute)


NONE = Minutes(frozenset(), 0)


def classify(
    slices: Iterable[Slice],
    errors: Iterable[tuple[int, int, int]],
    excluded: Sequence[Span] = (),
    within: Span | None = None,
) -> Minutes:
    """Per-site probe counts and (minute, requests, 5xx) -> Minutes. `excluded` are spans [first, after) of
    minutes that do not overlap; `within` is the span that is asked for, to count them."""
    votes: dict[int, int] = {}  # failed sites less good ones
    for minute, _, good, failed in slices:
        votes[minute] = votes.get(minute, 0) + (1 if failed >= good else -1)
    bad = {minute for minute, vote in votes.items() if vote >= 0}
    by_errors = {
        minute
        for minute, requests, failed in errors
        if requests >= MINIMUM_REQUESTS and failed > ERROR_SHARE * requests
    }
    bad, watched = bad | by_errors, votes.keys() | by_errors
    if not excluded:
        return Minutes(frozenset(bad), len(watched))
    out = {minute for first, after in excluded for minute in range(first, after)}
    first, after = within or (min(out), max(out) + 1)
    return Minutes(
        frozenset(bad - out), len(watched - out), sum(1 for minute in out if first <= minute < after)
    )


def spans_of(exclusions: Iterable[Exclusion], start: float, end: float) -> tuple[Span, ...]:
    """The whole minutes in [start, end) that maintenance excludes, as ordered spans that do not overlap."""
    spans: list[Span] = []
    for it in sorted(exclusions, key=lambda it: it.start):
        first, after = math.ceil(max(it.start, start) / 60), int(min(it.end, end) // 60)
        if first >= after:
            continue
        if spans and first <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], after))
        else:
            spans.append((first, after))
    return tuple(spans)


def nothing_excluded(registry: str) -> Sequence[Exclusion]:
    """No maintenance was recorded."""
    return ()


class MinuteLedger:
    """Minutes of windows, counted incrementally: whole hours that are settled are kept, and read again when
    data of that hour comes late (`heard`) or another maintenance is recorded."""

    def __init__(
        self, samples: SampleStore, events: EventStore, exclusions: Exclusions = nothing_excluded
    ) -> None:
        self._samples, self._events, self._exclusions = samples, events, exclusions
        self._hours: dict[tuple[str, str], tuple[tuple[Exclusion, ...], dict[int, Minutes]]] = {}
        self._lock, self._late = threading.Lock(), 0

    def read(self, registry: str, signal: str, start: float, end: float) -> Minutes:
        """Minutes in [start, end), which are Unix seconds on minute edges; straight from the stores."""
        if start >= end:
            return NONE
        return classify(
            self._samples.slices(registry, signal, start, end),
            self._events.errors_by_minute(registry, start, end),
            spans_of(self._exclusions(registry), start, end),
            (int(start // 60), int(end // 60)),
        )

    def count(self, registry: str, signal: str, start: float, end: float) -> Minutes:
        """The same, where only what is young, or older than the window's first whole hour, is read again."""
        first, after = math.ceil(start / HOUR), int((end - SETTLED_AFTER) // HOUR)
        if first >= after:
            return self.read(registry, signal, start, end)
        hours = self._settled(registry, signal, first, after)
        edges = (
            self.read(registry, signal, start, first * HOUR),
            self.read(registry, signal, after * HOUR, end),
        )
        parts = [*edges, *(hours[hour] for hour in range(first, after))]
        return Minutes(
            frozenset().union(*(it.bad for it in parts if it.bad)),
            sum(it.watched for it in parts),
            sum(it.excluded for it in parts),
        )

    def heard(self, registry: str, at: float) -> None:
        """Data of `at` was kept: its hour is counted anew."""
        with self._lock:
            self._late += 1
            for (name, _), (_, hours) in self._hours.items():
                if name == registry:
                    hours.pop(int(at // HOUR), None)

    def _settled(self, registry: str, signal: str, first: int, after: int) -> dict[int, Minutes]:
        """The hours [first, after), read where they are not known."""
        excluded = tuple(self._exclusions(registry))
        with self._lock:
            known, hours = self._hours.get((registry, signal), (excluded, {}))
            held = {hour: it for hour, it in hours.items() if known == excluded}
            late = self._late
        found = dict(held)
        for begin, until in _runs(hour for hour in range(first, after) if hour not in held):
            found |= self._read_hours(registry, signal, begin, until)
        with self._lock:
            if late == self._late:  # else something came meanwhile, of which this may not know
                kept = {hour: it for hour, it in found.items() if hour >= after - KEPT_HOURS}
                self._hours[registry, signal] = (excluded, kept)
        return found

    def _read_hours(self, registry: str, signal: str, first: int, after: int) -> dict[int, Minutes]:
        start, end = first * HOUR, after * HOUR
        slices: dict[int, list[Slice]] = defaultdict(list)
        for piece in self._samples.slices(registry, signal, start, end):
            slices[piece.minute // 60].append(piece)
        errors: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        for row in self._events.errors_by_minute(registry, start, end):
            errors[row[0] // 60].append(row)
        exclusions = self._exclusions(registry)
        return {
            hour: classify(
                slices.get(hour, ()),
                errors.get(hour, ()),
                spans_of(exclusions, hour * HOUR, (hour + 1) * HOUR),
                (hour * 60, hour * 60 + 60),
            )
            for hour in range(first, after)
        }


def _runs(hours: Iterable[int]) -> list[Span]:
    """Rising numbers -> spans [first, after) without a gap."""
    runs: list[Span] = []
    for hour in hours:
        if runs and runs[-1][1] == hour:
            runs[-1] = (runs[-1][0], hour + 1)
        else:
            runs.append((hour, hour + 1))
    return runs
