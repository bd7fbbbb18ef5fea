"""What the event store in memory tells of pulls: the port PullEvents over its dictionary."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Any

from seawall.core.pulls import Arrivals, Counted, Culprit, PullCounts
from seawall.core.signals import Event
from seawall.stores.event_columns import is_image, is_of_source, judged_at, settled, signature_of

_TEXTS = ("registry.repository", "registry.digest", "registry.reference", "user.name", "client.ip",
          "seawall.reason")  # fmt: skip

_Texts = tuple[str, str, str, str, str, str]


class MemoryPulls(ABC):
    """Mixed into the event store."""

    _events: dict[str, Event]

    @abstractmethod
    def _between(self, registry: str | None, start: float, end: float) -> list[Event]:
        """Events in [start, end)."""

    def images(self, registry: str, after: int, limit: int) -> Arrivals:
        """See the port."""
        found: list[tuple[int, Event]] = []
        for position, event in enumerate(islice(self._events.values(), after, None), after + 1):
            if event.registry == registry and is_image(event):
                found.append((position, event))
                if len(found) == limit:
                    return Arrivals(found, position)
        return Arrivals(found, len(self._events))

    def told_at(self, registry: str, start: float, end: float) -> float | None:
        """See the port."""
        return max((e.at for e in self._between(registry, start, end) if is_of_source(e)), default=None)

    def pull_counts(self, registry: str, start: float, end: float, until: float) -> PullCounts:
        """See the port."""
        said = [e for e in self._said(registry, start, end) if judged_at(e) < until]
        return _counts(_open(said))

    def judged_counts(self, registry: str, start: float, end: float, since: float) -> PullCounts:
        """See the port."""
        return _counts([e for e in _open(self._said(registry, start, end)) if judged_at(e) >= since])

    def culprits(self, registry: str, start: float, end: float, signature: str, limit: int) -> list[Culprit]:
        """See the port."""
        groups: dict[_Texts, list[float]] = {}
        for event in _open(self._said(registry, start, end)):
            if signature_of(event) == signature:
                key: Any = tuple(str(event.fields.get(name, "")) for name in _TEXTS)
                groups.setdefault(key, []).append(event.at)
        found = [Culprit(*key, len(times), max(times)) for key, times in groups.items()]
        return sorted(found, key=lambda it: -it.at)[:limit]

    def counted(self, registry: str, start: float, end: float) -> list[Counted]:
        """See the port."""
        first = [e for e in self._said(registry, start, end) if not settled(e)]
        names = ("registry.repository", "registry.digest", "user.name", "client.ip")
        return [Counted(e.at, *(str(e.fields.get(name, "")) for name in names)) for e in first]

    def unsettled(self, registry: str, start: float, end: float, limit: int) -> list[Event]:
        """See the port."""
        found = [e for e in _open(self._said(registry, start, end)) if signature_of(e) == "unknown"]
        return sorted(found, key=lambda e: (e.at, e.id))[:limit]

    def _said(self, registry: str, start: float, end: float) -> list[Event]:
        return [e for e in self._between(registry, start, end) if signature_of(e)]


def _open(said: Sequence[Event]) -> list[Event]:
    """Without the unknown ones that others of them settle."""
    over = {settled(e) for e in said}
    return [e for e in said if e.id not in over]


def _counts(said: Sequence[Event]) -> PullCounts:
    number = Counter(signature_of(e) for e in said)
    newest = max((judged_at(e) for e in said if signature_of(e) == "unsigned"), default=None)
    return PullCounts(number["signed"], number["unsigned"], number["unknown"], newest)
