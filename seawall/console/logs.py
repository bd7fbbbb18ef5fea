"""What the page of the logs shows: kept events that match, and how many there were over time. The store
counts and filters (seawall.core.looks), except by words."""

from collections.abc import Sequence
from dataclasses import dataclass

from seawall.console.charts import Bar
from seawall.console.figures import began
from seawall.core.errors import InputError
from seawall.core.incidents import Incident
from seawall.core.looks import is_failure
from seawall.core.signals import Event
from seawall.service import Service

SPANS = {"15m": 900.0, "1h": 3600.0, "6h": 21600.0, "1d": 86400.0, "7d": 604800.0}
LOOKED_AT = 2000
"""A search for words looks at the newest so many events of the span; the page says when there were more."""
SHOWN = 50
BARS = 60
BEFORE, AFTER, RELATED = 120.0, 120.0, 12
_TOLD = (
    "message",
    "http.request.method",
    "url.original",
    "registry.repository",
    "http.response.status_code",
    "error.message",
)


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to a search: the newest events that match, all of them by time, and how far it looked.
    `reached` is the time of the oldest event looked at where there may be more, else None."""

    text: str
    registry: str
    within: str
    only_failed: bool
    now: float
    span: tuple[float, float]
    events: list[Event]
    count: int
    looked_at: int
    reached: float | None
    bars: list[Bar]


def search(service: Service, text: str, registry: str, within: str, only_failed: bool) -> Found:
    """Events whose fields hold every word of `text` (letter case aside). InputError for an unknown span."""
    if within not in SPANS:
        raise InputError("within", f"{within!r} is no span", f"use one of {', '.join(SPANS)}")
    now = service.clock.now()
    span = (now - SPANS[within], now + 1)
    words = text.lower().split()
    if words:
        answer = _by_words(service, words, registry or None, span, only_failed)
    else:
        answer = _all(service, registry or None, span, only_failed)
    return Found(text, registry, within, only_failed, now, span, *answer)


_Answer = tuple[list[Event], int, int, float | None, list[Bar]]


def _all(service: Service, registry: str | None, span: tuple[float, float], only_failed: bool) -> _Answer:
    """Without words the store itself counts, over the whole span."""
    step = _step(span)
    slots = service.events.counts(registry, *span, step)
    if only_failed:
        slots = [(slot, bad, bad) for slot, _, bad in slots if bad]
    ask = service.events.failures if only_failed else service.events.recent
    count = sum(total for _, total, _ in slots)
    bars = [Bar(span[0] + slot * step, total, bad) for slot, total, bad in slots]
    return ask(registry, *span, SHOWN), count, count, None, bars


def _by_words(
    service: Service, words: Sequence[str], registry: str | None, span: tuple[float, float], only_failed: bool
) -> _Answer:
    """Words may stand in any field, so documents are read: the newest LOOKED_AT."""
    ask = service.events.failures if only_failed else service.events.recent
    looked = ask(registry, *span, LOOKED_AT)
    found = [it for it in looked if _holds(it, words)]
    reached = looked[-1].at if len(looked) == LOOKED_AT else None
    bars = histogram(found, (reached or span[0], span[1]))
    return found[:SHOWN], len(found), len(looked), reached, bars


def failed(event: Event) -> bool:
    """It tells of a failure (`is_failure`)."""
    return is_failure(event.fields)


def _holds(event: Event, words: Sequence[str]) -> bool:
    if not words:
        return True
    body = " ".join(str(value) for value in event.fields.values()).lower()
    return all(word in body for word in words)


def _step(span: tuple[float, float]) -> float:
    return max(1.0, (span[1] - span[0]) / BARS)


def histogram(events: Sequence[Event], span: tuple[float, float]) -> list[Bar]:
    """Counts over the span in at most BARS equal steps; each bar begins at its time."""
    step = _step(span)
    counts: dict[int, list[int]] = {}
    for event in events:
        found = counts.setdefault(int((event.at - span[0]) / step), [0, 0])
        found[0] += 1
        found[1] += failed(event)
    return [Bar(span[0] + slot * step, *found) for slot, found in sorted(counts.items())]


def told(event: Event) -> str:
    """An event as one line: its message, its request, or what it is."""
    fields = event.fields
    names = [name for name in _TOLD if name != "registry.repository" or "url.original" not in fields]
    parts = [str(fields[name]) for name in names if fields.get(name) not in (None, "")]
    return " ".join(parts) or str(fields.get("event.action") or fields.get("event.dataset") or event.id)


def related(service: Service, incident: Incident) -> list[Event]:
    """The failures that its registry told around an incident's beginning, or its last return, the newest of
    those minutes first."""
    since = began(incident)
    until = min(incident.resolved_at or service.clock.now(), since + AFTER)
    return service.events.failures(incident.registry, since - BEFORE, until + 1, RELATED)
