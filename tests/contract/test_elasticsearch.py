"""What only Elasticsearch has: item by item, dead letters, full disks, a server that goes away."""

import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from seawall.app import open_stores
from seawall.config import Config
from seawall.config.stores import ElasticsearchAccess
from seawall.core.errors import InputError, StoreUnavailable
from seawall.core.signals import Event
from seawall.stores.elasticsearch import ElasticsearchEvents
from seawall.stores.elasticsearch_documents import delivery, document, event_of, merged, opened
from seawall.stores.elasticsearch_templates import ECS, OURS, kind_of
from tests.pulling import told
from tests.serving import until
from tests.store_servers import FLOOD_STAGE, Noida, OsmemNode
from tests.unit.test_docs import ROOT, golden_events

T = 1_790_000_000.0
SOAKING = bool(os.environ.get("SEAWALL_SOAK"))


class Honest(OsmemNode):
    honest = True


def line(number: int, at: float = T, **fields: object) -> Event:
    document = {
        "event.dataset": "distribution.app",
        "event.duration": 1_000_000 * number,
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "registry.operation": "manifest",
        **fields,
    }
    return Event(f"e{number}", at + number / 1000, "main", document)


def ids(events) -> set[str]:
    return {event.id for event in events.recent("main", T - 1, T + 1000, 10_000)}


def test_an_event_is_the_same_after_it_was_a_document():
    for event in [*golden_events(ROOT / "tests/golden"), told("sha256:1"), line(1)]:
        assert event_of(json.loads(json.dumps(document(event, 1)))) == event


def test_every_documented_field_of_ours_is_mapped_so_that_none_is_refused():
    mapped = {name for names in (*ECS.values(), *OURS.values()) for name in names.split()}
    golden = golden_events(ROOT / "tests/golden")
    told_fields = {name for event in golden for name in event.fields}
    rows = (ROOT / "docs/signals.md").read_text().splitlines()
    documented = {row.split("`")[1] for row in rows if row.startswith("| `")}
    ours = {name for name in told_fields | documented if name.startswith(("registry.", "seawall."))}
    assert not ours - mapped


def test_deliveries_are_merged_in_order_and_the_newest_position_stands():
    first = delivery([line(1), line(2)], {"log": "1", "other": "7"}, "default", 10)
    second = delivery([line(2), line(3)], {"log": "2"}, "default", 20)
    positions, pairs = opened(merged([first, delivery([], {}, "default", 0), second]))
    assert positions == {"log": "2", "other": "7"}
    assert [json.loads(document)["seawall_store"]["id"] for _, document in pairs] == ["e1", "e2", "e3"]


def test_each_kind_has_its_data_stream():
    kinds = {name: kind_of(Event("x", T, "main", {"event.dataset": name})) for name in (
        "distribution.app", "harbor.audit", "seawall.pull", "seawall.run", "nginx.cache")}  # fmt: skip
    assert list(kinds.values()) == ["access", "audit", "pull", "run", "access"]


def test_what_is_refused_for_good_is_kept_and_the_rest_goes_on(tmp_path, emulators, elasticsearch_events):
    events = elasticsearch_events(emulators("noida"))
    bad = line(2, **{"http.response.status_code": "no number"})
    assert events.append([line(1), bad, line(3)], {"log": "3"}) == 2
    assert ids(events) == {"e1", "e3"} and events.checkpoint("log") == "3" and events.refused == 1
    letters = tmp_path / "stores/elasticsearch/dead-letters.jsonl"
    [row] = [json.loads(text) for text in letters.read_text().splitlines()]
    assert row["status"] == 400 and row["document"]["event.id"] == "e2" and row["reason"]


def test_a_full_disk_keeps_events_in_the_spool_until_there_is_room(emulators, elasticsearch_events):
    server = emulators("noida")
    events = elasticsearch_events(server, retries=1)
    events.append([line(1)], {})
    stream = f"logs-seawall.access-{events._access.namespace}"
    events._client.indices.put_settings(index=stream, settings={FLOOD_STAGE: True})
    events.append([line(2)], {"log": "2"})
    assert events.depth == 1 and events.checkpoint("log") == "2"
    with pytest.raises(StoreUnavailable, match="wait in the spool"):
        ids(events)
    events._client.indices.put_settings(index=stream, settings={FLOOD_STAGE: None})
    until(lambda: events.depth == 0, 20, "the spool was emptied")
    assert ids(events) == {"e1", "e2"} and events.checkpoint("log") == "2"


