"""Every panel on Elasticsearch as the _msearch that Grafana sends, on an emulator: none is refused or empty.

The bodies are those that Grafana's data source makes of a query (pkg/tsdb/elasticsearch of its source): a
range and a query_string in a filter, nested aggregations by the ids of the query, `raw_data` as sorted
documents. The events are written by our own store; verdicts come from the collector that reaches them,
refusals from a log that it follows, pushes from Harbor's webhooks.
"""

import json
import shutil
from typing import Any

import httpx
import pytest

from alerts.slos import load_rows
from collectors.logs import FollowedLog
from collectors.pull_signatures import PullSignatures
from dashboards.build import build, searches
from dashboards.provision import INDEX
from seawall.core.times import parse_time
from tests.contract.test_elasticsearch_requests import faults
from tests.pulling import Stock, T, looks_at, told
from tests.unit.test_docs import ROOT, golden_events

START, END = parse_time("2014-01-01T00:00:00Z"), parse_time("2027-01-01T00:00:00Z")
STEP = "7d"  # $__interval of so long a span
SEARCHES = list(searches(build(load_rows(), "http://127.0.0.1:8700")["seawall-security.json"]))


def body(query: dict[str, Any], registries: tuple[str, ...] = ("main", "other")) -> dict[str, Any]:
    """One search; several chosen values of a variable are written as Lucene's alternatives."""
    chosen = "(" + " OR ".join(json.dumps(name) for name in registries) + ")"
    lucene = query["query"].replace("$registry", chosen)
    span = {"gte": int(START * 1000), "lte": int(END * 1000), "format": "epoch_millis"}
    filters = [
        {"range": {query["timeField"]: span}},
        {"query_string": {"analyze_wildcard": True, "query": lucene}},
    ]
    made: dict[str, Any] = {"size": 0, "query": {"bool": {"filter": filters}}}
    (metric,) = query["metrics"]
    if metric["type"] == "raw_data":
        newest = {query["timeField"]: {"order": "desc", "unmapped_type": "boolean"}}
        size = int(metric["settings"]["size"])
        return made | {"size": size, "sort": [newest, {"_doc": {"order": "desc"}}], "script_fields": {}}
    assert metric["type"] == "count"  # a bucket's doc_count
    return made | {"aggs": nested(query["bucketAggs"], query["timeField"])}


def nested(groups: list[dict[str, Any]], time_field: str) -> dict[str, Any]:
    """Aggregations, the first the outermost, named by their ids."""
    first, *rest = groups
    settings = first["settings"]
    if first["type"] == "terms":
        kind: dict[str, Any] = {
            "field": first["field"],
            "size": int(settings["size"]),
            "order": {settings["orderBy"]: settings["order"]},
            "min_doc_count": int(settings["min_doc_count"]),
        }
    else:
        assert (first["type"], settings["interval"], first["field"]) == ("date_histogram", "auto", time_field)
        kind = {
            "field": first["field"],
            "fixed_interval": STEP,
            "min_doc_count": int(settings["min_doc_count"]),
            "extended_bounds": {"min": int(START * 1000), "max": int(END * 1000)},
            "format": "epoch_millis",
        }
    inner = {"aggs": nested(rest, time_field)} if rest else {}
    return {first["id"]: {first["type"]: kind, **inner}}


def counted(groups: list[dict[str, Any]], answer: dict[str, Any]) -> int:
    """Events in the innermost buckets."""
    first, *rest = groups
    buckets = answer[first["id"]]["buckets"]
    return sum(counted(rest, it) if rest else it["doc_count"] for it in buckets)


@pytest.fixture
async def written(tmp_path, emulators, elasticsearch_events):
    """An emulator's URL with a registry's events in it."""
    events = elasticsearch_events(emulators("osmem"), namespace="grafana")
    stock, log = Stock(), tmp_path / "access.log"
    image = stock.image()
    events.append([told(image), told(image, user__name="ann")], {})
    with stock.served() as url:
        verdicts = PullSignatures("main", events, looks_at(url, stock.trusts), grace=0.0)
        for second in range(3):
            batch = await verdicts.collect(T + 10 + second)
            events.append(batch.events, batch.checkpoints)
            await verdicts.stored()
    events.append([*golden_events(ROOT / "tests/golden")], {})
    shutil.copy(ROOT / "tests/golden/reconstructed/access-lines.log", log)
    followed = FollowedLog("main", str(log), 1.0)
    batch = await followed.collect(T)
    events.append(batch.events, batch.checkpoints)
    assert events.recent(
        "main", START, END, 1
    )  # a read of ours refreshes, as the second does that Grafana waits
    return emulators("osmem").url


def search(url: str, *bodies: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers to one _msearch."""
    head = {"ignore_unavailable": True, "index": INDEX, "search_type": "query_then_fetch"}
    lines = [json.dumps(line) for it in bodies for line in (head, it)]
    answer = httpx.post(
        f"{url}/_msearch",
        params={"max_concurrent_shard_requests": 5},
        content="\n".join(lines) + "\n",
        headers={"content-type": "application/x-ndjson"},
        trust_env=False,
    )
    return answer.raise_for_status().json()["responses"]


async def test_every_search_of_the_boards_finds_something(written):
    assert len(SEARCHES) == 9
    answers = search(written, *(body(query) for _, query in SEARCHES))
    for (title, query), answer in zip(SEARCHES, answers, strict=True):
        assert answer["status"] == 200, (title, answer)
        if query["bucketAggs"]:
            assert counted(query["bucketAggs"], answer["aggregations"]) > 0, title
        else:
            assert answer["hits"]["hits"], title


async def test_the_tables_name_what_was_pulled_and_by_whom(written):
    found = {title: query for title, query in SEARCHES if "unsigned" in query["query"]}
    repositories, clients, newest = search(
        written, *(body(found[title]) for title in ("Repositories", "Clients", "The newest"))
    )
    assert [it["key"] for it in repositories["aggregations"]["2"]["buckets"]] == ["team/app"]
    assert [it["key"] for it in clients["aggregations"]["2"]["buckets"]] == ["10.0.0.1"]
    rows = [it["_source"] for it in newest["hits"]["hits"]]
    assert {it["seawall.reason"] for it in rows} == {"no signature"}
    assert {it.get("user.name") for it in rows} == {None, "ann"}


async def test_another_registry_sees_none_of_it(written):
    answers = search(written, *(body(query, ("other",)) for _, query in SEARCHES))
    assert [it["hits"]["total"]["value"] for it in answers] == [0] * len(SEARCHES)


@pytest.mark.parametrize("query", [query for _, query in SEARCHES], ids=[title for title, _ in SEARCHES])
def test_a_search_is_as_elastic_types_it(query):
    assert faults("SearchRequest", body(query) | {"index": INDEX}) == []
