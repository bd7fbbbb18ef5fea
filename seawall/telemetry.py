"""What Seawall says of the registries and of itself: /metrics, and messages for the live stream."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric

from seawall.core.actions import Action, ActionState
from seawall.core.incidents import Incident, IncidentState, Severity
from seawall.core.ports import Collector, RecordStore, Score
from seawall.core.signals import (
    COLLECTOR_UP,
    MANIFEST_BUCKETS,
    MANIFEST_DURATION,
    PROBE_DURATION,
    PROBE_SUCCESS,
    REQUESTS,
    SIGNALS,
    STORAGE_BYTES,
    STORAGE_USED_RATIO,
    Batch,
    Event,
    Sample,
)
from seawall.core.slos import SloStatus, Status
from seawall.stores.event_columns import duration_seconds, is_client_manifest

PROBE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
WAIT_BUCKETS = (5, 15, 60, 300, 900, 3600)
REMEMBERED = 360
Listener = Callable[[str, Mapping[str, Any]], None]
Point = tuple[float, float, Score]


class Telemetry:
    """The port Observer. `points` holds the newest (time, observed, score) of each (registry, signal);
    `collectors` tells of each (registry, collector) whether it works and, if not, why."""

    def __init__(self, records: RecordStore) -> None:
        self.registry = CollectorRegistry()
        self.listeners: list[Listener] = []
        self.points: dict[tuple[str, str], deque[Point]] = {}
        self.collectors: dict[tuple[str, str], tuple[bool, str]] = {}
        self._records = records
        self._mirrored: dict[tuple[str, str, str], float] = {}
        self._sources: dict[str, Collector] = {}
        self._define_registry_metrics()
        self._define_own_metrics()
        self.registry.register(_Mirror(self._mirrored, self._sources))

    def _define_registry_metrics(self) -> None:
        def of(name: str) -> Gauge:
            return Gauge(name, SIGNALS[name].help, SIGNALS[name].labels, registry=self.registry)

        self._gauges = {
            name: of(name) for name in (PROBE_SUCCESS, STORAGE_BYTES, STORAGE_USED_RATIO, COLLECTOR_UP)
        }
        self._probe = self._histogram(PROBE_DURATION, PROBE_BUCKETS)
        self._manifest = self._histogram(MANIFEST_DURATION, MANIFEST_BUCKETS)
        self._slo_value = self._gauge("seawall_slo_value", "A row's value over its window", "registry slo")
        self._slo_status = self._gauge("seawall_slo_status", "1 for a row's status", "registry slo status")
        self._budget = self._gauge(
            "seawall_error_budget_remaining_ratio", "Budget left; negative when overspent", "registry slo"
        )
        self._score = self._gauge("seawall_anomaly_score", "Anomaly score, 0 to 1", "registry signal")

    def _define_own_metrics(self) -> None:
        self._incidents = self._gauge("seawall_incidents", "Incidents by state", "state severity")
        self._runs = Counter(
            "seawall_runs_total", "Ended runs", ("playbook", "outcome"), registry=self.registry
        )
        self._wait = Histogram(
            "seawall_approval_wait_seconds",
            "From the question to the approval",
            buckets=WAIT_BUCKETS,
            registry=self.registry,
        )
        self._turns = Histogram(
            "seawall_cycle_duration_seconds", "One turn of one registry", registry=self.registry
        )
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
        self._collected(collector, True, "; ".join(batch.notes), seconds)
        for sample in batch.samples:
            self._sample(sample)
        if new_events:
            self.observe_events(batch.events)

    def missed(self, collector: Collector, reason: str, seconds: float) -> None:
        """See the port."""
        self._collected(collector, False, reason, seconds)

    def _collected(self, collector: Collector, up: bool, note: str, seconds: float) -> None:
        key = (collector.registry, collector.name)
        self._sources.setdefault(" ".join(key), collector)
        self.collectors[key] = (up, note)
        self._gauges[COLLECTOR_UP].labels(*key).set(up)
        self._collecting.labels(*key).set(seconds)

    def _sample(self, sample: Sample) -> None:
        pairs = dict(sample.labels)
        if sample.signal == PROBE_DURATION:
            self._probe.labels(sample.registry, pairs["site"], pairs["phase"]).observe(sample.value)
        elif sample.signal == REQUESTS:
            self._mirrored[sample.registry, pairs["handler"], pairs["code"]] = sample.value
        elif sample.signal in self._gauges:
            names = SIGNALS[sample.signal].labels[1:]
            values = [pairs[name] for name in names]
            self._gauges[sample.signal].labels(sample.registry, *values).set(sample.value)

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
            points = self.points.setdefault((registry, name), deque(maxlen=REMEMBERED))
            points.append((at, observed[name], score))

    def incident(self, incident: Incident) -> None:
        """See the port."""
        self.say("incident", {"id": incident.id, "state": incident.state})

    def action(self, action: Action) -> None:
        """See the port."""
        if action.state in (ActionState.VERIFYING, ActionState.FAILED) and action.run and action.run.outcome:
            self._runs.labels(action.playbook, action.run.outcome).inc()
        if action.state is ActionState.APPROVED and action.preview and action.version:
            self._wait.observe(max(0.0, action.approvals[-1].at - action.preview.at))
        self.say("action", {"id": action.id, "state": action.state})

    def say(self, kind: str, message: Mapping[str, Any]) -> None:
        """Tell the live stream."""
        for listener in self.listeners:
            listener(kind, message)

    def count_incidents(self) -> None:
        """Refresh the gauge of open incidents from the records."""
        found, _ = self._records.incidents((IncidentState.OPEN, IncidentState.ACKNOWLEDGED), limit=200)
        for state in (IncidentState.OPEN, IncidentState.ACKNOWLEDGED):
            for severity in Severity:
                number = sum(1 for i in found if i.state is state and i.severity is severity)
                self._incidents.labels(state, severity).set(number)


class _Mirror:
    """Counters that somebody else counts: a registry's requests, a follower's log lines."""

    def __init__(
        self, requests: Mapping[tuple[str, str, str], float], sources: Mapping[str, Collector]
    ) -> None:
        self._requests, self._sources = requests, sources

    def collect(self) -> Iterator[Metric]:
        """Read at scrape."""
        requests = CounterMetricFamily(REQUESTS, SIGNALS[REQUESTS].help, labels=SIGNALS[REQUESTS].labels)
        for key, value in list(self._requests.items()):
            requests.add_metric(list(key), value)
        yield requests
        lines = CounterMetricFamily(
            "seawall_log_lines", "Log lines by what became of them", labels=("registry", "source", "result")
        )
        for collector in list(self._sources.values()):
            for result, count in getattr(collector, "lines", {}).items():
                lines.add_metric([collector.registry, collector.name, result], count)
        yield lines
