"""What every event store tells of pulls and verdicts."""

import json
from pathlib import Path

import duckdb
import pytest

from seawall.core.pulls import Counted
from seawall.core.signals import Event
from seawall.core.times import rfc3339
from seawall.stores.duckdb import DuckDatabase, DuckEvents
from seawall.stores.event_columns import COLUMNS
from seawall.stores.memory import MemoryEvents
from tests.pulling import T, told
from tests.store_servers import EMULATORS, GROUPING

DAY = 86400.0


@pytest.fixture(params=["memory", "duckdb", *EMULATORS])
def events(request, tmp_path):
    if request.param == "memory":
        yield MemoryEvents()
        return
    if request.param in EMULATORS:
        server = request.getfixturevalue("emulators")(request.param)
        yield request.getfixturevalue("elasticsearch_events")(server)
        return
    database = DuckDatabase(tmp_path / "data")
    yield DuckEvents(database)
    database.close()


def verdict(
    id: str, signature: str, at: float = T, judged: float | None = None, settles: str = "", **fields: str
) -> Event:
    document = {
        "event.dataset": "seawall.pull",
        "event.created": rfc3339(at + 1 if judged is None else judged),
        "seawall.signature": signature,
        "seawall.reason": "no signature",
        "registry.repository": "team/app",
        "registry.digest": "sha256:1",
        "registry.reference": "1.0",
        "client.ip": "10.0.0.1",
        **{key.replace("__", "."): value for key, value in fields.items()},
    }
    if settles:
        document["seawall.settles"] = settles
    return Event(id, at, "main", document)


def numbers(counts) -> tuple[int, int, int]:
    return counts.signed, counts.unsigned, counts.unknown


def all_of(events, after: int = 0, limit: int = 100) -> list[str]:
    """Ids in the order of arrival, read by `limit`."""
    found = []
    while True:
        arrivals = events.images("main", after, limit)
        found += [event.id for _, event in arrivals.events]
        if arrivals.upto == after or len(arrivals.events) < limit:
            return found
        after = arrivals.upto


def test_images_come_in_the_order_in_which_they_were_kept_whatever_their_time(events):
    first, late, last = told("sha256:1", T), told("sha256:2", T - 5000), told("sha256:3", T + 1, push=True)
    events.append([first], {})
    events.append([late, last], {})
    for limit in (1, 2, 100):
        assert all_of(events, limit=limit) == [first.id, late.id, last.id]
    arrivals = events.images("main", 0, 1)
    assert all_of(events, arrivals.upto) == [late.id, last.id]
    assert [position for position, _ in arrivals.events] == [arrivals.upto]


def test_what_is_no_pull_or_push_of_a_manifest_is_passed_over_and_the_position_moves_on(events):
    noise = [
        told("sha256:1", http__request__method="HEAD"),
        told("sha256:1", registry__operation="blob"),
        told("sha256:1", event__action="delete"),
        told("sha256:1", event__dataset="trivy.report"),
        verdict("v1", "signed", event__action="pull", registry__operation="manifest"),
        Event("other", T, "elsewhere", told("sha256:1").fields),
    ]
    events.append(noise, {})
    arrivals = events.images("main", 0, 10)
    assert list(arrivals.events) == [] and arrivals.upto > 0
    pull = told("sha256:1")
    events.append([pull], {})
    assert all_of(events, arrivals.upto) == [pull.id]


def test_a_redelivery_arrives_once(events):
    pull = told("sha256:1")
    events.append([pull, pull], {})
    upto = events.images("main", 0, 10).upto
    events.append([pull], {})
    assert all_of(events, upto) == [] and all_of(events) == [pull.id]


@GROUPING
def test_counts_are_of_the_window_and_as_judged_by_a_time(events):
    events.append(
        [
            verdict("a", "signed", T),
            verdict("b", "unsigned", T + 10, judged=T + 100),
            verdict("c", "unsigned", T + 20, judged=T + 50),
            verdict("d", "unknown", T + 30),
            verdict("e", "unsigned", T + 500),
        ],
        {},
    )
    counts = events.pull_counts("main", T, T + 100, T + 1000)
    assert numbers(counts) == (1, 2, 1) and counts.all == 4
    assert counts.newest == pytest.approx(T + 100)
    assert numbers(events.pull_counts("main", T, T + 100, T + 60)) == (1, 1, 1)
    assert numbers(events.pull_counts("main", T + 1, T + 25, T + 1000)) == (0, 2, 0)
    assert numbers(events.judged_counts("main", T, T + 1000, T + 60)) == (0, 2, 0)
    assert numbers(events.pull_counts("other", T, T + 100, T + 1000)) == (0, 0, 0)


