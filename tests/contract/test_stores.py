"""One contract for every store of samples and events."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seawall.core.ports import EventStore, SampleStore
from seawall.core.signals import Event, Sample, labels
from seawall.stores.duckdb import DuckDatabase, DuckEvents, DuckSamples
from seawall.stores.memory import MemoryEvents, MemorySamples, nearest_rank
from seawall.stores.recent import RecentSamples
from tests.store_servers import EMULATORS, GROUPING, WITH_PROMETHEUS

T = 1_790_000_000.0


@pytest.fixture(params=["memory", "duckdb", "recent", pytest.param("prometheus", marks=WITH_PROMETHEUS)])
def samples(request, tmp_path) -> Iterator[SampleStore]:
    if request.param == "prometheus":
        yield request.getfixturevalue("prometheus_samples")()
    elif request.param == "memory":
        yield MemorySamples()
    else:
        database = DuckDatabase(tmp_path / "data")
        kept = DuckSamples(database)
        # Of "recent", the two hours begin ten seconds after T: some laws are answered by it, some by its
        # store.
        yield RecentSamples(kept, lambda: T + 7210) if request.param == "recent" else kept
        database.close()


@pytest.fixture(params=["memory", "duckdb", *EMULATORS])
def events(request, tmp_path) -> Iterator[EventStore]:
    if request.param in EMULATORS:
        server = request.getfixturevalue("emulators")(request.param)
        yield request.getfixturevalue("elasticsearch_events")(server)
    elif request.param == "memory":
        yield MemoryEvents()
    else:
        database = DuckDatabase(tmp_path / "data")
        yield DuckEvents(database)
        database.close()


def probe(at: float, ok: bool, site: str = "local", registry: str = "main") -> Sample:
    return Sample(registry, "seawall_probe_success", at, float(ok), labels(site=site))


def request_event(number: int, at: float, seconds: float = 0.1, **fields: object) -> Event:
    document = {
        "event.duration": round(seconds * 1e9),
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "registry.operation": "manifest",
        "registry.repository": "team/app",
        "client.ip": "127.0.0.1",
        "user_agent.original": "containerd/1.7.24",
        **fields,
    }
    return Event(f"e{number}", at, "main", document)


def test_range_is_half_open_and_by_time(samples):
    samples.append([probe(T + 10, True), probe(T, False), probe(T + 20, True)])
    found = samples.range("main", "seawall_probe_success", T, T + 20)
    assert [(s.at, s.value) for s in found] == [(T, 0.0), (T + 10, 1.0)]


def test_range_selects_labels_exactly(samples):
    samples.append([probe(T, True, "a"), probe(T, False, "b")])
    found = samples.range("main", "seawall_probe_success", T, T + 1, labels(site="b"))
    assert [(s.value, s.labels) for s in found] == [(0.0, (("site", "b"),))]


def test_a_sample_delivered_twice_is_one(samples):
    samples.append([probe(T, True), probe(T, True)])
    samples.append([probe(T, True), probe(T + 1, True)])
    assert len(samples.range("main", "seawall_probe_success", T, T + 10)) == 2


def test_latest_is_per_label_set_and_within_the_span(samples):
    samples.append([probe(T, True, "a"), probe(T + 5, False, "a"), probe(T + 3, True, "b")])
    found = samples.latest("main", "seawall_probe_success", T, T + 4)
    assert [(s.labels, s.at, s.value) for s in found] == [
        ((("site", "a"),), T, 1.0),
        ((("site", "b"),), T + 3, 1.0),
    ]


def test_slices_count_per_minute_and_site(samples):
    minute = T // 60 * 60
    samples.append([probe(minute + s, s != 20, "a") for s in (0, 20, 40, 60)] + [probe(minute, True, "b")])
    found = samples.slices("main", "seawall_probe_success", minute, minute + 120)
    assert [(s.minute - int(minute // 60), s.site, s.good, s.failed) for s in found] == [
        (0, "a", 2, 1),
        (0, "b", 1, 0),
        (1, "a", 1, 0),
    ]


def test_events_are_deduplicated_by_id_within_and_across_deliveries(events):
    assert events.append([request_event(1, T), request_event(1, T), request_event(2, T)], {}) == 2
    assert events.append([request_event(2, T), request_event(3, T + 1)], {}) == 1
    assert [e.id for e in events.recent("main", T, T + 10, 10)] == ["e3", "e1", "e2"]


def test_a_checkpoint_is_kept_with_its_events(events):
    assert events.checkpoint("log") is None
    events.append([request_event(1, T)], {"log": "17"})
    events.append([], {"log": "18"})
    assert events.checkpoint("log") == "18"


def test_an_event_comes_back_as_it_was(events):
    event = request_event(1, T, message='zeile mit "quotes" und 中文')
    events.append([event], {})
    assert events.recent(None, T, T + 1, 1) == [event]


@pytest.mark.parametrize(
    "fields",
    [
        {"http.request.method": "HEAD"},
        {"http.response.status_code": 404},
        {"registry.operation": "blob"},
        {"user_agent.original": "seawall-probe/0.1.0"},
        {"user_agent.original": "harbor-registry-client"},
    ],
)
def test_only_real_clients_manifest_gets_count_for_latency(events, fields):
    events.append([request_event(1, T, 9.0, **fields), request_event(2, T, 0.2)], {})
    found = events.manifest_latency("main", T, T + 1, 0.99)
    assert (found.count, found.value) == (1, 0.2)


def test_latency_of_nothing_is_none(events):
    found = events.manifest_latency("main", T, T + 1, 0.99)
    assert (found.count, found.value) == (0, None)


def test_p99_is_within_the_objective_exactly_when_99_percent_are(events):
    events.append([request_event(i, T + i / 1000, 0.1 if i < 99 else 3.0) for i in range(100)], {})
    assert events.manifest_latency("main", T, T + 1, 0.99).value == 0.1
    events.append([request_event(100, T + 0.5, 3.0)], {})
    assert events.manifest_latency("main", T, T + 1, 0.99).value == 3.0


def test_latency_of_the_last_requests_and_when_the_oldest_was(events):
    events.append([request_event(i, T + i, float(i)) for i in range(10)], {})
    found, oldest = events.manifest_latency_of_last("main", T + 8, 3, 0.5)
    assert (found.count, found.value, oldest) == (3, 6.0, T + 5)


def test_impact_counts_server_errors_repositories_and_clients(events):
    rows = [
        request_event(1, T, **{"http.response.status_code": 503}),
        request_event(2, T, **{"registry.repository": "team/b", "client.ip": "127.0.0.2"}),
        request_event(3, T, **{"user_agent.original": "seawall-probe/0.1.0", "client.ip": "127.0.0.3"}),
    ]
    events.append(rows, {})
    assert events.impact("main", T, T + 1) == (1, 2, 2)


@GROUPING
def test_errors_by_minute(events):
    minute = T // 60 * 60
    rows = [request_event(i, minute + 30 * i, **{"http.response.status_code": 500}) for i in range(3)]
    events.append([*rows, request_event(9, minute)], {})
    first = int(minute // 60)
    assert events.errors_by_minute("main", minute, minute + 120) == [(first, 3, 2), (first + 1, 1, 1)]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(durations=st.lists(st.floats(0.001, 100.0), min_size=1, max_size=60), quantile=st.floats(0.01, 0.999))
def test_duckdb_and_memory_agree_on_every_quantile(tmp_path_factory, durations, quantile):
    rows = [request_event(i, T + i / 1000, seconds) for i, seconds in enumerate(durations)]
    database = DuckDatabase(tmp_path_factory.mktemp("duck"))
    answers = []
    for store in (MemoryEvents(), DuckEvents(database)):
        store.append(rows, {})
        answers.append(store.manifest_latency("main", T, T + 1, quantile))
    database.close()
    assert answers[0] == answers[1]
    assert answers[0].value == nearest_rank([round(s * 1e9) / 1e9 for s in durations], quantile)


def test_closed_days_become_files_and_answer_as_before(tmp_path: Path):
    database = DuckDatabase(tmp_path)
    samples, events = DuckSamples(database), DuckEvents(database)
    day = math.floor(T / 86400) * 86400
    samples.append([probe(day + 10, True), probe(day + 86400 + 10, False)])
    events.append([request_event(1, day + 10), request_event(2, day + 86410)], {})
    assert len(database.close_days(day + 86400 + 20)) == 2
    samples.append([probe(day + 10, True), probe(day + 20, True)])
    assert events.append([request_event(1, day + 10)], {}) == 0
    database.close()

    again = DuckDatabase(tmp_path)
    assert len(DuckSamples(again).range("main", "seawall_probe_success", day, day + 2 * 86400)) == 3
    assert [e.id for e in DuckEvents(again).recent("main", day, day + 2 * 86400, 9)] == ["e2", "e1"]
    assert len(again.expire(day + 86400)) == 2
    assert [e.id for e in DuckEvents(again).recent("main", day, day + 2 * 86400, 9)] == ["e2"]
    again.close()


def test_a_day_file_that_was_never_listed_is_dropped_and_its_rows_stay(tmp_path: Path):
    database = DuckDatabase(tmp_path)
    DuckSamples(database).append([probe(T, True)])
    database.close()
    orphan = tmp_path / "samples-1-0.parquet"
    orphan.write_bytes(b"half a file")
    again = DuckDatabase(tmp_path)
    assert not orphan.exists()
    assert len(DuckSamples(again).range("main", "seawall_probe_success", T, T + 1)) == 1
    again.close()
