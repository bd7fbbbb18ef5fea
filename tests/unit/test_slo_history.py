"""Back-filled history, judged as of a moment, excluded, reported: real DuckDB, no service."""

import csv
import json

import pytest
from typer.testing import CliRunner

from alerts.evaluate import Evaluator
from alerts.latency import quantile_of, rises
from alerts.slos import load_rows, load_windows
from seawall import backfill
from seawall.cli import app
from seawall.config import Config
from seawall.console import report as rendering
from seawall.core.errors import InputError
from seawall.core.signals import Sample, labels
from seawall.core.slos import Exclusion
from seawall.core.times import parse_time, rfc3339
from seawall.judging import History
from seawall.reports.month import slo_report
from seawall.stores.memory import MemoryEvents, MemorySamples

START = parse_time("2026-10-05T00:00:00Z")
HOUR = 3600.0


def written(path, rows, head=("timestamp", "registry", "success", "arrived")):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return path


@pytest.fixture
def state(tmp_path):
    """Two hours of rounds; those of ten bad minutes arrived a day late."""
    rows = []
    for at in range(int(START), int(START + 2 * HOUR), 10):
        bad = 1800 <= at - START < 2400
        rows.append((rfc3339(at), "main", int(not bad), rfc3339(at + 86400) if bad else ""))
    backfill.run("probe", written(tmp_path / "probe.csv", rows), tmp_path)
    return tmp_path


def seawall(*arguments):
    return CliRunner().invoke(app, [str(it) for it in arguments])


def judged(state, at):
    answer = seawall("slo", "--at", rfc3339(at), "--json", "--state", state)
    row = {it["name"]: it for it in json.loads(answer.stdout)["items"]}["availability"]
    return answer.exit_code, row["value"], row["samples"], row["status"]


def test_the_past_is_judged_by_what_had_arrived(state):
    assert judged(state, START + 2 * HOUR) == (0, 0.0, 110, "ok")
    assert judged(state, START + 86400 + 2400) == (1, 600.0, 120, "breached")
    assert judged(state, START - HOUR)[1:3] == (None, 0)


def test_a_second_import_changes_nothing_and_bad_rows_are_named(state, tmp_path):
    path = written(
        tmp_path / "again.csv",
        [
            (rfc3339(START), "main", 1, ""),
            ("noon", "main", 1, ""),
            (rfc3339(START + 7200), "main", "maybe", ""),
            (rfc3339(START + 7210), "", 1, ""),
            (rfc3339(START + 7220), "main", 1, ""),
        ],
    )
    answer = seawall("import", "probe", path, "--state", state, "--json")
    assert answer.exit_code == 1
    assert json.loads(answer.stdout) == {"kind": "probe", "read": 5, "new": 1, "refused": 3}
    for line, word in ((3, "noon"), (4, "maybe"), (5, "registry is empty")):
        assert any(f"again.csv:{line}: " in it and word in it for it in answer.stderr.splitlines())


@pytest.mark.parametrize(
    ("kind", "head", "word"),
    [("probe", ("timestamp", "registry"), "success"), ("moods", ("timestamp",), "moods")],
)
def test_a_file_that_is_none_is_refused_whole(tmp_path, kind, head, word):
    with pytest.raises(InputError, match=word):
        backfill.run(kind, written(tmp_path / "x.csv", [], head), tmp_path)


def test_events_are_backfilled_and_judged(tmp_path):
    head = (
        "timestamp",
        "registry",
        "event.duration",
        "http.request.method",
        "http.response.status_code",
        "registry.operation",
    )
    rows = [
        (START + i, "main", 700_000_000 if i % 50 == 0 else 1_000_000, "GET", 200, "manifest")
        for i in range(1500)
    ]
    assert backfill.run("events", written(tmp_path / "e.csv", rows, head), tmp_path).new == 1500
    history = History(Config(), tmp_path)
    row = next(it for it in history.statuses(START + 1500) if it.name == "pull_latency")
    history.close()
    assert (row.value, row.samples, row.status) == (0.7, 1500, "breached")