@GROUPING
def test_a_settled_unknown_counts_as_what_it_became(events):
    events.append([verdict(f"u{n}", "unknown", T + n, judged=T + 10) for n in range(4)], {})
    events.append(
        [
            verdict("s0", "signed", T, judged=T + 100, settles="u0"),
            verdict("s1", "unsigned", T + 1, judged=T + 100, settles="u1"),
            verdict("s2", "other", T + 2, judged=T + 100, settles="u2"),
        ],
        {},
    )
    assert numbers(events.pull_counts("main", T, T + 10, T + 1000)) == (1, 1, 1)
    assert numbers(events.pull_counts("main", T, T + 10, T + 50)) == (0, 0, 4)
    assert numbers(events.judged_counts("main", T, T + 10, T + 50)) == (1, 1, 0)
    assert numbers(events.judged_counts("main", T, T + 10, T)) == (1, 1, 1)
    assert [event.id for event in events.unsettled("main", T, T + 10, 9)] == ["u3"]
    assert [it.count for it in events.culprits("main", T, T + 10, "unknown", 9)] == [1]


@GROUPING
def test_culprits_are_grouped_by_image_and_client_the_newest_first(events):
    events.append(
        [
            verdict("a", "unsigned", T),
            verdict("b", "unsigned", T + 1),
            verdict("c", "unsigned", T + 9, user__name="al\"ice'"),
            verdict("d", "signed", T + 20),
        ],
        {},
    )
    found = events.culprits("main", T, T + 30, "unsigned", 9)
    assert [(it.user, it.client, it.count, it.at) for it in found] == [
        ("al\"ice'", "10.0.0.1", 1, T + 9),
        ("", "10.0.0.1", 2, T + 1),
    ]
    assert (found[1].repository, found[1].digest, found[1].reference) == ("team/app", "sha256:1", "1.0")
    assert found[1].reason == "no signature"
    assert len(events.culprits("main", T, T + 30, "unsigned", 1)) == 1


def test_what_was_counted_and_when_a_source_last_told_anything(events):
    assert events.told_at("main", T, T + 10) is None
    pulls = [told("sha256:1", T), told("sha256:1", T + 5, registry__operation="blob")]
    events.append([*pulls, verdict("a", "unknown", T + 7)], {})
    events.append([verdict("b", "signed", T + 7, settles="a")], {})
    assert events.told_at("main", T, T + 10) == T + 5
    assert events.counted("main", T, T + 10) == [Counted(T + 7, "team/app", "sha256:1", "", "10.0.0.1")]


def test_positions_survive_a_restart_and_closed_days(tmp_path: Path):
    database = DuckDatabase(tmp_path)
    events = DuckEvents(database)
    pulls = [told("sha256:1", T), told("sha256:1", T + DAY)]
    events.append([pulls[0], verdict("a", "unsigned", T + 1)], {})
    upto = events.images("main", 0, 10).upto
    events.append([pulls[1]], {})
    assert len(database.close_days(T + 3 * DAY)) == 2
    database.close()

    database = DuckDatabase(tmp_path)
    events = DuckEvents(database)
    assert all_of(events) == [it.id for it in pulls] and all_of(events, upto) == [pulls[1].id]
    upto = events.images("main", 0, 10).upto
    newest = told("sha256:1", T - DAY)
    events.append([newest], {})
    assert all_of(events, upto) == [newest.id]
    assert numbers(events.pull_counts("main", T, T + DAY, T + DAY)) == (0, 1, 0)
    database.close()


def test_a_folder_of_an_older_seawall_is_taken_over(tmp_path: Path):
    """Its table and its closed days lack the newer columns."""
    old = duckdb.connect(str(tmp_path / "open.duckdb"))
    newer = ("seq", "source", "image", "signature", "settles", "judged", "failure", "sent")
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items() if name not in newer)
    old.execute(f"CREATE TABLE events ({columns})")
    for id, at in (("old", T), ("older", T - 2 * DAY)):
        row = [id, at, "main", "x", None, None, 200, 0.1, True, True, json.dumps({"message": id})]
        old.execute(f"INSERT INTO events VALUES ({', '.join('?' * len(row))})", row)
    file, day = "events-1-0.parquet", T // DAY - 2
    old.execute(f"COPY (SELECT * FROM events WHERE id = 'older') TO '{tmp_path / file}' (FORMAT parquet)")
    old.execute("DELETE FROM events WHERE id = 'older'")
    old.execute("CREATE TABLE days (kind VARCHAR, day BIGINT, file VARCHAR)")
    old.execute("INSERT INTO days VALUES ('events', ?, ?)", [day, file])
    old.close()

    database = DuckDatabase(tmp_path)
    events = DuckEvents(database)
    events.append([told("sha256:1"), verdict("a", "signed")], {})
    for _ in range(2):
        found = [event.id for event in events.recent("main", T - 3 * DAY, T + 2, 9)]
        assert len(found) == 4 and {"old", "older", "a"} < set(found)
        assert numbers(events.pull_counts("main", T - 3 * DAY, T + DAY, T + DAY)) == (1, 0, 0)
        assert len(all_of(events)) == 1
        database.close_days(T + 3 * DAY)
    database.close()
