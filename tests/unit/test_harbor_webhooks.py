"""Harbor's webhooks, in the formats Default and CloudEvents."""

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.harbor_webhooks import parse_harbor
from collectors.notifications import parse_distribution
from seawall.core.errors import InputError

FOLDER = Path(__file__).parent.parent / "golden/reconstructed"
SAMPLES = json.loads((FOLDER / "harbor-webhooks.json").read_text())
DIGEST = "sha256:954b378c375d852eb3c63ab88978f640b4348b01c1b3456a024a81536dafbbf4"
PULL = SAMPLES["default"][0]


def parse(document, registry="reg"):
    return parse_harbor(json.dumps(document).encode(), registry)


def sample(form: str, kind: str) -> dict:
    position = next(i for i, item in enumerate(SAMPLES["default"]) if item["type"] == kind)
    return copy.deepcopy(SAMPLES[form][position])


def test_a_pull_by_digest_gives_exactly_these_fields():
    (event,) = parse(PULL)
    assert event.at == 1680502372
    assert event.fields == {
        "@timestamp": "2023-04-03T06:12:52.000Z",
        "event.action": "pull",
        "event.code": "PULL_ARTIFACT",
        "event.dataset": "harbor.webhook",
        "event.outcome": "success",
        "registry.digest": DIGEST,
        "registry.name": "reg",
        "registry.operation": "manifest",
        "registry.reference": DIGEST,
        "registry.repository": "harbor/alpine",
        "seawall.format": "harbor.webhook",
        "url.original": f"localhost/harbor/alpine@{DIGEST}",
        "user.name": "robot$harbor+wHSYCuGD-Trivy-8e2e7505-d1e6-11ed-9e71-0242ac130009",
    }


@pytest.mark.parametrize("kind", [item["type"] for item in SAMPLES["default"]])
def test_both_forms_tell_the_same(kind):
    default, cloud = parse(sample("default", kind)), parse(sample("cloudevents", kind))
    without = {"http.request.id", "@timestamp"}
    told = [[{k: v for k, v in e.fields.items() if k not in without} for e in es] for es in (default, cloud)]
    assert told[0] == told[1]
    assert cloud[0].fields["http.request.id"].startswith("bb4b5b91")


@pytest.mark.parametrize(
    ("kind", "action", "outcome", "message"),
    [
        ("PUSH_ARTIFACT", "push", "success", None),
        ("DELETE_ARTIFACT", "delete", "success", None),
        ("SCANNING_FAILED", "scan", "failure", None),
        ("SCANNING_STOPPED", "scan", "unknown", None),
        ("QUOTA_EXCEED", "quota", "failure", "adding 2.1 MiB"),
        ("QUOTA_WARNING", "quota", "success", "quota usage reach 85%"),
        ("REPLICATION", "replication", "success", "replication hub library -> harbor harbor: Success"),
        ("TAG_RETENTION", "retention", "success", "tag retention of harbor: 0 of 1 kept, SUCCESS"),
    ],
)
def test_every_type_says_what_happened(kind, action, outcome, message):
    (event,) = parse(sample("default", kind))
    assert (event.fields["event.action"], event.fields["event.outcome"]) == (action, outcome)
    assert (event.fields.get("message") or "").startswith(message or "")


def test_a_failed_replication_says_what_failed_and_why():
    document = sample("cloudevents", "REPLICATION")
    told = document["data"]["replication"]
    told.update(job_status="Error", successful_artifact=None)
    told["failed_artifact"] = [{"name_tag": "alpine:3", "fail_reason": "401 for https://u:pw@hub/v2"}]
    (event,) = parse(document)
    assert event.fields["event.outcome"] == "failure"
    assert event.fields["message"].endswith("Error; alpine:3 401 for https://***@hub/v2")


def test_a_finished_scan_carries_its_summary():
    (event,) = parse(sample("default", "SCANNING_COMPLETED"))
    found = {k: v for k, v in event.fields.items() if k.startswith(("vulnerability", "seawall.vuln"))}
    assert found == {
        "vulnerability.severity": "critical",
        "vulnerability.scanner.vendor": "Trivy",
        "vulnerability.report_id": "af0546c1-67dc-4e9d-927e-372900ead0df",
        "seawall.vulnerabilities.total": 7,
        "seawall.vulnerabilities.fixable": 5,
        "seawall.vulnerabilities.critical": 1,
        "seawall.vulnerabilities.high": 4,
        "seawall.vulnerabilities.low": 2,
    }


