"""Board `Mirrors and replication`: do caches help, do copies arrive, does anything wait in a queue?"""

from collections.abc import Sequence

from dashboards.sdk import Board, Shown
from dashboards.shared import HALF, QUARTER, RATE, REGISTRY, THIRD, frame, lines, number, placed, rate
from dashboards.states import FAULT, over_time
from seawall.core.signals import (
    CACHE_BYTES,
    CACHE_HIT_RATIO,
    CACHE_REQUESTS,
    JOBS,
    JOBS_LATENCY,
    JOBS_PAUSED,
    JOBS_QUEUED,
    NOTIFICATIONS,
    NOTIFICATIONS_PENDING,
    REPLICATION_EXECUTIONS,
    REPLICATION_FAILING,
    REPLICATION_LAST_SUCCESS,
    REPLICATION_RUNNING,
    REPLICATION_TASKS,
)
from seawall.core.slos import SloRow

UID = "seawall-mirrors"


def board(rows: Sequence[SloRow], console: str) -> Board:
    """Caches, replication, notifications, jobs. No row of the matrix is on these signals."""
    about = "Do caches help, do copies arrive, does anything wait in a queue?"
    made = frame(UID, "Mirrors and replication", about, console)
    made = placed(made, "Caches", *_caches())
    made = placed(made, "Replication (Harbor)", *_replication())
    made = placed(made, "Notifications", *_notifications())
    return placed(made, "Jobs (Harbor)", *_jobs())


def _of(signal: str) -> str:
    return f"{signal}{{{REGISTRY}}}"


def _caches() -> tuple[Shown, ...]:
    asked = rate(CACHE_REQUESTS, REGISTRY, "registry, cache, status")
    moved = rate(CACHE_BYTES, REGISTRY, "registry, cache, direction")
    legend = "{{registry}} {{cache}}"
    return (
        lines("Hit ratio of the last hour", (_of(CACHE_HIT_RATIO), legend), unit="percentunit", span=THIRD),
        lines("Requests by status", (asked, f"{legend} {{{{status}}}}"), unit="reqps", span=THIRD),
        lines("Bytes", (moved, f"{legend} {{{{direction}}}}"), unit="Bps", span=THIRD),
    )


def _replication() -> tuple[Shown, ...]:
    tasks = f"sum by (registry, status) (increase({_of(REPLICATION_TASKS)}{RATE}))"
    failing: list[tuple[float | None, str]] = [(None, "green"), (1, "red")]
    return (
        lines("The newest executions", (_of(REPLICATION_EXECUTIONS), "{{registry}} {{status}}"), span=HALF),
        lines("Tasks that ended", (tasks, "{{registry}} {{status}}"), span=HALF),
        number("Policies whose newest execution failed", _of(REPLICATION_FAILING), span=THIRD, steps=failing),
        number("Oldest one in progress", _of(REPLICATION_RUNNING), unit="s", span=THIRD),
        number(
            "Since the newest good one", f"time() - {_of(REPLICATION_LAST_SUCCESS)}", unit="s", span=THIRD
        ),
    )


def _notifications() -> tuple[Shown, ...]:
    sent = rate(NOTIFICATIONS, REGISTRY, "registry, endpoint, result")
    legend = "{{registry}} {{endpoint}}"
    return (
        lines("Sent by the registry", (sent, f"{legend} {{{{result}}}}"), unit="cps"),
        lines("Waiting in its memory", (_of(NOTIFICATIONS_PENDING), legend)),
    )


def _jobs() -> tuple[Shown, ...]:
    ended = f"sum by (registry, type, status) (increase({_of(JOBS)}{RATE}))"
    legend = "{{registry}} {{type}}"
    return (
        lines("Ended", (ended, f"{legend} {{{{status}}}}"), span=QUARTER),
        lines("Waiting", (_of(JOBS_QUEUED), legend), span=QUARTER),
        lines("Age of the oldest one that waits", (_of(JOBS_LATENCY), legend), unit="s", span=QUARTER),
        over_time("Queue paused", _of(JOBS_PAUSED), legend, QUARTER, FAULT),
    )
