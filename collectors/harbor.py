"""Harbor's metrics: the pages ?comp=core, registry and jobservice, and the exporter's (no parameter).

Names are those of github.com/goharbor/harbor: src/lib/metric, src/jobservice, src/pkg/exporter. Project names
never become labels: they are counted by the state of their quota, and the fullest are named in a note.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from collectors.distribution import COMPONENT_RULES
from collectors.pages import Page, Target
from collectors.rules import MetricsPage, Rule
from seawall.core.errors import InputError
from seawall.core.signals import (
    COMPONENT_DURATION,
    COMPONENT_UP,
    GC_RUNS,
    IN_FLIGHT,
    JOBS,
    JOBS_LATENCY,
    JOBS_QUEUED,
    PROJECTS,
    QUOTA_USED_RATIO,
    REPLICATION_TASKS,
    REQUESTS,
    STORED_BYTES,
    Batch,
    Sample,
    labels,
)

REMEDY = (
    "enable it with metric.enabled in harbor.yml, and give the URL without its parameter comp as metrics_url"
)
NEAR = 0.85  # of a quota; a project above it is near its end
_HANDLERS = {
    f"v2_{name}": name for name in ("manifest", "blob", "blob_upload", "tags", "catalog", "referrers")
}
_HANDLER = {"handler": _HANDLERS}
_TASKS, _HEALTH = "harbor_jobservice_task_total", "harbor_health"
_USED, _QUOTA = "harbor_project_quota_usage_byte", "harbor_project_quota_byte"
_SUMMARY = "harbor_core_http_request_duration_seconds"
_OPERATIONS = tuple(_HANDLERS)

RULES = {
    "core": (
        Rule(
            "harbor_core_http_request_total",
            REQUESTS,
            keep={"handler": "operation", "code": "code"},
            translate=_HANDLER,
        ),
        Rule("harbor_core_http_inflight_requests", IN_FLIGHT, fixed={"handler": "core"}),
        Rule(
            _SUMMARY,
            COMPONENT_DURATION,
            keep={"operation": "operation", "quantile": "quantile"},
            translate={"operation": _HANDLERS},
            where={"method": ("GET",), "operation": _OPERATIONS, "quantile": ("0.5", "0.9", "0.99")},
            fixed={"component": "core"},
        ),
    ),
    "registry": COMPONENT_RULES,
    "jobservice": (
        Rule(_TASKS, JOBS, keep={"type": "type", "status": "status"}),
        Rule(_TASKS, REPLICATION_TASKS, keep={"status": "status"}, where={"type": ("REPLICATION",)}),
        Rule(_TASKS, GC_RUNS, keep={"status": "status"}, where={"type": ("GARBAGE_COLLECTION",)}),
    ),
    "exporter": (
        Rule("harbor_up", COMPONENT_UP, keep={"component": "component"}),
        Rule("harbor_task_queue_size", JOBS_QUEUED, keep={"type": "type"}),
        Rule("harbor_task_queue_latency", JOBS_LATENCY, keep={"type": "type"}),
        Rule("harbor_statistics_total_storage_consumption", STORED_BYTES),
    ),
}


def harbor_page(registry: str, exporter: Target, component: str, interval: float = 15.0) -> MetricsPage:
    """Collector of one component's page, which is the exporter's URL with the parameter comp."""
    target = replace(exporter, url=f"{exporter.url}?comp={component}")
    return MetricsPage(registry, target, RULES[component], f"metrics-{component}", interval)


class HarborExporter(MetricsPage):
    """Collector of the exporter's page. When core does not answer it, harbor_health and harbor_up vanish and
    do not become 0: their absence says that core is down, and nothing of the other components."""

    wanted = (_HEALTH, _USED, _QUOTA, "harbor_system_info", "harbor_project_total")

    def __init__(self, registry: str, target: Target, interval: float = 30.0) -> None:
        super().__init__(registry, target, RULES["exporter"], "metrics-exporter", interval)
        self._known = False

    async def _add(self, page: Page, now: float, batch: Batch) -> None:
        self._known = self._known or bool(page.series)
        if not self._known:
            finding = "no metric of Harbor: not its exporter, or one that reaches neither core nor database"
            raise InputError(page.place, finding, REMEDY)
        if _HEALTH not in page.series and _HEALTH not in page.spoiled:
            batch.samples.append(Sample(self.registry, COMPONENT_UP, now, 0.0, labels(component="core")))
            batch.notes.append(f"{page.place}: {_HEALTH} has vanished: core does not answer the exporter")
        limits = {one.labels.get("project_name", ""): one.value for one in page.of(_QUOTA)}
        used = {one.labels.get("project_name", ""): one.value for one in page.of(_USED)}
        projects = [Project(name, used[name], limits[name]) for name in used.keys() & limits.keys()]
        batch.samples += quota_samples(projects, self.registry, now)
        batch.notes += quota_notes(projects)


@dataclass(frozen=True, slots=True)
class Project:
    """A project's storage in bytes; a limit of -1 is none."""

    name: str
    used: float
    limit: float

    @property
    def ratio(self) -> float | None:
        """The used share of the quota; None without one."""
        if self.limit < 0 or not math.isfinite(self.used + self.limit):
            return None
        return self.used / self.limit if self.limit else 1.0

    @property
    def state(self) -> str:
        """unlimited, below, near (over 85 %) or full."""
        ratio = self.ratio
        if ratio is None:
            return "unlimited"
        return "full" if ratio >= 1 else "near" if ratio > NEAR else "below"


def quota_samples(projects: Iterable[Project], registry: str, now: float) -> Iterator[Sample]:
    """Projects by the state of their quota, and the used share of the fullest; nothing without projects."""
    counts = dict.fromkeys(("unlimited", "below", "near", "full"), 0)
    ratios = []
    for project in projects:
        counts[project.state] += 1
        if project.ratio is not None:
            ratios.append(project.ratio)
    for state, count in counts.items() if any(counts.values()) else ():
        yield Sample(registry, PROJECTS, now, float(count), labels(quota=state))
    if ratios:
        yield Sample(registry, QUOTA_USED_RATIO, now, max(ratios))


def quota_notes(projects: Iterable[Project], most: int = 3) -> Iterator[str]:
    """The projects near the end of their quota, the fullest first."""
    tight = [
        (project.ratio or 0.0, project.name) for project in projects if project.state in ("near", "full")
    ]
    for ratio, name in sorted(tight, reverse=True)[:most]:
        yield f"project {name} uses {ratio:.0%} of its quota"
