"""The newest request of a client, by registry: a question about a time after it needs no look at the store.

Of some hundreds of registries most are quiet, or have no log that is followed; each turn asks several
questions about the last minutes of each.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any

NEWEST = "SELECT registry, max(ts) FROM events_all WHERE client_request GROUP BY registry"


class Newest:
    """Registry -> time of its newest request (Unix seconds), read once by `load`, then kept up to date."""

    def __init__(self, load: Callable[[], Iterable[tuple[Any, ...]]]) -> None:
        self._load, self._lock = load, threading.Lock()
        self._at: dict[str, float] | None = None

    def add(self, registries: Any, times: Any, requests: Any) -> None:
        """Events that are durable now, as arrays: their registries, their times, which are requests."""
        names, at = registries[requests].tolist(), times[requests].tolist()
        with self._lock:
            if self._at is not None:
                for registry, moment in zip(names, at, strict=True):
                    self._at[registry] = max(moment, self._at.get(registry, moment))

    def none_since(self, registry: str, start: float) -> bool:
        """True only if no request of this registry at or after `start` is stored."""
        with self._lock:
            if self._at is None:
                self._at = dict(self._load())
            return registry not in self._at or self._at[registry] < start
