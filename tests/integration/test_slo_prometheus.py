"""The same recorded histories judged by Seawall and by real Prometheus with the generated rules: every row
agrees within the bounds that docs/slo.md states, before, on and after the edge of a month."""

import random
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import httpx
import pytest
import yaml

from alerts.evaluate import Evaluator
from alerts.prometheus_rules import Rulebook, rules
from alerts.slos import load_rows, load_windows
from seawall.core.pulls import DATASET
from seawall.core.signals import Event, Sample, labels
from seawall.core.times import parse_time, rfc3339
from seawall.stores.memory import MemoryEvents, MemorySamples
from tests.serving import free_port, until

pytestmark = pytest.mark.integration

EDGE = parse_time("2026-11-01T00:00:00Z")
BEGIN, END = EDGE - 9000, EDGE + 7200
SCRAPE = 15.0
MOMENTS = [EDGE - 1800, EDGE - 15, EDGE, EDGE + 95, EDGE + 3600, END]
REGISTRIES = [f"r{number}" for number in range(6)]
RATIOS = """\
slos:
  - {name: errors, type: ratio, signal: seawall_requests_total, window: 2h, bad: {code: "5.."},
     objective: {op: "<=", value: 0.05}, targets: [{registry: r1, value: 0.2}]}
  - {name: errors_month, type: ratio, signal: seawall_requests_total, window: calendar-month,
     bad: {code: "5.."}, objective: {op: "<=", value: 0.05}}
  - {name: disk, type: level, signal: seawall_storage_used_ratio, window: 5m, indicator: 5m,
     objective: {op: "<=", value: 0.85}, targets: [{labels: {volume: /cache}, value: 0.95}]}
"""
BASE = ("seawall:bad_minute", "seawall:slo_events")  # what other rules read back
BUCKETS = (0.1, 0.25, 0.5, 1.0, float("inf"))


class History:
    """What one registry showed, scrape by scrape; `flips` is how often it went down or came up."""

    def __init__(self, registry: str, seed: int) -> None:
        self.registry, self.samples, self.events, self.flips = registry, [], [], 0
        dice = random.Random(seed)
        counters: dict[tuple, float] = defaultdict(float)
        down, slow, failing, at = False, dice.choice([0.002, 0.05]), dice.choice([0.0, 0.03, 0.15]), BEGIN
        restless = dice.choice([0.0, 0.003, 0.02])
        self._judged: dict[float, dict] = {}
        self.born = dice.choice([BEGIN, BEGIN + 3000])
        while at <= END:
            if dice.random() < restless:
                down, self.flips = not down, self.flips + 1
            for site in ("a", "b"):
                self._add("seawall_probe_success", at, float(not down), site=site)
            for volume, used in (
                ("/data", dice.choice([0.5, 0.84])),
                ("/cache", dice.choice([0.8, 0.94, 0.96])),
            ):
                self._add("seawall_storage_used_ratio", at, used, volume=volume)
            self._requests(dice, counters, at, slow, failing)
            self._pulls(dice, counters, at)
            at += SCRAPE

    def _add(self, signal: str, at: float, value: float, **pairs: str) -> None:
        self.samples.append(Sample(self.registry, signal, at, value, labels(**pairs)))

    def _requests(self, dice, counters, at, slow, failing) -> None:
        for _ in range(dice.randint(5, 15)):
            code = "500" if dice.random() < failing else "200"
            took = 0.8 if dice.random() < slow else dice.choice([0.05, 0.2, 0.3])
            counters["code", code] += 1
            for edge in BUCKETS:
                counters["le", edge] += took <= edge
        for code in ("200", "500"):
            self._add("seawall_requests_total", at, counters["code", code], code=code)
        for edge in BUCKETS:
            le = "+Inf" if edge == BUCKETS[-1] else str(edge)
            self._add("seawall_manifest_request_duration_seconds_bucket", at, counters["le", edge], le=le)

    def _pulls(self, dice, counters, at) -> None:
        if at > self.born and self.registry in REGISTRIES[:3] and dice.random() < 0.01:
            counters["unsigned"] += 1
            judged = {
                "seawall.signature": "unsigned",
                "event.created": rfc3339(at - 5),
                "event.dataset": DATASET,
            }
            self.events.append(Event(f"{self.registry}-{at}", at - 6, self.registry, judged))
        signed = {"seawall.signature": "signed", "event.created": rfc3339(at - 5), "event.dataset": DATASET}
        self.events.append(Event(f"{self.registry}-s{at}", at - 6, self.registry, signed))
        if counters["unsigned"] or self.born == BEGIN:
            self._add("seawall_pulls_total", at, counters["unsigned"], signature="unsigned")

    def judge(self, rows, now: float):
        """By Seawall, of what there was at `now`."""
        if now in self._judged:
            return self._judged[now]
        samples, events = MemorySamples(), MemoryEvents()
        samples.append([it for it in self.samples if it.at <= now])
        events.append([it for it in self.events if it.at < now], {})
        judge = Evaluator(rows, load_windows(), samples, events, SCRAPE, REGISTRIES)
        self._judged[now] = {status.name: status for status in judge.judge(self.registry, now)}
        return self._judged[now]

    def lines(self) -> list[tuple[str, str]]:
        """(metric, OpenMetrics line)."""
        return [(it.signal, f"{it.signal}{{{self._pairs(it)}}} {it.value} {it.at}") for it in self.samples]

    def _pairs(self, it: Sample) -> str:
        return ",".join(f'{key}="{value}"' for key, value in (("registry", self.registry), *it.labels))


