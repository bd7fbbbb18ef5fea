"""Lines of any log -> events, counted by what became of each; what every source of lines shares."""

from collections import Counter, deque
from datetime import UTC, datetime
from typing import NamedTuple

from collectors.events import event_id
from collectors.formats import Payload, mask_text, parse_payload, split_head
from seawall.core.signals import LOG_BACKLOG, Batch, Event, Sample, labels
from seawall.core.times import parse_time, rfc3339

MAX_LINE = 1 << 20  # bytes
KEPT_LINES = 20
_KEPT_CHARACTERS = 1000


class Line(NamedTuple):
    """A line, or the joined parts of one that a container engine had split; `offset` is its first byte."""

    offset: int
    payload: Payload


class Lines:
    """Reads lines of one source of one registry.

    `durable` counts what became of each stored line: its format (seawall.format), `not_understood`, or `cut`
    (longer than 1 MiB); `odd` keeps the last few that were not understood, masked.
    """

    def __init__(self, registry: str, source: str) -> None:
        self.registry, self.source = registry, source
        self.durable: Counter[str] = Counter()
        self.odd: deque[str] = deque(maxlen=KEPT_LINES)
        self._counted: Counter[str] = Counter()
        self._now = 0.0

    def begin(self, now: float) -> None:
        """A new batch: the counts of one that was not stored are dropped. `now` dates what names no time."""
        self._counted = Counter()
        self._now = now

    def stored(self) -> None:
        """The batch is durable, its counts with it."""
        self.durable.update(self._counted)
        self._counted = Counter()

    def payload(self, raw: bytes) -> Payload:
        """A line's bytes without its head and newline; an over-long one is cut and counted."""
        if is_cut(raw):
            self.count_cut()
        return payload_of(raw, datetime.fromtimestamp(self._now, UTC))

    def count_cut(self) -> None:
        """A line was longer than 1 MiB, or ended without a newline."""
        self._counted["cut"] += 1

    def event(self, payload: Payload, place: str) -> Event | None:
        """The event of a line; `place` tells it from equal lines of the source. None if it is none."""
        text = payload.text
        if not text.strip():
            return None
        fields = parse_payload(payload)
        if fields is None:
            self._counted["not_understood"] += 1
            self.odd.append(mask_text(text[:_KEPT_CHARACTERS]))
            return None
        self._counted[fields["seawall.format"]] += 1
        fields["registry.name"] = self.registry
        if "@timestamp" not in fields:
            fields["@timestamp"] = rfc3339(self._now)
        at = parse_time(fields["@timestamp"])
        return Event(event_id(self.source, place, text), at, self.registry, fields)


class Backlog:
    """Tells how much of a source is unread."""

    def __init__(self, registry: str, source: str) -> None:
        self.bytes = 0
        self._registry, self._labels = registry, labels(source=source)
        self._source = source

    def tell(self, batch: Batch, unread: int, now: float) -> None:
        """Add the sample, and an aside while there is something left."""
        self.bytes = unread
        batch.samples.append(Sample(self._registry, LOG_BACKLOG, now, float(unread), self._labels))
        if unread:
            batch.asides.append(f"{self._source}: {unread} bytes are still to be read")


def is_cut(raw: bytes) -> bool:
    """Is the line longer than 1 MiB, or without a newline?"""
    return len(raw) > MAX_LINE or not raw.endswith(b"\n")


def payload_of(raw: bytes, now: datetime | None = None) -> Payload:
    """A line's bytes without its head and newline, at most 1 MiB; what is no UTF-8 is replaced. `now`
    completes a head that names no year."""
    return split_head(raw[:MAX_LINE].decode("utf-8", "replace").rstrip("\r\n"), now)


def join(parts: dict[str, Line], line: Line) -> Line | None:
    """Join the parts of a split line, per stream; None while its end is to come."""
    stream = line.payload.stream
    if stream in parts:
        first = parts.pop(stream)
        line = Line(first.offset, line.payload._replace(text=first.payload.text + line.payload.text))
    if line.payload.partial:
        parts[stream] = line
        return None
    return line
