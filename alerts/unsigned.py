"""Pulls of unsigned images: counted in a window; what is unknown is never counted as unsigned, nor as signed.

The indicator looks at verdicts that were reached in the latest minutes, whenever the pull was: one that is
told late, or was waited for, hurts when it is known. After a repair it looks at pulls since then.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from seawall.core.incidents import Impact
from seawall.core.ports import EventStore, SampleStore
from seawall.core.pulls import UNKNOWN, UNSIGNED, Culprit, PullCounts
from seawall.core.signals import PULLS_WAITING
from seawall.core.slos import Indicator, SloRow, Status
from seawall.core.times import format_duration, rfc3339

DAY = 86400.0
AHEAD = 300.0  # seconds that a registry's clock may be ahead of ours
NO_TRUST = "no trust configured"
NO_SOURCE = (
    "no source has told of pulls in {span}: let the registry send its notifications or webhooks,"
    " or name its log (docs/events.md)"
)
NOT_JUDGED = "the pulls of the last {span} are not judged: see why its collector `signatures` is down"
STALE = 300.0  # seconds without a word of the collector that judges pulls
_MOST = 200  # images and clients that are read
_NAMED = 3  # of them that are named


@dataclass(frozen=True, slots=True)
class Tally:
    """The pulls of a window: the row's state, its value and why; `facts` of the newest unsigned one."""

    status: Status
    value: float | None
    samples: int
    reason: str
    episode: float | None = None
    impact: Impact | None = None
    facts: dict[str, Any] = field(default_factory=dict)


class UnsignedPulls:
    """Judges rows of type count. `trusted` names the registries for which a trust is configured."""

    def __init__(self, samples: SampleStore, events: EventStore, trusted: Collection[str]) -> None:
        self._samples, self._events, self._trusted = samples, events, frozenset(trusted)
        self._last: dict[str, tuple[tuple[float, float], bool]] = {}

    def indicator(self, row: SloRow, registry: str, now: float, since: float | None) -> Indicator:
        """Now; with `since`, of pulls after that moment."""
        if registry not in self._trusted:
            return Indicator(None, NO_TRUST)
        start, end = since if since is not None else now - (row.window or DAY), now + AHEAD
        if since is None:
            counts = self._events.judged_counts(registry, start, end, now - row.indicator)
        else:
            counts = self._events.pull_counts(registry, start, end, end)
        value = float(counts.unsigned)
        if not row.objective.holds(value):
            found = self._events.culprits(registry, start, end, UNSIGNED, _MOST)
            began = min((it.at for it in found), default=now)
            return Indicator(False, _unsigned(counts, found), value, False, now, began, counts.all)
        if missing := self._missing(registry, start, now, counts):
            return Indicator(None, missing, samples=counts.all)
        span = format_duration(row.indicator if since is None else now - since)
        return Indicator(True, _fine(counts, span), value, True, now, None, counts.all)

    def tally(self, row: SloRow, registry: str, now: float) -> Tally:
        """The window up to `now`, as it was judged by then."""
        if registry not in self._trusted:
            return Tally(Status.UNKNOWN, None, 0, NO_TRUST)
        start, end = now - (row.window or DAY), now + AHEAD
        counts = self._events.pull_counts(registry, start, end, now)
        value = float(counts.unsigned)
        span = format_duration(now - start)
        if not row.objective.holds(value):
            found = self._events.culprits(registry, start, end, UNSIGNED, _MOST)
            reason = f"{_unsigned(counts, found)} (in {span})"
            episode, impact, facts = counts.newest, _impact(found), _facts(found)
            return Tally(Status.BREACHED, value, counts.all, reason, episode, impact, facts)
        if missing := self._missing(registry, start, now, counts):
            return Tally(Status.UNKNOWN, value if counts.all else None, counts.all, missing)
        return Tally(Status.OK, value, counts.all, _fine(counts, span))

    def _missing(self, registry: str, start: float, now: float, counts: PullCounts) -> str:
        """Why nothing can be said, "" if something can."""
        end = now + AHEAD
        if counts.unknown:
            return self._unknown(registry, start, end, counts)
        if not counts.all and not self._told(registry, start, end):
            return NO_SOURCE.format(span=format_duration(now - start))
        if not self._samples.latest(registry, PULLS_WAITING, now - STALE, now):
            return NOT_JUDGED.format(span=format_duration(STALE))
        return ""

    def _told(self, registry: str, start: float, end: float) -> bool:
        """Has any source told of pulls? Asked twice in a turn, of the same span."""
        asked, found = self._last.get(registry, ((0.0, 0.0), False))
        if asked != (start, end):
            found = self._events.told_at(registry, start, end) is not None
            self._last[registry] = ((start, end), found)
        return found

    def _unknown(self, registry: str, start: float, end: float, counts: PullCounts) -> str:
        found = self._events.culprits(registry, start, end, UNKNOWN, 1)
        why = f": {_image(found[0])}: {found[0].reason}" if found else ""
        return f"{counts.unknown} of {_count(counts.all)} without a verdict{why}"


def _fine(counts: PullCounts, span: str) -> str:
    return f"{_count(counts.all)} in {span}, {counts.unsigned} unsigned"


def _unsigned(counts: PullCounts, found: Sequence[Culprit]) -> str:
    named = "; ".join(_named(it) for it in found[:_NAMED])
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    unknown = f"; {counts.unknown} more without a verdict" if counts.unknown else ""
    return f"{_count(counts.unsigned)} of unsigned images: {named}{more}{unknown}"


def _named(it: Culprit) -> str:
    """`team/app:1.0 (sha256:1f...) by alice from 10.0.0.1, 2 times, last at ...: no signature`."""
    who = " ".join(
        part
        for part in (f"by {it.user}" if it.user else "", f"from {it.client}" if it.client else "")
        if part
    )
    times = "once" if it.count == 1 else f"{it.count} times"
    digest = f" ({it.digest})" if it.digest != it.reference else ""
    return (
        f"{_image(it)}{digest} {who or 'by somebody unnamed'}, {times}, last at {rfc3339(it.at)}: {it.reason}"
    )


def _image(it: Culprit) -> str:
    return f"{it.repository}{'@' if ':' in it.reference else ':'}{it.reference}"


def _impact(found: Sequence[Culprit]) -> Impact:
    clients = {it.client or it.user for it in found} - {""}
    return Impact(0, len({it.repository for it in found}), len(clients))


def _facts(found: Sequence[Culprit]) -> dict[str, Any]:
    """Of the newest, for a playbook's inputs."""
    if not found:
        return {}
    it = found[0]
    facts = {
        "image": _image(it),
        "repository": it.repository,
        "digest": it.digest,
        "reference": it.reference,
        "user": it.user,
        "client": it.client,
        "reason": it.reason,
        "count": it.count,
    }
    return {name: value for name, value in facts.items() if value != ""}


def _count(number: int) -> str:
    return f"{number} {'pull' if number == 1 else 'pulls'}"
