"""What events of every source share: ids that a redelivery repeats, and text that every store takes."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from seawall.core.signals import Event
from seawall.core.times import rfc3339

Json = Mapping[str, Any]
_DIGITS = 16  # bytes of an id


def event_id(*parts: str) -> str:
    """32 hex digits that the same parts always give; a part's end is part of the name."""
    name = "\0".join(parts).encode("utf-8", "replace")
    return hashlib.blake2b(name, digest_size=_DIGITS).hexdigest()


def canonical(document: object) -> str:
    """JSON with sorted keys: the same content is the same text."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def make_event(id: str, at: float, registry: str, fields: Json) -> Event:
    """An event with its time and registry; empty fields are left out, numbers and booleans stay."""
    kept = {key: storable(value) for key, value in fields.items() if value not in (None, "")}
    return Event(id, at, registry, {**kept, "@timestamp": rfc3339(at), "registry.name": registry})


def storable(value: object) -> object:
    """Numbers as they are; else text without NUL and lone surrogates, which no store takes."""
    if isinstance(value, bool | int | float):
        return value
    return str(value).replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def inner(document: Json, key: str) -> Json:
    """The object under a key; an empty one where there is none."""
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def text(document: Json, key: str) -> str:
    """The text under a key; empty where there is none or it is no text."""
    value = document.get(key)
    return value if isinstance(value, str) else ""
