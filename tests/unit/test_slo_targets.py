"""Targets per registry and label, and rows of type ratio: read, judged, and generated as rules."""

import math
import random
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.evaluate import Evaluator
from alerts.prometheus_rules import Rulebook, rules
from alerts.promtool_tests import tests as promtool_tests
from alerts.slos import load_rows, load_windows, rows_of
from alerts.written import as_yaml, write
from seawall.checks import _files
from seawall.config import load
from seawall.core.errors import InputError
from seawall.core.signals import Sample, labels
from seawall.core.slos import SloRow
from seawall.core.times import month_of, parse_time
from seawall.stores.memory import MemoryEvents, MemorySamples

NOW = parse_time("2026-11-24T12:00:00Z")
RATIO = """\
slos:
  - name: errors
    type: ratio
    signal: seawall_requests_total
    window: {window}
    among: {{handler: manifest}}
    bad: {{code: "5.."}}
    objective: {{op: "<=", value: 0.01}}
    targets: [{{registry: "edge-*", value: 0.1}}]
"""
LEVEL = """\
slos:
  - name: disk
    type: level
    signal: seawall_storage_used_ratio
    window: 5m
    indicator: 5m
    objective: {op: "<=", value: 0.85}
    targets:
      - {registry: main, labels: {volume: /cache}, value: 0.95}
      - {registry: "edge-*", value: 0.7}
"""


def rows_from(folder: Path, text: str, **more) -> tuple[SloRow, ...]:
    path = folder / "slos.yaml"
    path.write_text(text)
    return load_rows(path, **more)


def judged(row: SloRow, samples: MemorySamples, registry: str = "main", now: float = NOW):
    [status] = Evaluator([row], load_windows(), samples, MemoryEvents(), 10.0).judge(registry, now)
    return status


def disk(samples: MemorySamples, registry: str, volume: str, used: float) -> None:
    samples.append([Sample(registry, "seawall_storage_used_ratio", NOW - 5, used, labels(volume=volume))])


@pytest.mark.parametrize(
    ("registry", "data", "cache", "status", "threshold", "value"),
    [
        ("main", 0.8, 0.9, "ok", 0.95, 0.9),
        ("main", 0.86, 0.9, "breached", 0.85, 0.86),
        ("main", 0.8, 0.96, "breached", 0.95, 0.96),
        ("other", 0.8, 0.9, "breached", 0.85, 0.9),
        ("edge-1", 0.71, 0.1, "breached", 0.7, 0.71),
        ("edge-1", 0.69, 0.1, "ok", 0.7, 0.69),
    ],
)
def test_a_level_is_held_against_its_own_target(tmp_path, registry, data, cache, status, threshold, value):
    [row] = rows_from(tmp_path, LEVEL)
    samples = MemorySamples()
    disk(samples, registry, "/data", data)
    disk(samples, registry, "/cache", cache)
    found = judged(row, samples, registry)
    assert (found.status, found.threshold, found.value) == (status, threshold, value)


def test_bad_minutes_have_a_budget_for_each_registry(tmp_path):
    text = "slos:\n  - {name: up, type: time_slices, signal: seawall_probe_success, window: calendar-month,\n"
    text += '     objective: {op: "<=", value: 300}, targets: [{registry: edge, value: 1200}]}\n'
    [row] = rows_from(tmp_path, text)
    samples = MemorySamples()
    for name in ("main", "edge"):
        down = [
            Sample(name, "seawall_probe_success", NOW - 9000 + i * 60, 0.0, labels(site="a"))
            for i in range(10)
        ]
        samples.append([*down, Sample(name, "seawall_probe_success", NOW - 1, 1.0, labels(site="a"))])
    main, edge = (judged(row, samples, name) for name in ("main", "edge"))
    assert (main.status, main.threshold, main.budget_remaining_ratio) == ("breached", 300, -1)
    assert (edge.threshold, edge.budget_remaining_ratio) == (1200, 0.5)
    assert edge.status != "breached"


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("edge-*", "no one", 9, r"targets\[0\]\.registry"),
        ("value: 0.1}", "value: 2}", 9, "'errors'.*no share.*0.001"),
        ("value: 0.01", "value: 0", 8, "'errors'.*no error budget"),
        ('op: "<="', 'op: ">="', 8, "'errors'.*promises bad events"),
        ('{code: "5.."}', "{}", 3, "'errors'.*which events are bad.*add bad"),
        ('"5.."', '"5("', 7, "'errors'.*regular expression"),
        ("type: ratio", "type: level", 7, "'errors'.*chooses no events.*type: ratio"),
        ('registry: "edge-*"', "labels: {code: a}", 9, r"'errors'.*targets\[0\] asks for labels"),
        ('{registry: "edge-*"', '{value: 1}, {registry: "edge-*"', 9, "takes all.*to the end"),
    ],
)
def test_a_fault_names_file_row_and_remedy(tmp_path, old, new, line, words):
    text = RATIO.format(window="30d")
    assert text.count(old) == 1
    with pytest.raises(InputError, match=words) as error:
        rows_from(tmp_path, text.replace(old, new))
    assert error.value.place == f"{tmp_path / 'slos.yaml'}:{line}"


