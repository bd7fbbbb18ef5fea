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
    transaction as `events`, so that a position never runs ahead of, or behind, what is stored."""

    samples: list[Sample] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    checkpoints: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Signal:
    """A name on /metrics: Prometheus conventions, base units (DESIGN section 4)."""

    name: str
    unit: str
    help: str
    labels: tuple[str, ...] = ("registry",)


PROBE_SUCCESS = "seawall_probe_success"
PROBE_DURATION = "seawall_probe_duration_seconds"
STORAGE_BYTES = "seawall_storage_bytes"
STORAGE_USED_RATIO = "seawall_storage_used_ratio"
MANIFEST_DURATION = "seawall_manifest_request_duration_seconds"
REQUESTS = "seawall_requests_total"
PULLS = "seawall_pulls_total"
COLLECTOR_UP = "seawall_collector_up"

# Requests of these agents are not a client's pull: our own probes, and a registry's inner replication.
EXCLUDED_USER_AGENTS = ("seawall", "harbor-registry-client")

# Bucket edges in seconds; 0.5 is an edge, so that the share of requests within the objective is exact.
MANIFEST_BUCKETS = (
    0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.75, 1, 1.5, 2.5, 5, 10, 30, 60,
)  # fmt: skip

SIGNALS = {
    s.name: s
    for s in (
        Signal(PROBE_SUCCESS, "1", "1 if the synthetic pull of this site succeeded", ("registry", "site")),
        Signal(PROBE_DURATION, "s", "Duration of a synthetic pull by phase", ("registry", "site", "phase")),
        Signal(STORAGE_BYTES, "bytes", "Bytes of a volume by state", ("registry", "volume", "state")),
        Signal(STORAGE_USED_RATIO, "1", "Used share of a volume, 0 to 1", ("registry", "volume")),
        Signal(MANIFEST_DURATION, "s", "Manifest GETs of real clients, to the last byte"),
        Signal(
            REQUESTS, "1", "Requests served, as the registry counts them", ("registry", "handler", "code")
        ),
        Signal(PULLS, "1", "Logical pulls by signature state", ("registry", "signature")),
        Signal(COLLECTOR_UP, "1", "1 if the last collection succeeded", ("registry", "collector")),
    )
}
