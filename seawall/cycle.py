"""One turn: collect, keep, judge, score, correlate, decide, act, verify. Ports only.

Collections are coroutines that run on their own, so that a slow target delays nobody; the rest
of a turn is quick and runs in one thread at a time.
"""

import asyncio
import logging
import math
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seawall.core.actions import OPEN_STATES, ActionState
from seawall.core.errors import Conflict, SeawallError
from seawall.core.foresight import Forecast, Sight, Watcher
from seawall.core.incidents import Finding, Impact, Incident, IncidentState, TimelineEntry
from seawall.core.ports import Clock, Collector, EventStore, RecordStore, SampleStore
from seawall.core.signals import Event, Sample, labels
from seawall.core.slos import SloStatus, Status
from seawall.core.stages import Correlator, Judge, Observer, Repair
from seawall.core.times import format_duration
from seawall.keeping import Keeper
from seawall.traffic import Traffic
from seawall.verification import Verifier

SEAWALL = "seawall"
GOOD_ROUNDS = 3
MOST_DAMPED = 8
LOOK_BACK = 900.0
RETRY = 60.0  # seconds until a repair that could not be offered (a cooldown) is looked for again
LATE = 600.0  # seconds; the judge counts again what is settled, and that is older
LIVE = (IncidentState.OPEN, IncidentState.ACKNOWLEDGED)
NOTHING = Sight({}, {})
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """What a cycle turns."""

    clock: Clock
    collectors: Sequence[Collector]
    samples: SampleStore
    events: EventStore
    records: RecordStore
    judge: Judge
    correlator: Correlator
    repair: Repair
    observer: Observer
    watcher: Watcher | None = None
    acting: Callable[[], bool] = lambda: True  # False: another Seawall on the same records acts
    collects: Callable[[], bool] = lambda: True  # False: another one writes into the same stores
    reopen: float = 600.0  # seconds in which a trouble that Seawall saw end is the same one when it returns