@pytest.mark.soak
@pytest.mark.timeout(6000 if SOAKING else 300)
def test_elasticsearch_away_loses_and_doubles_nothing(tmp_path, elasticsearch_events):
    """The long form: ten minutes at 2,000 events a second."""
    seconds, rate = (600, 2000) if SOAKING else (3, 200)
    server = Noida(tmp_path / "server").start()
    events = elasticsearch_events(server, namespace="away", timeout=2.0)
    assert events.append([line(0)], {"log": "0"}) == 1
    server.stop()
    sent = {"e0"}
    for second in range(seconds):
        batch = [line(1 + second * rate + number) for number in range(rate)]
        events.append(batch, {"log": str(second)})
        sent |= {event.id for event in batch}
    with pytest.raises(StoreUnavailable, match="wait in the spool"):
        events.impact("main", T, T + 10)
    events.close()

    # Seawall was restarted meanwhile; a refresh of a million documents takes the emulator minutes.
    again = elasticsearch_events(server, namespace="away", timeout=900.0 if SOAKING else 30.0)
    assert again.checkpoint("log") == str(seconds - 1)
    server.start()
    try:
        until(lambda: again.depth == 0, 5400 if SOAKING else 30, "the spool was emptied")
        again.append([line(1), line(2)], {})  # a redelivery
        again._client.indices.refresh(index="logs-seawall.*-away")
        assert again._client.count(index="logs-seawall.*-away")["count"] == len(sent) == seconds * rate + 1
        if not SOAKING:  # read back a page at a time
            assert again.manifest_latency("main", T - 1, T + 10_000, 0.5).count == len(sent)
        assert again.checkpoint("log") == str(seconds - 1)
    finally:
        server.stop()


def test_a_record_delivered_twice_changes_nothing(emulators, elasticsearch_events):
    events = elasticsearch_events(emulators("noida"))
    batch = [line(number) for number in range(5)]
    assert events.append(batch, {}) == 5 and events.append(batch, {}) == 0
    assert len(ids(events)) == 5


def test_more_than_a_page_is_read_whole_and_a_quantile_of_it_is_exact(emulators, elasticsearch_events):
    events = elasticsearch_events(emulators("noida"), batch=1000, timeout=60.0)
    events.append([line(number) for number in range(8000)], {})
    for quantile, wanted in ((0.5, 3999), (0.9, 7199), (0.01, 79)):
        found = events.manifest_latency("main", T - 1, T + 100, quantile)
        assert (found.count, found.value) == (8000, wanted / 1000)


def test_opensearch_is_refused_in_words(tmp_path, emulators):
    url = f"elasticsearch+{emulators('osmem').url}"
    access = ElasticsearchAccess(retries=0)
    events = ElasticsearchEvents(url, access, tmp_path / "spool", time.time, Honest)
    try:
        events.append([line(1)], {})
        with pytest.raises(StoreUnavailable, match="OpenSearch is not supported"):
            ids(events)
    finally:
        events.close()


def test_the_api_key_is_sent_and_a_refusal_names_the_remedy(tmp_path, secret_file):
    heard: list[str | None] = []

    class Closed(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers["Authorization"])
            body = b'{"error": {"reason": "unable to authenticate"}, "status": 401}'
            self.send_response(401)
            self.send_header("X-Elastic-Product", "Elasticsearch")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Closed)
    Thread(target=server.serve_forever).start()
    access = ElasticsearchAccess(token_file=secret_file("key", "a2V5"), retries=0)
    url = f"elasticsearch+http://127.0.0.1:{server.server_port}"
    events = ElasticsearchEvents(url, access, tmp_path / "spool", time.time)
    try:
        events.append([line(1)], {})
        with pytest.raises(StoreUnavailable, match=r"401.*mend the credentials"):
            ids(events)
    finally:
        events.close()
        server.shutdown()
        server.server_close()
    assert set(heard) == {"ApiKey a2V5"}


@pytest.mark.parametrize(
    "url", ["elasticsearch+http://a:b@c", "elasticsearch+http://", "opensearch+http://c"]
)
def test_a_bad_url_is_told_with_its_remedy(tmp_path, url):
    with pytest.raises(InputError, match=r"stores\.events"):
        open_stores(Config(stores={"samples": "memory:", "events": url, "records": "memory:"}), tmp_path)
