"""One count per repository, digest, client and five minutes, whatever the order in which pulls are told."""

import hashlib
from collections.abc import Callable, Iterable

from seawall.core.pulls import Counted

SPAN = 300  # seconds of one logical pull
_REMEMBERED = 2  # spans before this one; older ones are loaded again where they are needed
_KEY = 16  # bytes of a name
Load = Callable[[float, float], Iterable[Counted]]


class Windows:
    """The logical pulls that were counted. `load(start, end)` gives those that are stored.

    They are kept by spans of the clock: two counts of one name are at least five minutes apart, so that a
    span holds one of them, and a pull can belong to one in its own span or a neighbour.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self._spans: dict[int, dict[bytes, float]] = {}

    def take(self, pull: Counted) -> bool:
        """Count it; False if it belongs to one that was counted already."""
        key, own = _name(pull), int(pull.at // SPAN)
        if any(self._near(number, key, pull.at) for number in (own, own - 1, own + 1)):
            return False
        self._span(own)[key] = pull.at
        return True

    def forget(self, now: float) -> None:
        """Let go of what is long past. Only when all that was taken is stored."""
        oldest = int(now // SPAN) - _REMEMBERED
        for number in [it for it in self._spans if it < oldest]:
            del self._spans[number]

    def _near(self, number: int, key: bytes, at: float) -> bool:
        known = self._span(number).get(key)
        return known is not None and abs(at - known) < SPAN

    def _span(self, number: int) -> dict[bytes, float]:
        span = self._spans.get(number)
        if span is None:
            stored = self._load(number * SPAN, (number + 1) * SPAN)
            span = self._spans[number] = {_name(it): it.at for it in stored}
        return span


def _name(pull: Counted) -> bytes:
    parts = "\0".join((pull.repository, pull.digest, pull.user, pull.client))
    return hashlib.blake2b(parts.encode("utf-8", "replace"), digest_size=_KEY).digest()
