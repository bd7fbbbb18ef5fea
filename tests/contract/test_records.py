"""One contract for every record store: incidents, actions, tokens, sessions, audit."""

import itertools
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from seawall.core.actions import Action, ActionState, Risk
from seawall.core.errors import Conflict, InputError, NotFound
from seawall.core.incidents import Finding, IncidentState
from seawall.stores.sql import SqlRecords
from tests.postgres import WITH_POSTGRES

T = 1_790_000_000.0
DATABASES = itertools.count()


@pytest.fixture(params=["memory:", "sqlite:", pytest.param("postgresql:", marks=WITH_POSTGRES)])
def records(request, tmp_path):
    url = request.param
    if url == "sqlite:":
        url += str(tmp_path / "r.sqlite")
    elif url == "postgresql:":
        url = request.getfixturevalue("postgres").database(f"r{next(DATABASES)}")
    store = SqlRecords(url)
    yield store
    store.close()


def finding(source="seawall", fingerprint="main/availability", at=T, **changes) -> Finding:
    base = Finding(source, fingerprint, "main", "availability", "main: down", "two rounds failed", at)
    return replace(base, **changes)


def action(incident: str) -> Action:
    return Action(
        id="",
        incident=incident,
        playbook="restart-registry",
        registry="main",
        state=ActionState.PROPOSED,
        risk=Risk.LOW,
        requested_by="seawall",
        inputs={"container": "registry"},
        created_at=T,
    )


def resolve(records, incident, at):
    done = replace(incident, state=IncidentState.RESOLVED, resolved_at=at)
    return records.save_incident(done, "root", "incident.resolved", {}, at)


def test_five_deliveries_of_one_finding_are_one_incident(records):
    opened = [records.open_incident(finding(), "seawall") for _ in range(5)]
    assert [new for _, new in opened] == [True, False, False, False, False]
    assert len({incident.id for incident, _ in opened}) == 1


def test_another_source_joins_the_open_incident_of_the_same_registry_and_row(records):
    first, _ = records.open_incident(finding(), "seawall")
    joined, new = records.open_incident(finding("alertmanager", "abc"), "seawall")
    assert (joined.id, new) == (first.id, False)
    assert joined.findings == ("seawall:main/availability", "alertmanager:abc")


def test_another_row_or_registry_is_another_incident(records):
    first, _ = records.open_incident(finding(), "seawall")
    other, _ = records.open_incident(finding(fingerprint="x", slo="pull_latency"), "seawall")
    third, _ = records.open_incident(finding(fingerprint="y", registry="edge"), "seawall")
    assert len({first.id, other.id, third.id}) == 3


def test_a_late_delivery_of_a_resolved_episode_opens_nothing(records):
    alert = finding("alertmanager", "abc", at=T + 5, episode=T)
    incident, _ = records.open_incident(alert, "seawall")
    resolve(records, incident, T + 60)
    again, new = records.open_incident(replace(alert, at=T + 90), "seawall")
    assert (again.id, new, again.state) == (incident.id, False, IncidentState.RESOLVED)


def test_a_new_episode_after_the_resolution_is_a_new_incident(records):
    incident, _ = records.open_incident(finding(), "seawall")
    resolve(records, incident, T + 60)
    again, new = records.open_incident(finding(at=T + 61), "seawall")
    assert new and again.id != incident.id


def test_a_stale_incident_cannot_be_saved(records):
    incident, _ = records.open_incident(finding(), "seawall")
    resolve(records, incident, T)
    with pytest.raises(Conflict, match="changed meanwhile"):
        resolve(records, incident, T)


def test_an_incident_has_one_open_action_of_a_playbook(records):
    incident, _ = records.open_incident(finding(), "seawall")
    first = records.propose_action(action(incident.id), "seawall")
    assert first.id == "act-1"
    assert records.propose_action(action(incident.id), "seawall") is None
    assert records.incident(incident.id).actions == ("act-1",)
    records.transition(first, replace(first, state=ActionState.REJECTED), "root", T, {})
    assert records.propose_action(action(incident.id), "seawall").id == "act-2"


