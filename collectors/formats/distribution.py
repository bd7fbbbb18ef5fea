"""Distribution's application log in its four forms: logfmt, JSON, logstash and the terminal's.

`log.formatter` of its configuration chooses; the keys are the same flat dotted ones in each. On a terminal
logrus writes `INFO[0012] message   key=value`, coloured, with the seconds since the start instead of a time.
"""

import re
from typing import Any

from collectors.formats.masking import mask_text
from collectors.formats.requests import answer_fields, request_fields
from collectors.formats.times import utc
from collectors.formats.values import (
    Fields,
    client_fields,
    go_duration,
    host_of,
    integer,
    status_code,
    unquote_go,
)

# Possessive and anchored at word starts: a 1 MiB word without `=` is passed over in linear time.
_LOGFMT = re.compile(r'(?<!\S)([^\s="]++)=("[^"\\]*+(?:\\.[^"\\]*+)*+"|[^\s"]*+)(?!\S)')
_COLOUR = re.compile(r"\x1b\[\d*m")
_TERMINAL = re.compile(r"(TRAC|DEBU|INFO|WARN|ERRO|FATA|PANI)\[(\d{4,}|[0-9T:.Z+-]{19,})\] ?(.*)", re.DOTALL)
_FIRST_PAIR = re.compile(r" [\w.]+=")
_LEVELS = {
    "TRAC": "trace", "DEBU": "debug", "INFO": "info", "WARN": "warning", "ERRO": "error", "FATA": "fatal",
    "PANI": "panic",
}  # fmt: skip

# Keys that the registry itself fills are copied as they are, those that a client may fill are masked.
_COPIED = {
    "level": "log.level",
    "http.request.id": "http.request.id",
    "http.response.contenttype": "http.response.mime_type",
    "err.code": "error.code",
    "version": "service.version",
    "instance.id": "service.node.name",
}
_MASKED = {
    "auth.user.name": "user.name",
    "vars.name": "registry.repository",
    "vars.reference": "registry.reference",
    "vars.digest": "registry.digest",
    "http.request.useragent": "user_agent.original",
    "http.request.referer": "http.request.referrer",
}
_READ = frozenset({*_COPIED, *_MASKED}) | {
    "time", "msg", "http.request.method", "http.request.remoteaddr", "http.request.uri",
    "http.response.status", "http.response.written", "http.response.duration", "err.message", "err.detail",
    "error",
}  # fmt: skip


def parse_app_json(document: dict[str, Any]) -> Fields | None:
    """An object of the formatters json or logstash -> ECS fields, or None."""
    if "level" not in document:
        return None
    if isinstance(document.get("msg"), str):
        return app_fields(document, "distribution.json")
    if isinstance(document.get("message"), str) and "@version" in document:
        same = {**document, "msg": document["message"], "time": document.get("@timestamp")}
        same.pop("version", None) if document.get("version") == document["@version"] else None
        return app_fields(same, "distribution.logstash")
    return None


def parse_app_text(text: str) -> Fields | None:
    """A line of logfmt or of the terminal's form -> ECS fields, or None."""
    if "level=" in text and "msg=" in text:
        pairs = _pairs(text)
        if "level" in pairs and "msg" in pairs:
            return app_fields(pairs, "distribution.logfmt")
    if "\x1b" in text:
        text = _COLOUR.sub("", text)
    if match := _TERMINAL.match(text):
        level, time, rest = match.groups()
        first = _FIRST_PAIR.search(rest)
        message = rest[: first.start()] if first else rest
        said = {"level": _LEVELS[level], "msg": message.rstrip(), "time": time}
        return app_fields(_pairs(rest[len(message) :]) | said, "distribution.terminal")
    return None


def _pairs(text: str) -> dict[str, Any]:
    return {key: unquote_go(value) for key, value in _LOGFMT.findall(text) if key in _READ}


def app_fields(source: dict[str, Any], format: str) -> Fields:
    """The flat dotted keys of one entry -> ECS fields; `time`, `level` and `msg` under these names."""
    fields: Fields = {}
    if at := utc(source.get("time")):
        fields["@timestamp"] = at
    fields |= {"event.dataset": "distribution.app", "seawall.format": format}
    fields["message"] = mask_text(str(source["msg"]))
    for key, name in _COPIED.items():
        if (value := source.get(key)) not in (None, ""):
            fields[name] = str(value)
    for key, name in _MASKED.items():
        if (value := source.get(key)) not in (None, ""):
            fields[name] = mask_text(str(value))
    if address := source.get("http.request.remoteaddr"):
        fields |= client_fields(host_of(str(address)))
    if error := [str(source[k]) for k in ("err.message", "err.detail", "error") if source.get(k)]:
        fields["error.message"] = mask_text(": ".join(error))
    return fields | _exchanged(source)


def _exchanged(source: dict[str, Any]) -> Fields:
    method, uri = str(source.get("http.request.method") or ""), str(source.get("http.request.uri") or "")
    status = status_code(source.get("http.response.status"))
    fields = request_fields(method, uri)
    fields |= answer_fields(method, fields.get("registry.operation", ""), uri, status)
    if (written := integer(source.get("http.response.written"))) is not None:
        fields["http.response.body.bytes"] = written
    duration = go_duration(source.get("http.response.duration"))
    if duration is not None and status is not None:
        fields["event.duration"] = duration
    return fields
