"""The matrix, judged on histories whose right answer is plain."""

import pytest

from alerts.evaluate import Evaluator
from alerts.minutes import MinuteLedger, classify
from alerts.slos import load_rows, load_windows
from seawall.core.ports import Slice
from seawall.core.signals import Event, Sample, labels
from seawall.core.slos import Status
from seawall.core.times import month_of, parse_time
from seawall.stores.memory import MemoryEvents, MemorySamples

NOON = parse_time("2026-11-24T12:00:00Z")
INTERVAL = 10.0


@pytest.fixture
def samples():
    return MemorySamples()


@pytest.fixture
def events():
    return MemoryEvents()


@pytest.fixture
def judge(samples, events):
    return Evaluator(load_rows(), load_windows(), samples, events, INTERVAL)


def probes(samples, rounds: str, end: float = NOON, site: str = "local") -> None:
    """One character a round: + good, - failed, . none; the last one is at `end`."""
    start = end - INTERVAL * (len(rounds) - 1)
    samples.append(
        [
            Sample("main", "seawall_probe_success", start + i * INTERVAL, float(c == "+"), labels(site=site))
            for i, c in enumerate(rounds)
            if c != "."
        ]
    )


def requests(events, count: int, seconds: float, end: float = NOON, over: float = 30.0) -> None:
    fields = {
        "event.duration": round(seconds * 1e9),
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "registry.operation": "manifest",
    }
    name = f"{seconds}-{end}"
    events.append(
        [Event(f"{name}-{i}", end - over * (i + 1) / count, "main", fields) for i in range(count)], {}
    )


def row_of(judge, name: str, now: float = NOON):
    return {status.name: status for status in judge.judge("main", now)}[name]


# availability --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rounds", "ok", "since"),
    [
        ("++++++", True, None),
        ("+++++-", True, None),
        ("++++--", False, NOON - INTERVAL),
        ("++----", False, NOON - 3 * INTERVAL),
        ("--+-+-", True, None),
        ("----++", True, None),
        ("-", True, None),
        ("", None, None),
    ],
)
def test_down_is_two_failed_rounds_in_a_row(samples, judge, rounds, ok, since):
    probes(samples, rounds)
    row = row_of(judge, "availability")
    assert (row.indicator_ok, row.since) == (ok, since)


def test_sites_decide_by_quorum(samples, judge):
    probes(samples, "+++++", site="a")
    probes(samples, "+++--", site="b")
    probes(samples, "+++++", site="c")
    assert row_of(judge, "availability").indicator_ok is True
    probes(samples, "++---", end=NOON - 1, site="d")
    assert row_of(judge, "availability").indicator_ok is False


def test_probes_that_stopped_are_unknown_not_ok(samples, judge):
    probes(samples, "+" * 30, end=NOON - 120)
    row = row_of(judge, "availability")
    assert (row.status, row.indicator_ok) == (Status.UNKNOWN, None)
    assert "no probe has reported" in row.reason


def test_a_registry_never_probed_is_unknown(judge):
    row = row_of(judge, "availability")
    assert (row.status, row.value, row.budget_remaining_ratio) == (Status.UNKNOWN, None, None)


def test_a_minute_is_bad_when_half_of_its_probes_failed():
    half = classify([Slice(1, "a", 3, 3)], [])
    less = classify([Slice(1, "a", 4, 2)], [])
    assert (half.bad, less.bad, half.watched) == ({1}, frozenset(), 1)


def test_a_minute_is_bad_when_half_of_its_sites_failed():
    two = [Slice(1, "a", 0, 6), Slice(1, "b", 6, 0)]
    assert classify(two, []).bad == {1}
    assert classify([*two, Slice(1, "c", 6, 0)], []).bad == frozenset()


@pytest.mark.parametrize(("requests_", "failed", "bad"), [(20, 2, True), (20, 1, False), (19, 19, False)])
def test_a_minute_is_bad_by_its_share_of_server_errors(requests_, failed, bad):
    assert (1 in classify([Slice(1, "a", 6, 0)], [(1, requests_, failed)]).bad) is bad


def test_the_month_counts_bad_minutes_in_seconds_and_stays_broken(samples, judge):
    start, _ = month_of(NOON)
    probes(samples, "-" * 6 * 6, end=start + 6 * 60 - INTERVAL)
    probes(samples, "+" * 60)
    row = row_of(judge, "availability")
    assert (row.value, row.threshold, row.unit) == (360.0, 300.0, "s")
    assert (row.status, row.indicator_ok) == (Status.BREACHED, True)
    assert row.budget_remaining_ratio == pytest.approx(-0.2)
    assert row.window == (start, month_of(NOON)[1])


def test_one_bad_minute_burns_the_months_budget_too_fast(samples, judge):
    probes(samples, "+" * 60 + "-" * 6 + "+" * 12, end=NOON)
    row = row_of(judge, "availability")
    assert (row.status, row.value) == (Status.AT_RISK, 60.0)
    assert row.burn_rate == pytest.approx((1 / 60) / (300 / (30 * 86400)))