def test_a_transition_is_won_by_exactly_one_of_many(records):
    incident, _ = records.open_incident(finding(), "seawall")
    before = records.propose_action(action(incident.id), "seawall")
    won, lost = [], []

    def race(name: str) -> None:
        try:
            records.transition(before, replace(before, state=ActionState.PREVIEWED), name, T, {})
            won.append(name)
        except Conflict:
            lost.append(name)

    threads = [threading.Thread(target=race, args=(f"p{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)
    assert records.action(before.id).history[-1][1] == won[0]


def test_a_forbidden_transition_is_refused(records):
    incident, _ = records.open_incident(finding(), "seawall")
    before = records.propose_action(action(incident.id), "seawall")
    with pytest.raises(Conflict, match="cannot become running"):
        records.transition(before, replace(before, state=ActionState.RUNNING), "root", T, {})


def test_lists_come_newest_first_in_pages(records):
    for number in range(5):
        records.open_incident(finding(fingerprint=str(number), registry=f"r{number}"), "seawall")
    page, cursor = records.incidents(limit=2)
    rest, end = records.incidents(limit=10, cursor=cursor)
    assert [i.id for i in page + rest] == ["inc-5", "inc-4", "inc-3", "inc-2", "inc-1"]
    assert end is None
    with pytest.raises(InputError, match="not one of ours"):
        records.incidents(cursor="'; DROP TABLE incidents")


def test_what_is_not_there_is_said(records):
    with pytest.raises(NotFound, match="no incident 'inc-9'"):
        records.incident("inc-9")
    with pytest.raises(NotFound, match="no action 'act-9'"):
        records.action("act-9")


def test_freeze_is_remembered_with_who_and_why(records):
    assert records.frozen() == (False, "")
    records.freeze(True, "ada", T, "release day")
    assert records.frozen() == (True, "by ada: release day")
    records.freeze(False, "ada", T, "")
    assert records.frozen() == (False, "")


def test_a_name_is_used_up_once_whoever_is_first(records):
    with ThreadPoolExecutor(4) as pool:
        names = [f"p{number}" for number in range(8)]
        won = list(pool.map(lambda who: records.spend("link:x", who, "link.opened", "act-1", {}, T), names))
    assert sorted(won) == [False] * 7 + [True]
    entries = [it for it in records.audit_entries()[0] if it["event"] == "link.opened"]
    assert [it["actor"] for it in entries] == [names[won.index(True)]]
    assert records.spend("link:y", "p9", "link.opened", "act-1", {}, T)


def test_tokens_and_sessions_expire(records):
    records.add_token("ada", "approver", "h1", "root", T, T + 60)
    assert records.token("h1", T + 59) == ("ada", "approver")
    assert records.token("h1", T + 60) is None
    assert records.token("h2", T) is None
    with pytest.raises(Conflict, match="'ada' exists"):
        records.add_token("ada", "viewer", "h3", "root", T, None)
    records.add_session("s1", "ada", "approver", T, T + 10)
    assert records.session("s1", T + 9) == ("ada", "approver")
    records.end_session("s1")
    assert records.session("s1", T + 9) is None


def test_every_change_is_in_the_audit_chain_and_the_chain_holds(records):
    incident, _ = records.open_incident(finding(), "seawall")
    first = records.propose_action(action(incident.id), "seawall")
    records.transition(first, replace(first, state=ActionState.REJECTED), "root", T, {"reason": "no"})
    entries, _ = records.audit_entries()
    assert [e["event"] for e in entries] == ["action.rejected", "action.proposed", "incident.opened"]
    assert records.audit_verify() == (3, None)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("UPDATE audit SET actor = 'mallory' WHERE seq = 2", "entry 2 was changed"),
        ("DELETE FROM audit WHERE seq = 2", "entry 2 is missing"),
    ],
)
def test_a_changed_or_missing_audit_entry_is_found(tmp_path, change, fault):
    path = tmp_path / "r.sqlite"
    records = SqlRecords(f"sqlite:{path}")
    for number in range(3):
        records.audit("root", "config.changed", str(number), {}, T)
    records.close()
    with sqlite3.connect(path) as db:
        db.execute(change)
    db.close()
    again = SqlRecords(f"sqlite:{path}")
    count, found = again.audit_verify()
    again.close()
    assert count == 1
    assert found.startswith(fault)
