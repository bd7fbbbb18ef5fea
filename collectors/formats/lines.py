"""One line of any known format -> flat ECS fields (DESIGN section 4); pure functions.

Each line is recognised by itself, so a stream may mix formats (Distribution's access lines stay plain text
beside JSON, distribution#1842) and a line may carry the head of a container engine or of syslog.
"""

from datetime import datetime

from collectors.formats.access import parse_access
from collectors.formats.distribution import parse_app_json, parse_app_text
from collectors.formats.harbor import parse_harbor_app
from collectors.formats.heads import Payload, split_head
from collectors.formats.nginx_cache import parse_nginx_cache
from collectors.formats.notices import parse_notice
from collectors.formats.values import Fields, json_object, storable
from collectors.formats.zot import parse_zot

_OF_TEXT = (parse_access, parse_harbor_app, parse_app_text)
_OF_OBJECTS = (parse_app_json, parse_nginx_cache, parse_zot, parse_notice)


def parse_line(line: bytes | str, now: datetime | None = None) -> Fields | None:
    """One line of any known format (with or without a head) -> flat ECS fields, or None if not understood.

    `now`: about when it was written, for a head that names no year.
    """
    text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
    return parse_payload(split_head(text.rstrip("\r\n"), now))


def parse_payload(payload: Payload) -> Fields | None:
    """A line without its head -> ECS fields; the head's time stands in where the line has none."""
    text = payload.text
    fields = _object_fields(text) if text.startswith(("{", "[{")) else _text_fields(text)
    if fields is None:
        return None
    if payload.at and "@timestamp" not in fields:
        fields = {"@timestamp": payload.at, **fields}
    return storable(fields) if "\\" in text or "\0" in text or not text.isascii() else fields


def _text_fields(text: str) -> Fields | None:
    for parse in _OF_TEXT:
        if (fields := parse(text)) is not None:
            return fields
    return None


def _object_fields(text: str) -> Fields | None:
    document = json_object(text.strip()[1:-1] if text.startswith("[") else text)
    if document is None:
        return None
    for parse in _OF_OBJECTS:
        if (fields := parse(document)) is not None:
            return fields
    return None
