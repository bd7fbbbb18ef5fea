"""The questions of `benchmarks.slo` put to a real Prometheus by the generated rules: the same month of probe
rounds and disk, the rows `availability` and `storage_capacity` of all registries.

From scratch is the month's bad minutes from raw rounds (a subquery a minute, no rule recorded);
a cycle is one evaluation of every recording rule of both rows with the bad minutes recorded. Seconds of the
clock at the HTTP API, with Seawall's own seconds for the same registries beside them.
"""

import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import yaml

from alerts.prometheus_rules import Rulebook, rules
from alerts.slos import load_rows, load_windows
from benchmarks import slo
from benchmarks.figure import Figure
from tests.store_servers import Prometheus

ROWS = ("availability", "storage_capacity")
BASE = "seawall:bad_minute"
AGREES = 60.0 * 2  # s: a minute at either edge of the outage may count on one side only


def measure() -> list[Figure]:
    """Prometheus' seconds from scratch and a cycle, and in how many registries it and Seawall disagree."""
    if shutil.which("promtool") is None or shutil.which("prometheus") is None:
        print("slo_prometheus: left out, no prometheus and promtool here (apt-test.txt)", file=sys.stderr)
        return []
    written = [it for it in load_rows() if it.name in ROWS]
    groups = rules(Rulebook(written, load_windows(), slo.STEP))["groups"]
    found = [rule for group in groups for rule in group["rules"] if "record" in rule]
    minute = next(rule["expr"] for rule in found if rule["record"] == BASE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = Prometheus(folder / "server", scraped="")
        backfill(folder, folder / "server" / "tsdb", _lines)
        server.start()
        try:
            month = f"60 * sum_over_time(({minute})[{slo.DAYS}d:1m])"
            began = time.perf_counter()
            bad = _ask(server.url, month)
            scratch = time.perf_counter() - began
            _record(server.url, folder, minute)
            server.stop()
            for block in (folder / "recorded").iterdir():
                shutil.move(block, folder / "server" / "tsdb" / block.name)
            server.start()
            began = time.perf_counter()
            for rule in found:
                _ask(server.url, rule["expr"])
            cycle = time.perf_counter() - began
        finally:
            server.stop()
    wrong = sum(
        abs(bad.get(f"r{number}", 0.0) - slo.OUTAGE * 60) > AGREES for number in range(slo.REGISTRIES)
    )
    ours = slo.judged()
    return [
        Figure("slo: from scratch, Seawall over Prometheus", ours.scratch / scratch, math.inf, "x"),
        Figure("slo: one cycle, Seawall over Prometheus", ours.cycle / cycle, math.inf, "x"),
        Figure("slo: Prometheus from scratch", scratch, math.inf, "s"),
        Figure("slo: Prometheus, one cycle", cycle, math.inf, "s"),
        Figure("slo: registries in which Prometheus differs", float(wrong), 0, ""),
    ]


def backfill(folder: Path, database: Path, lines: Callable[[int], Iterator[str]]) -> None:
    """OpenMetrics `lines(day)` of each day into blocks, one a day: promtool reads its whole input again for
    each block. RuntimeError if promtool refuses."""
    for day in range(slo.DAYS):
        with (folder / "day").open("w") as out:
            out.writelines(lines(day))
            out.write("# EOF\n")
        promtool("create-blocks-from", "openmetrics", "--max-block-duration=24h", folder / "day", database)


def _lines(day: int) -> Iterator[str]:
    rounds, value = slo.rounds_of(day)
    for number in range(slo.REGISTRIES):
        head = f'seawall_probe_success{{registry="r{number}",site="local"}} '
        for at, good in zip(rounds, value[number], strict=True):
            yield f"{head}{good:.0f} {at:.0f}\n"
    for number in range(slo.REGISTRIES):
        head = f'seawall_storage_used_ratio{{registry="r{number}",volume="/data"}} 0.5 '
        for at in rounds[::6]:
            yield f"{head}{at:.0f}\n"


def _record(url: str, folder: Path, minute: str) -> None:
    """The bad minutes of the month, recorded as a server would have that ran the rule all month."""
    rule = {"record": BASE, "expr": minute, "labels": {"slo": "availability"}}
    group = {"name": "minutes", "interval": "1m", "rules": [rule]}
    (folder / "base.yml").write_text(yaml.safe_dump({"groups": [group]}))
    promtool(
        "create-blocks-from", "rules", f"--url={url}", f"--start={slo.START:.0f}", f"--end={slo.NOW:.0f}",
        f"--output-dir={folder / 'recorded'}", folder / "base.yml",
    )  # fmt: skip


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(
        ["promtool", "tsdb", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"promtool tsdb {arguments[0]}: {done.stdout}{done.stderr}")


def _ask(url: str, expr: str) -> dict[str, float]:
    """By registry."""
    params = {"query": expr, "time": str(slo.NOW)}
    answer = httpx.get(f"{url}/api/v1/query", params=params, timeout=300, trust_env=False).json()
    if answer["status"] != "success":
        raise RuntimeError(f"Prometheus refused {expr}: {answer['error']}")
    return {it["metric"]["registry"]: float(it["value"][1]) for it in answer["data"]["result"]}
