"""What the event stores index beside the document: one row of typed columns per event."""

from collections.abc import Sequence
from typing import Any

import orjson

from seawall.core.looks import is_failure
from seawall.core.pulls import DATASET, SOURCES
from seawall.core.signals import BEHIND_PROXY, EXCLUDED_USER_AGENTS, Event
from seawall.core.times import parse_time

COLUMNS = {
    "id": "VARCHAR",
    "ts": "DOUBLE",
    "registry": "VARCHAR",
    "dataset": "VARCHAR",
    "repository": "VARCHAR",
    "client": "VARCHAR",
    "status": "INTEGER",
    "duration": "DOUBLE",
    "client_request": "BOOLEAN",
    "client_manifest": "BOOLEAN",
    "body": "VARCHAR",
    # Columns that came later: rows of an older Seawall lack them.
    "seq": "BIGINT",
    "source": "BOOLEAN",
    "image": "BOOLEAN",
    "signature": "VARCHAR",
    "settles": "VARCHAR",
    "judged": "DOUBLE",
    "failure": "BOOLEAN",
    "sent": "BIGINT",
}


def is_client_request(event: Event) -> bool:
    """A request of a real client: not Seawall's own, not a registry's inner one. One request is
    often logged twice (access line and application line); the one with a duration is counted, and of a
    proxy's and the registry's the one that the configuration names."""
    fields = event.fields
    agent = str(fields.get("user_agent.original", ""))
    return (
        "event.duration" in fields
        and BEHIND_PROXY not in fields
        and "http.response.status_code" in fields
        and not agent.startswith(EXCLUDED_USER_AGENTS)
    )


def is_client_manifest(event: Event) -> bool:
    """A manifest GET answered 200 or 304 to a real client (registries.md section 3, indicator 1)."""
    fields = event.fields
    return (
        fields.get("registry.operation") == "manifest"
        and fields.get("http.request.method") == "GET"
        and fields.get("http.response.status_code") in (200, 304)
        and is_client_request(event)
    )


def sent_bytes(event: Event) -> int:
    """Bytes of the body that a GET was answered with."""
    fields = event.fields
    return (
        int(fields.get("http.response.body.bytes") or 0) if fields.get("http.request.method") == "GET" else 0
    )


def duration_seconds(event: Event) -> float | None:
    """`event.duration` is nanoseconds (ECS)."""
    value = event.fields.get("event.duration")
    return None if value is None else float(value) / 1e9


def client_address(event: Event) -> str | None:
    """`client.ip` as text."""
    value = event.fields.get("client.ip")
    return None if value is None else str(value)


def is_of_source(event: Event) -> bool:
    """One of those that tell of pulls told it."""
    return event.fields.get("event.dataset") in SOURCES


def is_image(event: Event) -> bool:
    """A manifest was pulled or pushed. HEAD asks only: Distribution tells it as a pull all the same."""
    fields = event.fields
    return (
        fields.get("event.action") in ("pull", "push")
        and fields.get("registry.operation") == "manifest"
        and fields.get("http.request.method") != "HEAD"
        and is_of_source(event)
    )


def signature_of(event: Event) -> str | None:
    """The verdict on a pull, if the event is one."""
    fields = event.fields
    return fields.get("seawall.signature") if fields.get("event.dataset") == DATASET else None


def settled(event: Event) -> str | None:
    """The id of the unknown verdict that this one settles."""
    return event.fields.get("seawall.settles") if signature_of(event) else None


def judged_at(event: Event) -> float:
    """When a verdict was reached; NaN of what is none."""
    return parse_time(str(event.fields["event.created"])) if signature_of(event) else float("nan")


def columns_of(events: Sequence[Event]) -> dict[str, list[Any]]:
    """Column name -> values, in the order of `events`; a missing status is 0, a missing duration NaN."""
    return {
        "id": [e.id for e in events],
        "ts": [e.at for e in events],
        "registry": [e.registry for e in events],
        "dataset": [e.fields.get("event.dataset") for e in events],
        "repository": [e.fields.get("registry.repository") for e in events],
        "client": [client_address(e) for e in events],
        "status": [int(e.fields.get("http.response.status_code") or 0) for e in events],
        "duration": [float("nan") if (d := duration_seconds(e)) is None else d for e in events],
        "client_request": [is_client_request(e) for e in events],
        "client_manifest": [is_client_manifest(e) for e in events],
        "source": [is_of_source(e) for e in events],
        "image": [is_image(e) for e in events],
        "signature": [signature_of(e) for e in events],
        "settles": [settled(e) for e in events],
        "judged": [judged_at(e) for e in events],
        "failure": [is_failure(e.fields) for e in events],
        "sent": [sent_bytes(e) for e in events],
        "body": [orjson.dumps(dict(e.fields)).decode() for e in events],
    }
