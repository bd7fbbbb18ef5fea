"""What a registry also sends to a webhook or keeps in its audit log, where it stands as a line of a log."""

from typing import Any

import orjson

from collectors.formats.masking import mask_text
from collectors.formats.values import Fields
from seawall.core.errors import InputError
from seawall.core.signals import Event


def parse_notice(document: dict[str, Any]) -> Fields | None:
    """A notification of Distribution, a webhook or an audit entry of Harbor -> ECS fields, or None.

    A line is one event: an envelope with several is not understood, rather than all but one of them lost.
    """
    try:
        events = _events(document)
    except (InputError, ValueError, KeyError, TypeError, OverflowError):
        return None
    if len(events) != 1:
        return None
    fields = {"@timestamp": events[0].fields["@timestamp"], **events[0].fields}
    del fields["registry.name"]
    return {key: mask_text(value) if isinstance(value, str) else value for key, value in fields.items()}


def _events(document: dict[str, Any]) -> list[Event]:
    # These collectors import this package, so they are imported when first needed.
    if isinstance(document.get("events"), list):
        from collectors.notifications import parse_distribution

        return parse_distribution(orjson.dumps(document), "")
    if isinstance(document.get("type"), str) and ("event_data" in document or "specversion" in document):
        from collectors.harbor_webhooks import parse_harbor

        return parse_harbor(orjson.dumps(document), "")
    if "op_time" in document and "operation" in document:
        from collectors.harbor_audit import parse_entry

        entry = parse_entry(document, "", "")
        return [entry] if entry else []
    return []
