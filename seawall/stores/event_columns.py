"""What the event stores index beside the document: one row of typed columns per event."""

import json
from collections.abc import Sequence
from typing import Any

from seawall.core.signals import EXCLUDED_USER_AGENTS, Event

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
}


def is_client_request(event: Event) -> bool:
    """A request of a real client: not Seawall's own, not a registry's inner one. One request is
    often logged twice (access line and application line); the one with a duration is counted."""
    fields = event.fields
    agent = str(fields.get("user_agent.original", ""))
    return (
        "event.duration" in fields
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


def duration_seconds(event: Event) -> float | None:
    """`event.duration` is nanoseconds (ECS)."""
    value = event.fields.get("event.duration")
    return None if value is None else float(value) / 1e9


def client_address(event: Event) -> str | None:
    """`client.ip` as text."""
    value = event.fields.get("client.ip")
    return None if value is None else str(value)


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
        "body": [json.dumps(dict(e.fields), ensure_ascii=False, separators=(",", ":")) for e in events],
    }
