"""What the event store in memory answers pages: the port EventLooks over its dictionary."""

from abc import ABC, abstractmethod
from collections import Counter, defaultdict

from seawall.core.looks import By, Repository, is_failure, ranked
from seawall.core.signals import Event
from seawall.stores.event_columns import is_client_manifest, is_client_request, sent_bytes


class MemoryLooks(ABC):
    """Mixed into the event store."""

    @abstractmethod
    def _between(self, registry: str | None, start: float, end: float) -> list[Event]:
        """Events in [start, end), newest first."""

    def counts(
        self, registry: str | None, start: float, end: float, step: float
    ) -> list[tuple[int, int, int]]:
        """See the port."""
        total: Counter[int] = Counter()
        failed: Counter[int] = Counter()
        for event in self._between(registry, start, end):
            slot = int((event.at - start) // step)
            total[slot] += 1
            failed[slot] += is_failure(event.fields)
        return [(slot, total[slot], failed[slot]) for slot in sorted(total)]

    def failures(self, registry: str | None, start: float, end: float, limit: int) -> list[Event]:
        """See the port."""
        return [it for it in self._between(registry, start, end) if is_failure(it.fields)][:limit]

    def repositories(self, registry: str, start: float, end: float, limit: int, by: By) -> list[Repository]:
        """See the port."""
        sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for event in self._between(registry, start, end):
            name = event.fields.get("registry.repository")
            if name is None or not is_client_request(event):
                continue
            found = sums[str(name)]
            found[0] += is_client_manifest(event)
            found[1] += sent_bytes(event)
            found[2] += event.fields["http.response.status_code"] >= 500
        return ranked([Repository(name, *found) for name, found in sums.items()], limit, by)

    def slowest_pulls(self, registry: str, start: float, end: float, limit: int) -> list[Event]:
        """See the port."""
        found = [it for it in self._between(registry, start, end) if is_client_manifest(it)]
        return sorted(found, key=lambda it: (-it.fields["event.duration"], -it.at, it.id))[:limit]
