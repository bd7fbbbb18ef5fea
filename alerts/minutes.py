"""Bad, good and unknown minutes: the time slices of availability (registries.md section 4).

A site fails in a minute when at least half of its probes in it failed. A minute is bad when at
least half of the sites that reported fail, or when more than 5 % of at least 20 requests were
answered 5xx. A minute in which no site reported, and no such share was seen, is unknown.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from seawall.core.ports import EventStore, SampleStore, Slice

ERROR_SHARE = 0.05
MINIMUM_REQUESTS = 20
# Late data (a spool, a slow log) may still change minutes this young; older ones are counted once.
SETTLED_AFTER = 900.0


@dataclass(frozen=True, slots=True)
class Minutes:
    """The classified minutes of a span: the bad ones by number, and how many were watched at all."""

    bad: frozenset[int]
    watched: int

    def __add__(self, other: "Minutes") -> "Minutes":
        return Minutes(self.bad | other.bad, self.watched + other.watched)

    def bad_since(self, minute: int) -> int:
        """How many bad minutes from `minute` (a Unix minute) on."""
        return sum(1 for number in self.bad if number >= minute)


def classify(slices: Iterable[Slice], errors: Iterable[tuple[int, int, int]]) -> Minutes:
    """Per-site probe counts and (minute, requests, 5xx) -> Minutes."""
    sites: dict[int, list[bool]] = defaultdict(list)
    for piece in slices:
        sites[piece.minute].append(piece.failed * 2 >= piece.good + piece.failed)
    bad = {minute for minute, failed in sites.items() if sum(failed) * 2 >= len(failed)}
    by_errors = {
        minute
        for minute, requests, failed in errors
        if requests >= MINIMUM_REQUESTS and failed > ERROR_SHARE * requests
    }
    return Minutes(frozenset(bad | by_errors), len(sites.keys() | by_errors))


class MinuteLedger:
    """Minutes of one window, counted incrementally: settled ones are read from the stores once."""

    def __init__(self, samples: SampleStore, events: EventStore) -> None:
        self._samples, self._events = samples, events
        self._settled: dict[tuple[str, str, float], tuple[float, Minutes]] = {}

    def read(self, registry: str, signal: str, start: float, end: float) -> Minutes:
        """Minutes in [start, end), which are Unix seconds on minute edges; straight from the stores."""
        return classify(
            self._samples.slices(registry, signal, start, end),
            self._events.errors_by_minute(registry, start, end),
        )

    def month(self, registry: str, signal: str, start: float, end: float) -> Minutes:
        """Minutes in [start, end) of a window with a fixed start; only what is young is read again."""
        key = (registry, signal, start)
        upto, settled = self._settled.get(key, (start, Minutes(frozenset(), 0)))
        if upto > end:  # the clock went back
            upto, settled = start, Minutes(frozenset(), 0)
        settle = max(upto, (end - SETTLED_AFTER) // 60 * 60)
        if settle > upto:
            settled += self.read(registry, signal, upto, settle)
        self._settled = {k: v for k, v in self._settled.items() if k[:2] != key[:2]} | {
            key: (settle, settled)
        }
        return settled + self.read(registry, signal, settle, end)
