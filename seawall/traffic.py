"""What clients ask of a registry, minute by minute, as signals for the models."""

from seawall.core.ports import EventStore
from seawall.core.times import MINUTE

REQUESTS, FAILED = "requests_per_minute", "failed_requests_per_minute"
SETTLE = 30.0  # seconds that a log may lag behind


class Traffic:
    """Counts each minute once. A registry of which no request was ever seen has no traffic that could stop:
    its log may not be followed."""

    def __init__(self, events: EventStore) -> None:
        self._events = events
        self._counted: dict[str, int] = {}
        self._visited: set[str] = set()

    def count(self, registry: str, now: float) -> dict[str, float]:
        """Requests and 5xx answers of the last whole minute, by signal; {} while that is known already."""
        minute = int((now - SETTLE) // MINUTE) - 1
        if self._counted.get(registry) == minute:
            return {}
        self._counted[registry] = minute
        found = self._events.errors_by_minute(registry, minute * MINUTE, (minute + 1) * MINUTE)
        if found:
            self._visited.add(registry)
        elif registry not in self._visited:
            return {}
        _, requests, failed = found[0] if found else (minute, 0, 0)
        return {REQUESTS: float(requests), FAILED: float(failed)}
