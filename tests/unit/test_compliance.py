"""The month for an auditor: recorded repairs of a real registry, with pulls, deletions and log-ins."""

import json
import sqlite3

import pytest
from typer.testing import CliRunner

from notebooks.harbour import recorded
from seawall import backfill
from seawall.cli import app
from seawall.config import Config
from seawall.core.times import parse_time
from seawall.judging import History
from seawall.reports.compliance import compliance_report
from seawall.stores.sql import SqlRecords

MONTH, NOW = "2026-11", parse_time("2026-11-29T00:00:00Z")
AT = parse_time("2026-11-24T12:00:00Z")
HEAD = "timestamp,registry,event.dataset,event.action,registry.repository,registry.reference,registry.digest"
EVENTS = (
    HEAD
    + """,user.name,client.ip,seawall.signature,seawall.reason,event.created
2026-11-24T10:00:00Z,harbour,seawall.pull,,pay/api,v1,sha256:aa,ada,10.0.0.1,unsigned,none,2026-11-24T10:00:05Z
2026-11-24T10:00:01Z,harbour,seawall.pull,,pay/web,v1,sha256:bb,bob,10.0.0.2,signed,,2026-11-24T10:00:05Z
2026-11-24T10:00:02Z,harbour,seawall.pull,,pay/<b>|x,v1,sha256:cc,bob,10.0.0.2,unknown,away,2026-11-24T10:00:05Z
2026-11-24T11:00:00Z,harbour,harbor.audit,delete,pay/api,v0,sha256:00,ada,10.0.0.1,,,
2026-10-25T11:00:00Z,harbour,harbor.audit,delete,pay/old,v0,sha256:11,ada,10.0.0.1,,,
2026-11-24T11:00:00Z,other,harbor.audit,delete,pay/other,v0,sha256:22,ada,10.0.0.1,,,
"""
)


@pytest.fixture
def state(tmp_path):
    recorded(tmp_path)
    (tmp_path / "events.csv").write_text(EVENTS)
    done = backfill.run("events", tmp_path / "events.csv", tmp_path)
    assert (done.new, done.refused) == (6, [])
    records = SqlRecords(f"sqlite:{tmp_path / 'records.sqlite'}")
    records.audit("mallory", "login.failed", "mallory", {"address": "10.9.9.9"}, AT)
    records.freeze(True, "ada", AT + 60, "release")
    records.audit("ada", "user.role", "bob", {"role": "approver"}, AT - 60 * 86400)
    records.close()
    return tmp_path


def made(state, month=MONTH, now=NOW, registries=("harbour",)):
    history, records = History(Config(), state), SqlRecords(f"sqlite:{state / 'records.sqlite'}")
    try:
        return compliance_report(records, history.events, registries, month, now)
    finally:
        records.close()
        history.close()


def asked(state, *options):
    said = ["report", "compliance", "--month", MONTH, "--state", str(state), *options]
    return CliRunner().invoke(app, said, catch_exceptions=False)


def test_it_tells_who_approved_what_and_what_came_of_it(state):
    actions = {it["state"]: it for it in made(state)["actions"]}
    assert set(actions) == {"rejected", "expired", "succeeded"}
    healed = actions["succeeded"]
    [approval] = healed["approvals"]
    assert (approval["by"], approval["reason"]) == ("second-person", "seen the diff")
    assert healed["run"]["outcome"] == "successful" and healed["recovered_at"] > healed["run"]["ended_at"]
    assert len(healed["digest"]) == 64
    refused = actions["rejected"]
    assert refused["approvals"] == [] and refused["run"] is None
    assert any(line["actor"] == "second-person" and "rejected" in line["text"] for line in refused["story"])


def test_pulls_deletions_accounts_and_interventions_are_of_the_month_alone(state):
    report = made(state)
    [pulls] = report["pulls"]
    assert (pulls["signed"], pulls["unsigned"], pulls["unknown"]) == (1, 1, 1)
    assert [(it["signature"], it["repository"], it["user"]) for it in pulls["images"]] == [
        ("unsigned", "pay/api", "ada"),
        ("unknown", "pay/<b>|x", "bob"),
    ]
    assert [(it["repository"], it["user"]) for it in report["deletions"]] == [("pay/api", "ada")]
    assert not report["cut"]
    assert [(it["actor"], it["detail"]) for it in report["failed_logins"]] == [
        ("mallory", {"address": "10.9.9.9"})
    ]
    assert [(it["event"], it["actor"]) for it in report["changes"]] == [("freeze", "ada")]
    told = [(it["event"], it["subject"]) for it in report["accounts"]]
    assert ("user.created", "admin") in told and ("token.created", "second-person") in told
    assert ("user.role", "bob") not in told


def test_an_empty_month_says_so_and_one_to_come_is_refused(state):
    report = made(state, "2026-08")
    assert report["actions"] == report["deletions"] == report["failed_logins"] == []
    with pytest.raises(ValueError, match="has not begun"):
        made(state, "2027-01")


def test_more_deletions_than_are_shown_are_told(state, monkeypatch):
    monkeypatch.setattr("seawall.reports.compliance.MOST", 1)
    monkeypatch.setattr("seawall.reports.compliance.PAGE", 1)
    report = made(state, registries=("harbour", "other"))
    assert report["cut"] and len(report["deletions"]) == 2


def test_the_verb_prints_it_and_fails_when_the_log_was_changed(state):
    done = asked(state, "--json")
    report = json.loads(done.stdout)
    assert done.exit_code == 0 and report["audit"]["verified"] and len(report["audit"]["head"]) == 64
    plain = asked(state).stdout
    assert "The audit log holds" in plain and "second-person at" in plain and r"pay/\<b\>\|x" in plain
    page = asked(state, "--format", "html").stdout
    assert "pay/&lt;b&gt;|x" in page and "<b>" not in page and "<script" not in page
    with sqlite3.connect(state / "records.sqlite") as file:
        triggers = file.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:
            file.execute(f"DROP TRIGGER {name}")
        file.execute("UPDATE audit SET actor = 'nobody' WHERE seq = 3")
    changed = asked(state)
    assert changed.exit_code == 1 and "DOES NOT HOLD" in changed.stdout


def test_the_route_answers_an_admin_alone(up):
    service = up({"registries": [{"name": "harbour", "kind": "distribution", "url": "http://127.0.0.1:9"}]})
    with service.api(service.person("vic", "viewer")) as api:
        assert api.get("/api/v1/reports/compliance", params={"month": MONTH}).status_code == 403
    with service.api(service.token()) as api:
        report = api.get("/api/v1/reports/compliance", params={"month": MONTH}).json()
        assert report["audit"]["verified"] and [it["registry"] for it in report["pulls"]] == ["harbour"]
        wrong = api.get("/api/v1/reports/compliance", params={"month": "2026-13"})
        assert wrong.status_code == 400 and "is no month" in wrong.text


def test_a_verdict_that_tells_no_time_is_refused_by_its_line(state):
    bad = state / "bad.csv"
    bad.write_text(EVENTS.replace("2026-11-24T10:00:05Z", "", 1).replace("pay/", "again/"))
    done = backfill.run("events", bad, state)
    assert (done.new, len(done.refused)) == (5, 1)
    assert f"{bad}:2: event.created is empty" in done.refused[0]
