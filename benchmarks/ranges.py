"""A month of probe rounds of every registry read back whole: from DuckDB, and through the same port from a
real Prometheus that holds the same rounds (backfilled by promtool). Seconds of the clock.
`SEAWALL_SLO_REGISTRIES` is how many registries (default 100).
"""

import math
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import slo
from benchmarks.figure import Figure
from benchmarks.slo_prometheus import backfill
from seawall.config.stores import PrometheusAccess
from seawall.core.ports import SampleStore
from seawall.core.signals import PROBE_SUCCESS
from seawall.stores.duckdb import DuckDatabase, DuckSamples
from seawall.stores.prometheus import PrometheusSamples
from tests.store_servers import Prometheus


def measure() -> list[Figure]:
    """Seconds of each for all registries, their ratio, and in how many registries they differ."""
    if shutil.which("promtool") is None or shutil.which("prometheus") is None:
        print("ranges: left out, no prometheus and promtool here (apt-test.txt)", file=sys.stderr)
        return []
    with tempfile.TemporaryDirectory(prefix="seawall-ranges-") as name:
        folder = Path(name)
        database = DuckDatabase(folder / "data")
        slo.fill(database)
        embedded, ours = _read(DuckSamples(database))
        database.close()
        server = Prometheus(folder / "server")
        backfill(folder, folder / "server" / "tsdb", _lines)
        server.start()
        try:
            access = PrometheusAccess(remote_write=False, timeout=120.0)
            store = PrometheusSamples(f"prometheus+{server.url}", access, folder / "spool", lambda: slo.NOW)
            scaled, theirs = _read(store)
            store.close()
        finally:
            server.stop()
    wrong = sum(a != b for a, b in zip(ours, theirs, strict=True))
    return [
        Figure("ranges: a month read back, DuckDB over Prometheus", embedded / scaled, 1, "x"),
        Figure("ranges: DuckDB, a registry's month", embedded / slo.REGISTRIES, math.inf, "s"),
        Figure("ranges: Prometheus, a registry's month", scaled / slo.REGISTRIES, math.inf, "s"),
        Figure("ranges: registries in which they differ", float(wrong), 0, ""),
    ]


def _read(samples: SampleStore) -> tuple[float, list[tuple[int, float, float]]]:
    """(seconds, of each registry how many rounds, how many good ones, the sum of their times)."""
    took, found = 0.0, []
    for number in range(slo.REGISTRIES):
        began = time.perf_counter()
        rounds = samples.range(f"r{number}", PROBE_SUCCESS, slo.START, slo.NOW)
        took += time.perf_counter() - began
        found.append((len(rounds), sum(it.value for it in rounds), round(sum(it.at for it in rounds))))
    return took, found


def _lines(day: int) -> Iterator[str]:
    rounds, value = slo.rounds_of(day)
    for number in range(slo.REGISTRIES):
        head = f'{PROBE_SUCCESS}{{job="seawall",registry="r{number}",site="local"}} '
        for at, good in zip(rounds, value[number], strict=True):
            yield f"{head}{good:.0f} {at:.0f}\n"
