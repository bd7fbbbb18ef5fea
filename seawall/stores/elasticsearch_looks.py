"""What Elasticsearch answers pages: the port EventLooks as aggregations and sorted searches."""

import math
from abc import ABC, abstractmethod

from seawall.core.looks import FAILURE_LEVELS, By, Repository, ranked
from seawall.core.signals import Event
from seawall.stores.elasticsearch_documents import event_of
from seawall.stores.elasticsearch_search import Search, narrowed, within

_BY_ID = {"seawall_store.id": {"order": "asc"}}
_NEWEST = [{"seawall_store.at": {"order": "desc"}}, _BY_ID]
_LEVELS = [{"term": {"log.level": {"value": it, "case_insensitive": True}}} for it in FAILURE_LEVELS]
FAILED = {
    "bool": {
        "should": [
            {"term": {"event.outcome": "failure"}},
            {"range": {"http.response.status_code": {"gte": 500}}},
            *_LEVELS,
        ],
        "minimum_should_match": 1,
    }
}
_OF_REPOSITORY = {
    "pulls": {"filter": {"term": {"seawall_store.client_manifest": True}}},
    "failed": {"filter": {"range": {"http.response.status_code": {"gte": 500}}}},
    "got": {
        "filter": {"term": {"http.request.method": "GET"}},
        "aggs": {"bytes": {"sum": {"field": "http.response.body.bytes"}}},
    },
}


class ElasticsearchLooks(ABC):
    """Mixed into the event store."""

    @abstractmethod
    def _fresh(self) -> Search:
        """The search, over what was written."""

    def counts(
        self, registry: str | None, start: float, end: float, step: float
    ) -> list[tuple[int, int, int]]:
        """See the port. Ranges and not a histogram: their edges are the very numbers of the other stores."""
        slots = max(1, math.ceil((end - start) / step))
        ranges = [{"from": start + slot * step, "to": start + (slot + 1) * step} for slot in range(slots)]
        over = {
            "range": {"field": "seawall_store.at", "ranges": ranges},
            "aggs": {"failed": {"filter": FAILED}},
        }
        found = self._fresh().summed(within(registry, start, end), {"slots": over})
        rows = [
            (round((float(it["from"]) - start) / step), int(it["doc_count"]), int(it["failed"]["doc_count"]))
            for it in found.get("slots", {}).get("buckets", ())
            if it["doc_count"]
        ]
        return sorted(rows)

    def failures(self, registry: str | None, start: float, end: float, limit: int) -> list[Event]:
        """See the port."""
        found = self._fresh().first(narrowed(within(registry, start, end), FAILED), _NEWEST, limit)
        return [event_of(hit["_source"]) for hit in found]

    def slowest_pulls(self, registry: str, start: float, end: float, limit: int) -> list[Event]:
        """See the port."""
        query = within(registry, start, end, seawall_store__client_manifest=True)
        sort = [{"event.duration": {"order": "desc"}}, *_NEWEST]
        return [event_of(hit["_source"]) for hit in self._fresh().first(query, sort, limit)]

    def repositories(self, registry: str, start: float, end: float, limit: int, by: By) -> list[Repository]:
        """See the port. All repositories are grouped, so that none is left out."""
        query = within(registry, start, end, seawall_store__client_request=True)
        groups = self._fresh().groups(query, "registry.repository", _OF_REPOSITORY)
        found = [
            Repository(
                it["key"]["of"],
                it["pulls"]["doc_count"],
                int(it["got"]["bytes"]["value"] or 0),
                it["failed"]["doc_count"],
            )
            for it in groups
        ]
        return ranked(found, limit, by)
