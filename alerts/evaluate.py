"""Judges every row of the matrix for a registry: the state over its window, the indicator now.

Missing data is unknown, never ok. The state is about the promise (a broken month stays broken);
the indicator is about this moment, and it is what opens an incident and proves a repair.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from alerts.burn_rate import burn_rate, burning
from alerts.minutes import MinuteLedger
from alerts.slos import BurnWindow
from alerts.unsigned import UnsignedPulls
from seawall.core.ports import EventStore, Quantile, SampleStore
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
    ) -> None:
        self.rows = tuple(rows)
        self._windows, self._samples, self._events = tuple(windows), samples, events
        self._interval, self._unsigned = probe_interval, UnsignedPulls(samples, events, trusted)
        self._ledger = MinuteLedger(samples, events)
        self._judges: dict[SloType, Callable[[SloRow, str, float, Indicator], SloStatus]] = {
            SloType.TIME_SLICES: self._judge_minutes,
            SloType.LATENCY: self._judge_latency,
            SloType.LEVEL: self._judge_plain,
            SloType.COUNT: self._judge_count,
        }

    def row(self, name: str) -> SloRow | None:
        """The row of that name."""
        return next((row for row in self.rows if row.name == name), None)

    def judge(self, registry: str, now: float) -> list[SloStatus]:
        """Every row, in the file's order."""
        return [
            self._judges[row.type](row, registry, now, self.indicator(row, registry, now))
            for row in self.rows
        ]

    def indicator(self, row: SloRow, registry: str, now: float, since: float | None = None) -> Indicator:
        """The row's indicator at `now`; with `since`, only on data measured after that moment."""
        match row.type:
            case SloType.TIME_SLICES:
                return self._probe_indicator(row, registry, now, since)
            case SloType.LATENCY:
                return self._latency_indicator(row, registry, now, since)
            case SloType.LEVEL:
                return self._level_indicator(row, registry, now, since)
            case SloType.COUNT:
                return self._unsigned.indicator(row, registry, now, since)

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
            found = self._events.manifest_latency(registry, since, now, row.quantile)
            span = now - since
        else:
            found, span = self._pooled(row, registry, now, row.indicator)
        if found.value is None:
            return Indicator(None, f"no manifest request in {format_duration(span)}")
        ok = row.objective.holds(found.value)
        reason = f"P{row.quantile * 100:g} {_ms(found.value)} over {_requests(found, span, row)}"
        return Indicator(ok, reason, found.value, ok, now, None if ok else now - span, found.count)

    def _pooled(self, row: SloRow, registry: str, now: float, span: float) -> tuple[Quantile, float]:
        """The quantile over the last `span` seconds, lengthened until it has enough requests."""
        found = self._events.manifest_latency(registry, now - span, now, row.quantile)
        if found.count >= row.minimum_samples:
            return found, span
        found, oldest = self._events.manifest_latency_of_last(
            registry, now, row.minimum_samples, row.quantile
        )
        return found, max(span, now - oldest) if oldest is not None else span

    def _level_indicator(self, row: SloRow, registry: str, now: float, since: float | None) -> Indicator:
        start = max(now - row.indicator, since or 0.0)
        volumes = self._samples.latest(registry, row.signal, start, now)
        if not volumes:
            return Indicator(None, f"no volume was measured in the last {format_duration(row.indicator)}")
        worst = max(volumes, key=lambda s: s.value if row.objective.op in ("<", "<=") else -s.value)
        ok = row.objective.holds(worst.value)
        name = ", ".join(value for _, value in worst.labels) or row.signal
        reason = f"{name} is {worst.value:.1%} used" if row.unit == "ratio" else f"{name} = {worst.value:g}"
        if row.signal == STORAGE_USED_RATIO:
            reason += self._filling(worst, now)
        return Indicator(ok, reason, worst.value, ok, worst.at, None if ok else worst.at, len(volumes))

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
        minutes = (
            self._ledger.month(registry, row.signal, start, end)
            if row.window is None
            else self._ledger.read(registry, row.signal, start, end)
        )
        bad, allowed = len(minutes.bad) * 60.0, row.objective.value
        share = allowed / (until - start)
        burnt = burning(minutes, end, self._windows, share)
        status = self._minutes_status(row, bad, minutes.watched, indicator, burnt)
        if not minutes.watched:
            reason = f"no whole minute was watched yet; {indicator.reason}"
        unwatched = max(0, int((end - start) // 60) - minutes.watched)
        reason = f"{len(minutes.bad)} bad minutes of {allowed / 60:g} allowed; {indicator.reason}"
        if burnt:
            reason += f"; over {burnt.long} the budget burns more than {burnt.factor:g} times too fast"
        return SloStatus(
            name=row.name,
            registry=registry,
            status=status,
            indicator_ok=indicator.ok,
            value=bad if minutes.watched else None,
            unit=row.unit,
            threshold=allowed,
            window=(start, until),
            samples=minutes.watched,
            budget_remaining_ratio=(1 - bad / allowed) if minutes.watched else None,
            burn_rate=burn_rate(minutes, end, HOUR, share) if minutes.watched else None,
            breach_probability=None,
            reason=reason + (f"; {format_duration(unwatched * 60)} not watched" if unwatched else ""),
            at=now,
            since=indicator.since,
            now_reason=indicator.reason,
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
        found, span = self._pooled(row, registry, now, row.window or HOUR)
        value = found.value
        status = (
            Status.UNKNOWN if value is None else Status.OK if row.objective.holds(value) else Status.BREACHED
        )
        reason = (
            f"no manifest request in {format_duration(span)}"
            if value is None
            else f"P{row.quantile * 100:g} {_ms(value)} over {_requests(found, span, row)}"
        )
        if status is Status.OK and indicator.ok is False:
            status, reason = Status.AT_RISK, f"{reason}; now: {indicator.reason}"
        return self._plain(
            row, registry, now, indicator, status, value, (now - span, now), found.count, reason
        )

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
            threshold=row.objective.value,
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


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _requests(found: Quantile, span: float, row: SloRow) -> str:
    text = f"{found.count} requests in {format_duration(span)}"
    return text if found.count >= row.minimum_samples else f"only {text} (fewer than {row.minimum_samples})"
