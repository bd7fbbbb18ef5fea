"""What is measured: samples, events and the vocabulary of signals."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Labels = tuple[tuple[str, str], ...]


def labels(**pairs: str) -> Labels:
    """Label pairs in canonical (sorted) order."""
    return tuple(sorted(pairs.items()))


@dataclass(frozen=True, slots=True)
class Sample:
    """One number: `signal` of `registry` at `at` (Unix seconds) in the signal's base unit."""

    registry: str
    signal: str
    at: float
    value: float
    labels: Labels = ()


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, as flat ECS keys. `id` is deterministic, so a redelivery is one event."""

    id: str
    at: float
    registry: str
    fields: Mapping[str, Any]


@dataclass(slots=True)
class Batch:
    """What one collection brought. `checkpoints` (source -> position) are kept in the same
    transaction as `events`, so that a position never runs ahead of, or behind, what is stored. `notes` may
    point at a fault, and stand as evidence in an incident's explanation; `asides` tell of the collecting."""

    samples: list[Sample] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    checkpoints: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    asides: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Signal:
    """A name on /metrics: Prometheus conventions, base units (DESIGN section 4)."""

    name: str
    unit: str
    help: str
    labels: tuple[str, ...] = ("registry",)
    kind: str = ""

    def __post_init__(self) -> None:
        counted = "counter" if self.name.endswith("_total") else "gauge"
        object.__setattr__(self, "kind", self.kind or counted)

    def series(self) -> dict[str, tuple[str, ...]]:
        """Names under which a collector gives its samples -> their labels after `registry`: a histogram and
        a summary that somebody else counts come as cumulative buckets, sum and count."""
        own = self.labels[1:]
        match self.kind:
            case "histogram":
                return {f"{self.name}_bucket": (*own, "le"), f"{self.name}_sum": own}
            case "summary":
                return {f"{self.name}_sum": own, f"{self.name}_count": own}
            case _:
                return {self.name: own}


PROBE_SUCCESS = "seawall_probe_success"
PROBE_DURATION = "seawall_probe_duration_seconds"
DIGESTS = "seawall_digest_verifications_total"
CLOCK_SKEW = "seawall_registry_clock_skew_seconds"
CERTIFICATE_NOT_AFTER = "seawall_certificate_not_after_timestamp_seconds"
CERTIFICATE_NOT_BEFORE = "seawall_certificate_not_before_timestamp_seconds"
STORAGE_BYTES = "seawall_storage_bytes"
STORAGE_USED_RATIO = "seawall_storage_used_ratio"
MANIFEST_DURATION = "seawall_manifest_request_duration_seconds"
REQUESTS = "seawall_requests_total"
PULLS = "seawall_pulls_total"
PULLS_WAITING = "seawall_pulls_waiting"
COLLECTOR_UP = "seawall_collector_up"
STORAGE_INODES = "seawall_storage_inodes"
STORAGE_INODES_USED_RATIO = "seawall_storage_inodes_used_ratio"
STORAGE_READ_ONLY = "seawall_storage_read_only"
STORAGE_GROWTH = "seawall_storage_growth_bytes_per_second"
STORAGE_FULL = "seawall_storage_full_seconds"
STORAGE_RECLAIMABLE = "seawall_storage_reclaimable_bytes"
STORED_BYTES = "seawall_stored_bytes"
IN_FLIGHT = "seawall_requests_in_flight"
REGISTRY_MANIFEST = "seawall_registry_manifest_duration_seconds"
COMPONENT_DURATION = "seawall_component_duration_seconds"
COMPONENT_UP = "seawall_component_up"
STORAGE_ACTION = "seawall_storage_action_seconds"
CACHE_REQUESTS = "seawall_cache_requests_total"
CACHE_BYTES = "seawall_cache_bytes_total"
CACHE_HIT_RATIO = "seawall_cache_hit_ratio"
NOTIFICATIONS = "seawall_notifications_total"
NOTIFICATIONS_PENDING = "seawall_notifications_pending"
JOBS = "seawall_jobs_total"
JOBS_QUEUED = "seawall_jobs_queued"
JOBS_LATENCY = "seawall_jobs_queue_latency_seconds"
JOBS_PAUSED = "seawall_jobs_paused"
GC_RUNS = "seawall_gc_runs_total"
GC_RUNNING = "seawall_gc_running"
GC_FAILED = "seawall_gc_failed"
GC_PROGRESS = "seawall_gc_progress_ratio"
GC_LAST_SUCCESS = "seawall_gc_last_success_timestamp_seconds"
GC_DURATION = "seawall_gc_last_duration_seconds"
GC_FREED = "seawall_gc_freed_bytes"
REPLICATION_TASKS = "seawall_replication_tasks_total"
REPLICATION_EXECUTIONS = "seawall_replication_executions"
REPLICATION_FAILING = "seawall_replication_failing_policies"
REPLICATION_RUNNING = "seawall_replication_oldest_running_seconds"
REPLICATION_LAST_SUCCESS = "seawall_replication_last_success_timestamp_seconds"
PROJECTS = "seawall_projects"
QUOTA_USED_RATIO = "seawall_quota_used_ratio"
ROBOT_EXPIRY = "seawall_robot_expiry_timestamp_seconds"
IMAGES_VULNERABLE = "seawall_images_vulnerable"
LOG_BACKLOG = "seawall_log_backlog_bytes"

# Requests of these agents are not a client's pull: our own probes, and a registry's inner replication.
EXCLUDED_USER_AGENTS = ("seawall", "harbor-registry-client")

# An event field: this line's request is counted from the log of the proxy before it.
BEHIND_PROXY = "seawall.behind_proxy"

