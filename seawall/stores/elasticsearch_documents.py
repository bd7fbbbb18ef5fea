"""Event <-> document, and what a delivery looks like in the spool: NDJSON of the bulk API after one line
of ours."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from seawall.core.signals import Event
from seawall.core.times import rfc3339
from seawall.stores.elasticsearch_templates import kind_of, stream
from seawall.stores.event_columns import (
    is_client_manifest,
    is_client_request,
    is_image,
    is_of_source,
    judged_at,
    signature_of,
)

LONGEST_ID = 512  # bytes, of Elasticsearch
WHO = (
    "registry.repository",
    "registry.digest",
    "registry.reference",
    "user.name",
    "client.ip",
    "seawall.reason",
)
Pair = tuple[bytes, bytes]  # the action, the document


def document_id(id: str) -> str:
    """The deterministic _id of an event."""
    return id if len(id.encode()) <= LONGEST_ID else hashlib.sha256(id.encode()).hexdigest()


def document(event: Event, seq: int) -> dict[str, Any]:
    """The source that is kept: the event's own fields, those that every document has, and the store's."""
    fields = event.fields
    has = {"@timestamp": rfc3339(event.at), "event.id": event.id, "registry.name": event.registry}
    own: dict[str, Any] = {
        "id": event.id,
        "at": event.at,
        "minute": int(event.at // 60),
        "seq": seq,
        "client_request": is_client_request(event),
        "client_manifest": is_client_manifest(event),
        "source": is_of_source(event),
        "image": is_image(event),
    }
    if added := [name for name in has if name not in fields]:
        own["added"] = added
    if signature_of(event):
        own["judged"] = judged_at(event)
        own["who"] = json.dumps([str(fields.get(name, "")) for name in WHO], ensure_ascii=False)
    return {**has, **fields, "seawall_store": own}


def event_of(source: Mapping[str, Any]) -> Event:
    """A document -> the event that it was."""
    own = source["seawall_store"]
    dropped = {"seawall_store", *own.get("added", ())}
    registry = str(source["registry.name"])
    fields = {name: value for name, value in source.items() if name not in dropped}
    return Event(own["id"], float(own["at"]), registry, fields)


def delivery(events: Sequence[Event], checkpoints: Mapping[str, str], namespace: str, first: int) -> bytes:
    """Events (their positions rise from `first`) and checkpoints as one record."""
    streams = {kind: stream(kind, namespace) for kind in ("access", "audit", "pull", "run")}
    lines = [orjson.dumps({"checkpoints": dict(checkpoints)})]
    for seq, event in enumerate(events, first):
        place = {"_index": streams[kind_of(event)], "_id": document_id(event.id)}
        lines.append(orjson.dumps({"create": place}))
        lines.append(orjson.dumps(document(event, seq)))
    return b"\n".join(lines)


def opened(record: bytes) -> tuple[dict[str, str], list[Pair]]:
    """(checkpoints, actions with their documents) of a record; a repeat within it is dropped."""
    head, *lines = record.split(b"\n")
    pairs = dict(
        zip(lines[::2], lines[1::2], strict=True)
    )  # the first place, any document: repeats are alike
    return checkpoints_of(head), list(pairs.items())


def merged(records: Sequence[bytes]) -> bytes:
    """Records that follow one another as one: the newest position of each source stands."""
    checkpoints: dict[str, str] = {}
    lines: list[bytes] = []
    for record in records:
        head, *more = record.split(b"\n")
        checkpoints |= checkpoints_of(head)
        lines += more
    return b"\n".join([orjson.dumps({"checkpoints": checkpoints}), *lines])


def checkpoints_of(head: bytes) -> dict[str, str]:
    """The positions that the first line of a record tells."""
    found: dict[str, str] = orjson.loads(head)["checkpoints"]
    return found


def highest(record: bytes) -> int:
    """The highest position of a record's events, 0 if it has none."""
    return max((orjson.loads(it)["seawall_store"]["seq"] for _, it in opened(record)[1]), default=0)
