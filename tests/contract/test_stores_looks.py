"""What every event store answers to pages: the same as the one in memory, whose answers are given here."""

import random

import pytest

from seawall.core.looks import Repository, is_failure, unsigned_by_client
from seawall.core.signals import Event
from seawall.stores.duckdb import DuckDatabase, DuckEvents
from seawall.stores.memory import MemoryEvents
from tests.contract.test_stores import T, events, request_event
from tests.contract.test_unsigned_stores import verdict
from tests.store_servers import GROUPING

__all__ = ["events"]  # the fixture
SPAN = ("main", T, T + 600)


def busy() -> list[Event]:
    """Six repositories over ten minutes: some fail, some are ours, some are no pulls, some are elsewhere."""
    dice = random.Random(7)
    found = []
    for number in range(400):
        fields: dict[str, object] = {
            "registry.repository": f"team/app{dice.randrange(6)}",
            "http.response.status_code": dice.choice([200, 200, 200, 304, 404, 502]),
            "http.request.method": dice.choice(["GET", "GET", "HEAD"]),
            "http.response.body.bytes": dice.randrange(5000),
            "registry.operation": dice.choice(["manifest", "blob"]),
            "user_agent.original": dice.choice(["containerd/1.7.24", "seawall/0.1"]),
        }
        if number % 9 == 0:
            fields |= {"log.level": dice.choice(["ERROR", "info", "critical"])}
        if number % 11 == 0:
            fields |= {"event.outcome": dice.choice(["failure", "success"])}
        event = request_event(number, T + number * 1.5, seconds=dice.randrange(1, 900) / 1000, **fields)
        found.append(event)
    other = request_event(1000, T + 5, **{"registry.repository": "team/other"})
    return [*found, Event(other.id, other.at, "elsewhere", other.fields)]


@pytest.fixture
def reference() -> MemoryEvents:
    made = MemoryEvents()
    made.append(busy(), {})
    return made


def test_failures_are_the_newest_that_tell_of_one(events, reference):
    events.append(busy(), {})
    found = events.failures(*SPAN, 1000)
    assert [it.id for it in found] == [it.id for it in reference.failures(*SPAN, 1000)]
    assert found and all(is_failure(it.fields) for it in found)
    assert {"ERROR", "critical"} & {str(it.fields.get("log.level")) for it in found}
    assert [it.id for it in events.failures(*SPAN, 3)] == [it.id for it in found[:3]]
    assert events.failures("main", T + 6000, T + 7000, 3) == []


def test_the_slowest_pulls_are_manifests_of_clients(events, reference):
    events.append(busy(), {})
    found = events.slowest_pulls(*SPAN, 7)
    assert [it.id for it in found] == [it.id for it in reference.slowest_pulls(*SPAN, 7)]
    took = [it.fields["event.duration"] for it in found]
    assert len(took) == 7 and took == sorted(took, reverse=True)
    assert events.slowest_pulls("none", T, T + 600, 7) == []


@GROUPING
@pytest.mark.parametrize("step", [60.0, 10.0, 7.5])
def test_counts_are_of_half_open_slots(events, reference, step):
    events.append(busy(), {})
    found = events.counts(*SPAN, step)
    assert found == reference.counts(*SPAN, step)
    assert sum(total for _, total, _ in found) == 400 and sum(bad for _, _, bad in found) > 0
    everywhere = events.counts(None, T, T + 600, step)
    assert sum(total for _, total, _ in everywhere) == 401
    assert events.counts("main", T + 6000, T + 7000, step) == []


@GROUPING
@pytest.mark.parametrize("by", ["pulls", "failed"])
def test_repositories_are_counted_whole_and_ranked(events, reference, by):
    events.append(busy(), {})
    found = events.repositories(*SPAN, 4, by)
    assert found == reference.repositories(*SPAN, 4, by)
    assert len(found) == 4 and all(it.failed for it in found if by == "failed")
    assert len(events.repositories(*SPAN, 100, by)) == 6
    assert events.repositories("none", T, T + 600, 4, by) == []


@GROUPING
def test_a_repository_is_told_in_figures(events):
    events.append(
        [
            request_event(1, T, **{"http.response.body.bytes": 100}),
            request_event(2, T + 1, **{"http.response.body.bytes": 50, "http.response.status_code": 502}),
            request_event(3, T + 2, **{"http.request.method": "HEAD", "http.response.body.bytes": 9}),
            request_event(4, T + 3, **{"user_agent.original": "seawall/0.1"}),
        ],
        {},
    )
    assert events.repositories(*SPAN, 9, "pulls") == [Repository("team/app", 1, 150, 1)]
    assert events.repositories(*SPAN, 9, "failed") == [Repository("team/app", 1, 150, 1)]


@GROUPING
def test_unsigned_pulls_are_told_by_client(events):
    said = [("a", "10.0.0.1", "1"), ("b", "10.0.0.1", "2"), ("c", "10.0.0.2", "1"), ("d", "10.0.0.3", "1")]
    events.append(
        [
            verdict(id, "signed" if id == "d" else "unsigned", client__ip=ip, registry__reference=tag)
            for id, ip, tag in said
        ],
        {},
    )
    assert unsigned_by_client(events, *SPAN, 9) == [("10.0.0.1", 2), ("10.0.0.2", 1)]
    assert unsigned_by_client(events, *SPAN, 1) == [("10.0.0.1", 2)]


def test_rows_of_an_older_seawall_are_judged_from_their_documents(tmp_path, reference):
    database = DuckDatabase(tmp_path / "data")
    kept = DuckEvents(database)
    kept.append(busy(), {})
    database.connection.execute("UPDATE events SET failure = NULL, sent = NULL")
    assert kept.counts(*SPAN, 60.0) == reference.counts(*SPAN, 60.0)
    assert kept.failures(*SPAN, 50) == reference.failures(*SPAN, 50)
    assert kept.repositories(*SPAN, 9, "pulls") == reference.repositories(*SPAN, 9, "pulls")
    database.close_days(T + 86400 * 2)
    assert kept.counts(*SPAN, 60.0) == reference.counts(*SPAN, 60.0)
    database.close()
