"""Distribution's notifications."""

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.notifications import parse_distribution
from seawall.core.errors import InputError

FOLDER = Path(__file__).parent.parent / "golden"
GOLDEN = FOLDER / "reconstructed/distribution-notification.json"
CAPTURED = FOLDER / "captured/distribution-2.8.2-notification.json"

ENVELOPES = json.loads((FOLDER / "captured/distribution-2.8.2-notifications.json").read_text())
EVENTS = [event for body in ENVELOPES for event in parse_distribution(json.dumps(body).encode(), "reg")]


def envelope(**target) -> bytes:
    document = json.loads(GOLDEN.read_bytes())
    document["events"][0]["target"] = target
    return json.dumps(document).encode()


def test_the_reconstructed_notification_gives_exactly_these_fields():
    (event,) = parse_distribution(GOLDEN.read_bytes(), "reg")
    assert event.at == pytest.approx(1457563466.402973)
    assert event.fields == {
        "@timestamp": "2016-03-09T22:44:26.402Z",
        "client.ip": "192.168.64.11",
        "event.action": "pull",
        "event.dataset": "distribution.notification",
        "event.outcome": "success",
        "http.request.id": "6df24a34",
        "http.request.method": "GET",
        "registry.digest": "sha256:fea8",
        "registry.media_type": "application/vnd.docker.distribution.manifest.v2+json",
        "registry.name": "reg",
        "registry.operation": "manifest",
        "registry.reference": "latest",
        "registry.repository": "hello-world",
        "registry.size": 708,
        "seawall.format": "distribution.notification",
        "url.original": "http://192.168.64.11:5000/v2/hello-world/manifests/sha256:fea8",
        "user_agent.original": "curl/7.38.0",
    }


def test_a_captured_notification_is_a_pull_of_the_index_by_its_tag():
    (event,) = parse_distribution(CAPTURED.read_bytes(), "reg")
    fields = event.fields
    assert (fields["event.action"], fields["registry.operation"]) == ("pull", "manifest")
    assert (fields["registry.repository"], fields["registry.reference"]) == ("team/app", "1.0")
    assert fields["registry.digest"].startswith("sha256:2492") and fields["registry.size"] == 332


def test_every_action_that_a_real_registry_told_is_understood():
    told = [(event.fields["event.action"], event.fields.get("registry.operation"),
             event.fields["http.request.method"]) for event in EVENTS]  # fmt: skip
    assert told == [
        *[("push", "blob", "PUT")] * 3,
        *[("push", "manifest", "PUT")] * 2,
        ("pull", "manifest", "GET"),
        ("pull", "manifest", "HEAD"),
        ("pull", "blob", "GET"),
        ("mount", "blob", "POST"),
        ("delete", None, "DELETE"),
        ("delete", "manifest", "DELETE"),
        ("delete", None, "DELETE"),
    ]
    assert len({event.id for event in EVENTS}) == len(EVENTS)


def test_a_redelivery_has_the_same_id_and_another_registry_another():
    body = GOLDEN.read_bytes()
    first, again = parse_distribution(body, "a")[0], parse_distribution(body, "a")[0]
    assert first.id == again.id != parse_distribution(body, "b")[0].id


def test_events_without_id_are_told_apart_by_their_content():
    document = json.loads(GOLDEN.read_bytes())
    del document["events"][0]["id"]
    document["events"].append(copy.deepcopy(document["events"][0]))
    document["events"].append({**document["events"][0], "action": "push"})
    ids = [event.id for event in parse_distribution(json.dumps(document).encode(), "reg")]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    ("target", "operation", "reference"),
    [
        (
            {"mediaType": "application/octet-stream", "digest": "sha256:1", "repository": "a"},
            "blob",
            "sha256:1",
        ),
        (
            {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": "sha256:1"},
            "manifest",
            "sha256:1",
        ),
        (
            {"digest": "sha256:1", "repository": "a", "url": "http://h/v2/a/blobs/sha256:1"},
            "blob",
            "sha256:1",
        ),
        ({"repository": "a", "tag": "1.0"}, "manifest", "1.0"),
        ({"repository": "a"}, None, None),
    ],
)
def test_targets_of_blobs_and_deletions_are_accepted(target, operation, reference):
    (event,) = parse_distribution(envelope(**target, unknown={"x": 1}), "reg")
    assert event.fields.get("registry.operation") == operation
    assert event.fields.get("registry.reference") == reference


def test_signatures_in_target_urls_are_masked():
    (event,) = parse_distribution(envelope(url="https://s3/x?X-Amz-Signature=hunter2"), "reg")
    assert "hunter2" not in json.dumps(event.fields)


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe{", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no list `events`"),
        (b'{"events": {}}', "no list `events`"),
        (b'{"events": [1]}', r"events\[0\]: `action` is none of"),
        (b'{"events": [{"action": "boil"}]}', r"events\[0\]: `action` is none of"),
        (b'{"events": [{"action": "pull"}]}', r"events\[0\]: `timestamp` is no"),
        (b'{"events": [{"action": "pull", "timestamp": "0001-01-01T00:00:00+99:00"}]}', "`timestamp` is no"),
    ],
)
def test_garbage_is_refused_by_place_and_finding(body, finding):
    with pytest.raises(InputError, match=finding):
        parse_distribution(body, "reg")


def test_no_events_are_no_trouble():
    assert parse_distribution(b'{"events": []}', "reg") == []


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["mediaType", "digest", "url", "tag", "addr", "size"]), inner, max_size=4
        ),
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from(["id", "target", "request", "actor", "source"]), VALUES),
    st.sampled_from(["2016-03-09T14:44:26.4-08:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]),
)
def test_any_event_of_a_known_action_is_kept_as_a_storable_document(item, timestamp):
    body = json.dumps({"events": [{**item, "action": "pull", "timestamp": timestamp}]}).encode()
    (event,) = parse_distribution(body, "reg")
    json.dumps(dict(event.fields), ensure_ascii=False).encode("utf-8")
