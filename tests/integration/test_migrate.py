"""The embedded stores taken to a real Prometheus, a real PostgreSQL and an emulator of Elasticsearch."""

import time

import pytest

from seawall.config import Config
from seawall.core.errors import InputError
from seawall.core.signals import Event, Sample
from seawall.migrate import JOURNAL, migrate
from seawall.stores import elasticsearch, scaled, sql_copy
from seawall.stores.duckdb import DuckDatabase, DuckEvents, DuckSamples
from tests.contract.test_records import finding
from tests.postgres import WITH_POSTGRES
from tests.store_servers import WITH_PROMETHEUS, Osmem, OsmemNode, Prometheus

pytestmark = [pytest.mark.integration, WITH_POSTGRES, WITH_PROMETHEUS]
COUNT = 5000  # more than one batch


@pytest.fixture
def servers(tmp_path, monkeypatch):
    """Both, and the node class with which a client speaks to this emulator."""
    plain = elasticsearch.connect
    monkeypatch.setattr(elasticsearch, "connect", lambda url, access, _: plain(url, access, OsmemNode))
    both = Prometheus(tmp_path / "prometheus", window="30d").start(), Osmem(tmp_path / "osmem").start()
    yield both
    for server in both:
        server.stop()


@pytest.fixture
def to(servers, postgres):
    prometheus, osmem = servers
    stores = {
        "samples": f"prometheus+{prometheus.url}",
        "events": f"elasticsearch+{osmem.url}",
        "records": postgres.database(f"migrated{time.time_ns()}"),
        "elasticsearch": {"replicas": 0, "namespace": f"m{time.time_ns()}"},
    }
    return Config.model_validate({"stores": stores})


@pytest.fixture
def state(tmp_path):
    """Three days of samples, one of them closed; an hour's events; positions; incidents."""
    now = float(int(time.time()))
    database = DuckDatabase(tmp_path / "state" / "data")
    old = [Sample("main", "probe_ms", now - 2 * 86400 + n / 7, n / 3, (("site", "a"),)) for n in range(100)]
    new = [
        Sample("main", "probe_ms", now - n / 7, n / 3, (("site", "b"), ("empty", ""))) for n in range(COUNT)
    ]
    DuckSamples(database).append(old + new)
    made = [
        Event(f"e{n}", now - n / 10, "main", {"event.dataset": "registry.access", "message": f"é {n}"})
        for n in range(COUNT)
    ]
    DuckEvents(database).append(made, {"main/log": '{"at": 7}'})
    database.close_days(now)
    database.close()
    records = scaled.open_records("sqlite:", Config().stores.postgresql, tmp_path / "state")
    for number in range(3):
        records.open_incident(finding(fingerprint=str(number), registry=f"r{number}"), "seawall")
    records.close()
    return tmp_path / "state"


class Cut(Exception):
    """The power goes."""


def test_all_of_it_arrives_also_after_a_cut_and_is_sent_once(state, to, servers):
    def cut(line):
        if line.startswith("1/"):
            raise Cut

    with pytest.raises(Cut):
        migrate(Config(), to, state, cut)
    done = migrate(Config(), to, state, lambda _: None)
    assert done.short == []
    assert (done.samples, done.events, done.positions) == (COUNT + 100, COUNT, 1)
    source = scaled.open_records("sqlite:", to.stores.postgresql, state)
    target = scaled.open_records(to.stores.records, to.stores.postgresql, state)
    assert sql_copy.digests(source) == sql_copy.digests(target)
    assert len(target.incidents()[0]) == 3 and target.audit_verify() == (3, None)
    source.close()
    target.close()
    noted = (state / JOURNAL).read_text()
    again = migrate(Config(), to, state, lambda _: None)
    assert again == done and (state / JOURNAL).read_text() == noted, "a second time there is nothing to do"


def test_what_the_destination_does_not_take_is_short_and_the_records_stay(state, to, servers, tmp_path):
    narrow = Prometheus(tmp_path / "narrow", window="1m").start()  # takes nothing that is days late
    try:
        stores = to.model_dump()["stores"] | {"samples": f"prometheus+{narrow.url}", "events": "duckdb:"}
        to = Config.model_validate({"stores": stores})
        target = scaled.open_samples(to.stores.samples, to.stores.prometheus, state, time.time)
        ahead = [Sample("main", "probe_ms", time.time(), 1.0, (("site", "a"),))]
        target.append(ahead)
        target.close()
        done = migrate(Config(), to, state, lambda _: None)
    finally:
        narrow.stop()
    assert any("are not there" in line for line in done.short)
    assert done.records == 0


def test_what_cannot_be_migrated_is_refused(state, to):
    with pytest.raises(InputError, match="name the same stores"):
        migrate(Config(), Config(), state, lambda _: None)
    with pytest.raises(InputError, match="is no embedded store"):
        migrate(to, Config(), state, lambda _: None)
    memory = Config.model_validate({"stores": {"records": "memory:"}})
    with pytest.raises(InputError, match="is no store at scale"):
        migrate(Config(), memory, state, lambda _: None)