def test_a_target_for_a_registry_that_is_not_there_is_refused_where_all_are_known(tmp_path):
    assert rows_from(tmp_path, RATIO.format(window="30d"), registries=["main", "edge-7"])
    with pytest.raises(
        InputError, match=r"'errors': targets\[0\]: no registry is named 'edge-\*'.*known: main"
    ):
        rows_from(tmp_path, RATIO.format(window="30d"), registries=["main"])


def test_check_tells_of_a_target_that_fits_no_registry(tmp_path):
    (tmp_path / "slos.yaml").write_text(RATIO.format(window="30d"))
    path = tmp_path / "seawall.yaml"
    path.write_text('slos: slos.yaml\nregistries: [{name: main, url: "http://127.0.0.1:9"}]\n')
    [found] = [it for it in _files(load(path)) if it.name == "slos"]
    assert (found.ok, found.kind, "known: main" in found.remedy) == (False, "file", True)
    path.write_text(path.read_text().replace("name: main", "name: edge-1"))
    assert all(it.ok for it in _files(load(path)) if it.name == "slos")


# ratio -----------------------------------------------------------------------------------------


def counted(samples: MemorySamples, readings: dict[str, list[tuple[float, float]]], registry: str = "main"):
    """(time, counter) of manifest requests by code; another handler's do not count."""
    for code, points in readings.items():
        for handler, factor in (("manifest", 1), ("blob", 100)):
            found = labels(handler=handler, code=code)
            samples.append(
                [Sample(registry, "seawall_requests_total", at, v * factor, found) for at, v in points]
            )


@pytest.mark.parametrize(
    ("registry", "bad", "status"),
    [("main", 0.0, "ok"), ("main", 0.02, "breached"), ("edge-1", 0.02, "ok"), ("edge-1", 0.2, "breached")],
)
@pytest.mark.parametrize("window", ["2h", "calendar-month"])
def test_the_share_of_bad_events_is_held_against_the_target(tmp_path, window, registry, bad, status):
    [row] = rows_from(tmp_path, RATIO.format(window=window))
    samples = MemorySamples()
    times = [NOW - 7000 + i * 10 for i in range(701)]
    good = [(at, i * 100 * (1 - bad)) for i, at in enumerate(times)]
    counted(samples, {"200": good, "500": [(at, i * 100 * bad) for i, at in enumerate(times)]}, registry)
    found = judged(row, samples, registry, NOW + 5)
    assert (found.status, found.indicator_ok) == (status, status == "ok")
    assert found.value == pytest.approx(bad)
    assert found.burn_rate == pytest.approx(bad / found.threshold)
    assert found.budget_remaining_ratio == pytest.approx(1 - bad / found.threshold)


def test_a_calendar_month_forgets_the_month_before(tmp_path):
    [row] = rows_from(tmp_path, RATIO.format(window="calendar-month"))
    first, samples = month_of(NOW)[0], MemorySamples()
    points = [(first - 180, 0.0), (first - 120, 500.0), (first, 500.0), (first + 60, 500.0)]
    counted(samples, {"500": points, "200": [(at, 10 * (at - first + 180)) for at, _ in points]})
    before, after = judged(row, samples, now=first - 1), judged(row, samples, now=first + 120)
    assert (before.status, after.value, after.samples) == ("breached", 0.0, 1800)