# Bucket edges in seconds; 0.5 is an edge, so that the share of requests within the objective is exact.
MANIFEST_BUCKETS = (
    0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.75, 1, 1.5, 2.5, 5, 10, 30, 60,
)  # fmt: skip

SIGNALS = {
    s.name: s
    for s in (
        Signal(PROBE_SUCCESS, "1", "1 if the synthetic pull of this site succeeded", ("registry", "site")),
        Signal(
            PROBE_DURATION,
            "s",
            "Duration of a synthetic pull by phase",
            ("registry", "site", "phase"),
            kind="histogram",
        ),
        Signal(DIGESTS, "1", "Digests of pulled content by result", ("registry", "site", "result")),
        Signal(CLOCK_SKEW, "s", "The registry's clock ahead of ours", ("registry", "site")),
        Signal(CERTIFICATE_NOT_AFTER, "s", "End of the registry's certificate, Unix time"),
        Signal(CERTIFICATE_NOT_BEFORE, "s", "Begin of the registry's certificate, Unix time"),
        Signal(STORAGE_BYTES, "bytes", "Bytes of a volume by state", ("registry", "volume", "state")),
        Signal(STORAGE_USED_RATIO, "1", "Used share of a volume, 0 to 1", ("registry", "volume")),
        Signal(STORAGE_INODES, "1", "Inodes of a volume by state", ("registry", "volume", "state")),
        Signal(STORAGE_INODES_USED_RATIO, "1", "Used share of a volume's inodes", ("registry", "volume")),
        Signal(STORAGE_READ_ONLY, "1", "1 while a volume is mounted read-only", ("registry", "volume")),
        Signal(STORAGE_GROWTH, "bytes/s", "Growth between clean-ups", ("registry", "volume", "bound")),
        Signal(STORAGE_FULL, "s", "Time until a volume is full", ("registry", "volume", "bound")),
        Signal(STORAGE_RECLAIMABLE, "bytes", "Blobs that no manifest refers to", ("registry", "volume")),
        Signal(STORED_BYTES, "bytes", "Bytes of all blobs, as the registry accounts them"),
        Signal(MANIFEST_DURATION, "s", "Manifest GETs of real clients, to the last byte", kind="histogram"),
        Signal(REGISTRY_MANIFEST, "s", "Manifest GETs, as the registry timed them", kind="histogram"),
        Signal(
            COMPONENT_DURATION,
            "s",
            "A component's own quantile of its GETs",
            ("registry", "component", "operation", "quantile"),
        ),
        Signal(COMPONENT_UP, "1", "1 while a component is healthy", ("registry", "component")),
        Signal(IN_FLIGHT, "1", "Requests being served", ("registry", "handler")),
        Signal(STORAGE_ACTION, "s", "Time in storage by action", ("registry", "action"), kind="summary"),
        Signal(CACHE_REQUESTS, "1", "Requests of a cache by status", ("registry", "cache", "status")),
        Signal(CACHE_BYTES, "bytes", "Bytes through a cache", ("registry", "cache", "direction")),
        Signal(CACHE_HIT_RATIO, "1", "Hits of a cache in the last hour, 0 to 1", ("registry", "cache")),
        Signal(NOTIFICATIONS, "1", "Notifications by result", ("registry", "endpoint", "result")),
        Signal(NOTIFICATIONS_PENDING, "1", "Notifications that wait", ("registry", "endpoint")),
        Signal(JOBS, "1", "Jobs that ended, by status", ("registry", "type", "status")),
        Signal(JOBS_QUEUED, "1", "Jobs that wait", ("registry", "type")),
        Signal(JOBS_LATENCY, "s", "Age of the oldest job that waits", ("registry", "type")),
        Signal(JOBS_PAUSED, "1", "1 while a queue is paused", ("registry", "type")),
        Signal(GC_RUNS, "1", "Garbage collections that ended", ("registry", "status")),
        Signal(GC_RUNNING, "1", "1 while garbage is collected"),
        Signal(GC_FAILED, "1", "1 if the newest garbage collection that ended did not succeed"),
        Signal(GC_PROGRESS, "1", "Progress of the running garbage collection, 0 to 1"),
        Signal(GC_LAST_SUCCESS, "s", "End of the last good garbage collection, Unix time"),
        Signal(GC_DURATION, "s", "Duration of the last good garbage collection"),
        Signal(GC_FREED, "bytes", "Freed by the last good garbage collection"),
        Signal(REPLICATION_TASKS, "1", "Replication tasks that ended", ("registry", "status")),
        Signal(REPLICATION_EXECUTIONS, "1", "The newest executions by status", ("registry", "status")),
        Signal(REPLICATION_FAILING, "1", "Replication policies whose newest execution failed"),
        Signal(REPLICATION_RUNNING, "s", "Age of the oldest execution in progress"),
        Signal(REPLICATION_LAST_SUCCESS, "s", "End of the newest good execution, Unix time"),
        Signal(PROJECTS, "1", "Projects by the state of their quota", ("registry", "quota")),
        Signal(QUOTA_USED_RATIO, "1", "Used share of the fullest project's quota"),
        Signal(ROBOT_EXPIRY, "s", "When the next robot account expires, Unix time"),
        Signal(
            REQUESTS, "1", "Requests served, as the registry counts them", ("registry", "handler", "code")
        ),
        Signal(PULLS, "1", "Logical pulls by signature state", ("registry", "signature")),
        Signal(PULLS_WAITING, "1", "Pulls that wait for a verdict on their signature"),
        Signal(
            IMAGES_VULNERABLE,
            "1",
            "Images by the highest severity that their last scan found",
            ("registry", "severity"),
        ),
        Signal(LOG_BACKLOG, "bytes", "Bytes of a log that are still to be read", ("registry", "source")),
        Signal(COLLECTOR_UP, "1", "1 if the last collection succeeded", ("registry", "collector")),
    )
}