def program(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is not installed (apt-test.txt)"
    return found


def promtool(*arguments: str) -> None:
    done = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


class Prometheus:
    """A real one over a folder of blocks, without scrapes."""

    def __init__(self, folder: Path) -> None:
        self.folder, port = folder, free_port()
        (folder / "p.yml").write_text("global: {}\n")
        self.url = f"http://127.0.0.1:{port}"
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program("prometheus"), f"--config.file={folder / 'p.yml'}",
                 f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address=127.0.0.1:{port}",
                 "--storage.tsdb.retention.time=100y"],
                stdout=log, stderr=log,
            )  # fmt: skip

    def __enter__(self) -> "Prometheus":
        until(self._ready, 60, "a ready Prometheus")
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        self._process.wait(30)

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=2).is_success
        except httpx.HTTPError:
            return False

    def ask(self, expr: str, at: float) -> dict[str, float]:
        """By registry."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expr, "time": at}, timeout=60).json()
        assert answer["status"] == "success", (expr, answer)
        return {it["metric"]["registry"]: float(it["value"][1]) for it in answer["data"]["result"]}


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    """(rows, rules, histories, Prometheus that holds the histories and what the rules recorded of them)."""
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "ratios.yaml").write_text(RATIOS)
    rows = [*load_rows(), *load_rows(folder / "ratios.yaml")]
    groups = rules(Rulebook(rows, load_windows(), SCRAPE))["groups"]
    histories = [History(name, seed) for seed, name in enumerate(REGISTRIES)]
    lines = sorted((line for it in histories for line in it.lines()), key=lambda it: it[0])
    (folder / "history").write_text("\n".join(line for _, line in lines) + "\n# EOF\n")
    promtool("tsdb", "create-blocks-from", "openmetrics", str(folder / "history"), str(folder / "tsdb"))
    base = [
        group | {"rules": [rule for rule in group["rules"] if rule.get("record") in BASE]} for group in groups
    ]
    (folder / "base.yml").write_text(yaml.safe_dump({"groups": [it for it in base if it["rules"]]}))
    with Prometheus(folder) as one:
        promtool(
            "tsdb", "create-blocks-from", "rules", f"--url={one.url}", f"--start={BEGIN:.0f}",
            f"--end={END:.0f}", f"--output-dir={folder / 'recorded'}", str(folder / "base.yml"),
        )  # fmt: skip
    for block in (folder / "recorded").iterdir():
        block.rename(folder / "tsdb" / block.name)
    recorded = {
        (rule["record"], rule["labels"]["slo"]): rule["expr"]
        for group in groups
        for rule in group["rules"]
        if rule.get("record", "").startswith("seawall:slo_value")
    }
    with Prometheus(folder) as one:
        yield rows, recorded, histories, one


@pytest.mark.parametrize("now", MOMENTS, ids=lambda at: f"{at - EDGE:+.0f}s")
def test_every_row_agrees_within_its_bound(stand, now):
    rows, recorded, histories, prometheus = stand
    asked = {
        (row.name, side): prometheus.ask(recorded[f"seawall:slo_value:{side}", row.name], now)
        for row in rows
        for side in ("window", "now")
    }
    for history in histories:
        ours = history.judge(rows, now)
        theirs = {key: found.get(history.registry) for key, found in asked.items()}
        told = (history.registry, ours, theirs)
        minutes = theirs["availability", "window"]
        if ours["availability"].value is None:  # the month's first minute is not over
            assert minutes is None or minutes <= 60, told
        else:
            assert abs((minutes or 0) - ours["availability"].value) <= 60 * (history.flips + 1), told
        p99 = ours["pull_latency"]
        assert theirs["pull_latency", "window"] == pytest.approx(p99.value, rel=0.02), told
        assert (theirs["pull_latency", "window"] > 0.5) is (p99.status == "breached"), told
        for name in ("storage_capacity", "disk"):
            assert theirs[name, "now"] == ours[name].value, told
        unsigned = ours["unsigned_pulls"].value
        pulled = theirs["unsigned_pulls", "window"] or 0
        assert pulled == pytest.approx(unsigned, rel=0.05, abs=0.5), told
        assert (pulled > 0) is (ours["unsigned_pulls"].status == "breached"), told
        assert theirs["errors", "window"] == pytest.approx(ours["errors"].value, rel=0.02, abs=1e-4), told
        month = ours["errors_month"]
        if month.samples >= 2000:  # 50 minutes; a minute at either end may count on one side only
            assert theirs["errors_month", "window"] == pytest.approx(month.value, rel=0.05, abs=1e-3), told


def test_the_histories_are_worth_comparing(stand):
    """Each row is kept somewhere and broken somewhere, and the month's edge changes the answer."""
    rows, _, histories, _ = stand
    found = defaultdict(set)
    for history in histories:
        for now in (EDGE - 15, END):
            for name, status in history.judge(rows, now).items():
                found[name].add(str(status.status))
    assert all({"breached"} < it for it in found.values()), found
