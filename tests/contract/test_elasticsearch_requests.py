"""Every request of the store against strict schemas of Elastic's own types (golden/elasticsearch)."""

import gzip
import json
import re

import pytest
from jsonschema import Draft7Validator

from seawall.config.stores import ElasticsearchAccess
from seawall.stores.elasticsearch_templates import KINDS, components, index_template, policy
from tests.contract.test_elasticsearch import T, line
from tests.contract.test_unsigned_stores import verdict
from tests.pulling import told
from tests.store_servers import NODES, OsmemNode
from tests.unit.test_docs import ROOT

SCHEMAS = json.loads(
    gzip.decompress((ROOT / "tests/golden/elasticsearch/requests.schema.json.gz").read_bytes())
)
KNOWN = (
    (r"PUT /_ilm/policy/(?P<name>[^/]+)", "IlmPutLifecycleRequest"),
    (r"PUT /_component_template/(?P<name>[^/]+)", "ClusterPutComponentTemplateRequest"),
    (r"PUT /_index_template/(?P<name>[^/]+)", "IndicesPutIndexTemplateRequest"),
    (r"POST /(?P<index>[^/]+)/_search", "SearchRequest"),
    (r"POST /_search", "SearchRequest"),
    (r"POST /(?P<index>[^/]+)/_pit\?keep_alive=(?P<keep_alive>\w+)", "OpenPointInTimeRequest"),
)


class Heard(OsmemNode):
    """Notes what the client sends, before osmem's dialect is made of it."""

    requests: list[tuple[str, str, dict]] = []  # noqa: RUF012

    def perform_request(self, method, target, body=None, *rest, **more):
        if (body and not target.startswith("/_bulk")) or "/_pit?" in target:
            self.requests.append((f"{method} {target}", target, json.loads(body) if body else {}))
        return super().perform_request(method, target, body, *rest, **more)


def flat(properties: dict, prefix: str = "") -> dict:
    """Fields by dotted name, objects without what is in them: each alternative of a field's type looks into
    the whole tree below it, so that a deep one would take for ever."""
    found: dict = {}
    for name, field in properties.items():
        found[prefix + name] = field | ({"properties": {}} if "properties" in field else {})
        found |= flat(field.get("properties", {}), f"{prefix}{name}.")
    return found


def faults(kind: str, request: dict) -> list[str]:
    mappings = request.get("template", {}).get("mappings")
    if mappings:
        shallow = mappings | {"properties": flat(mappings["properties"])}
        request = request | {"template": request["template"] | {"mappings": shallow}}
    schema = {"$ref": f"#/definitions/{kind}", **SCHEMAS}
    return [error.message[:300] for error in Draft7Validator(schema).iter_errors(request)]


def test_every_request_of_the_store_is_as_elastic_types_it(monkeypatch, emulators, elasticsearch_events):
    monkeypatch.setitem(NODES, type(emulators("osmem")), Heard)
    Heard.requests.clear()
    events = elasticsearch_events(emulators("osmem"))
    events.append(
        [line(1), told("sha256:1"), verdict("u", "unknown"), verdict("n", "unsigned")], {"log": "1"}
    )
    span = ("main", T - 10, T + 100)
    events.recent(None, *span[1:], 10)
    events.manifest_latency(*span, 0.99)
    events.manifest_latency_of_last("main", T + 100, 10, 0.99)
    events.impact(*span)
    events.errors_by_minute(*span)
    events.counts(*span, 10.0)
    events.failures(*span, 10)
    events.repositories(*span, 10, "pulls")
    events.slowest_pulls(*span, 10)
    events.images("main", 0, 10)
    events.told_at(*span)
    events.pull_counts(*span, T + 100)
    events.judged_counts(*span, T)
    events.culprits(*span, "unsigned", 5)
    events.counted(*span)
    events.unsettled(*span, 5)
    judged: dict[str, int] = {}
    for request, _, body in Heard.requests:
        for pattern, kind in KNOWN:
            if found := re.match(pattern, request):
                assert faults(kind, body | found.groupdict()) == [], (request, body)
                judged[kind] = judged.get(kind, 0) + 1
    assert set(judged) == {kind for _, kind in KNOWN} and judged["SearchRequest"] >= 18


@pytest.mark.parametrize("kind", KINDS)
def test_the_schemas_see_a_mistake(kind):
    template = index_template(kind, "default") | {"name": kind}
    assert faults("IndicesPutIndexTemplateRequest", template) == []
    assert faults("IndicesPutIndexTemplateRequest", template | {"composed": []})
    lifecycle = {"name": kind, "policy": policy(86400.0)}
    assert faults("IlmPutLifecycleRequest", lifecycle) == []
    lifecycle["policy"]["phases"]["hot"]["actions"]["roll"] = {}
    assert faults("IlmPutLifecycleRequest", lifecycle)
    for name, component in components(ElasticsearchAccess()).items():
        assert faults("ClusterPutComponentTemplateRequest", component | {"name": name}) == []
    assert faults("SearchRequest", {"index": "x", "query": {"terms_": {}}})
    assert faults("SearchRequest", {"index": "x", "aggs": {"a": {"composite": {"sources": [], "sizes": 1}}}})
