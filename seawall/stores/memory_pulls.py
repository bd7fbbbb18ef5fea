"""What the event store in memory tells of pulls: the port PullEvents over its dictionary."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Any

from seawall.core.pulls import Arrivals, Culprit, PullCounts
from seawall.core.signals import Event
from seawall.stores.event_columns import is_image, is_of_source, judged_at, settled, signature_of

_TEXTS = ("registry.repository", "registry.digest", "registry.reference", "user.name", "client.ip",
          "seawall.reason")  # fmt: skip

_Texts = tuple[str, str, str, str, str, str]


class MemoryPulls:
    """Mixed into the event store."""

    _events: dict[str, Event]

    def _between(self, registry: str | None, start: float, end: float) -> list[Event]:
        raise NotImplementedError

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

    def pull_counts(self, registry: str, start: float, end: float) -> PullCounts:
        """See the port."""
        return self.judged_counts(registry, start, end, -math.inf)

    def judged_counts(self, registry: str, start: float, end: float, since: float) -> PullCounts:
        """See the port."""
        found = [e for e in self._said(registry, start, end) if judged_at(e) >= since]
        number = Counter(signature_of(e) for e in found)
        open_ = number["unknown"] - sum(1 for e in found if settled(e))
        newest = max((judged_at(e) for e in found if signature_of(e) == "unsigned"), default=None)
        return PullCounts(number["signed"], number["unsigned"], max(0, open_), newest)

    def culprits(self, registry: str, start: float, end: float, signature: str, limit: int) -> list[Culprit]:
        """See the port."""
        groups: dict[_Texts, list[float]] = {}
        for event in self._open(registry, start, end):
            if signature_of(event) == signature:
                key: Any = tuple(str(event.fields.get(name, "")) for name in _TEXTS)
                groups.setdefault(key, []).append(event.at)
        found = [Culprit(*key, len(times), max(times)) for key, times in groups.items()]
        return sorted(found, key=lambda it: -it.at)[:limit]

    def verdicts(self, registry: str, start: float, end: float, limit: int) -> list[Event]:
        """See the port."""
        return _by_time([e for e in self._said(registry, start, end) if not settled(e)], limit)

    def unsettled(self, registry: str, start: float, end: float, limit: int) -> list[Event]:
        """See the port."""
        found = [e for e in self._open(registry, start, end) if signature_of(e) == "unknown"]
        return _by_time(found, limit)

    def _said(self, registry: str, start: float, end: float) -> list[Event]:
        return [e for e in self._between(registry, start, end) if signature_of(e)]

    def _open(self, registry: str, start: float, end: float) -> list[Event]:
        said = self._said(registry, start, end)
        over = {settled(e) for e in said}
        return [e for e in said if e.id not in over]


def _by_time(events: Sequence[Event], limit: int) -> list[Event]:
    return sorted(events, key=lambda e: (e.at, e.id))[:limit]
