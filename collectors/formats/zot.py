"""zot's log, one JSON object a line (zerolog; project-zot/zot pkg/api/session.go, pkg/log).

Since zot 1.4.3 a latency is truncated to whole seconds before it is logged. `0s` would say that every request
was fast, so a latency in whole seconds is left out: what is not known is absent.
"""

from typing import Any

from collectors.formats.masking import mask_text
from collectors.formats.requests import exchange_fields
from collectors.formats.times import utc
from collectors.formats.values import Fields, client_fields, go_duration, host_of, integer, status_code

_SECOND = 10**9


def parse_zot(document: dict[str, Any]) -> Fields | None:
    """An object of zot's log (a request, or a message with its goroutine) -> ECS fields, or None."""
    message, level = document.get("message"), document.get("level")
    if not isinstance(message, str) or not isinstance(level, str):
        return None
    asked = isinstance(document.get("clientIP"), str) and isinstance(document.get("path"), str)
    if not asked and "goroutine" not in document:
        return None
    fields: Fields = {}
    if at := utc(document.get("time")):
        fields["@timestamp"] = at
    fields |= {"event.dataset": "zot", "seawall.format": "zot", "message": mask_text(message)}
    fields["log.level"] = level
    if isinstance(error := document.get("error"), str) and error:
        fields["error.message"] = mask_text(error)
    return fields | _request(document) if asked else fields


def _request(document: dict[str, Any]) -> Fields:
    fields = client_fields(host_of(document["clientIP"]))
    if isinstance(user := document.get("username"), str) and user:
        fields["user.name"] = mask_text(user)
    status = status_code(document.get("statusCode"))
    fields |= exchange_fields(str(document.get("method") or ""), document["path"], status)
    if (size := integer(document.get("bodySize"))) is not None:
        fields["http.response.body.bytes"] = size
    duration = go_duration(document.get("latency"))
    if duration is not None and duration % _SECOND:
        fields["event.duration"] = duration
    headers = document.get("headers")
    agents = headers.get("User-Agent") if isinstance(headers, dict) else None
    if isinstance(agents, list) and agents and isinstance(agents[0], str) and agents[0]:
        fields["user_agent.original"] = mask_text(agents[0])
    return fields