def test_maintenance_spends_no_budget_and_is_said(state):
    planned = Config.model_validate(
        {
            "maintenance": [
                {"start": rfc3339(START + 1800), "end": rfc3339(START + 2370), "reason": "disks", "by": "ann"}
            ]
        }
    )
    history = History(planned, state)
    row = next(it for it in history.statuses(START + 90000) if it.name == "availability")
    report = slo_report(history.judge_now(), ["main"], [], "2026-10", START + 90000)
    history.close()
    assert (row.value, row.excluded, row.samples) == (60.0, 540.0, 111)
    assert "9m of maintenance excluded" in row.reason
    told = next(it for it in report["rows"] if it["name"] == "availability")
    assert (told["kept"], told["excluded"]) == (True, 540.0)
    assert "9m of maintenance excluded" in rendering.markdown(report)
    assert "<svg" in rendering.html(report) and "<script" not in rendering.html(report)


def test_a_report_is_of_a_month_that_has_begun(state):
    history = History(Config(), state)
    judge = history.judge_now()
    for month in ("2026-13", "October", "2027-01"):
        with pytest.raises(ValueError, match=month):
            slo_report(judge, ["main"], [], month, START + 90000)
    history.close()


def test_late_data_of_a_settled_hour_is_counted_when_it_is_heard():
    samples, events = MemorySamples(), MemoryEvents()
    judge = Evaluator(load_rows(), load_windows(), samples, events, 10.0)
    rounds = [
        Sample("main", "seawall_probe_success", START + i * 10, 1.0, labels(site="a")) for i in range(1440)
    ]
    samples.append(rounds)
    assert judge.judge("main", START + 4 * HOUR)[-1].value == 0.0
    late = [Sample("main", "seawall_probe_success", START + i * 10, 0.0, labels(site="b")) for i in range(6)]
    samples.append(late)
    judge.heard("main", START)
    assert judge.judge("main", START + 4 * HOUR)[-1].value == 60.0


def test_the_budgets_end_is_foreseen_from_the_last_hours_rate():
    samples = MemorySamples()
    judge = Evaluator(load_rows(), load_windows(), samples, MemoryEvents(), 10.0)
    bad = [
        Sample("main", "seawall_probe_success", START + i * 10, float(i >= 12), labels(site="a"))
        for i in range(360)
    ]
    samples.append(bad)
    row = judge.judge("main", START + HOUR)[-1]
    assert row.exhausted_in == pytest.approx(180 / (120 / HOUR))
    assert "the budget is spent in 1h30m" in row.reason


# buckets -----------------------------------------------------------------------------------------


def bucket(le, at, value, replica="a"):
    return Sample(
        "main", "seawall_manifest_request_duration_seconds_bucket", at, value, labels(le=le, replica=replica)
    )


def test_buckets_of_replicas_are_pooled_over_resets_and_the_bound_is_said():
    samples = MemorySamples()
    for replica in ("a", "b"):
        for le, first, second in (("0.45", 10, 5), ("0.5", 20, 11), ("+Inf", 20, 11)):
            samples.append([bucket(le, START - 60, 3, replica), bucket(le, START, first, replica)])
            samples.append([bucket(le, START + 60, second, replica)])  # it was restarted
    judge = Evaluator(load_rows(), load_windows(), samples, MemoryEvents(), 10.0)
    row = next(it for it in judge.judge("main", START + 61) if it.name == "pull_latency")
    assert row.samples == 2 * (20 - 3 + 11)
    assert 0.45 < row.value <= 0.5
    assert row.status == "ok" and "between 450 ms and 500 ms" in row.reason


@pytest.mark.parametrize(
    ("buckets", "found"),
    [
        ({0.5: 99, 1.0: 100}, (0.0, 0.5)),
        ({0.5: 98, 1.0: 100}, (0.5, 1.0)),
        ({0.5: 0, float("inf"): 4}, (0.5, float("inf"))),
    ],
)
def test_the_bucket_of_a_quantile(buckets, found):
    assert quantile_of(buckets, 0.99)[2:] == found


def test_a_series_seen_once_has_not_risen():
    assert rises([bucket("0.5", START, 7)]) == {0.5: 0.0}
    assert quantile_of(rises([bucket("0.5", START, 7)]), 0.99) is None


def test_maintenance_of_another_registry_excludes_nothing_here():
    planned = Exclusion("main", 0.0, 60.0, "x", "ann")
    assert planned.registry == "main"
    config = Config.model_validate(
        {"maintenance": [{"start": rfc3339(0), "end": rfc3339(60), "reason": "x", "by": "ann"}]}
    )
    assert config.maintenance[0].of("main") == planned
    with pytest.raises(ValueError, match="no registry is named 'other'"):
        Config.model_validate(
            {
                "maintenance": [
                    {"registry": "other", "start": rfc3339(0), "end": rfc3339(60), "reason": "x", "by": "ann"}
                ]
            }
        )
