"""What Seawall says of the registries and of itself: /metrics, and messages for the live stream."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from seawall.audit.head import HeadCollector
from seawall.core.actions import OPEN_STATES, Action, ActionState, Verification
from seawall.core.errors import SeawallError
from seawall.core.foresight import Forecast, Sight
from seawall.core.incidents import Incident, IncidentState, Severity
from seawall.core.ports import Collector, RecordStore, Score
from seawall.core.signals import (
    COLLECTOR_UP,
    DIGESTS,
    MANIFEST_BUCKETS,
    MANIFEST_DURATION,
    PROBE_DURATION,
    PULLS,
    PULLS_WAITING,
    SIGNALS,
    Batch,
    Event,
)
from seawall.core.slos import SloStatus, Status
from seawall.mirror import Mirror
from seawall.stores.event_columns import duration_seconds, is_client_manifest

PROBE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
WAIT_BUCKETS = (5, 15, 60, 300, 900, 3600)
RECOVERY_BUCKETS = (15, 30, 60, 120, 300, 600, 1800, 3600, 14400)
BOUNDS = ("low", "likely", "high")
REMEMBERED = 360
Listener = Callable[[str, Mapping[str, Any]], None]
Point = tuple[float, float, Score]


class Telemetry:
    """The port Observer. `points` holds the newest (time, observed, score) of each (registry, signal);
    `collectors` tells of each (registry, collector) whether it works and, if not, why; `queues` asks each
    queue how much waits in it."""

    def __init__(self, records: RecordStore) -> None:
        self.registry = CollectorRegistry()
        self.listeners: list[Listener] = []
        self.points: dict[tuple[str, str], deque[Point]] = {}
        self.shadows: dict[tuple[str, str], Score] = {}
        self.forecasts: dict[tuple[str, str], Forecast] = {}
        self.collectors: dict[tuple[str, str], tuple[bool, str]] = {}
        self.queues: dict[str, Callable[[], int]] = {}
        self._records = records
        self.leading: Callable[[], bool] = lambda: True
        self._define_registry_metrics()
        self._define_own_metrics()
        self._mirror = Mirror(
            (PROBE_DURATION, MANIFEST_DURATION, COLLECTOR_UP, DIGESTS, PULLS, PULLS_WAITING), self.queues
        )
        self.registry.register(self._mirror)
        self.registry.register(HeadCollector(records))

    def _define_registry_metrics(self) -> None:
        self._probe = self._histogram(PROBE_DURATION, PROBE_BUCKETS)
        self._manifest = self._histogram(MANIFEST_DURATION, MANIFEST_BUCKETS)
        self._slo_value = self._gauge("seawall_slo_value", "A row's value over its window", "registry slo")
        self._slo_status = self._gauge("seawall_slo_status", "1 for a row's status", "registry slo status")
        self._budget = self._gauge(
            "seawall_error_budget_remaining_ratio", "Budget left; negative when overspent", "registry slo"
        )
        self._score = self._gauge("seawall_anomaly_score", "Anomaly score, 0 to 1", "registry signal")
        self._observed = self._gauge(
            "seawall_anomaly_observed", "A watched signal as it was scored", "registry signal"
        )
        self._expected = self._gauge(
            "seawall_anomaly_expected", "What the model expected, by bound", "registry signal bound"
        )
        self._forecast = self._gauge(
            "seawall_forecast_breach_probability",
            "Chance of a breach within the row's horizon",
            "registry slo",
        )

    def _define_own_metrics(self) -> None:
        self._incidents = self._gauge("seawall_incidents", "Incidents by state", "state severity")
        self._actions = self._gauge("seawall_actions", "Actions that have not ended, by state", "state")
        self._runs = Counter(
            "seawall_runs_total", "Ended runs", ("playbook", "outcome"), registry=self.registry
        )
        self._wait = Histogram(
            "seawall_approval_wait_seconds",
            "From the question to the approval",
            buckets=WAIT_BUCKETS,
            registry=self.registry,
        )
        self._recovery = Histogram(
            "seawall_recovery_seconds",
            "From the opening of an incident to the proof that a run healed it",
            buckets=RECOVERY_BUCKETS,
            registry=self.registry,
        )
        self._turns = Histogram(
            "seawall_cycle_duration_seconds", "One turn of one registry", registry=self.registry
        )
        leader = self._gauge("seawall_leader", "1 if this Seawall acts, 0 if another does", "")
        leader.set_function(lambda: float(self.leading()))
        self._up = self._gauge(COLLECTOR_UP, SIGNALS[COLLECTOR_UP].help, "registry collector")
        self._collecting = self._gauge(
            "seawall_collector_duration_seconds", "Duration of the last collection", "registry collector"
        )

    def _gauge(self, name: str, text: str, label_names: str) -> Gauge:
        return Gauge(name, text, tuple(label_names.split()), registry=self.registry)

    def _histogram(self, name: str, buckets: Sequence[float]) -> Histogram:
        signal = SIGNALS[name]
        return Histogram(name, signal.help, signal.labels, buckets=buckets, registry=self.registry)

    # the port ------------------------------------------------------------------------------

    def kept(self, collector: Collector, batch: Batch, new_events: int, seconds: float) -> None:
        """See the port."""
        self._collected(collector, True, "; ".join(batch.notes + batch.asides), seconds)
        self._mirror.keep(collector, batch.samples)
        for sample in batch.samples:
            if sample.signal == PROBE_DURATION:
                pairs = dict(sample.labels)
                self._probe.labels(sample.registry, pairs["site"], pairs["phase"]).observe(sample.value)
        if new_events:
            self.observe_events(batch.events)

    def missed(self, collector: Collector, reason: str, seconds: float) -> None:
        """See the port."""
        self._collected(collector, False, reason, seconds)
        self._mirror.keep(collector, ())

    def _collected(self, collector: Collector, up: bool, note: str, seconds: float) -> None:
        key = (collector.registry, collector.name)
        self.collectors[key] = (up, note)
        self._up.labels(*key).set(up)
        self._collecting.labels(*key).set(seconds)

    def observe_events(self, events: Sequence[Event]) -> None:
        """Real clients' manifest requests become the latency histogram."""
        for event in events:
            if is_client_manifest(event):
                self._manifest.labels(event.registry).observe(duration_seconds(event) or 0.0)

    def judged(self, statuses: Sequence[SloStatus], seconds: float) -> None:
        """See the port."""
        self._turns.observe(seconds)
        for s in statuses:
            self._slo_value.labels(s.registry, s.name).set(float("nan") if s.value is None else s.value)
            for status in Status:
                self._slo_status.labels(s.registry, s.name, status).set(s.status is status)
            if s.budget_remaining_ratio is not None:
                self._budget.labels(s.registry, s.name).set(s.budget_remaining_ratio)
        self.say("slos", {"registry": statuses[0].registry if statuses else ""})

    def scored(
        self, registry: str, scores: Mapping[str, Score], observed: Mapping[str, float], at: float
    ) -> None:
        """See the port."""
        for name, score in scores.items():
            self._score.labels(registry, name).set(score.score)
            self._expect(registry, name, observed[name], score)
            points = self.points.setdefault((registry, name), deque(maxlen=REMEMBERED))
            points.append((at, observed[name], score))

    def _expect(self, registry: str, name: str, observed: float, score: Score) -> None:
        """A silent model expects nothing: then there is no series."""
        self._observed.labels(registry, name).set(observed)
        for bound, value in zip(BOUNDS, (score.lower, score.expected, score.upper), strict=True):
            if not score.silent:
                self._expected.labels(registry, name, bound).set(value)
            else:
                with suppress(KeyError):  # it was silent before, too
                    self._expected.remove(registry, name, bound)

    def foreseen(self, registry: str, sight: Sight) -> None:
        """See the port."""
        for name in sight.scores:
            self.shadows.pop((registry, name), None)
        self.shadows |= {(registry, name): score for name, score in sight.shadows.items()}
        for forecast in sight.forecasts:
            self.forecasts[registry, forecast.slo] = forecast
            self._forecast.labels(registry, forecast.slo).set(forecast.probability)
        for anomaly in sight.anomalies:
            state = "open" if anomaly.until is None else "over"
            self.say("anomaly", {"registry": registry, "signal": anomaly.signal, "state": state})

    def incident(self, incident: Incident) -> None:
        """See the port."""
        self.say("incident", {"id": incident.id, "state": incident.state})

    def action(self, action: Action) -> None:
        """See the port."""
        if action.run and action.run.outcome and _run_just_ended(action):
            self._runs.labels(action.playbook, action.run.outcome).inc()
        if action.state is ActionState.APPROVED and action.preview and action.version:
            self._wait.observe(max(0.0, action.approvals[-1].at - action.preview.at))
        if action.state is ActionState.SUCCEEDED and action.verification and action.takes_back is None:
            self._healed(action.incident, action.verification)
        self.say("action", {"id": action.id, "state": action.state})

    def _healed(self, incident: str, proof: Verification) -> None:
        """One that came back counts from then on; where the records are away, it is not counted."""
        with suppress(SeawallError):
            found = self._records.incident(incident)
            if proof.recovered_at is not None:
                began = found.reopened_at or found.opened_at
                self._recovery.observe(max(0.0, proof.recovered_at - began))

    def say(self, kind: str, message: Mapping[str, Any]) -> None:
        """Tell the live stream."""
        for listener in self.listeners:
            listener(kind, message)

    def count_incidents(self) -> None:
        """Refresh the gauges of open incidents and actions from the records."""
        found, _ = self._records.incidents((IncidentState.OPEN, IncidentState.ACKNOWLEDGED), limit=200)
        for state in (IncidentState.OPEN, IncidentState.ACKNOWLEDGED):
            for severity in Severity:
                number = sum(1 for i in found if i.state is state and i.severity is severity)
                self._incidents.labels(state, severity).set(number)
        actions, _ = self._records.actions(tuple(OPEN_STATES), limit=200)
        for step in OPEN_STATES:
            self._actions.labels(step).set(sum(1 for it in actions if it.state is step))


def _run_just_ended(action: Action) -> bool:
    """Was the step before this one `running`? So each run is counted once, over restarts, too."""
    before = action.history[-2][2] if len(action.history) > 1 else ""
    return before.startswith(f"{ActionState.RUNNING}: ") and action.state is not ActionState.RUNNING
