"""Judges every row of the matrix for a registry: the state over its window, the indicator now.

Missing data is unknown, never ok. The state is about the promise (a broken month stays broken);
the indicator is about this moment, and it is what opens an incident and proves a repair.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from alerts.burn_rate import burn_rate, burning, exhausted_in
from alerts.latency import Latencies
from alerts.minutes import Exclusions, MinuteLedger, Minutes, nothing_excluded
from alerts.ratio import Ratios
from alerts.slos import BurnWindow
from alerts.unsigned import UnsignedPulls
from seawall.core.errors import StoreUnavailable
from seawall.core.ports import EventStore, SampleStore
from seawall.core.signals import STORAGE_FULL, STORAGE_USED_RATIO, Sample
from seawall.core.slos import Indicator, SloRow, SloStatus, SloType, Status
from seawall.core.times import format_duration, month_of

DOWN_ROUNDS = 2
STALE_ROUNDS = 3
HOUR = 3600.0
GROWTH_FRESH = 600.0  # seconds; growth is computed every 5 minutes


class Evaluator:
    """The rows over the two stores. `probe_interval` is in seconds; `trusted` names the registries
    for which a trust root is configured."""

    def __init__(
        self,
        rows: Sequence[SloRow],
        windows: Sequence[BurnWindow],
        samples: SampleStore,
        events: EventStore,
        probe_interval: float,
        trusted: Collection[str] = (),
        exclusions: Exclusions = nothing_excluded,
    ) -> None:
        self.rows = tuple(rows)
        self._windows, self._samples, self._events = tuple(windows), samples, events
        self._interval, self._unsigned = probe_interval, UnsignedPulls(samples, events, trusted)
        self._ledger = MinuteLedger(samples, events, exclusions)
        self._latencies, self._ratios = Latencies(samples, events), Ratios(samples, windows)
        self._judges: dict[SloType, Callable[[SloRow, str, float, Indicator], SloStatus]] = {
            SloType.TIME_SLICES: self._judge_minutes,
            SloType.LATENCY: self._judge_latency,
            SloType.LEVEL: self._judge_plain,
            SloType.COUNT: self._judge_count,
            SloType.RATIO: self._ratios.judge,
        }

    def row(self, name: str) -> SloRow | None:
        """The row of that name."""
        return next((row for row in self.rows if row.name == name), None)

    def judge(self, registry: str, now: float) -> list[SloStatus]:
        """Every row, in the file's order."""
        return [self._judged(row, registry, now) for row in self.rows]

    def _judged(self, row: SloRow, registry: str, now: float) -> SloStatus:
        """A row whose store is away is unknown, never what it was before."""
        row = row.of(registry)
        try:
            return self._judges[row.type](row, registry, now, self.indicator(row, registry, now))
        except StoreUnavailable as error:
            blind, window = Indicator(None, str(error)), (now - (row.window or row.indicator), now)
            return self._plain(row, registry, now, blind, Status.UNKNOWN, None, window, 0, str(error))

    def indicator(self, row: SloRow, registry: str, now: float, since: float | None = None) -> Indicator:
        """The row's indicator at `now`; with `since`, only on data measured after that moment."""
        row = row.of(registry)
        match row.type:
            case SloType.RATIO:
                return self._ratios.indicator(row, registry, now, since)
            case SloType.TIME_SLICES:
                return self._probe_indicator(row, registry, now, since)
            case SloType.LATENCY:
                return self._latency_indicator(row, registry, now, since)
            case SloType.LEVEL:
                return self._level_indicator(row, registry, now, since)
            case SloType.COUNT:
                return self._unsigned.indicator(row, registry, now, since)

    def heard(self, registry: str, at: float) -> None:
        """Data measured at `at` was kept: late data is counted, however old it is."""
        self._ledger.heard(registry, at)
        self._ratios.heard(registry, at)

    # indicators ----------------------------------------------------------------------------

    def _probe_indicator(self, row: SloRow, registry: str, now: float, since: float | None) -> Indicator:
        fresh = STALE_ROUNDS * self._interval + DOWN_ROUNDS * self._interval
        start = max(now - max(fresh, row.indicator), since or 0.0)
        sites: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
        for sample in self._samples.range(registry, row.signal, start, now + 0.001):
            sites.setdefault(sample.labels, []).append(sample)
        recent = {site: rounds for site, rounds in sites.items() if rounds[-1].at >= now - fresh}
        if not recent:
            return Indicator(None, f"no probe has reported in the last {format_duration(fresh)}")
        down = [rounds for rounds in recent.values() if _down(rounds)]
        newest = [rounds[-1].value >= 0.5 for rounds in recent.values()]
        good = sum(newest) * 2 > len(newest)
        at = max(rounds[-1].at for rounds in recent.values())
        if len(down) * 2 >= len(recent):
            began = min(_streak_start(rounds) for rounds in down)
            reason = f"the last {DOWN_ROUNDS} probe rounds failed at {len(down)} of {len(recent)} sites"
            return Indicator(False, reason, 0.0, good, at, began, len(recent))
        reason = "probes succeed" if good else "the last probe round failed; the next one decides"
        return Indicator(True, reason, 1.0, good, at, None, len(recent))

    def _latency_indicator(self, row: SloRow, registry: str, now: float, since: float | None) -> Indicator:
        if since is not None:
            found = self._latencies.since(row, registry, since, now)
        else:
            found = self._latencies.pooled(row, registry, now, row.indicator)
        began = now - found.span if found.ok is False else None
        return Indicator(
            found.ok,
            found.reason,
            found.value,
            bool(found.ok),
            now if found.count else None,
            began,
            found.count,
        )

    def _level_indicator(self, row: SloRow, registry: str, now: float, since: float | None) -> Indicator:
        start = max(now - row.indicator, since or 0.0)
        volumes = self._samples.latest(registry, row.signal, start, now)
        if not volumes:
            return Indicator(None, f"no volume was measured in the last {format_duration(row.indicator)}")
        limits = {id(it): row.limit(registry, dict(it.labels)) for it in volumes}
        broken = [it for it in volumes if not limits[id(it)].holds(it.value)]
        pick = max if row.objective.op in ("<", "<=") else min
        worst, ok = pick(broken or volumes, key=lambda it: it.value), not broken
        name = ", ".join(value for _, value in worst.labels) or row.signal
        reason = f"{name} is {worst.value:.1%} used" if row.unit == "ratio" else f"{name} = {worst.value:g}"
        if row.signal == STORAGE_USED_RATIO:
            reason += self._filling(worst, now)
        return Indicator(
            ok,
            reason,
            worst.value,
            ok,
            worst.at,
            None if ok else worst.at,
            len(volumes),
            limits[id(worst)].value,
        )

    def _filling(self, volume: Sample, now: float) -> str:
        """`, full in about 3d4h (2d20h at the earliest)`; "" where its growth does not say so."""
        found = self._samples.latest(volume.registry, STORAGE_FULL, now - GROWTH_FRESH, now)
        times = {dict(s.labels)["bound"]: s.value for s in found if set(volume.labels) <= set(s.labels)}
        if "likely" not in times:
            return ""
        early = format_duration(times.get("early", times["likely"]))
        return f", full in about {format_duration(times['likely'])} ({early} at the earliest)"

    # states --------------------------------------------------------------------------------

    def _judge_minutes(self, row: SloRow, registry: str, now: float, indicator: Indicator) -> SloStatus:
        end = now // 60 * 60
        start, until = month_of(now) if row.window is None else (end - row.window, end)
        minutes = self._ledger.count(registry, row.signal, start, end)
        bad, allowed = len(minutes.bad) * 60.0, row.objective.value
        share = allowed / (until - start)
        burnt = burning(minutes, end, self._windows, share)
        rate = burn_rate(minutes, end, HOUR, share)
        left = exhausted_in(allowed - bad, rate, share)
        unknown = max(0.0, end - start - (minutes.watched + minutes.excluded) * 60.0)
        watched = minutes.watched > 0
        return SloStatus(
            name=row.name,
            registry=registry,
            status=self._minutes_status(row, bad, minutes.watched, indicator, burnt),
            indicator_ok=indicator.ok,
            value=bad if watched else None,
            unit=row.unit,
            threshold=allowed,
            window=(start, until),
            samples=minutes.watched,
            budget_remaining_ratio=(1 - bad / allowed) if watched else None,
            burn_rate=rate if watched else None,
            breach_probability=None,
            reason="; ".join(_told(minutes, allowed, indicator, burnt, left, unknown)),
            at=now,
            since=indicator.since,
            now_reason=indicator.reason,
            exhausted_in=left if watched else None,
            excluded=minutes.excluded * 60.0,
            unknown=unknown,
        )

    def _minutes_status(
        self, row: SloRow, bad: float, watched: int, indicator: Indicator, burnt: BurnWindow | None
    ) -> Status:
        if not row.objective.holds(bad):
            return Status.BREACHED
        if indicator.ok is None or not watched:
            return Status.UNKNOWN
        if burnt or indicator.ok is False:
            return Status.AT_RISK
        return Status.OK

    def _judge_latency(self, row: SloRow, registry: str, now: float, indicator: Indicator) -> SloStatus:
        found = self._latencies.pooled(row, registry, now, row.window or HOUR)
        status = {None: Status.UNKNOWN, True: Status.OK, False: Status.BREACHED}[found.ok]
        reason = found.reason
        if status is Status.OK and indicator.ok is False:
            status, reason = Status.AT_RISK, f"{reason}; now: {indicator.reason}"
        window = (now - found.span, now)
        return self._plain(row, registry, now, indicator, status, found.value, window, found.count, reason)

    def _judge_count(self, row: SloRow, registry: str, now: float, indicator: Indicator) -> SloStatus:
        tally = self._unsigned.tally(row, registry, now)
        window = (now - (row.window or row.indicator), now)
        judged = self._plain(
            row, registry, now, indicator, tally.status, tally.value, window, tally.samples, tally.reason
        )
        return replace(judged, episode=tally.episode, impact=tally.impact, facts=tally.facts)

    def _judge_plain(self, row: SloRow, registry: str, now: float, indicator: Indicator) -> SloStatus:
        status = {None: Status.UNKNOWN, True: Status.OK, False: Status.BREACHED}[indicator.ok]
        window = (now - (row.window or row.indicator), now)
        return self._plain(
            row,
            registry,
            now,
            indicator,
            status,
            indicator.value,
            window,
            indicator.samples,
            indicator.reason,
        )

    def _plain(
        self,
        row: SloRow,
        registry: str,
        now: float,
        indicator: Indicator,
        status: Status,
        value: float | None,
        window: tuple[float, float],
        samples: int,
        reason: str,
    ) -> SloStatus:
        return SloStatus(
            name=row.name,
            registry=registry,
            status=status,
            indicator_ok=indicator.ok,
            value=value,
            unit=row.unit,
            threshold=row.objective.value if indicator.threshold is None else indicator.threshold,
            window=window,
            samples=samples,
            budget_remaining_ratio=None,
            burn_rate=None,
            breach_probability=None,
            reason=reason,
            at=now,
            since=indicator.since,
            now_reason=indicator.reason,
        )


def _down(rounds: Sequence[Sample]) -> bool:
    last = rounds[-DOWN_ROUNDS:]
    return len(last) == DOWN_ROUNDS and all(sample.value < 0.5 for sample in last)


def _streak_start(rounds: Sequence[Sample]) -> float:
    at = rounds[-1].at
    for sample in reversed(rounds):
        if sample.value >= 0.5:
            break
        at = sample.at
    return at


def _told(
    minutes: Minutes,
    allowed: float,
    indicator: Indicator,
    burnt: BurnWindow | None,
    left: float | None,
    unknown: float,
) -> list[str]:
    """Why a row of minutes stands as it stands, in parts."""
    if minutes.watched:
        told = [f"{len(minutes.bad)} bad minutes of {allowed / 60:g} allowed", indicator.reason]
    else:
        told = ["no whole minute was watched yet", indicator.reason]
    if burnt:
        told.append(f"over {burnt.long} the budget burns more than {burnt.factor:g} times too fast")
    if left:
        told.append(f"at the last hour's rate the budget is spent in {format_duration(left)}")
    if unknown:
        told.append(f"{format_duration(unknown)} not watched")
    if minutes.excluded:
        told.append(f"{format_duration(minutes.excluded * 60)} of maintenance excluded")
    return told
