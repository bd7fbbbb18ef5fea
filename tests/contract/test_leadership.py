"""Who leads, and what a former leader can still do, on a real PostgreSQL."""

import itertools
import json
import subprocess
import sys
import threading
from dataclasses import replace

import psycopg
import pytest

from seawall.core.actions import ActionState, Run
from seawall.core.errors import Conflict, InputError, StoreUnavailable
from seawall.stores.sql import SqlRecords
from seawall.stores.sql_leadership import Election
from tests.contract.test_records import T, action, finding
from tests.postgres import WITH_POSTGRES, Postgres
from tests.serving import until

pytestmark = WITH_POSTGRES
DATABASES = itertools.count()


@pytest.fixture
def url(postgres):
    return postgres.database(f"l{next(DATABASES)}")


@pytest.fixture
def stand(url):
    """Opens records and stands for election; `gained` tells how often."""
    made = []

    def one(name):
        records = SqlRecords(url)
        election = Election(records.engine, name, beat=0.05)
        gained = []
        election.start(lambda: gained.append(election.term()))
        made.append((election, records))
        return election, records, gained

    yield one
    for election, records in made:
        election.stop()
        records.close()


def begun(records, term):
    """An action brought up to the moment in which its run begins."""
    incident, _ = records.open_incident(finding(), "seawall")
    now = records.propose_action(action(incident.id), "seawall")
    for state in (ActionState.PREVIEWED, ActionState.AWAITING_APPROVAL, ActionState.APPROVED):
        now = records.transition(now, replace(now, state=state), "seawall", T, {})
    return now, replace(now, state=ActionState.RUNNING, run=Run("1-run", T, term=term))


def sessions(url):
    """Ends every session that holds an advisory lock, as a server does that loses a client."""
    with psycopg.connect(url, autocommit=True) as db:
        locks = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
        return db.execute(f"SELECT pg_terminate_backend(pid) FROM ({locks}) it").fetchall()


def test_one_of_three_leads_and_the_next_follows_with_a_higher_term(stand):
    standing = [stand(name) for name in ("a", "b", "c")]
    assert [one.leads() for one, _, _ in standing] == [True, False, False]
    assert standing[0][2] == [1]
    standing[0][0].stop()
    until(lambda: any(one.leads() for one, _, _ in standing[1:]), 5)
    assert sorted(term for _, _, gained in standing[1:] for term in gained) == [2]


def test_who_loses_its_session_does_not_lead_and_begins_no_run(stand, url):
    old, records, _ = stand("old")
    before, after = begun(records, old.term())
    new, _, _ = stand("new")
    old._end.set()  # the old one hangs: it looks no more
    assert sessions(url)
    until(new.leads, 5)
    assert old.leading and not old.leads()
    with pytest.raises(Conflict, match="term 1 does not lead any more: the term is 2"):
        records.transition(before, after, "seawall", T, {})
    assert records.action(before.id).state is ActionState.APPROVED
    run = replace(after.run, term=new.term())
    assert records.transition(before, replace(after, run=run), "seawall", T, {}).run.term == 2


def test_an_undo_is_fenced_too(stand, url):
    old, records, _ = stand("old")
    before, after = begun(records, old.term())
    running = records.transition(before, after, "seawall", T, {})
    verifying = records.transition(running, replace(running, state=ActionState.VERIFYING), "seawall", T, {})
    new, _, _ = stand("new")
    old._end.set()
    sessions(url)
    until(new.leads, 5)
    with pytest.raises(Conflict, match="does not lead any more"):
        records.transition(verifying, replace(verifying, undo=Run("2-undo", T, term=1)), "seawall", T, {})


def test_the_lead_is_taken_up_again_after_a_restart_of_the_server(tmp_path):
    server = Postgres().start()
    try:
        records = SqlRecords(server.database("seawall"))
        election = Election(records.engine, "one", beat=0.05)
        election.start(lambda: None)
        records.audit("root", "config.changed", "1", {}, T)
        server.stop()
        assert not election.leads()
        with pytest.raises(StoreUnavailable, match="records: "):
            records.audit("root", "config.changed", "2", {}, T)
        server.start()
        until(election.leads, 10)
        records.audit("root", "config.changed", "3", {}, T)
        assert [entry["subject"] for entry in records.audit_entries()[0]] == ["3", "1"]
        assert records.audit_verify() == (2, None)
        assert election.term() == 2
        election.stop()
        records.close()
    finally:
        server.close()


def test_many_writers_on_connections_of_their_own_keep_one_chain(url):
    stores = [SqlRecords(url) for _ in range(4)]

    def write(number):
        store = stores[number]
        for count in range(15):
            store.open_incident(finding(fingerprint=f"{count % 5}", registry=f"r{count % 5}"), f"s{number}")
            store.audit(f"s{number}", "note", str(count), {}, T)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert len(stores[0].incidents(limit=200)[0]) == 5
        assert stores[0].audit_verify() == (60 + 5, None)
    finally:
        for store in stores:
            store.close()


def test_many_that_open_one_new_database_at_once_make_its_tables_once(url):
    faults = []

    def opened():
        try:
            SqlRecords(url).close()
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=opened) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://seawall:secret@127.0.0.1/seawall", "a password stands in the URL"),
        ("postgresql://127.0.0.1/db?password=x", "a password stands in the URL"),
        ("postgresql://127.0.0.1", "names no PostgreSQL database"),
        ("postgresql+other://127.0.0.1/db", "names no PostgreSQL database"),
    ],
)
def test_a_wrong_url_is_refused_without_saying_its_secret(url, words):
    with pytest.raises(InputError, match=words) as told:
        SqlRecords(url)
    assert "secret" not in str(told.value)


def test_what_the_engine_cannot_keep_is_said(url):
    records = SqlRecords(url)
    with pytest.raises(InputError, match="cannot be kept"):
        records.audit("mallory\x00", "note", "1", {}, T)
    assert records.audit_verify() == (0, None)
    records.close()


def test_seawall_check_asks_the_server(url, tmp_path):
    def checked(records: str) -> tuple[int, dict[str, object]]:
        (tmp_path / "seawall.yaml").write_text(f"stores: {{records: '{records}'}}\n")
        command = [sys.executable, "-m", "seawall", "check", "--json", "--config", tmp_path / "seawall.yaml"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
        return done.returncode, next(
            it for it in json.loads(done.stdout)["checks"] if it["name"] == "records"
        )

    code, found = checked(url)
    assert (code, found["ok"]) == (0, True) and str(found["found"]).startswith("PostgreSQL ")
    code, found = checked("postgresql://seawall@127.0.0.1:1/seawall")
    assert (code, found["ok"]) == (1, False) and "start PostgreSQL" in str(found["remedy"])
