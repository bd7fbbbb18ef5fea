"""What Elasticsearch tells of requests: the latest, latency, impact, errors."""

import math
from abc import ABC, abstractmethod

from seawall.core.ports import Quantile
from seawall.core.signals import Event
from seawall.stores.elasticsearch_documents import event_of
from seawall.stores.elasticsearch_search import Query, Search, within
from seawall.stores.memory import nearest_rank

EXACT = 40_000  # distinct values up to which their count is nearly exact (HyperLogLog++), the most there is
_FAILED = {"filter": {"range": {"http.response.status_code": {"gte": 500}}}}
_BY_ID = {"seawall_store.id": {"order": "asc"}}


class ElasticsearchRequests(ABC):
    """Mixed into the event store."""

    @abstractmethod
    def _fresh(self) -> Search:
        """The search, over what was written."""

    def recent(self, registry: str | None, start: float, end: float, limit: int) -> list[Event]:
        """See the port."""
        sort = [{"seawall_store.at": {"order": "desc"}}, _BY_ID]
        found = self._fresh().first(within(registry, start, end), sort, limit)
        return [event_of(hit["_source"]) for hit in found]

    def manifest_latency(self, registry: str, start: float, end: float, quantile: float) -> Quantile:
        """See the port. Exact: the value of the nearest rank is looked up in the order of durations, from
        the end that is nearer."""
        search, query = self._fresh(), within(registry, start, end, seawall_store__client_manifest=True)
        if not search.count(query):
            return Quantile(0, None)
        with search.pit() as pit:
            count = search.count(query, pit)
            rank = max(1, math.ceil(quantile * count))
            order, steps = ("desc", count - rank + 1) if rank * 2 > count else ("asc", rank)
            sort = [{"event.duration": {"order": order}}, _BY_ID]
            value = None
            for hit in search.pages(query, sort, steps, False, pit):
                value = hit["sort"][0] / 1e9
        return Quantile(count, value)

    def manifest_latency_of_last(
        self, registry: str, end: float, count: int, quantile: float
    ) -> tuple[Quantile, float | None]:
        """See the port."""
        query = within(registry, -math.inf, end, seawall_store__client_manifest=True)
        sort = [
            {"seawall_store.at": {"order": "desc"}},
            {"event.duration": {"order": "desc"}},
            _BY_ID,
        ]
        rows = [hit["sort"] for hit in self._fresh().first(query, sort, count, False)]
        value = nearest_rank([row[1] / 1e9 for row in rows], quantile)
        return Quantile(len(rows), value), min((float(row[0]) for row in rows), default=None)

    def impact(self, registry: str, start: float, end: float) -> tuple[int, int, int]:
        """See the port. Above 40,000 repositories or clients their number is within a few percent."""
        found = self._fresh().summed(
            self._requests(registry, start, end),
            {
                "failed": _FAILED,
                "repositories": _distinct("registry.repository"),
                "clients": _distinct("client.ip"),
            },
        )
        if not found:
            return 0, 0, 0
        return found["failed"]["doc_count"], found["repositories"]["value"], found["clients"]["value"]

    def errors_by_minute(self, registry: str, start: float, end: float) -> list[tuple[int, int, int]]:
        """See the port."""
        query = self._requests(registry, start, end)
        found = self._fresh().groups(query, "seawall_store.minute", {"failed": _FAILED})
        return [(int(it["key"]["of"]), it["doc_count"], it["failed"]["doc_count"]) for it in found]

    @staticmethod
    def _requests(registry: str, start: float, end: float) -> Query:
        return within(registry, start, end, seawall_store__client_request=True)


def _distinct(field: str) -> dict[str, dict[str, object]]:
    return {"cardinality": {"field": field, "precision_threshold": EXACT}}
