"""Distribution's metrics page (2.8 and 3), and what 2.8 tells only on /debug/vars.

Names and labels are those of github.com/distribution/distribution: metrics/prometheus.go, registry/proxy,
registry/storage/cache, registry/storage/driver/base, notifications. The page has no repository, no disk and
no garbage collection, and its histogram of requests no status code: docs/collectors.md.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import httpx

from collectors.pages import Page, Target, fetch
from collectors.rules import MetricsPage, Rule
from seawall.core.errors import SeawallError
from seawall.core.signals import (
    CACHE_BYTES,
    CACHE_REQUESTS,
    IN_FLIGHT,
    NOTIFICATIONS,
    NOTIFICATIONS_PENDING,
    REGISTRY_MANIFEST,
    REQUESTS,
    STORAGE_ACTION,
    Batch,
    Sample,
    labels,
)

REMEDY = "enable it with http.debug.addr and http.debug.prometheus.enabled, and give its URL as metrics_url"
_REQUESTS, _PENDING = "registry_http_requests_total", "registry_notifications_pending_total"
_MANIFEST_GETS = {"handler": ("manifest",), "method": ("get",)}
_DURATION, _ACTIONS = "registry_http_request_duration_seconds", "registry_storage_action_seconds"
_CACHE3 = ("registry_storage_cache_requests_total", "registry_storage_cache_hits_total")
_ERRORS3 = "registry_storage_cache_errors_total"
_PROXY3 = "registry_proxy_requests_total"
_TYPES = {"blob": "proxy_blob", "manifest": "proxy_manifest"}

# What one component that is a Distribution registry says, wherever it runs.
COMPONENT_RULES = (
    Rule(f"{_DURATION}_bucket", f"{REGISTRY_MANIFEST}_bucket", keep={"le": "le"}, where=_MANIFEST_GETS),
    Rule(f"{_DURATION}_sum", f"{REGISTRY_MANIFEST}_sum", where=_MANIFEST_GETS),
    *(
        Rule(
            f"{_ACTIONS}_{part}",
            f"{STORAGE_ACTION}_{part}",
            keep={"action": "action"},
            translate={"action": {"URLFor": "RedirectURL"}},
        )
        for part in ("sum", "count")
    ),
    Rule(
        "registry_storage_cache_total",
        CACHE_REQUESTS,
        keep={"status": "type"},
        translate={"status": {"Hit": "hit", "Miss": "miss"}},
        where={"type": ("Hit", "Miss")},
        fixed={"cache": "descriptor"},
    ),
    Rule(_CACHE3[1], CACHE_REQUESTS, fixed={"cache": "descriptor", "status": "hit"}),
)
RULES = (
    Rule(_REQUESTS, REQUESTS, keep={"handler": "handler", "code": "code"}),
    Rule("registry_http_in_flight_requests", IN_FLIGHT, keep={"handler": "handler"}),
    *COMPONENT_RULES,
    *(
        Rule(
            f"registry_proxy_{count}_total",
            CACHE_REQUESTS,
            keep={"cache": "type"},
            translate={"cache": _TYPES},
            fixed={"status": status},
        )
        for count, status in (("hits", "hit"), ("misses", "miss"))
    ),
    *(
        Rule(
            f"registry_proxy_{direction}_bytes_total",
            CACHE_BYTES,
            keep={"cache": "type"},
            translate={"cache": _TYPES},
            fixed={"direction": direction},
        )
        for direction in ("pulled", "pushed")
    ),
    Rule(
        "registry_notifications_events_total",
        NOTIFICATIONS,
        keep={"endpoint": "endpoint", "result": "type"},
        translate={"result": {"Successes": "success", "Failures": "failure", "Errors": "error"}},
        where={"type": ("Successes", "Failures", "Errors")},
    ),
    Rule(_PENDING, NOTIFICATIONS_PENDING, keep={"endpoint": "endpoint"}),
)


class Rising:
    """Differences of counters that are read one after the other: such a difference may dip for a moment, and
    a dip would look like a restart. It falls only when what it was taken from falls."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, float]] = {}

    def of(self, name: str, whole: float, part: float) -> float:
        """`whole` - `part`, at least 0, and never less than before while `whole` does not fall."""
        before, shown = self._last.get(name, (whole, 0.0))
        value = max(whole - part, 0.0, shown if whole >= before else 0.0)
        self._last[name] = whole, value
        return value


