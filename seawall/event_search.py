"""Events by filters, newest first, a page at a time: over any event store, by its port alone.

A page looks at no more than SCANNED events; where few fit it is short, and its cursor goes on.
"""

import base64
import binascii
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from seawall.core.errors import InputError
from seawall.core.ports import EventStore
from seawall.core.signals import Event

SCANNED = 20_000
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for: `fields` are exact values by ECS name, `text` stands in the event's text fields
    (upper and lower case alike). `since` and `until` are Unix seconds, [since, until)."""

    registry: str | None
    since: float
    until: float
    fields: Mapping[str, str] = field(default_factory=dict)
    text: str = ""

    def fits(self, event: Event) -> bool:
        """Is it one of those."""
        if any(str(event.fields.get(name)) != value for name, value in self.fields.items()):
            return False
        needle = self.text.casefold()
        return not needle or any(needle in str(it).casefold() for it in event.fields.values())


def find(
    events: EventStore, wanted: Search, limit: int, cursor: str | None
) -> tuple[list[Event], str | None]:
    """Up to `limit` events, newest first, and the cursor after them. InputError for a cursor of others."""
    after = _read(cursor)
    kept: list[Event] = []
    looked, size = 0, max(CHUNK if wanted.fields or wanted.text else limit, 1)
    while looked < SCANNED:
        until = min(wanted.until, math.nextafter(after[0], math.inf) if after else math.inf)
        chunk = events.recent(wanted.registry, wanted.since, until, size)
        fresh = [it for it in chunk if after is None or (-it.at, it.id) > (-after[0], after[1])]
        for it in fresh:
            after = (it.at, it.id)
            if wanted.fits(it):
                kept.append(it)
                if len(kept) == limit:
                    return kept, _written(after)
        if len(chunk) < size:
            return kept, None
        # Nothing fresh: more events than a chunk holds have this very time.
        looked, size = looked + len(fresh), size if fresh else size * 2
    return kept, _written(after) if after else None


def _written(after: tuple[float, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(after).encode()).decode().rstrip("=")


def _read(cursor: str | None) -> tuple[float, str] | None:
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        at, id = json.loads(base64.b64decode(padded, b"-_", validate=True))
        if isinstance(at, float) and math.isfinite(at) and isinstance(id, str):
            return at, id
    except (ValueError, TypeError, binascii.Error, RecursionError):
        pass
    raise InputError("cursor", f"{cursor!r} is none of ours", "give the `next` of the page before")
