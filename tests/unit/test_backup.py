"""Backup and restore of a state folder with something in everything, on SQLite and PostgreSQL."""

import json

import pytest

from seawall.backup import backup, restore
from seawall.config import Config
from seawall.core.errors import InputError
from seawall.core.signals import Event, Sample
from seawall.statefolder import StateFolder
from seawall.stores import sql_copy
from seawall.stores.duckdb import DuckDatabase, DuckEvents, DuckSamples
from seawall.stores.scaled import open_records
from tests.contract.test_records import T, action, finding
from tests.postgres import WITH_POSTGRES


def config(url="sqlite:"):
    return Config.model_validate({"stores": {"records": url}})


def filled(state, url="sqlite:", many=5):
    """A state folder with samples, events, a closed day, records, a secret."""
    StateFolder(state).path.mkdir(mode=0o700)
    StateFolder(state).write_secret("admin-token", "sw_x")
    database = DuckDatabase(state / "data")
    DuckSamples(database).append([Sample("main", "s", T - 86400 * n, n, (("site", "a"),)) for n in range(5)])
    DuckEvents(database).append(
        [Event(f"e{n}", T - n, "main", {"message": "x"}) for n in range(5)], {"log": "7"}
    )
    database.close_days(T)
    database.close()
    records = open_records(url, config().stores.postgresql, state)
    for number in range(many):
        incident, _ = records.open_incident(
            finding(fingerprint=f"{number}", registry=f"r{number}"), "seawall"
        )
    records.propose_action(action(incident.id), "seawall")
    records.add_token("ada", "approver", "h1", "root", T, None)
    records.close()


def everything(state, url="sqlite:"):
    """What a Seawall on this state would find."""
    database = DuckDatabase(state / "data")
    samples = DuckSamples(database).range("main", "s", 0, T + 1)
    events = DuckEvents(database).recent(None, 0, T + 1, 100)
    position = DuckEvents(database).checkpoint("log")
    database.close()
    records = open_records(url, config().stores.postgresql, state)
    found = sql_copy.digests(records), records.audit_verify()
    records.close()
    mode = (state / "admin-token").stat().st_mode & 0o777
    return samples, events, position, found, (state / "admin-token").read_text(), mode


def test_what_is_restored_is_what_was_backed_up(tmp_path):
    filled(tmp_path / "state")
    before = everything(tmp_path / "state")
    told = []
    backup(config(), tmp_path / "state", tmp_path / "kept", told.append)
    assert any("records: 5 of incidents" in line for line in told)
    restore(config(), tmp_path / "again", tmp_path / "kept", told.append)
    after = everything(tmp_path / "again")
    assert after == before
    assert len(after[0]) == 5 and len(after[1]) == 5 and after[3][1] == (7, None) and after[5] == 0o600


@WITH_POSTGRES
def test_records_move_between_engines_and_go_on_counting(tmp_path, postgres):
    filled(tmp_path / "state", many=sql_copy.BATCH + 7)  # more than one batch
    before = everything(tmp_path / "state")[3]
    backup(config(), tmp_path / "state", tmp_path / "kept", lambda _: None)
    url = postgres.database("restored")
    restore(config(url), tmp_path / "scaled", tmp_path / "kept", lambda _: None)
    assert not (tmp_path / "scaled" / "records.sqlite").exists()
    assert everything(tmp_path / "scaled", url)[3] == before
    records = open_records(url, config().stores.postgresql, tmp_path)
    incident, new = records.open_incident(finding(fingerprint="later", registry="later"), "seawall")
    records.close()
    assert new and incident.id == f"inc-{sql_copy.BATCH + 8}"
    backup(config(url), tmp_path / "scaled", tmp_path / "back", lambda _: None)
    restore(config(), tmp_path / "embedded", tmp_path / "back", lambda _: None)
    assert everything(tmp_path / "embedded")[3] == everything(tmp_path / "scaled", url)[3]


class Cut(Exception):
    """The power goes."""


def cut_after(steps):
    seen = []

    def say(line):
        seen.append(line)
        if len(seen) == steps:
            raise Cut

    return say


@pytest.mark.parametrize("steps", [1, 3, 9])
def test_both_go_on_where_they_were_cut(tmp_path, steps):
    filled(tmp_path / "state")
    before = everything(tmp_path / "state")
    with pytest.raises(Cut):
        backup(config(), tmp_path / "state", tmp_path / "kept", cut_after(steps))
    with pytest.raises(InputError, match="no whole backup"):
        restore(config(), tmp_path / "again", tmp_path / "kept", lambda _: None)
    told = []
    backup(config(), tmp_path / "state", tmp_path / "kept", told.append)
    assert any(line.endswith("there already") for line in told)
    with pytest.raises(Cut):
        restore(config(), tmp_path / "again", tmp_path / "kept", cut_after(steps))
    restore(config(), tmp_path / "again", tmp_path / "kept", told.append)
    assert everything(tmp_path / "again") == before


@pytest.mark.parametrize("name", ["files/data/open.duckdb", "files/admin-token", "records/audit.jsonl"])
def test_a_changed_backup_is_refused_and_named(tmp_path, name):
    filled(tmp_path / "state")
    backup(config(), tmp_path / "state", tmp_path / "kept", lambda _: None)
    path = tmp_path / "kept" / name
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(InputError, match=f"{name}: it is not what was backed up"):
        restore(config(), tmp_path / "again", tmp_path / "kept", lambda _: None)


def test_what_must_not_be_overwritten_is_not(tmp_path):
    filled(tmp_path / "state")
    backup(config(), tmp_path / "state", tmp_path / "kept", lambda _: None)
    with pytest.raises(InputError, match="a whole backup already"):
        backup(config(), tmp_path / "state", tmp_path / "kept", lambda _: None)
    with pytest.raises(InputError, match="it is not empty"):
        restore(config(), tmp_path / "state", tmp_path / "kept", lambda _: None)
    url = f"sqlite:{tmp_path / 'other.sqlite'}"
    filled(tmp_path / "other", url, many=1)
    with pytest.raises(InputError, match="holds other records already"):
        restore(config(url), tmp_path / "again", tmp_path / "kept", lambda _: None)


def test_a_manifest_that_leads_elsewhere_is_refused(tmp_path):
    filled(tmp_path / "state")
    backup(config(), tmp_path / "state", tmp_path / "kept", lambda _: None)
    path = tmp_path / "kept" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"][0]["path"] = "../outside"
    path.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="outside the folder"):
        restore(config(), tmp_path / "again", tmp_path / "kept", lambda _: None)
