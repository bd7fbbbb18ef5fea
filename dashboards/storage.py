"""Board `Storage and GC`: how full is each volume, when will it be full, what can be cleaned up, was it?"""

from collections.abc import Sequence

from dashboards.sdk import Board, Shown
from dashboards.shared import HALF, QUARTER, REGISTRY, THIRD, frame, lines, number, placed, row_on
from dashboards.states import FAULT, over_time
from seawall.core.signals import (
    GC_DURATION,
    GC_FAILED,
    GC_FREED,
    GC_LAST_SUCCESS,
    GC_PROGRESS,
    GC_RUNNING,
    GC_RUNS,
    PROJECTS,
    QUOTA_USED_RATIO,
    STORAGE_BYTES,
    STORAGE_FULL,
    STORAGE_GROWTH,
    STORAGE_INODES_USED_RATIO,
    STORAGE_READ_ONLY,
    STORAGE_RECLAIMABLE,
    STORAGE_USED_RATIO,
    STORED_BYTES,
)
from seawall.core.slos import SloRow

UID = "seawall-storage"
VOLUME = "{{registry}} {{volume}}"


def board(rows: Sequence[SloRow], console: str) -> Board:
    """Volumes, the forecast, garbage collection, quotas."""
    about = "How full is each volume, when will it be full, what can be cleaned up, and was it?"
    row = row_on(rows, STORAGE_USED_RATIO)
    made = frame(UID, "Storage and GC", about, console, "now-7d")
    made = placed(made, "Volumes", *_volumes(row))
    made = placed(made, "Forecast", *_forecast(row))
    made = placed(made, "Garbage", *_garbage())
    return placed(made, "Projects (Harbor)", *_projects())


def _of(signal: str) -> str:
    return f"{signal}{{{REGISTRY}}}"


def _volumes(row: SloRow | None) -> tuple[Shown, ...]:
    inodes, states = _of(STORAGE_INODES_USED_RATIO), _of(STORAGE_BYTES)
    return (
        lines("Used", (_of(STORAGE_USED_RATIO), VOLUME), unit="percentunit", row=row),
        lines("Bytes by state", (states, f"{VOLUME} {{{{state}}}}"), unit="bytes"),
        lines("Inodes used", (inodes, VOLUME), unit="percentunit"),
        over_time("Mounted read-only", _of(STORAGE_READ_ONLY), VOLUME, HALF, FAULT),
    )


def _forecast(row: SloRow | None) -> list[Shown]:
    bound = f"{VOLUME} {{{{bound}}}}"
    panels: list[Shown] = [
        lines(
            "Growth between clean-ups", (_of(STORAGE_GROWTH), bound), unit="Bps", span=THIRD,
            about="Over 24 h: likely, with a 90 % interval from low to high.",
        ),
        lines(
            "Time until full", (_of(STORAGE_FULL), bound), unit="s", span=THIRD,
            about="If nothing is cleaned up. Nothing is drawn while a volume does not grow.",
        ),
    ]  # fmt: skip
    if row:
        chance = f'seawall_forecast_breach_probability{{{REGISTRY}, slo="{row.name}"}}'
        title = f"Chance of passing {row.objective.value:.0%} within {row.horizon / 3600:g} h"
        steps = lines(title, (chance, "{{registry}}"), unit="percentunit", span=THIRD)
        panels.append(steps)
    return panels


def _garbage() -> tuple[Shown, ...]:
    age = f"time() - {_of(GC_LAST_SUCCESS)}"
    late: list[tuple[float | None, str]] = [(None, "green"), (7 * 86400, "orange"), (30 * 86400, "red")]
    ended = f"sum by (registry, status) ({_of(GC_RUNS)})"
    return (
        lines("Reclaimable", (_of(STORAGE_RECLAIMABLE), VOLUME), unit="bytes", span=QUARTER),
        number("Since the last good collection", age, unit="s", steps=late),
        number("Freed by it", _of(GC_FREED), unit="bytes"),
        number("It took", _of(GC_DURATION), unit="s"),
        over_time(
            "Collecting",
            _of(GC_RUNNING),
            "{{registry}}",
            QUARTER,
            {"0": ("no", "text"), "1": ("yes", "blue")},
        ),
        lines(
            "Progress of the present phase",
            (_of(GC_PROGRESS), "{{registry}}"),
            unit="percentunit",
            span=QUARTER,
        ),
        over_time("The newest one failed", _of(GC_FAILED), "{{registry}}", QUARTER, FAULT),
        lines("Collections that ended", (ended, "{{registry}} {{status}}"), span=QUARTER),
    )


def _projects() -> tuple[Shown, ...]:
    fullest, quotas = _of(QUOTA_USED_RATIO), _of(PROJECTS)
    return (
        lines(
            "All blobs, as Harbor accounts them",
            (_of(STORED_BYTES), "{{registry}}"),
            unit="bytes",
            span=THIRD,
        ),
        lines("Quota of the fullest project", (fullest, "{{registry}}"), unit="percentunit", span=THIRD),
        lines("Projects by quota", (quotas, "{{registry}} {{quota}}"), span=THIRD),
    )
