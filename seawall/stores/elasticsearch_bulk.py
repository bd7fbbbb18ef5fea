"""The bulk path: what every single item came to, back-pressure, and letters that nobody will ever take.

Source: https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk.
"""

import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import elasticsearch
import orjson

from seawall.config.stores import ElasticsearchAccess
from seawall.core.errors import StoreUnavailable
from seawall.stores.elasticsearch_client import check_version, reached
from seawall.stores.elasticsearch_documents import Pair, opened
from seawall.stores.elasticsearch_templates import (
    KINDS,
    checkpoints_index,
    checkpoints_template,
    components,
    index_template,
    policy,
    policy_name,
    stream,
)

LARGEST = 8 << 20  # bytes of one request
AT_ONCE = 4  # requests of one delivery, where it needs several
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds, between tries
LOOK = 60.0  # seconds for which the birth of a backing index is believed
_TAKEN, _THERE = (200, 201), 409
log = logging.getLogger(__name__)


class Bulk:
    """Delivers records. `dead` is the file of what was refused for good."""

    def __init__(
        self, client: elasticsearch.Elasticsearch, url: str, access: ElasticsearchAccess, dead: Path
    ) -> None:
        self._client, self._url, self._access, self._dead = client, url, access, dead
        self._prepared = False
        self._burying = threading.Lock()
        self._births: dict[str, tuple[float, float]] = {}  # stream -> (looked at, its newest index's birth)
        self.refused = 0

    def deliver(self, record: bytes) -> int:
        """How many events were new. StoreUnavailable: nothing is lost by delivering the record again."""
        self._prepare()
        checkpoints, pairs = opened(record)
        parts = self._parts(self._without_older(pairs))
        if len(parts) > 1:
            with ThreadPoolExecutor(min(AT_ONCE, len(parts)), "bulk") as pool:
                new = sum(pool.map(self._create, parts))
        else:
            new = sum(map(self._create, parts))
        if checkpoints:
            self._keep(checkpoints)
        return new

    # once ----------------------------------------------------------------------------------

    def _prepare(self) -> None:
        if self._prepared:
            return
        of, access = self._client, self._access
        with reached(self._url, "info"):
            check_version(of.info(), self._url)
        with reached(self._url, "setting up templates"):
            for kind in KINDS:
                name = policy_name(kind, access.namespace)
                self._lifecycle(name, policy(getattr(access.retention, kind)))
            for name, template in components(access).items():
                of.cluster.put_component_template(name=name, **template)
            for kind in KINDS:
                of.indices.put_index_template(
                    name=policy_name(kind, access.namespace), **index_template(kind, access.namespace)
                )
            name = checkpoints_index(access.namespace)
            of.indices.put_index_template(name=name, **checkpoints_template(access))
        self._prepared = True

    def _lifecycle(self, name: str, body: Mapping[str, Any]) -> None:
        try:
            self._client.ilm.put_lifecycle(name=name, policy=body)
        except elasticsearch.ApiError as error:
            # A server without ILM (serverless, an emulator) keeps its events; somebody else must delete them.
            if error.status_code not in (400, 404, 405, 410):
                raise
            log.warning("%s: takes no lifecycle policy %s: %s", self._url, name, error.message)

    # create --------------------------------------------------------------------------------

    def _parts(self, pairs: Sequence[Pair]) -> list[list[Pair]]:
        parts: list[list[Pair]] = []
        size = LARGEST
        for pair in pairs:
            size += len(pair[0]) + len(pair[1]) + 2
            if size > LARGEST or len(parts[-1]) == self._access.batch:
                parts.append([])
                size = len(pair[0]) + len(pair[1]) + 2
            parts[-1].append(pair)
        return parts

    def _create(self, pairs: Sequence[Pair]) -> int:
        """Item by item: new, there already, to be tried again, dead."""
        new, waiting, pause = 0, list(pairs), FIRST_PAUSE
        for left in reversed(range(self._access.retries + 1)):
            results = self._send(waiting)
            again: list[Pair] = []
            reason = ""
            for pair, result in zip(waiting, results, strict=True):
                status = int(result["status"])
                if status in _TAKEN:
                    new += 1
                elif _blocked(status, result):
                    again.append(pair)
                    reason = f"{status}: {result['error'].get('reason', '')}"
                elif status != _THERE:
                    self._bury(pair, status, result["error"])
            if not again:
                return new
            waiting = again
            if left:
                time.sleep(pause)  # the cluster asked for a rest
                pause = min(LONGEST_PAUSE, pause * 2)
        raise StoreUnavailable(f"{self._url}: takes no more events; {len(waiting)} wait: {reason}")

    def _send(self, pairs: Sequence[Pair]) -> list[dict[str, Any]]:
        """One result for each pair."""
        with reached(self._url, "bulk"):
            lines: Any = [line for pair in pairs for line in pair]
            answer = self._client.bulk(operations=lines, filter_path="errors,items.*.status,items.*.error")
        return [next(iter(item.values())) for item in answer["items"]]

    def _bury(self, pair: Pair, status: int, error: Mapping[str, Any]) -> None:
        cause = error.get("caused_by", {}).get("reason", "")
        reason = f"{error.get('type')}: {error.get('reason')} {cause}".strip()
        log.error("Elasticsearch refuses an event: %s; see %s", reason, self._dead)
        row = {
            "status": status,
            "reason": reason,
            "action": json.loads(pair[0]),
            "document": json.loads(pair[1]),
        }
        with self._burying, self._dead.open("a", encoding="utf-8") as file:
            self.refused += 1
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())

    # repeats -------------------------------------------------------------------------------

    def _without_older(self, pairs: Sequence[Pair]) -> list[Pair]:
        """An _id is unique in one backing index only: what may lie in an older one is looked for first."""
        suspects: dict[str, Pair] = {}
        for pair in pairs:
            place = orjson.loads(pair[0])["create"]
            birth = self._birth(place["_index"])
            if birth and orjson.loads(pair[1])["seawall_store"]["at"] <= birth:
                suspects[place["_id"]] = pair
        there = (
            {pair for id, pair in suspects.items() if id in self._known(list(suspects))}
            if suspects
            else set()
        )
        return [pair for pair in pairs if pair not in there]

    def _birth(self, name: str) -> float:
        """When the newest backing index of a stream began, 0 if it is the only one (Unix seconds)."""
        looked, birth = self._births.get(name, (-LOOK, 0.0))
        if time.monotonic() - looked >= LOOK:
            birth = self._look(name)
            self._births[name] = (time.monotonic(), birth)
        return birth

    def _look(self, name: str) -> float:
        with reached(self._url, f"looking at {name}"):
            try:
                streams = self._client.indices.get_data_stream(name=name)["data_streams"]
            except elasticsearch.NotFoundError:
                return 0.0
            if not streams or len(streams[0]["indices"]) < 2:
                return 0.0
            newest = streams[0]["indices"][-1]["index_name"]
            found = self._client.indices.get_settings(index=newest, name="index.creation_date")
        return int(found[newest]["settings"]["index"]["creation_date"]) / 1000

    def _known(self, ids: Sequence[str]) -> set[str]:
        pattern, known = stream("*", self._access.namespace), set()
        with reached(self._url, "looking for repeats"):
            self._client.indices.refresh(index=pattern)
            for first in range(0, len(ids), 1000):
                part = list(ids[first : first + 1000])
                found = self._client.search(
                    index=pattern, query={"ids": {"values": part}}, size=len(part), source=False
                )
                known |= {hit["_id"] for hit in found["hits"]["hits"]}
        return known

    # positions -----------------------------------------------------------------------------

    def _keep(self, checkpoints: Mapping[str, str]) -> None:
        """After their events: a kill between repeats events, and a repeat changes nothing."""
        index = checkpoints_index(self._access.namespace)
        pairs = [
            (
                orjson.dumps({"index": {"_index": index, "_id": checkpoint_id(source)}}),
                orjson.dumps({"source": source, "position": position}),
            )
            for source, position in checkpoints.items()
        ]
        for result in self._send(pairs):
            if result["status"] not in _TAKEN:
                raise StoreUnavailable(f"{self._url}: keeps no position: {result['error'].get('reason', '')}")


def checkpoint_id(source: str) -> str:
    """A source may be a path of any length."""
    return hashlib.sha256(source.encode()).hexdigest()


def _blocked(status: int, result: Mapping[str, Any]) -> bool:
    """Later it may be taken: overload, a lost shard, or the block of a full disk (429; 403 of older ones)."""
    kind = str(result.get("error", {}).get("type", ""))
    return status == 429 or status >= 500 or (status == 403 and kind == "cluster_block_exception")
