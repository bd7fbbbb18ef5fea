"""The log of an nginx cache before a registry: JSON, a line an object, nginx's variables as text."""

from typing import Any

from collectors.formats.masking import mask_text
from collectors.formats.requests import exchange_fields, split_request
from collectors.formats.times import clf_time, utc
from collectors.formats.values import Fields, client_fields, integer, seconds_duration, status_code

# As nginx writes $upstream_cache_status; the case is kept, as ECS keeps that of a method.
_STATUSES = frozenset({"HIT", "MISS", "EXPIRED", "STALE", "UPDATING", "REVALIDATED", "BYPASS"})

_SIZES = {"bytes_sent": "http.response.bytes", "body_bytes_sent": "http.response.body.bytes"}


def parse_nginx_cache(document: dict[str, Any]) -> Fields | None:
    """An object with `upstream_cache_status` and a request -> ECS fields, or None.

    The keys are nginx's variable names, and `access_time`. `bytes_sent` counts the response's head too, so it
    is ECS's `http.response.bytes`, not `http.response.body.bytes`.
    """
    if "upstream_cache_status" not in document:
        return None
    method, uri = _asked(document)
    if not uri:
        return None
    fields: Fields = {}
    if at := _time(document):
        fields["@timestamp"] = at
    fields |= {"event.dataset": "nginx.cache", "seawall.format": "nginx.cache"}
    fields |= client_fields(_text(document, "remote_addr"))
    if (user := _text(document, "remote_user")) not in ("", "-"):
        fields["user.name"] = mask_text(user)
    fields |= exchange_fields(method, uri, status_code(document.get("status")))
    for key, name in _SIZES.items():
        if (size := integer(document.get(key))) is not None:
            fields[name] = size
    if (duration := seconds_duration(document.get("request_time"))) is not None:
        fields["event.duration"] = duration
    if (status := _text(document, "upstream_cache_status")) in _STATUSES:
        fields["registry.cache_status"] = status
    if (agent := _text(document, "http_user_agent")) not in ("", "-"):
        fields["user_agent.original"] = mask_text(agent)
    return fields


def _asked(document: dict[str, Any]) -> tuple[str, str]:
    """Method and URI; a line without a method tells no action."""
    if request := _text(document, "request"):
        return split_request(request)
    uri = _text(document, "request_uri") or _text(document, "uri")
    return _text(document, "request_method"), uri


def _time(document: dict[str, Any]) -> str | None:
    if at := utc(document.get("time_iso8601")):
        return at
    return clf_time(_text(document, "access_time") or _text(document, "time_local"))


def _text(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""
