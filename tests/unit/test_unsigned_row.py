"""The row `unsigned_pulls` on histories whose right answer is plain, its incident and what is proposed."""

from dataclasses import replace

import pytest

from alerts.correlate import Correlation
from alerts.evaluate import Evaluator
from alerts.slos import load_rows, load_windows
from remediation.catalogue import Catalogue
from seawall.core.incidents import Impact, IncidentState
from seawall.core.signals import Event, Sample
from seawall.core.slos import Status
from seawall.core.times import parse_time, rfc3339
from seawall.stores.memory import MemoryEvents, MemorySamples
from seawall.stores.sql import SqlRecords
from tests.pulling import told

NOON = parse_time("2026-11-24T12:00:00Z")
HOUR = 3600.0
BAD = "sha256:" + "1f" * 32


@pytest.fixture
def events():
    return MemoryEvents()


@pytest.fixture
def judge(events):
    samples = MemorySamples()
    samples.append([Sample("main", "seawall_pulls_waiting", at, 0.0) for at in (NOON - 10, NOON + 2 * HOUR)])
    return Evaluator(load_rows(), load_windows(), samples, events, 10.0, ["main", "mute"])


def pulled(events, signature: str, ago: float, judged: float | None = None, count: int = 1, **fields: str):
    """`count` pulls so many seconds before noon, judged so many before it (default: at once)."""
    for number in range(count):
        at = NOON - ago + number / 1000
        document = {
            "event.dataset": "seawall.pull",
            "event.created": rfc3339(at if judged is None else NOON - judged),
            "seawall.signature": signature,
            "seawall.reason": "no signature" if signature == "unsigned" else "look-up failed: 503",
            "registry.repository": "team/app",
            "registry.digest": BAD,
            "registry.reference": "1.0",
            "client.ip": "10.0.0.1",
            "user.name": "alice",
            **{key.replace("__", "."): value for key, value in fields.items()},
        }
        events.append([Event(f"{signature}-{ago}-{number}-{fields}", at, "main", document)], {})


def row_of(judge, now: float = NOON, registry: str = "main"):
    return {status.name: status for status in judge.judge(registry, now)}["unsigned_pulls"]


def test_signed_pulls_keep_the_promise(events, judge):
    pulled(events, "signed", 60, count=3)
    row = row_of(judge)
    assert (row.status, row.indicator_ok, row.value, row.samples) == (Status.OK, True, 0, 3)
    assert row.reason == "3 pulls in 1d, 0 unsigned" and row.threshold == 0


def test_a_source_that_tells_of_other_things_is_there(events, judge):
    events.append([told(BAD, NOON - 60, http__request__method="HEAD")], {})
    row = row_of(judge)
    assert (row.status, row.indicator_ok, row.value, row.samples) == (Status.OK, True, 0, 0)


def test_nothing_told_is_unknown_with_the_remedy(judge):
    row = row_of(judge)
    assert (row.status, row.indicator_ok, row.value) == (Status.UNKNOWN, None, None)
    assert "let the registry send its notifications" in row.reason and "docs/events.md" in row.reason


def test_pulls_that_nobody_judges_are_unknown(events, judge):
    pulled(events, "signed", 60)
    assert "not judged" in row_of(judge, NOON + HOUR).reason
    assert row_of(judge, NOON + HOUR).status is Status.UNKNOWN


def test_one_unsigned_pull_breaks_the_promise_and_is_named(events, judge):
    pulled(events, "signed", 60, count=5)
    pulled(events, "unsigned", 30, count=2)
    row = row_of(judge)
    assert (row.status, row.indicator_ok, row.value, row.samples) == (Status.BREACHED, False, 2, 7)
    assert row.now_reason == (
        f"2 pulls of unsigned images: team/app:1.0 ({BAD}) by alice from 10.0.0.1, 2 times, last at"
        " 2026-11-24T11:59:30.001Z: no signature"
    )
    assert row.episode == pytest.approx(NOON - 30 + 0.001, abs=0.01)
    assert row.impact == Impact(0, 1, 1)


def test_the_day_stays_broken_and_the_moment_heals(events, judge):
    pulled(events, "unsigned", 2 * HOUR)
    events.append([told(BAD, NOON - 2 * HOUR - 1)], {})
    row = row_of(judge)
    assert (row.status, row.indicator_ok, row.value) == (Status.BREACHED, True, 1)
    assert row_of(judge, NOON + 23 * HOUR).status is not Status.BREACHED


def test_a_pull_that_is_told_late_hurts_when_it_is_known(events, judge):
    pulled(events, "unsigned", 2 * HOUR, judged=10)
    row = row_of(judge)
    assert (row.indicator_ok, row.since) == (False, NOON - 2 * HOUR)
    assert row_of(judge, NOON - HOUR).value is None, "it was not known then"