class DistributionMetrics(MetricsPage):
    """Collector of a Distribution registry: its metrics page, and /debug/vars beside it for 2.8."""

    wanted = (_CACHE3[0], _ERRORS3, _PROXY3)

    def __init__(self, registry: str, target: Target, interval: float = 15.0) -> None:
        super().__init__(registry, target, RULES, interval=interval)
        self._vars = replace(target, url=str(httpx.URL(target.url).join("/debug/vars")))
        self._rising, self._without_vars = Rising(), False

    async def _add(self, page: Page, now: float, batch: Batch) -> None:
        batch.samples += descriptor_misses(page, self.registry, now, self._rising)
        if not page.series.get(_PROXY3):
            await self._add_vars(now, batch)
        if not page.series.get(_REQUESTS) and not page.broken:
            batch.asides.append(f"{page.place}: no {_REQUESTS} yet; the registry has served no request")

    async def _add_vars(self, now: float, batch: Batch) -> None:
        """2.8 has the pull-through cache and the notifications only there; without them it is told once."""
        try:
            document = json.loads(await fetch(self._vars, "application/json"))
        except (SeawallError, ValueError, RecursionError) as error:
            if not self._without_vars:
                batch.notes.append(f"figures of cache and notifications are unknown: {error}")
            self._without_vars = True
            return
        batch.samples += samples_of_vars(document, self.registry, now, self._rising)


def descriptor_misses(page: Page, registry: str, now: float, rising: Rising) -> Iterator[Sample]:
    """Misses of the descriptor cache of Distribution 3, which counts requests, hits and errors."""
    asked, hits = (page.of(name) for name in _CACHE3)
    if asked and hits:
        known = sum(series.value for series in (*hits, *page.of(_ERRORS3)))
        missed = rising.of("descriptor", sum(series.value for series in asked), known)
        yield Sample(registry, CACHE_REQUESTS, now, missed, labels(cache="descriptor", status="miss"))


def samples_of_vars(document: Any, registry: str, now: float, rising: Rising) -> Iterator[Sample]:
    """Pull-through cache and notifications of /debug/vars (2.8). Nothing for a cache never asked.

    Every manifest counts there as a hit, kept or not: the true hits are requests less misses. Of blobs the
    misses are not counted, and one that was fetched counts twice: their hits and bytes cannot be had.
    """
    told = _mapping(_mapping(document).get("registry"))
    proxy = _mapping(told.get("proxy"))
    if asked := _number(_mapping(proxy.get("manifests")).get("Requests")):
        missed = _number(proxy["manifests"].get("Misses"))
        for status, value in (("hit", rising.of("manifests", asked, missed)), ("miss", missed)):
            yield Sample(registry, CACHE_REQUESTS, now, value, labels(cache="proxy_manifest", status=status))
    endpoints = _mapping(told.get("notifications")).get("endpoints")
    for endpoint in endpoints if isinstance(endpoints, list) else ():
        yield from _endpoint(_mapping(endpoint), registry, now)


def _endpoint(endpoint: Mapping[str, Any], registry: str, now: float) -> Iterator[Sample]:
    name, figures = str(endpoint.get("name", "")), _mapping(endpoint.get("Metrics"))
    if not name or "Pending" not in figures:
        return
    yield Sample(registry, NOTIFICATIONS_PENDING, now, _number(figures["Pending"]), labels(endpoint=name))
    for theirs, ours in (("Successes", "success"), ("Failures", "failure"), ("Errors", "error")):
        pairs = labels(endpoint=name, result=ours)
        yield Sample(registry, NOTIFICATIONS, now, _number(figures.get(theirs)), pairs)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and abs(value) < sys.float_info.max else 0.0