def test_nothing_counted_is_unknown_and_so_is_what_is_no_longer_measured(tmp_path):
    [row] = rows_from(tmp_path, RATIO.format(window="2h"))
    samples = MemorySamples()
    assert (judged(row, samples).status, judged(row, samples).indicator_ok) == ("unknown", None)
    counted(samples, {"200": [(NOW - 3000, 0.0), (NOW - 2990, 1000.0)]})
    found = judged(row, samples)
    assert (found.status, found.value) == ("unknown", 0.0)
    assert "nothing was measured in the last 5m" in found.reason


@given(number=st.integers(0, 10**9))
@settings(max_examples=25, deadline=None)
def test_a_ledger_that_saw_it_come_agrees_with_the_raw_counters(number):
    """Resets, gaps, late readings, turn after turn: always what a plain loop over all readings says."""
    text = RATIO.format(window="5h")
    seed, samples, points = random.Random(number), MemorySamples(), {"200": [], "500": []}
    for code in points:
        at, value = NOW - 30000, 0.0
        while at < NOW:
            value = 0.0 if seed.random() < 0.01 else value + seed.randint(0, 30)
            points[code].append((at, value))
            at += seed.choice([30, 30, 60, 200, 290])
    path = Path("slos.yaml")
    [row] = _in_memory(text, path)
    judge = Evaluator([row], load_windows(), samples, MemoryEvents(), 10.0)
    late = {code: [p for p in found if seed.random() < 0.02] for code, found in points.items()}
    counted(samples, {code: [p for p in points[code] if p not in late[code]] for code in points})
    for turn in (NOW - 4000, NOW - 2000):
        judge.judge("main", turn)
    counted(samples, late)
    for found in late.values():
        for at, _ in found:
            judge.heard("main", at)
    [status] = judge.judge("main", NOW)
    bad, total = 0.0, 0.0
    for code, found in points.items():
        for (_, a), (at, b) in pairwise(found):
            if NOW - 18000 <= at < NOW:
                rise = b - a if b >= a else b
                total, bad = total + rise, bad + (rise if code == "500" else 0)
    assert math.isclose(status.value, bad / total)
    assert status.samples == round(total)


def _in_memory(text: str, path: Path) -> tuple[SloRow, ...]:
    return rows_of(yaml.safe_load(text), path)


SLICES = """\
slos:
  - name: up
    type: time_slices
    signal: seawall_probe_success
    window: calendar-month
    objective: {op: "<=", value: 300}
    targets: [{registry: edge, value: 1200}]
"""
LATENCY = """\
slos:
  - name: slow
    type: latency
    signal: seawall_manifest_request_duration_seconds
    window: 1h
    objective: {op: "<=", value: 0.5}
    targets: [{registry: "e.u", value: 2.5}]
"""


@pytest.mark.parametrize(
    ("text", "right", "wrong"),
    [
        (LEVEL, "> 0.95", "> 1.5"),
        (SLICES, None, None),
        (LATENCY, "> 2.5", "> 70"),
        (RATIO.format(window="30d"), "> 0.1", "> 0.5"),
        (RATIO.format(window="calendar-month"), "> 0.1", "> 0.5"),
    ],
)
def test_the_rules_follow_targets_and_ratios(tmp_path, text, right, wrong):
    """promtool runs a broken and a kept case of every row and target, and notices a wrong threshold."""
    program = shutil.which("promtool")
    assert program, "promtool is not installed (apt-test.txt)"
    [row] = rows_from(tmp_path, text)
    book = Rulebook([row], load_windows())
    made, tests = as_yaml(rules(book)), promtool_tests(book)
    assert len(tests["tests"]) == 3 + 2 * len(row.targets) + 1
    write(tmp_path, {"seawall.rules.yml": made, "seawall_test.yml": as_yaml(tests)})
    command = [program, "test", "rules", str(tmp_path / "seawall_test.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    if wrong:
        assert right in made
        tests["tests"] = [case for case in tests["tests"] if case["name"].endswith("targets[0]: broken")]
        other = {"seawall.rules.yml": made.replace(right, wrong), "seawall_test.yml": as_yaml(tests)}
        write(tmp_path, other)
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert "FAILED" in done.stdout + done.stderr
