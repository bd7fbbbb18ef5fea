"""A sample month of one registry, 2026-10: failures are planned, the rest is read and judged by Seawall.

Requests are log lines as Distribution and an nginx mirror write them, read by the collector of followed
logs. How long each took is a figure of the real registry recorded in benchmarks/telemetry at the same time
of day; while the disk is slow, of the recorded slow disk. Probe rounds and disk figures are imported as
`seawall import` does. Incidents are what the judge and the correlation find in it, minute by minute.
"""

import asyncio
import csv
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from alerts.correlate import Correlation
from alerts.slos import SHIPPED, load_rows
from benchmarks.lead_time import BEGAN, TELEMETRY
from collectors.logs import FollowedLog
from models.files import read
from seawall import backfill
from seawall.config import load
from seawall.core.incidents import IncidentState
from seawall.core.slos import SloStatus
from seawall.core.times import month_of, parse_time, rfc3339
from seawall.judging import History
from seawall.stores.duckdb import DuckDatabase, DuckEvents
from seawall.stores.sql import SqlRecords

MONTH, REGISTRY = "2026-10", "harbour"
START, END = month_of(parse_time(f"{MONTH}-01T00:00:00Z"))
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
# What was planned: (day, hour, minutes) without an answer; hours of a slow disk; the day of the clean-up.
OUTAGES = ((3, 2.2, 3), (11, 14.5, 7), (22, 9.1, 2))
SLOW = (27, 10.0, 90)
CLEANED, AT_START, A_DAY = 21, 0.61, 0.013
REQUESTS, ROLLED_OUT = 16_000, 2_500  # in the month; and on top of them while the disk is slow
REPOSITORIES = [
    f"{team}/{app}" for team in ("pay", "shop", "base") for app in ("api", "web", "worker", "jobs")
]
CLIENTS = [f"10.4.{rack}.{host}" for rack in range(4) for host in range(10, 16)]
CONFIG = (
    "registries:\n  - {name: harbour, kind: distribution, url: 'http://127.0.0.1:5000'}\n"
    "probe: {interval: 60s}\nslos: slos.yaml\n"
)
FEW = ("minimum_samples: 1000", "minimum_samples: 200")  # a small registry: 1,000 requests are two days here


def span(day: int, hour: float, minutes: float) -> tuple[float, float]:
    """Of a planned failure, Unix seconds; days count from 0."""
    begun = START + day * DAY + hour * HOUR
    return begun, begun + minutes * MINUTE


def down(at: float) -> bool:
    """Is it planned that the registry does not answer?"""
    return any(begun <= at < ended for begun, ended in (span(*it) for it in OUTAGES))


def month(state: Path) -> Path:
    """Fill `state` with the month; its seawall.yaml."""
    path = state / "seawall.yaml"
    path.write_text(CONFIG)
    (state / "slos.yaml").write_text(SHIPPED.read_text().replace(*FEW))
    figures = state / "figures.csv"
    _write(figures, ("timestamp", "registry", "signal", "labels", "value"), _figures())
    done = backfill.run("samples", figures, state)
    if done.refused:
        raise RuntimeError(done.refused[0])
    _follow(state)
    _find(state, path)
    return path


