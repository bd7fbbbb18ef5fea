"""What Elasticsearch tells of pulls: the port PullEvents."""

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from typing import Any

from seawall.core.pulls import SIGNED, UNKNOWN, UNSIGNED, Arrivals, Counted, Culprit, PullCounts
from seawall.core.signals import Event
from seawall.stores.elasticsearch_documents import event_of
from seawall.stores.elasticsearch_search import Query, Search, narrowed, within
from seawall.stores.event_columns import settled

_BY_ID = {"seawall_store.id": {"order": "asc"}}
_BY_TIME = [{"seawall_store.at": {"order": "asc"}}, _BY_ID]
_SAID = {"exists": {"field": "seawall_store.judged"}}
_SETTLES = {"exists": {"field": "seawall.settles"}}
_NEWEST = {"newest": {"max": {"field": "seawall_store.at"}}}
_JUDGED = {"judged": {"max": {"field": "seawall_store.judged"}}}


class ElasticsearchPulls(ABC):
    """Mixed into the event store."""

    @abstractmethod
    def _fresh(self) -> Search:
        """The search, over what was written."""

    def images(self, registry: str, after: int, limit: int) -> Arrivals:
        """See the port. A position is the microsecond of the arrival, or the next free one."""
        search = self._fresh()
        later = {"range": {"seawall_store.seq": {"gt": after}}}
        top = search.first(
            {"bool": {"filter": [later]}}, [{"seawall_store.seq": {"order": "desc"}}], 1, False
        )
        if not top:
            return Arrivals((), after)
        upto = int(top[0]["sort"][0])
        query = within(registry, float("-inf"), float("inf"), seawall_store__image=True)
        span = {"range": {"seawall_store.seq": {"gt": after, "lte": upto}}}
        found = search.first(narrowed(query, span), [{"seawall_store.seq": {"order": "asc"}}], limit)
        events = [(int(hit["sort"][0]), event_of(hit["_source"])) for hit in found]
        return Arrivals(events, events[-1][0] if len(events) == limit else upto)

    def told_at(self, registry: str, start: float, end: float) -> float | None:
        """See the port."""
        query = within(registry, start, end, seawall_store__source=True)
        sort = [{"seawall_store.at": {"order": "desc"}}]
        found = self._fresh().first(query, sort, 1, False)
        return float(found[0]["sort"][0]) if found else None

    def pull_counts(self, registry: str, start: float, end: float, until: float) -> PullCounts:
        """See the port."""
        before = {"range": {"seawall_store.judged": {"lt": until}}}
        query = narrowed(within(registry, start, end), _SAID, before)
        inner = _JUDGED | {"settling": {"filter": _SETTLES}}
        found = {it["key"]["of"]: it for it in self._fresh().groups(query, "seawall.signature", inner)}
        count = {name: it["doc_count"] for name, it in found.items()}
        over = sum(it["settling"]["doc_count"] for it in found.values())
        return _counts(count | {UNKNOWN: max(0, count.get(UNKNOWN, 0) - over)}, found)

    def judged_counts(self, registry: str, start: float, end: float, since: float) -> PullCounts:
        """See the port."""
        after = {"range": {"seawall_store.judged": {"gte": since}}}
        query = narrowed(within(registry, start, end), _SAID, after)
        found = {it["key"]["of"]: it for it in self._fresh().groups(query, "seawall.signature", _JUDGED)}
        count = {name: it["doc_count"] for name, it in found.items()}
        if count.get(UNKNOWN):
            count[UNKNOWN] = sum(1 for _ in self._open(registry, start, end, after))
        return _counts(count, found)

    def culprits(self, registry: str, start: float, end: float, signature: str, limit: int) -> list[Culprit]:
        """See the port."""
        if signature == UNKNOWN:
            found = self._unknown_culprits(registry, start, end)
        else:
            query = within(registry, start, end, seawall__signature=signature)
            groups = self._fresh().groups(narrowed(query, _SAID), "seawall_store.who", _NEWEST)
            found = [
                _culprit(it["key"]["of"], it["doc_count"], float(it["newest"]["value"])) for it in groups
            ]
        return sorted(found, key=lambda it: -it.at)[:limit]

    def _unknown_culprits(self, registry: str, start: float, end: float) -> list[Culprit]:
        count: Counter[str] = Counter()
        newest: dict[str, float] = {}
        for source in self._open(registry, start, end):
            who, at = source["seawall_store"]["who"], float(source["seawall_store"]["at"])
            count[who] += 1
            newest[who] = max(at, newest.get(who, at))
        return [_culprit(who, number, newest[who]) for who, number in count.items()]

    def counted(self, registry: str, start: float, end: float) -> list[Counted]:
        """See the port."""
        query = narrowed(within(registry, start, end), _SAID, without=[_SETTLES])
        found = []
        for hit in self._fresh().pages(query, _BY_TIME):
            own = hit["_source"]["seawall_store"]
            repository, digest, _, user, client, _ = json.loads(own["who"])
            found.append(Counted(float(own["at"]), repository, digest, user, client))
        return found

    def unsettled(self, registry: str, start: float, end: float, limit: int) -> list[Event]:
        """See the port."""
        found: list[Event] = []
        for source in self._open(registry, start, end):
            if len(found) == limit:
                break
            found.append(event_of(source))
        return found

    def _open(
        self, registry: str, start: float, end: float, *filters: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """Documents of unknown verdicts that no other one of the same moment settles, by time."""
        search, said = self._fresh(), within(registry, start, end)
        settling: Query = narrowed(said, _SAID, _SETTLES)
        over = {
            (settled(event), event.at)
            for event in (event_of(hit["_source"]) for hit in search.pages(settling, _BY_TIME))
        }
        query = narrowed(within(registry, start, end, seawall__signature=UNKNOWN), _SAID, *filters)
        for hit in search.pages(query, _BY_TIME):
            own = hit["_source"]["seawall_store"]
            if (own["id"], float(own["at"])) not in over:
                yield hit["_source"]


def _culprit(who: str, count: int, at: float) -> Culprit:
    repository, digest, reference, user, client, reason = json.loads(who)
    return Culprit(repository, digest, reference, user, client, reason, count, at)


def _counts(count: dict[str, int], groups: dict[str, Any]) -> PullCounts:
    newest = groups[UNSIGNED]["judged"]["value"] if UNSIGNED in groups else None
    return PullCounts(
        count.get(SIGNED, 0),
        count.get(UNSIGNED, 0),
        count.get(UNKNOWN, 0),
        None if newest is None else float(newest),
    )
