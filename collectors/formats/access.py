"""Access lines with a quoted request: Apache combined, Harbor's nginx, Quay's nginx, Nexus's request.log.

Combined is what Distribution writes and what nginx writes by default, in its packages' `main` with the
forwarded address behind it. They cannot be told apart, so all are `distribution.access`.
"""

import re

from collectors.formats.masking import mask_text
from collectors.formats.requests import exchange_fields, split_request
from collectors.formats.times import clf_time
from collectors.formats.values import (
    Fields,
    client_fields,
    integer,
    seconds_duration,
    status_code,
    unescape_go,
)

COMBINED = "distribution.access"
QUOTED = r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_HEAD = rf"\[([^\]]+)\] {QUOTED} (\d{{3}}) (\d+|-)"
_PATTERN = re.compile(rf"(\S+) \S+ (\S+) {_HEAD}(?: {QUOTED} {QUOTED}(?: {QUOTED})?)?\s*$", re.ASCII)
_QUAY = re.compile(rf"(\S+) \(\S*\) - (\S+) {_HEAD} {QUOTED} {QUOTED} \((\d+\.\d+) \d+ [^)]*\)\s*$", re.ASCII)
_NEXUS = re.compile(rf"(\S+) \S+ (\S+) {_HEAD} (\d+|-) (\d+|-) {QUOTED} \[[^\]]*\]\s*$", re.ASCII)
_HARBOR = re.compile(
    rf"(\S+) - {QUOTED} (\d{{3}}) (\d+|-) {QUOTED} {QUOTED} (\d+\.\d+) ((?:\d+\.\d+|[-,: ])+) [p.]\s*$",
    re.ASCII,
)


def parse_access(text: str) -> Fields | None:
    """An access line of any of these forms -> ECS fields, or None."""
    if '"' not in text:
        return None
    if match := _PATTERN.match(text):
        client, user, time, request, status, size, referrer, agent, _ = match.groups()
        fields = who_fields(COMBINED, client, user, time)
        return fields and _exchange(fields, request, status, size, referrer, agent)
    if match := _HARBOR.match(text):
        client, request, status, size, referrer, agent, seconds, _ = match.groups()
        fields = who_fields("harbor.nginx", client, "-", None)
        return fields and _exchange(fields, request, status, size, referrer, agent) | _lasted(seconds)
    if match := _NEXUS.match(text):
        client, user, time, request, status, _, sent, milliseconds, agent = match.groups()
        fields = who_fields("nexus.request", client, user, time)
        elapsed = integer(milliseconds)
        lasted = {"event.duration": elapsed * 10**6} if elapsed is not None and elapsed < 10**12 else {}
        return fields and _exchange(fields, request, status, sent, None, agent) | lasted
    if match := _QUAY.match(text):
        client, user, time, request, status, size, referrer, agent, seconds = match.groups()
        fields = who_fields("quay.nginx", client, user, time)
        return fields and _exchange(fields, request, status, size, referrer, agent) | _lasted(seconds)
    return None


def who_fields(format: str, client: str, user: str, time: str | None) -> Fields | None:
    """When, in which form, and who asked; None where the line's own time is none."""
    fields: Fields = {}
    if time is not None:
        if (at := clf_time(time)) is None:
            return None
        fields["@timestamp"] = at
    if format:
        fields |= {"event.dataset": format, "seawall.format": format}
    fields |= client_fields(client)
    if user != "-":
        fields["user.name"] = mask_text(user)
    return fields


def _exchange(
    fields: Fields, request: str, status: str, size: str, referrer: str | None, agent: str | None
) -> Fields:
    bytes_ = 0 if size == "-" else integer(size)
    if bytes_ is not None:
        fields["http.response.body.bytes"] = bytes_
    fields |= exchange_fields(*split_request(request), status_code(status))
    return fields | tail_fields(referrer, agent)


def tail_fields(referrer: str | None, agent: str | None) -> Fields:
    """Referrer and user agent, as quoted in the line; `-` and nothing are none."""
    fields: Fields = {}
    if referrer and referrer != "-":
        fields["http.request.referrer"] = mask_text(unescape_go(referrer))
    if agent and agent != "-":
        fields["user_agent.original"] = mask_text(unescape_go(agent))
    return fields


def _lasted(seconds: str) -> Fields:
    duration = seconds_duration(seconds)
    return {} if duration is None else {"event.duration": duration}
