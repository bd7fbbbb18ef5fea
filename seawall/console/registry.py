"""What the page of one registry shows, read from the stores; the words are in its template."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from seawall.console.charts import Bar, Point
from seawall.console.overview import Line, lines_of
from seawall.core.foresight import Forecast
from seawall.core.looks import Repository, unsigned_by_client
from seawall.core.signals import (
    CACHE_HIT_RATIO,
    CERTIFICATE_NOT_AFTER,
    PROBE_DURATION,
    STORAGE_BYTES,
    STORAGE_FULL,
    STORAGE_RECLAIMABLE,
    STORAGE_USED_RATIO,
    Event,
    Sample,
)
from seawall.core.slos import SloType, Status
from seawall.service import Service

HOUR, FRESH, DAY = 3600.0, 600.0, 86400.0
TOP, FEW = 10, 5
ORDER = ("dns", "connect", "tls", "redirect", "base", "auth_token", "manifest_index", "manifest_child")
LAST = ("blob_ttfb", "blob_transfer")


@dataclass(frozen=True, slots=True)
class Fall:
    """One phase of a pull: where it began and how long it took, in seconds."""

    phase: str
    start: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Volume:
    """Bytes of a volume; `full_in` is in how many seconds it is full: (the earliest, the likeliest)."""

    name: str
    used: float
    size: float
    ratio: float
    reclaimable: float | None
    full_in: dict[str, float]


@dataclass(frozen=True, slots=True)
class Slow:
    """A manifest request of a client that took `seconds`."""

    at: float
    repository: str
    reference: str
    client: str
    seconds: float


@dataclass(frozen=True, slots=True)
class View:
    """Everything on the page, as of `now`. `traffic` counts requests and failures by minute, `looked_at` is
    how many requests `repositories` were counted from: all of the hour. `unsigned` are the day's (client,
    pulls), `unjudged` is why nobody knows of them ("": it is known)."""

    name: str
    now: float
    span: tuple[float, float]
    lines: list[Line]
    traffic: list[Bar]
    pulls: dict[str, list[Fall]]
    pulled_at: float | None
    volumes: list[Volume]
    repositories: list[Repository]
    looked_at: int
    failing: list[Repository]
    slowest: list[Slow]
    unsigned: list[tuple[str, int]]
    unjudged: str
    caches: list[tuple[str, float]]
    not_after: float | None
    collectors: list[tuple[str, bool, str]]
    forecasts: dict[str, Forecast]
    latency: tuple[Point, ...]


def view(service: Service, name: str) -> View:
    """The page's content, read now."""
    now = service.clock.now()
    span = (now - HOUR, now)
    lines = lines_of(service, name)
    traffic = service.events.errors_by_minute(name, *span)
    pulled_at, pulls = waterfalls(service.samples.latest(name, PROBE_DURATION, now - FRESH, now))
    ends = service.samples.latest(name, CERTIFICATE_NOT_AFTER, now - DAY, now)
    hits = service.samples.latest(name, CACHE_HIT_RATIO, now - HOUR, now)
    return View(
        name=name,
        now=now,
        span=span,
        lines=lines,
        traffic=[Bar(minute * 60.0, total, failed) for minute, total, failed in traffic],
        pulls=pulls,
        pulled_at=pulled_at,
        volumes=volumes(service, name, now),
        repositories=service.events.repositories(name, *span, TOP, "pulls"),
        looked_at=sum(total for _, total, _ in traffic),
        failing=service.events.repositories(name, *span, FEW, "failed"),
        slowest=[_slow(it) for it in service.events.slowest_pulls(name, *span, FEW)],
        unsigned=unsigned_by_client(service.events, name, now - DAY, now, FEW),
        unjudged=_unjudged(lines),
        caches=[(dict(it.labels).get("cache", ""), it.value) for it in hits],
        not_after=min((it.value for it in ends), default=None),
        collectors=[
            (key[1], *value) for key, value in sorted(service.telemetry.collectors.items()) if key[0] == name
        ],
        forecasts={
            slo: it for (registry, slo), it in service.telemetry.forecasts.items() if registry == name
        },
        latency=tuple(service.telemetry.points.get((name, "slo:pull_latency"), ())),
    )


def _unjudged(lines: Sequence[Line]) -> str:
    found = [it.status for it in lines if it.row.type is SloType.COUNT]
    return next((it.reason for it in found if it.status is Status.UNKNOWN), "")


def _slow(event: Event) -> Slow:
    fields = event.fields
    return Slow(
        at=event.at,
        repository=str(fields.get("registry.repository") or ""),
        reference=str(fields.get("registry.reference") or fields.get("registry.digest") or ""),
        client=str(fields.get("client.ip") or ""),
        seconds=float(fields.get("event.duration") or 0) / 1e9,
    )


def waterfalls(samples: Sequence[Sample]) -> tuple[float | None, dict[str, list[Fall]]]:
    """(when, by site the phases of its newest pull). Phases of one name are kept as one sum, so that they are
    drawn one after another in the order of a pull."""
    sites: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if dict(sample.labels).get("phase") != "total":
            sites[dict(sample.labels).get("site", "")].append(sample)
    falls = {}
    for site, found in sorted(sites.items()):
        newest = max(it.at for it in found)
        falls[site] = _falls({dict(it.labels)["phase"]: it.value for it in found if it.at == newest})
    return max((it.at for found in sites.values() for it in found), default=None), falls


def _falls(seconds: dict[str, float]) -> list[Fall]:
    others = [name for name in seconds if name not in ORDER + LAST]
    start, falls = 0.0, []
    for name in (*ORDER, *others, *LAST):
        if name in seconds:
            falls.append(Fall(name, start, seconds[name]))
            start += seconds[name]
    return falls


def volumes(service: Service, registry: str, now: float) -> list[Volume]:
    """Each volume's room, and in how many seconds it is full."""
    bytes_of: dict[str, dict[str, float]] = defaultdict(dict)
    full: dict[str, dict[str, float]] = defaultdict(dict)
    for it in service.samples.latest(registry, STORAGE_BYTES, now - HOUR, now):
        bytes_of[dict(it.labels).get("volume", "")][dict(it.labels).get("state", "")] = it.value
    for it in service.samples.latest(registry, STORAGE_FULL, now - HOUR, now):
        full[dict(it.labels).get("volume", "")][dict(it.labels).get("bound", "")] = it.value
    reclaimable = _by_volume(service, registry, STORAGE_RECLAIMABLE, now - DAY, now)
    ratios = _by_volume(service, registry, STORAGE_USED_RATIO, now - HOUR, now)
    return [
        Volume(
            name,
            bytes_of[name].get("used", 0.0),
            sum(bytes_of[name].values()),
            ratio,
            reclaimable.get(name),
            full[name],
        )
        for name, ratio in ratios.items()
    ]


def _by_volume(service: Service, registry: str, signal: str, since: float, until: float) -> dict[str, float]:
    found = service.samples.latest(registry, signal, since, until)
    return {dict(it.labels).get("volume", ""): it.value for it in found}