def _write(path: Path, head: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> None:
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(head)
        out.writerows(rows)


def _figures() -> Iterator[tuple[object, ...]]:
    """A probe round a minute, the disk every five."""
    for at in np.arange(START + 7, END, MINUTE):
        yield at, REGISTRY, "seawall_probe_success", "site=local", float(not down(at))
    for at in np.arange(START + MINUTE, END, 5 * MINUTE):
        day = (at - START) / DAY
        used = AT_START + A_DAY * (day if day < CLEANED else (day - CLEANED) / 2)
        yield at, REGISTRY, "seawall_storage_used_ratio", "volume=/data", round(used, 5)


def _moments(rng: np.random.Generator) -> np.ndarray:
    """When requests came: more by day than by night, fewer at weekends, many at a roll-out; none while it is
    down."""
    hours = np.arange((END - START) / HOUR)
    weight = 1.2 - np.cos(2 * np.pi * ((hours % 24) - 2) / 24)
    weight[((hours // 24 + 3) % 7) >= 5] *= 0.35  # the first was a Thursday
    chosen = rng.choice(len(hours), REQUESTS, p=weight / weight.sum())
    begun, ended = span(*SLOW)
    storm = begun + rng.random(ROLLED_OUT) * (ended - begun)
    at = np.sort(np.concatenate((START + (chosen + rng.random(REQUESTS)) * HOUR, storm)))
    return at[[not down(moment) for moment in at]]


class Asked(NamedTuple):
    """One planned request; `at` and `seconds` (how long it took) in seconds."""

    at: float
    name: str
    path: str
    client: str
    status: int
    seconds: float
    id: int


def planned() -> Iterator[Asked]:
    """The month's requests, the oldest first."""
    rng = np.random.default_rng(10)
    normal, slow = read(TELEMETRY / "normal.csv.gz"), read(TELEMETRY / "slow_disk.csv.gz")
    took, ill = (r.values[r.columns.index("manifest_p99_seconds")] for r in (normal, slow))
    ill = ill[slow.at >= BEGAN]
    begun, ended = span(*SLOW)
    popular = np.cumsum(1 / np.arange(1, len(REPOSITORIES) + 1))
    for at in _moments(rng):
        sick = begun <= at < ended
        second = int((at + rng.integers(-1800, 1800)) % DAY // 10)
        seconds = ill[rng.integers(len(ill))] if sick else took[second % len(took)]
        name = REPOSITORIES[np.searchsorted(popular, rng.random() * popular[-1])]
        tag, blob = (
            f"v{rng.integers(1, 4)}.{int((at - START) // (7 * DAY))}",
            f"sha256:{rng.integers(40):064x}",
        )
        kind = f"manifests/{tag}" if rng.random() < 0.75 else f"blobs/{blob}"
        status = 500 if sick and rng.random() < 0.004 else 404 if rng.random() < 0.01 else 200
        client = CLIENTS[rng.integers(len(CLIENTS))]
        yield Asked(at, name, f"/v2/{name}/{kind}", client, status, float(seconds), int(rng.integers(2**62)))


def lines() -> Iterator[str]:
    """The month's log: a line a request, and for base images the mirror's line before it."""
    seen: set[str] = set()
    for it in planned():
        if it.name.startswith("base/"):
            yield _by_mirror(it, "HIT" if it.path in seen else "MISS")
            seen.add(it.path)
        yield _by_registry(it)


def _by_mirror(it: Asked, cached: str) -> str:
    clock = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(it.at))
    return (
        f'{{"upstream_cache_status":"{cached}","access_time":"{clock}","uri":"{it.path}",'
        f'"status":"{it.status}","bytes_sent":"1100","host":"mirror","upstream":"127.0.0.1:5000"}}\n'
    )


def _by_registry(it: Asked) -> str:
    clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(it.at))
    return (
        f'time="{clock}.{int(it.at % 1 * 1000):03d}Z" level=info msg="response completed" go.version=go1.19.8'
        f' http.request.host="harbour:5000" http.request.id={it.id:x} http.request.method=GET'
        f' http.request.remoteaddr="{it.client}:4711" http.request.uri="{it.path}"'
        f' http.request.useragent="containerd/1.7.2" http.response.contenttype=application/octet-stream'
        f" http.response.duration={it.seconds * 1000:.6f}ms http.response.status={it.status}"
        f" http.response.written=1100\n"
    )


def _follow(state: Path) -> None:
    log = state / "registry.log"
    with log.open("w") as file:
        file.writelines(lines())
    database = DuckDatabase(state / "data")
    try:
        reading = _read(FollowedLog(REGISTRY, str(log)), DuckEvents(database))
        with ThreadPoolExecutor(1) as aside:  # a notebook has a running event loop of its own
            aside.submit(asyncio.run, reading).result()
    finally:
        database.close()


async def _read(log: FollowedLog, store: DuckEvents) -> None:
    """Until nothing is left."""
    while True:
        batch = await log.collect(END)
        store.append(batch.events, batch.checkpoints)
        await log.stored()
        if not log.more:
            return


def _find(state: Path, path: Path) -> None:
    """What would have been opened and closed around the planned failures."""
    history, records = History(load(path), state), SqlRecords(f"sqlite:{state / 'records.sqlite'}")
    try:
        judge, correlation = history.judge_now(), Correlation(load_rows())
        for begun, ended, every in sorted(_looks()):
            for at in np.arange(begun, ended, every):
                _turn(judge.judge(REGISTRY, float(at)), correlation, records, float(at))
    finally:
        records.close()
        history.close()


def _looks() -> Iterator[tuple[float, float, float]]:
    """When the matrix is looked at (from, to, every; seconds): around what was planned alone."""
    for outage in OUTAGES:
        begun, ended = span(*outage)
        yield begun - 2 * MINUTE, ended + 10 * MINUTE, MINUTE
    begun, ended = span(*SLOW)
    yield begun, ended + 8 * HOUR, 10 * MINUTE
    cleaned = START + CLEANED * DAY
    yield cleaned - 4 * DAY, cleaned + 2 * HOUR, 2 * HOUR


def _turn(statuses: list[SloStatus], correlation: Correlation, records: SqlRecords, at: float) -> None:
    for finding in correlation.findings(statuses):
        live = records.incidents([IncidentState.OPEN])[0]
        cause = correlation.explained_by(finding, records.incidents(limit=20)[0])
        if cause is None or cause in live:
            records.open_incident(finding, "seawall", cause.id if cause else None)
    well = {it.name for it in statuses if it.indicator_ok}
    for incident in records.incidents([IncidentState.OPEN])[0]:
        if incident.slo in well:
            over = replace(incident, state=IncidentState.RESOLVED, resolved_at=at, resolved_by="seawall")
            records.save_incident(over, "seawall", "incident.resolved", {"at": rfc3339(at)}, at)
