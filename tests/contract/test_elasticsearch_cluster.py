"""Laws of a real Elasticsearch ($ES_URL): what no emulator has."""

import pytest

from seawall.stores.elasticsearch_templates import KINDS, policy_name, stream
from tests.contract.test_elasticsearch import ids, line

pytestmark = pytest.mark.integration


def test_events_go_into_data_streams_with_a_lifecycle(emulators, elasticsearch_events):
    events = elasticsearch_events(emulators("elasticsearch"))
    events.append([line(1)], {})
    namespace, client = events._access.namespace, events._client
    [found] = client.indices.get_data_stream(name=stream("access", namespace))["data_streams"]
    assert found["ilm_policy"] == policy_name("access", namespace)
    for kind in KINDS:
        made = client.ilm.get_lifecycle(name=policy_name(kind, namespace))
        assert "delete" in made[policy_name(kind, namespace)]["policy"]["phases"]


def test_a_repeat_after_a_rollover_is_one_event(emulators, elasticsearch_events):
    events = elasticsearch_events(emulators("elasticsearch"))
    assert events.append([line(1), line(2)], {}) == 2
    events._client.indices.rollover(alias=stream("access", events._access.namespace))
    events._bulk._births.clear()
    assert events.append([line(1), line(3)], {}) == 1
    assert ids(events) == {"e1", "e2", "e3"}


def test_a_field_of_ours_that_nobody_mapped_is_refused_and_a_strange_one_is_kept(
    emulators, elasticsearch_events
):
    events = elasticsearch_events(emulators("elasticsearch"))
    assert events.append([line(1, **{"seawall.surprise": 1}), line(2, **{"strange.field": "x"})], {}) == 1
    assert ids(events) == {"e2"} and events.refused == 1