def test_minutes_of_another_month_do_not_count(samples, judge):
    start, _ = month_of(NOON)
    probes(samples, "-" * 60, end=start - INTERVAL)
    probes(samples, "+" * 60)
    assert row_of(judge, "availability").value == 0.0


def test_the_ledger_counts_as_a_fresh_reading_does(samples, events):
    ledger = MinuteLedger(samples, events)
    start, _ = month_of(NOON)
    for hour in range(6):
        end = start + (hour + 1) * 3600
        probes(samples, ("+" * 300 + "-" * 60), end=end - INTERVAL)
        assert ledger.count("main", "seawall_probe_success", start, end) == ledger.read(
            "main", "seawall_probe_success", start, end
        )


def test_late_data_within_the_settling_time_still_counts(samples, events):
    ledger = MinuteLedger(samples, events)
    start, _ = month_of(NOON)
    ledger.count("main", "seawall_probe_success", start, start + 3600)
    probes(samples, "-" * 6, end=start + 3600 - 120 - INTERVAL)
    assert len(ledger.count("main", "seawall_probe_success", start, start + 3600).bad) == 1


# latency -------------------------------------------------------------------------------------


def test_p99_over_enough_requests(events, judge):
    requests(events, 2000, 0.2)
    row = row_of(judge, "pull_latency")
    assert (row.status, row.indicator_ok, row.value, row.samples) == (Status.OK, True, 0.2, 2000)


def test_p99_over_the_objective_is_breached_and_bad_now(events, judge):
    requests(events, 2000, 0.7)
    row = row_of(judge, "pull_latency")
    assert (row.status, row.indicator_ok, row.threshold) == (Status.BREACHED, False, 0.5)


def test_few_requests_lengthen_the_window_and_say_so(events, judge):
    requests(events, 900, 0.2, end=NOON - 7200)
    requests(events, 50, 0.3)
    row = row_of(judge, "pull_latency")
    assert row.samples == 950
    assert "only 950 requests" in row.reason and "fewer than 1000" in row.reason
    assert row.window[0] < NOON - 7200


def test_no_request_is_unknown(judge):
    row = row_of(judge, "pull_latency")
    assert (row.status, row.indicator_ok, row.value) == (Status.UNKNOWN, None, None)


def test_verification_looks_only_at_what_came_after(events, judge):
    requests(events, 2000, 0.9, end=NOON)
    requests(events, 30, 0.1, end=NOON + 20, over=10)
    row = judge.row("pull_latency")
    assert judge.indicator(row, "main", NOON + 20).ok is False
    assert judge.indicator(row, "main", NOON + 20, since=NOON).ok is True


# levels and counts ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "status"), [(0.22, Status.OK), (0.85, Status.OK), (0.8501, Status.BREACHED)]
)
def test_the_fullest_volume_decides(samples, judge, ratio, status):
    for volume, used in (("/data", ratio), ("/cache", 0.1)):
        samples.append([Sample("main", "seawall_storage_used_ratio", NOON - 30, used, labels(volume=volume))])
    row = row_of(judge, "storage_capacity")
    assert (row.status, row.value, row.unit) == (status, ratio, "ratio")
    assert "/data" in row.reason


def test_when_it_will_be_full_is_told_with_the_fullest_volume(samples, judge):
    for volume, used, times in (("/data", 0.8, (90000.0, 7200.0)), ("/cache", 0.1, (60.0, 30.0))):
        samples.append([Sample("main", "seawall_storage_used_ratio", NOON - 30, used, labels(volume=volume))])
        for bound, seconds in zip(("likely", "early"), times, strict=True):
            pairs = labels(volume=volume, bound=bound)
            samples.append([Sample("main", "seawall_storage_full_seconds", NOON - 500, seconds, pairs)])
    assert row_of(judge, "storage_capacity").reason == (
        "/data is 80.0% used, full in about 1d1h (2h at the earliest)"
    )


def test_a_volume_whose_end_is_not_foreseen_says_nothing_of_it(samples, judge):
    samples.append([Sample("main", "seawall_storage_used_ratio", NOON - 30, 0.8, labels(volume="/data"))])
    pairs = labels(volume="/data", bound="likely")
    samples.append([Sample("main", "seawall_storage_full_seconds", NOON - 700, 60.0, pairs)])
    assert row_of(judge, "storage_capacity").reason == "/data is 80.0% used"


def test_an_old_measure_of_the_disk_is_unknown(samples, judge):
    samples.append([Sample("main", "seawall_storage_used_ratio", NOON - 400, 0.2, labels(volume="/data"))])
    assert row_of(judge, "storage_capacity").status is Status.UNKNOWN


def test_unsigned_pulls_without_trust_are_unknown_and_do_not_page(judge):
    row = row_of(judge, "unsigned_pulls")
    assert (row.status, row.indicator_ok, row.reason) == (Status.UNKNOWN, None, "no trust configured")
