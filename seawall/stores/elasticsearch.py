"""Events in Elasticsearch 8 or 9, as data streams. Scheme: elasticsearch+http(s).

An event's _id is its own id, so that a redelivery is one document. While the server is away, overloaded or
out of disk, what is new waits in a spool in the order of arrival; reads then raise StoreUnavailable, so that
rows are unknown. Reads see all that was kept before them: they ask for a refresh where something was written.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seawall.config.stores import ElasticsearchAccess
from seawall.core.signals import Event
from seawall.stores.credentials import server_url
from seawall.stores.elasticsearch_bulk import Bulk, checkpoint_id
from seawall.stores.elasticsearch_client import connect, reached
from seawall.stores.elasticsearch_documents import checkpoints_of, delivery, highest, merged
from seawall.stores.elasticsearch_looks import ElasticsearchLooks
from seawall.stores.elasticsearch_pulls import ElasticsearchPulls
from seawall.stores.elasticsearch_requests import ElasticsearchRequests
from seawall.stores.elasticsearch_search import Search
from seawall.stores.elasticsearch_templates import checkpoints_index
from seawall.stores.spool import Spool
from seawall.stores.spool_outbox import Outbox

SCHEMES = ("elasticsearch+http", "elasticsearch+https")


class ElasticsearchEvents(ElasticsearchRequests, ElasticsearchPulls, ElasticsearchLooks):
    """The event store over one cluster. `folder` holds the spool and the dead letters. One process writes
    into a namespace at a time: positions rise with its clock."""

    def __init__(
        self,
        url: str,
        access: ElasticsearchAccess,
        folder: Path,
        clock: Callable[[], float],
        node_class: Any = None,
    ) -> None:
        self._url = server_url(url, "elasticsearch", "stores.events")
        self._access, self._clock = access, clock
        self._client = connect(self._url, access, node_class)
        spool = Spool(folder / "spool", access.spool << 20)
        self._order = threading.Lock()  # positions are given and delivered in one order
        self._pending = {source: at for head in spool.heads() for source, at in checkpoints_of(head).items()}
        last = spool.last()
        self._seq = highest(last) if last else 0
        self._bulk = Bulk(self._client, self._url, access, folder / "dead-letters.jsonl")
        self._outbox = Outbox(f"Elasticsearch {self._url}", spool, self._bulk.deliver, merged)
        self._search = Search(self._client, self._url, access.namespace)

    @property
    def depth(self) -> int:
        """Deliveries that wait in the spool."""
        return self._outbox.depth

    @property
    def refused(self) -> int:
        """Events since the start that Elasticsearch will never take; they are in dead-letters.jsonl."""
        return self._bulk.refused

    def append(self, events: Sequence[Event], checkpoints: Mapping[str, str]) -> int:
        """See the port. Of a delivery that must wait, all events count as new."""
        if not events and not checkpoints:
            return 0
        with self._order:
            record = delivery(events, checkpoints, self._access.namespace, self._positions(len(events)))
            self._search.written()
            new = self._outbox.send(record)
            if new is None:
                self._pending |= checkpoints
                return len({event.id for event in events})
            self._pending.clear()
            return new

    def _positions(self, count: int) -> int:
        """The first of `count` numbers above all that were given before."""
        first = max(self._seq + 1, int(self._clock() * 1e6))
        self._seq = first + count - 1
        return first

    def checkpoint(self, source: str) -> str | None:
        """See the port."""
        if source in self._pending:
            return self._pending[source]
        with reached(self._url, "reading a position"):
            found = self._client.options(ignore_status=404).get(
                index=checkpoints_index(self._access.namespace), id=checkpoint_id(source)
            )
        return found["_source"]["position"] if found.get("found") else None

    def _fresh(self) -> Search:
        """All that was kept is found by it. StoreUnavailable while something waits."""
        with self._order:
            self._outbox.check()
            self._search.refresh()
        return self._search

    def close(self) -> None:
        """See the port. What waits in the spool is found at the next start."""
        self._outbox.close()
        self._client.close()
