"""A month at 10 s of 100 registries: judged from scratch, then cycle after cycle, with the store in DuckDB.

Every registry has 30 days of probe rounds in closed days, an open day with rounds, requests and disk, and
an outage of its own. From scratch is what a restart pays; a cycle is one turn of all registries.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from alerts.evaluate import Evaluator
from alerts.slos import load_rows, load_windows
from benchmarks.figure import Figure
from seawall.core.signals import Sample, labels
from seawall.core.times import parse_time
from seawall.stores.duckdb import DAY, DuckDatabase, DuckEvents, DuckSamples
from seawall.stores.recent import RecentSamples

REGISTRIES = int(os.environ.get("SEAWALL_SLO_REGISTRIES", "100"))
STEP, DAYS = 10, 30
START = parse_time("2026-11-01T00:00:00Z")
NOW = START + DAYS * DAY - 600
OUTAGE = 7  # minutes, in the middle of the registry's own day


class Judged(NamedTuple):
    """Seconds from scratch, seconds a cycle, registries judged wrongly."""

    scratch: float
    cycle: float
    wrong: int


def measure() -> list[Figure]:
    """The three of `judged` beside their limits."""
    found = judged()
    return [
        Figure("slo: 100 registries, a 30-day month from scratch", found.scratch, 30, "s"),
        Figure("slo: 100 registries, one cycle", found.cycle, 1, "s"),
        Figure("slo: registries judged wrongly", float(found.wrong), 0, ""),
    ]


def judged() -> Judged:
    """All rows of all registries, from scratch and in the middle of three cycles."""
    with tempfile.TemporaryDirectory() as folder:
        database = DuckDatabase(Path(folder))
        fill(database)
        names = [f"r{number}" for number in range(REGISTRIES)]
        samples = RecentSamples(DuckSamples(database), lambda: NOW)
        judge = Evaluator(load_rows(), load_windows(), samples, DuckEvents(database), STEP, names)
        began = time.perf_counter()
        found = [judge.judge(name, NOW) for name in names]
        scratch, cycles = time.perf_counter() - began, []
        for turn in range(1, 4):
            now = NOW + turn * STEP
            _round(samples, names, now)
            began = time.perf_counter()
            for name in names:
                judge.judge(name, now)
            cycles.append(time.perf_counter() - began)
        database.close()
    wrong = sum(statuses[-1].value != OUTAGE * 60.0 for statuses in found)
    return Judged(scratch, sorted(cycles)[1], wrong)


def rounds_of(day: int) -> tuple[Any, Any]:
    """Times of a day's rounds [T], and success 0 or 1 of each registry [REGISTRIES, T]."""
    start = START + day * DAY
    rounds = np.arange(start, min(start + DAY, NOW), STEP)
    value = np.ones((REGISTRIES, len(rounds)))
    value[day::DAYS, len(rounds) // 2 // 6 * 6 :][:, : OUTAGE * 60 // STEP] = 0.0
    return rounds, value


def fill(database: DuckDatabase) -> None:
    for day in range(DAYS):
        rounds, value = rounds_of(day)
        _keep(database, "seawall_probe_success", '{"site": "local"}', rounds, value)
        disk = np.full((REGISTRIES, len(rounds[::6])), 0.5)
        _keep(database, "seawall_storage_used_ratio", '{"volume": "/data"}', rounds[::6], disk)
        database.close_days(START + (day + 1) * DAY - 1)
    _requests(database)


def _keep(database: DuckDatabase, signal: str, labels: str, at: Any, value: Any) -> None:
    size = value.size
    names = np.repeat(np.array([f"r{number}" for number in range(REGISTRIES)], dtype=object), len(at))
    order = np.argsort(np.tile(at, REGISTRIES), kind="stable")  # as they would have come
    columns: dict[str, Any] = {"registry": names[order], "signal": [signal] * size, "labels": [labels] * size}
    database.insert(
        "samples", columns | {"ts": np.tile(at, REGISTRIES)[order], "value": value.ravel()[order]}
    )


def _round(samples: RecentSamples, names: list[str], now: float) -> None:
    pairs = labels(site="local")
    samples.append([Sample(name, "seawall_probe_success", now, 1.0, pairs) for name in names])


def _requests(database: DuckDatabase) -> None:
    """2,000 manifest requests of each registry in the last hour."""
    for number in range(REGISTRIES):
        size = 2000
        text: Any = [None] * size
        columns: dict[str, Any] = {
            "id": [f"{number}-{i}" for i in range(size)],
            "ts": np.linspace(NOW - 3600, NOW, size, endpoint=False),
            "registry": [f"r{number}"] * size,
            "dataset": text,
            "repository": text,
            "client": text,
            "status": [200] * size,
            "duration": np.linspace(0.01, 0.3, size),
            "client_request": [True] * size,
            "client_manifest": [True] * size,
            "body": ["{}"] * size,
            "source": [False] * size,
            "image": [False] * size,
            "signature": text,
            "settles": text,
            "judged": np.full(size, np.nan),
            "failure": [False] * size,
            "sent": [0] * size,
        }
        database.insert("events", columns)
