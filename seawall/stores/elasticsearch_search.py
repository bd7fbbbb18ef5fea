"""Searches over all data streams of a namespace: points in time, pages, groups.

Sources: https://www.elastic.co/docs/reference/elasticsearch/rest-apis/paginate-search-results (PIT,
search_after) and .../aggregations/search-aggregations-bucket-composite-aggregation.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import elasticsearch

from seawall.stores.elasticsearch_client import reached
from seawall.stores.elasticsearch_templates import stream

PAGE = 5000  # documents or groups of one answer
KEEP_ALIVE = "2m"
Query = Mapping[str, Any]
Hit = Mapping[str, Any]


class Search:
    """Reads of one namespace. Every error is a StoreUnavailable."""

    def __init__(self, client: elasticsearch.Elasticsearch, url: str, namespace: str) -> None:
        self._client, self._url, self._dirty = client, url, True
        self._pattern = stream("*", namespace)

    def written(self) -> None:
        """Something is about to be kept; what was found before is out of date."""
        self._dirty = True

    def refresh(self) -> None:
        """Make what was kept visible, if anything was."""
        if self._dirty:
            with reached(self._url, "refresh"):
                self._client.indices.refresh(index=self._pattern, ignore_unavailable=True)
            self._dirty = False

    def first(self, query: Query, sort: Sequence[Any], size: int, source: Any = True) -> list[Hit]:
        """The first `size` documents."""
        return list(self.pages(query, sort, size, source))

    def count(self, query: Query, pit: str | None = None) -> int:
        """How many documents, exactly."""
        found = self._ask(pit, query=query, size=0, track_total_hits=True)
        return int(found["hits"]["total"]["value"])

    def pages(
        self,
        query: Query,
        sort: Sequence[Any],
        limit: int | None = None,
        source: Any = True,
        pit: str | None = None,
    ) -> Iterator[Hit]:
        """Documents in the order of `sort` (its last key is unique), up to `limit`, page by page of one
        state."""
        if limit is not None and limit <= PAGE and pit is None:
            yield from self._page(None, query, sort, limit, source, None)
            return
        if pit is None:
            with self.pit() as made:
                yield from self.pages(query, sort, limit, source, made)
            return
        after, left = None, limit
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            hits = self._page(pit, query, sort, size, source, after)
            yield from hits
            if len(hits) < size:
                return
            after, left = hits[-1]["sort"], None if left is None else left - len(hits)

    def groups(self, query: Query, field: str, inner: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Buckets of all values of a field, with their inner aggregations: none is left out."""
        after: Mapping[str, Any] | None = None
        while True:
            composite: dict[str, Any] = {"size": PAGE, "sources": [{"of": {"terms": {"field": field}}}]}
            if after is not None:
                composite["after"] = after
            asked = {"groups": {"composite": composite, "aggs": dict(inner)}}
            found = self.summed(query, asked)["groups"]
            yield from found["buckets"]
            if len(found["buckets"]) < PAGE:
                return
            after = found["buckets"][-1]["key"]

    def summed(self, query: Query, aggs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Aggregations alone; {} where no data stream is there yet."""
        found = self._ask(None, query=query, size=0, track_total_hits=False, aggs=aggs)
        return dict(found.get("aggregations") or {})

    @contextmanager
    def pit(self) -> Iterator[str]:
        """A state of the data that stands still while it is read."""
        with reached(self._url, "opening a point in time"):
            made = self._client.open_point_in_time(
                index=self._pattern, keep_alive=KEEP_ALIVE, ignore_unavailable=True
            )
        try:
            yield made["id"]
        finally:
            with reached(self._url, "closing a point in time"):
                self._client.options(ignore_status=404).close_point_in_time(id=made["id"])

    def _page(
        self, pit: str | None, query: Query, sort: Sequence[Any], size: int, source: Any, after: Any
    ) -> list[Hit]:
        body: dict[str, Any] = {"query": query, "sort": list(sort), "size": size, "source": source}
        if after is not None:
            body["search_after"] = after
        hits: list[Hit] = self._ask(pit, track_total_hits=False, **body)["hits"]["hits"]
        return hits

    def _ask(self, pit: str | None, **body: Any) -> Any:
        """A part of the shards is no answer."""
        if pit is not None:
            where: dict[str, Any] = {"pit": {"id": pit, "keep_alive": KEEP_ALIVE}}
        else:
            where = {"index": self._pattern, "ignore_unavailable": True}
        with reached(self._url, "search"):
            return self._client.search(**where, allow_partial_search_results=False, **body)


def within(registry: str | None, start: float, end: float, **terms: Any) -> Query:
    """Events of a registry (None: any) in [start, end) with these exact values, `__` for a dot."""
    at = {name: value for name, value in (("gte", start), ("lt", end)) if abs(value) != float("inf")}
    must: list[dict[str, Any]] = [{"range": {"seawall_store.at": at}}] if at else []
    if registry is not None:
        must.append({"term": {"registry.name": registry}})
    must += [{"term": {name.replace("__", "."): value}} for name, value in terms.items()]
    return {"bool": {"filter": must}}


def narrowed(query: Query, *filters: Mapping[str, Any], without: Sequence[Mapping[str, Any]] = ()) -> Query:
    """The same query with more conditions."""
    of: dict[str, Any] = {"filter": [*query["bool"]["filter"], *filters]}
    return {"bool": of | ({"must_not": list(without)} if without else {})}
