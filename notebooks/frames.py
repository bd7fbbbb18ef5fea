"""Stored history as pandas frames, read through the stores' ports."""

import pandas as pd

from notebooks.harbour import Harbour
from seawall.core.times import rfc3339
from seawall.stores.event_columns import is_client_request

MOST = 1_000_000  # events that are read at most
EVER = 4e9


def newest(harbour: Harbour) -> float:
    """When the newest event was, Unix seconds; ValueError where there is none."""
    found = harbour.history.events.recent(harbour.registry, 0, EVER, 1)
    if not found:
        raise ValueError(f"no event of {harbour.registry} is kept")
    return found[0].at


def requests(harbour: Harbour, start: float, end: float) -> pd.DataFrame:
    """Events of HTTP requests in [start, end): `at` (Unix seconds), `when` (UTC), `seconds` (NaN where the
    source tells none), `client_request` (counted by the store as a real client's), ECS fields by short
    names."""
    rows = [
        {
            "at": it.at,
            "repository": it.fields.get("registry.repository", ""),
            "operation": it.fields.get("registry.operation", ""),
            "client": it.fields.get("client.ip", ""),
            "method": it.fields.get("http.request.method", ""),
            "status": it.fields.get("http.response.status_code"),
            "seconds": it.fields["event.duration"] / 1e9 if "event.duration" in it.fields else float("nan"),
            "cache": it.fields.get("registry.cache_status", ""),
            "client_request": is_client_request(it),
        }
        for it in harbour.history.events.recent(harbour.registry, start, end, MOST)
        if "http.response.status_code" in it.fields
    ]
    frame = pd.DataFrame(rows).sort_values("at", ignore_index=True)
    return frame.assign(when=pd.to_datetime(frame["at"], unit="s", utc=True))


def samples(harbour: Harbour, signal: str, start: float, end: float) -> pd.DataFrame:
    """Samples of one signal in [start, end): `at`, `value` and a column a label."""
    found = harbour.history.samples.range(harbour.registry, signal, start, end)
    return pd.DataFrame([{"at": it.at, "value": it.value, **dict(it.labels)} for it in found])


def told(at: float) -> str:
    """RFC 3339, to the second."""
    return rfc3339(at)[:19] + "Z"