class Cycle:
    """Turns the parts; holds nothing that a restart would miss but the last notes and counts."""

    def __init__(self, parts: Parts) -> None:
        self._p = parts
        self._lock = threading.Lock()
        self._notes: dict[tuple[str, str], list[str]] = {}
        self._traffic = Traffic(parts.events)
        self._verifier = Verifier(
            parts.judge, parts.samples, parts.records, parts.repair, self._amend, self._resolve
        )
        self.keeper = Keeper(parts.samples, parts.events, self._kept)
        self._said: list[Sample] = []
        self._fresh: dict[str, dict[str, float]] = {}
        self._good: dict[str, tuple[int, float]] = {}
        self._tried: dict[str, tuple[float, frozenset[str]]] = {}  # when in vain, and why
        self.statuses: dict[str, list[SloStatus]] = {}
        self.last_turn = 0.0

    @property
    def collectors(self) -> Sequence[Collector]:
        """What is collected."""
        return self._p.collectors

    # collect and keep ------------------------------------------------------------------------

    async def collect(self, collector: Collector) -> bool:
        """One collection, kept durably before its position advances. False if it failed, or is another's."""
        if not self._p.collects():
            return False
        began = time.perf_counter()
        try:
            batch = await asyncio.wait_for(collector.collect(self._p.clock.now()), collector.timeout)
            new = await self.keeper.keep(batch.samples, batch.events, batch.checkpoints)
            await collector.stored()
        except (SeawallError, TimeoutError, OSError) as error:
            reason = str(error) or f"no answer within {format_duration(collector.timeout)}"
            self._p.observer.missed(collector, reason, time.perf_counter() - began)
            return False
        except Exception:
            log.exception("collector %s of %s", collector.name, collector.registry)
            self._p.observer.missed(
                collector, "an unexpected fault; see the log", time.perf_counter() - began
            )
            return False
        self._notes[collector.registry, collector.name] = batch.notes
        self._p.observer.kept(collector, batch, new, time.perf_counter() - began)
        return True

    def _kept(self, samples: Sequence[Sample], events: Sequence[Event]) -> None:
        """These are durable: late data is counted again, and fresh values wait for the next turn."""
        settled = self._p.clock.now() - LATE
        heard = [*((s.registry, s.at) for s in samples), *((e.registry, e.at) for e in events)]
        late = {(registry, at // 3600 * 3600) for registry, at in heard if at < settled}
        for registry, at in late:
            self._p.judge.heard(registry, at)
        for sample in samples:
            series = _series(sample)
            if series:
                self._fresh.setdefault(sample.registry, {})[series] = sample.value

    # one turn --------------------------------------------------------------------------------

    def turn(self, registries: Sequence[str]) -> None:
        """Judge, score, correlate, decide, act and verify; a fault in one registry leaves the others be."""
        with self._lock:
            for registry in registries:
                try:
                    self._turn(registry)
                except SeawallError as error:
                    log.error("turn of %s: %s", registry, error)
            self._keep_said()
            now = self._p.clock.now()
            if self._p.acting():
                self._p.repair.expire(now)
            self.last_turn = now

    def _turn(self, registry: str) -> None:
        began, now = time.perf_counter(), self._p.clock.now()
        judged = self._p.judge.judge(registry, now)
        forecasts = {it.slo: it for it in self._look(registry, now, judged).forecasts}
        statuses = [_foreseen(status, forecasts.get(status.name)) for status in judged]
        self.statuses[registry] = statuses
        by_name = {status.name: status for status in statuses}
        if not self._p.acting():
            self._p.observer.judged(statuses, time.perf_counter() - began)
            return
        try:
            for finding in self._p.correlator.findings(statuses):
                self._open(finding, by_name[finding.slo] if finding.slo else None)
            self._verifier.follow(registry, now)
            self._recover(registry, now)
        finally:  # a store that is away stops the rest, but not the word that its rows are unknown
            self._p.observer.judged(statuses, time.perf_counter() - began)

    def _look(self, registry: str, now: float, statuses: Sequence[SloStatus]) -> Sight:
        """What the models say of what is fresh; kept and told. Their faults stop nothing else."""
        values = self._fresh.pop(registry, {})
        if self._p.watcher is None:
            return NOTHING
        try:
            values |= self._traffic.count(registry, now)
            values |= {f"slo:{s.name}": s.value for s in statuses if s.value is not None and s.samples}
            sight = self._p.watcher.look(registry, now, values, statuses)
        except SeawallError as error:
            log.error("the models say nothing of %s: %s", registry, error)
            return NOTHING
        self._said += _said(registry, now, sight, values)
        self._p.observer.scored(registry, sight.scores, values, now)
        self._p.observer.foreseen(registry, sight)
        return sight

    def _keep_said(self) -> None:
        """What the models said in this turn, in one transaction; lost, said, where the store is away."""
        said, self._said = self._said, []
        try:
            if said:
                self._p.samples.append(said)
        except SeawallError as error:
            log.error("what the models said of %d values is not kept: %s", len(said), error)

    # correlate, decide -----------------------------------------------------------------------

    def receive(self, findings: Sequence[Finding]) -> list[Incident]:
        """Findings of another system (an alert): committed when this returns."""
        with self._lock:
            return [self._open(finding, None) for finding in findings]

    def _open(self, finding: Finding, status: SloStatus | None) -> Incident:
        cause = self._p.correlator.explained_by(finding, self._p.records.incidents(limit=20)[0])
        if cause is not None and cause.state is IncidentState.RESOLVED:
            return self._echoed(cause, finding)
        since = finding.at - self._p.reopen if self._p.reopen else math.inf
        incident, new = self._p.records.open_incident(finding, SEAWALL, cause.id if cause else None, since)
        if new:
            self._tried.pop(incident.id, None)
            how = "reopened" if incident.reopened else "opened"
            log.warning("incident %s %s: %s", incident.id, how, incident.title)
        if not incident.explanation and incident.state in LIVE:
            incident = self._explain(incident, finding, status)
        if self._wants_action(incident, finding, status):
            self._propose(incident)
        return incident

    def _echoed(self, cause: Incident, finding: Finding) -> Incident:
        """What comes in the wake of an incident that is over opens nothing; the incident says so, once."""
        text = f"{finding.title}: in the wake of this, so that it opens nothing"
        if any(line.text == text for line in cause.timeline):
            return cause
        return self._amend(cause, "incident.echoed", {"finding": finding.fingerprint}, text=text)

    def _explain(self, incident: Incident, finding: Finding, status: SloStatus | None) -> Incident:
        """Written after the incident is safe: a crash between leaves it to the next turn."""
        impact = self._impact(finding, status)
        statuses = self.statuses.get(finding.registry, [])
        text = self._p.correlator.explain(finding, impact, self._evidence(finding.registry), statuses)
        causes = self._p.correlator.causes(finding, statuses)
        return self._amend(incident, "incident.explained", {}, impact=impact, explanation=text, causes=causes)

    def _evidence(self, registry: str) -> list[str]:
        """What the registry's collectors last had to say."""
        return [note for (name, _), notes in self._notes.items() if name == registry for note in notes]

    def _impact(self, finding: Finding, status: SloStatus | None) -> Impact:
        if status is not None and status.impact is not None:
            return status.impact
        since = status.since if status and status.since is not None else finding.at
        _, repositories, clients = self._p.events.impact(finding.registry, since - LOOK_BACK, finding.at)
        failed, _, _ = self._p.events.impact(finding.registry, since, finding.at + 1)
        return Impact(failed, repositories, clients)

    def _wants_action(self, incident: Incident, finding: Finding, status: SloStatus | None) -> bool:
        """A repair is for what hurts now: a bad indicator, or another system's alert."""
        if incident.state not in LIVE or incident.slo != finding.slo:
            return False
        if self._p.clock.now() - self._tried.get(incident.id, (-math.inf,))[0] < RETRY:
            return False
        if status is not None and status.indicator_ok is not False:
            return False
        if not incident.actions:
            return True
        last = self._p.records.action(incident.actions[-1])
        # In doubt: it is planned again at once, unless Seawall was killed before it could.
        if last.state in (ActionState.EXPIRED, ActionState.IN_DOUBT):
            return True
        back = incident.reopened_at is not None and last.created_at < incident.reopened_at
        return back and last.state not in OPEN_STATES

    def _propose(self, incident: Incident) -> None:
        made, reasons = self._p.repair.propose(incident)
        if made:
            for action in made:
                self._p.observer.action(action)
            return
        told = self._tried.get(incident.id, (0.0, frozenset[str]()))[1]
        kinds = {_kind(reason): reason for reason in reasons}
        self._tried[incident.id] = self._p.clock.now(), told | kinds.keys()
        for reason in (reason for kind, reason in kinds.items() if kind not in told):
            self._amend(
                incident, "incident.no_repair", {"reason": reason}, text=f"no repair offered: {reason}"
            )

    # recover ---------------------------------------------------------------------------------

    def _recover(self, registry: str, now: float) -> None:
        """Incidents that got well without us: three good rounds, and no repair under way."""
        for incident in self._live():
            row = self._p.judge.row(incident.slo) if incident.slo else None
            own = any(finding.startswith(f"{SEAWALL}:") for finding in incident.findings)
            if incident.registry != registry or row is None or not own:
                continue
            found = self._p.judge.indicator(row, registry, now)
            count, last = self._good.get(incident.id, (0, incident.opened_at))
            if not (found.ok and found.good) or self._at_risk(incident):
                self._good[incident.id] = (0, found.at or last)
            elif found.at is not None and found.at > last:
                self._good[incident.id] = (count + 1, found.at)
            needed = GOOD_ROUNDS * min(MOST_DAMPED, 2**incident.reopened)  # what flaps must hold for longer
            if self._good.get(incident.id, (0, 0.0))[0] >= needed and not self._busy(incident):
                if self._p.repair.releasing(incident):
                    continue
                self._p.repair.moot(incident, "the registry recovered before anybody approved")
                self._resolve(incident, f"recovered without a repair: {found.reason}")

    def _at_risk(self, incident: Incident) -> bool:
        """Is a breach of its row still forecast?"""
        statuses = self.statuses.get(incident.registry, [])
        return any(s.risk_since is not None for s in statuses if s.name == incident.slo)

    def _busy(self, incident: Incident) -> bool:
        states = {self._p.records.action(id).state for id in incident.actions}
        return bool(states & {ActionState.APPROVED, ActionState.RUNNING, ActionState.VERIFYING})

    def _live(self) -> list[Incident]:
        return self._p.records.incidents(LIVE, limit=200)[0]

    def _resolve(self, incident: Incident, text: str) -> None:
        now = self._p.clock.now()
        self._good.pop(incident.id, None)
        self._amend(
            incident,
            "incident.resolved",
            {"reason": text},
            text=f"resolved, {text}",
            state=IncidentState.RESOLVED,
            resolved_at=now,
            resolved_by=SEAWALL,
        )

    def close_finding(self, source: str, fingerprint: str, text: str) -> None:
        """Another system says that its alert is over: an incident that only it reported is resolved."""
        with self._lock:
            name = f"{source}:{fingerprint}"
            for incident in self._live():
                alone = all(finding.startswith(f"{source}:") for finding in incident.findings)
                over = name in incident.findings and alone and not self._busy(incident)
                if over and not self._p.repair.releasing(incident):
                    self._p.repair.moot(incident, text)
                    self._resolve(incident, text)

    def _amend(
        self,
        incident: Incident,
        event: str,
        detail: Mapping[str, Any],
        text: str | None = None,
        actor: str = SEAWALL,
        **changes: Any,
    ) -> Incident:
        """Change an incident; reads it again when somebody else was first."""
        return amend(
            self._p.records, self._p.observer, self._p.clock, incident, event, detail, text, actor, **changes
        )


def _kind(reason: str) -> str:
    """A reason without the time that is left: the same one, told a moment later."""
    return re.sub(r" in \d\S*", "", reason)


def amend(
    records: RecordStore,
    observer: Observer,
    clock: Clock,
    incident: Incident,
    event: str,
    detail: Mapping[str, Any],
    text: str | None,
    actor: str,
    tries: int = 10,
    **changes: Any,
) -> Incident:
    """Compare-and-set on an incident, on its newest version (with `tries` 1 on this very one); `text` becomes
    a line of its timeline."""
    at = clock.now()
    for _ in range(tries):
        line = (TimelineEntry(at, actor, text),) if text else ()
        after = replace(incident, timeline=(*incident.timeline, *line), **changes)
        try:
            saved = records.save_incident(after, actor, event, detail, at)
        except Conflict:
            incident = records.incident(incident.id)
            continue
        observer.incident(saved)
        return saved
    raise Conflict(f"incident {incident.id} changes too fast; try again")


def _foreseen(status: SloStatus, forecast: Forecast | None) -> SloStatus:
    """A judgement with what is forecast of it: a promise that is kept now may be at risk."""
    if forecast is None:
        return status
    status = replace(status, breach_probability=forecast.probability)
    if not forecast.at_risk or status.status not in (Status.OK, Status.AT_RISK):
        return status
    reason = f"{status.reason}; a breach is forecast: {forecast.reason}"
    return replace(
        status,
        status=Status.AT_RISK,
        reason=reason,
        risk_since=forecast.since,
        risk_reason=f"a breach is forecast: {forecast.reason} (by {forecast.model})",
    )


def _said(registry: str, now: float, sight: Sight, values: Mapping[str, float]) -> Iterator[Sample]:
    """What the models said, as samples."""
    for name, score in sight.scores.items():
        pairs = labels(signal=name)
        for signal, value in (
            ("seawall_anomaly_score", score.score),
            ("seawall_expected", score.expected),
            ("seawall_expected_lower", score.lower),
            ("seawall_expected_upper", score.upper),
            ("seawall_observed", values[name]),
        ):
            yield Sample(registry, signal, now, value, pairs)
    for forecast in sight.forecasts:
        pairs = labels(slo=forecast.slo)
        yield Sample(registry, "seawall_forecast_breach_probability", now, forecast.probability, pairs)


def _series(sample: Sample) -> str | None:
    """The name under which the detector watches a sample; None if it does not."""
    pairs = dict(sample.labels)
    if sample.signal == "seawall_probe_duration_seconds" and pairs.get("phase") == "total":
        return f"{sample.signal}{{site={pairs.get('site', '')}}}"
    if sample.signal == "seawall_storage_used_ratio":
        return f"{sample.signal}{{volume={pairs.get('volume', '')}}}"
    return None