def test_a_pull_by_tag_keeps_both_and_each_resource_is_one_event():
    document = sample("default", "PULL_ARTIFACT")
    document["event_data"]["resources"] = [{"digest": DIGEST, "tag": tag} for tag in ("1.0", "latest")]
    events = parse(document)
    assert [e.fields["registry.reference"] for e in events] == ["1.0", "latest"]
    assert {e.fields["registry.digest"] for e in events} == {DIGEST} and len({e.id for e in events}) == 2


@pytest.mark.parametrize("form", ["default", "cloudevents"])
def test_a_redelivery_is_the_same_event_and_another_registry_or_second_another(form):
    document = sample(form, "PULL_ARTIFACT")
    later = copy.deepcopy(document) | {"occur_at": 1680502373, "id": "other"}
    reordered = dict(reversed(list(document.items())))
    assert parse(document)[0].id == parse(reordered)[0].id
    assert len({parse(document)[0].id, parse(document, "b")[0].id, parse(later)[0].id}) == 3


def test_a_webhook_and_a_notification_of_one_pull_are_two_events_of_two_datasets():
    (told,) = parse(PULL)
    body = (FOLDER / "distribution-notification.json").read_bytes()
    (noticed,) = parse_distribution(body, "reg")
    assert told.id != noticed.id
    assert {told.fields["event.dataset"], noticed.fields["event.dataset"]} == {
        "harbor.webhook",
        "distribution.notification",
    }


def test_a_type_that_is_not_known_is_kept_by_its_name():
    (event,) = parse({"type": "ROBOT_EXPIRED", "occur_at": 1680502372.5, "event_data": {"new": [1]}})
    assert event.fields["event.code"] == "ROBOT_EXPIRED" and "event.action" not in event.fields


def test_credentials_in_a_webhook_are_masked():
    document = sample("default", "QUOTA_EXCEED")
    document["event_data"]["custom_attributes"]["Details"] = "password=hunter2 Authorization: Bearer hunter2"
    document["event_data"]["resources"][0]["resource_url"] = "https://u:hunter2@h/x?token=hunter2"
    assert "hunter2" not in json.dumps([dict(event.fields) for event in parse(document)])


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        (b"", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no text `type`"),
        (b'{"type": 3}', "no text `type`"),
        (b'{"type": "PULL_ARTIFACT"}', "`occur_at` is no number"),
        (b'{"type": "PULL_ARTIFACT", "occur_at": true}', "`occur_at` is no number"),
        (b'{"type": "PULL_ARTIFACT", "occur_at": 1e300}', "harbor webhook: "),
        (b'{"type": "PULL_ARTIFACT", "occur_at": NaN}', "harbor webhook: "),
        (b'{"specversion": "1.0", "type": "x", "time": "2026-01-01T00:00:00Z"}', "no `id`"),
        (b'{"specversion": "1.0", "type": "x", "id": "1", "time": "soon"}', "`time` is no RFC 3339"),
    ],
)
def test_what_is_no_webhook_is_refused_with_place_and_remedy(body, finding):
    with pytest.raises(InputError) as refused:
        parse_harbor(body, "reg")
    assert str(refused.value).startswith("harbor webhook: ")
    assert finding in str(refused.value) and "payload format" in refused.value.remedy


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@st.composite
def mutations(draw):
    """A sample with one value, anywhere in it, replaced by any JSON."""
    document = copy.deepcopy(draw(st.sampled_from([*SAMPLES["default"], *SAMPLES["cloudevents"]])))
    at, path = document, []
    while isinstance(at, dict | list) and at and (not path or draw(st.booleans())):
        key = draw(st.sampled_from(list(at) if isinstance(at, dict) else range(len(at))))
        path.append((at, key))
        at = at[key]
    holder, key = path[-1]
    holder[key] = draw(JSON)
    return document


@given(mutations())
def test_any_mutation_is_understood_or_refused(document):
    try:
        events = parse(document)
    except InputError:
        return
    for event in events:
        json.dumps(dict(event.fields)).encode()
        assert event.fields["event.dataset"] == "harbor.webhook"


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_understood(body):
    try:
        parse_harbor(body, "reg")
    except InputError as refused:
        assert refused.remedy