def test_unknown_is_unknown_and_never_hides_an_unsigned_one(events, judge):
    pulled(events, "signed", 60)
    pulled(events, "unknown", 30)
    row = row_of(judge)
    assert (row.status, row.indicator_ok, row.value) == (Status.UNKNOWN, None, 0)
    assert row.reason == "1 of 2 pulls without a verdict: team/app:1.0: look-up failed: 503"
    pulled(events, "unsigned", 20)
    row = row_of(judge)
    assert (row.status, row.indicator_ok, row.value) == (Status.BREACHED, False, 1)
    assert "1 more without a verdict" in row.reason


def test_after_a_repair_only_later_pulls_count_and_silence_proves_nothing(events, judge):
    pulled(events, "unsigned", 100, judged=1)
    row = judge.row("unsigned_pulls")
    assert judge.indicator(row, "main", NOON, since=NOON - 50).ok is None
    pulled(events, "signed", 40)
    found = judge.indicator(row, "main", NOON, since=NOON - 50)
    assert (found.ok, found.good, found.at) == (True, True, NOON)
    pulled(events, "unsigned", 5)
    assert judge.indicator(row, "main", NOON, since=NOON - 50).ok is False


def test_without_trust_nothing_is_said_and_nobody_paged(events, judge):
    row = row_of(judge, registry="other")
    assert (row.status, row.indicator_ok, row.reason) == (Status.UNKNOWN, None, "no trust configured")


def finding_of(judge, now: float = NOON):
    statuses = judge.judge("main", now)
    found = [it for it in Correlation(judge.rows).findings(statuses) if it.slo == "unsigned_pulls"]
    assert len(found) == 1
    return found[0], statuses


def test_the_incident_names_the_image_and_opens_again_for_the_next_one_only(events, judge):
    pulled(events, "unsigned", 30, count=2)
    pulled(events, "unsigned", 20, user__name="", registry__reference=BAD, client__ip="10.0.0.2")
    finding, statuses = finding_of(judge)
    impact = next(s.impact for s in statuses if s.name == "unsigned_pulls")
    text = Correlation(judge.rows).explain(finding, impact, [], statuses)
    assert text.startswith("Images that nobody we trust has signed were pulled from main: 2 clients of 1")
    for part in (f"team/app@{BAD} from 10.0.0.2, once", "by alice from 10.0.0.1, 2 times", "no signature"):
        assert part in text
    records = SqlRecords("memory:")
    incident, new = records.open_incident(finding, "seawall")
    assert new and incident.facts == finding.facts
    assert records.incident(incident.id).facts["digest"] == BAD
    over = replace(incident, state=IncidentState.RESOLVED)
    closed = records.save_incident(over, "bob", "incident.resolved", {}, NOON)
    assert records.open_incident(finding_of(judge, NOON + 5)[0], "seawall") == (closed, False)
    pulled(events, "unsigned", -30)
    again, new = records.open_incident(finding_of(judge, NOON + 35)[0], "seawall")
    assert new and again.id != incident.id
    records.close()


def test_a_pull_that_was_judged_and_is_over_still_opens_one(events, judge):
    pulled(events, "unsigned", 2 * HOUR)
    finding, _ = finding_of(judge)
    assert "no signature" in finding.reason and finding.episode == NOON - 2 * HOUR


PLAYBOOK = """\
name: hold-image
playbook: playbook.yml
title: Hold an image
trigger: {slo: unsigned_pulls}
inputs:
  digest: {type: string, from: incident.digest, pattern: "sha256:[0-9a-f]{64}"}
  repository: {type: string, from: incident.repository}
  client: {type: string, from: incident.client, default: anybody}
targets: registry_servers
risk: medium
cooldown: 10m
timeout: 3m
verify: {slo: unsigned_pulls, window: 3m, rounds: 3}
undo: {none: for the test}
"""


def test_a_playbook_takes_its_inputs_from_what_the_incident_tells(events, judge, tmp_path):
    folder = tmp_path / "hold-image"
    folder.mkdir()
    (folder / "action.yaml").write_text(PLAYBOOK)
    (folder / "playbook.yml").write_text("- hosts: registry_servers\n  tasks: []\n")
    catalogue, faults = Catalogue.load([tmp_path])
    assert faults == []
    pulled(events, "unsigned", 30, client__ip="")
    facts = finding_of(judge)[0].facts
    ((playbook, inputs),), reasons = catalogue.proposals("unsigned_pulls", {}, facts)
    assert (playbook.name, reasons) == ("hold-image", [])
    assert inputs == {"digest": BAD, "repository": "team/app", "client": "anybody"}
    offers, (reason,) = catalogue.proposals("unsigned_pulls", {})
    assert offers == [] and reason.endswith("has no value; the incident does not tell incident.digest")
