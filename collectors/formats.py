"""Log lines of registries -> flat ECS documents (DESIGN section 4); pure functions, one line at a time.

Each line is recognised by itself, so a stream may mix formats (Distribution's access lines stay plain
text beside JSON, distribution#1842) and a line may carry the head of a container engine or of syslog.
One request is often logged twice: the access line (`event.dataset` distribution.access) has no duration,
the application line "response completed" (distribution.app) has one; latency comes from the latter only.
"""

import json
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote

Fields = dict[str, Any]
MASK = "***"

# Names of query parameters and keys that hold credentials or signed state.
_SENSITIVE_NAME = (
    r"(?:[\w.-]*(?:token|signature|password|passwd|secret|credential|api[_-]?key)|sig|_state"
    r"|awsaccesskeyid|googleaccessid|code|state)"
)
_SENSITIVE_PARAMETER = re.compile(rf"([?&;]{_SENSITIVE_NAME}=)[^&;\s\"']+", re.IGNORECASE)
_USER_INFO = re.compile(r"(://)[^/\s:@\"]*(?::[^/\s@\"]*)?@")
_SENSITIVE_TEXT = (
    (re.compile(r"\b(bearer|basic)(\s+)[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1\2{MASK}"),
    (
        re.compile(
            r"(?<!\w)((?=\w{0,64}?(?:password|passwd|secret|token|authorization|signature))"
            r"\w++\\?[\"']?\s*+[=:]\s*\\?[\"']?)"
            r"(?!(?:bearer|basic)\b)[^\s\"',;&\\]+",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
)
_SUSPECT = re.compile(r"[?@=]|bearer|basic|pass|secret|token|auth|signature", re.IGNORECASE)

_QUOTED = r'"([^"\\]*(?:\\.[^"\\]*)*)"'
_ACCESS = re.compile(
    rf"(\S+) \S+ (\S+) \[([^\]]+)\] {_QUOTED} (\d{{3}}) (\d+|-)(?: {_QUOTED} {_QUOTED})?\s*$"
)
# Possessive and anchored at word starts: a 1 MiB word without `=` is passed over in linear time.
_LOGFMT = re.compile(r'(?<!\S)([^\s="]++)=("[^"\\]*+(?:\\.[^"\\]*+)*+"|[^\s"]*+)(?!\S)')
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_CONTROL = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}

_CRI = re.compile(r"(\d{4}-\d\d-\d\dT\S+) (stdout|stderr) ([FP])(?:$| )(.*)", re.DOTALL)
_SYSLOG = re.compile(
    r"(?:<\d{1,3}>)?(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|(\d{4}-\d\d-\d\dT\S+))"
    r" \S+ [^\s:\[]+(?:\[\d+\])?: (.*)",
    re.DOTALL,
)

_ROUTE = re.compile(r"/v2/(?:(.+)/(manifests|blobs/uploads|blobs|tags|referrers)/(.*)|(_catalog)|)/?$")
_OPERATIONS = {
    "manifests": "manifest",
    "blobs": "blob",
    "blobs/uploads": "upload",
    "tags": "tags",
    "referrers": "referrers",
}
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,12})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]+$")

_GO_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_NANOSECONDS = {"ns": 1, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9}

# Application-log keys (flat, dotted; logfmt and JSON alike) that are copied as they are.
_COPIED = {
    "msg": "message",
    "level": "log.level",
    "http.request.id": "http.request.id",
    "http.request.method": "http.request.method",
    "http.request.useragent": "user_agent.original",
    "http.response.contenttype": "http.response.mime_type",
    "auth.user.name": "user.name",
    "err.code": "error.code",
    "vars.name": "registry.repository",
    "vars.reference": "registry.reference",
    "vars.digest": "registry.digest",
    "version": "service.version",
    "instance.id": "service.node.name",
}
_READ = frozenset(_COPIED) | {
    "time", "http.request.remoteaddr", "http.request.uri", "http.request.referer", "http.response.status",
    "http.response.written", "http.response.duration", "err.message", "err.detail", "error",
}  # fmt: skip


class Payload(NamedTuple):
    """A line without its head. `at` is the head's RFC 3339 time or None; a `partial` payload goes on
    in the next one of the same `stream`."""

    text: str
    at: str | None = None
    stream: str = ""
    partial: bool = False


def parse_line(line: bytes | str) -> Fields | None:
    """One line of any known format (with or without a head) -> flat ECS fields, or None if not understood."""
    text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
    return parse_payload(split_head(text.rstrip("\r\n")))


def split_head(line: str) -> Payload:
    """Take off the head of CRI (Kubernetes, podman's k8s-file), Docker's json-file or syslog.

    A syslog head of the old form names no year, so it gives no time.
    """
    if line.startswith("{"):
        return _docker_payload(line)
    if match := _CRI.match(line):
        at, stream, flag, text = match.groups()
        return Payload(text, _utc(at), stream, flag == "P")
    if match := _SYSLOG.match(line):
        at, text = match.groups()
        return Payload(text, _utc(at))
    return Payload(line)


def _docker_payload(line: str) -> Payload:
    document = _json_object(line) if '"log"' in line else None
    if document is None or not isinstance(document.get("log"), str) or "time" not in document:
        return Payload(line)
    text = document["log"]
    return Payload(
        text.rstrip("\r\n"), _utc(document["time"]), str(document.get("stream", "")), not text.endswith("\n")
    )


def parse_payload(payload: Payload) -> Fields | None:
    """A line without its head -> ECS fields; the head's time stands in where the line has none."""
    text = payload.text
    if text.startswith("{"):
        fields = _app_json(text)
    elif match := _ACCESS.match(text):
        fields = _access(match)
    else:
        fields = _app_logfmt(text)
    if fields is not None and payload.at and "@timestamp" not in fields:
        fields["@timestamp"] = payload.at
    return _storable(fields) if fields is not None and ("\\" in text or "\0" in text) else fields


def _storable(fields: Fields) -> Fields:
    """Without NUL and lone surrogates, which escapes can make and no store takes."""
    return {k: _UNSTORABLE.sub("\ufffd", v) if isinstance(v, str) else v for k, v in fields.items()}


def _access(match: re.Match[str]) -> Fields | None:
    client, user, time, request, status, size, referrer, agent = match.groups()
    at = _access_time(time)
    if at is None:
        return None
    method, _, rest = request.partition(" ")
    fields: Fields = {
        "@timestamp": at,
        "event.dataset": "distribution.access",
        "seawall.format": "distribution.access",
        "http.response.body.bytes": _integer(size) or 0,
    }
    if client != "-":
        fields["client.ip"] = client
    if user != "-":
        fields["user.name"] = user
    if agent and agent != "-":
        fields["user_agent.original"] = _unescape(agent)
    if referrer and referrer != "-":
        fields["http.request.referrer"] = mask_text(_unescape(referrer))
    _add_request(fields, method, rest.rpartition(" ")[0] or rest, int(status))
    return fields


@lru_cache(maxsize=256)
def _access_time(text: str) -> str | None:
    """`14/Aug/2015:19:41:43 +0000` -> RFC 3339 in UTC; cached, since a busy second has many lines."""
    try:
        return _rfc3339(datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z"))
    except (ValueError, OverflowError):
        return None


def _app_json(text: str) -> Fields | None:
    document = _json_object(text)
    if document is None or not isinstance(document.get("msg"), str) or "level" not in document:
        return None
    return _app(document, "distribution.json")


def _app_logfmt(text: str) -> Fields | None:
    if "level=" not in text or "msg=" not in text:
        return None
    pairs = {key: _unquote(value) for key, value in _LOGFMT.findall(text) if key in _READ}
    if "level" not in pairs or "msg" not in pairs:
        return None
    return _app(pairs, "distribution.logfmt")


def _app(source: dict[str, Any], format: str) -> Fields | None:
    fields: Fields = {"event.dataset": "distribution.app", "seawall.format": format}
    if at := _utc(source.get("time")):
        fields["@timestamp"] = at
    for key, name in _COPIED.items():
        if (value := source.get(key)) not in (None, ""):
            fields[name] = str(value)
    fields["message"] = mask_text(str(source["msg"]))
    if address := source.get("http.request.remoteaddr"):
        fields["client.ip"] = host_of(str(address))
    if error := [str(source[k]) for k in ("err.message", "err.detail", "error") if source.get(k)]:
        fields["error.message"] = mask_text(": ".join(error))
    if isinstance(referrer := source.get("http.request.referer"), str) and referrer:
        fields["http.request.referrer"] = mask_text(referrer)
    _add_response(fields, source)
    return fields


def _add_response(fields: Fields, source: dict[str, Any]) -> None:
    status, uri = _integer(source.get("http.response.status")), source.get("http.request.uri")
    status = status if status is not None and 100 <= status <= 599 else None
    _add_request(fields, fields.get("http.request.method", ""), str(uri) if uri else "", status)
    if (written := _integer(source.get("http.response.written"))) is not None:
        fields["http.response.body.bytes"] = written
    duration = go_duration(source.get("http.response.duration"))
    if duration is not None and status is not None:
        fields["event.duration"] = duration


def _add_request(fields: Fields, method: str, uri: str, status: int | None) -> None:
    """What was asked of the registry; the action and its outcome only where there is an answer."""
    if method.isascii() and method.isalpha():
        fields["http.request.method"] = method
    operation = ""
    if uri:
        fields["url.original"] = mask_url(uri)
        operation = _add_route(fields, uri)
    if status is None:
        return
    fields["http.response.status_code"] = status
    fields["event.outcome"] = "success" if status < 400 else "failure"
    if action := _action(method, operation, uri, status):
        fields["event.action"] = action


def _add_route(fields: Fields, uri: str) -> str:
    """The registry's own words for a path of the distribution API; returns the operation or ""."""
    path, _, query = uri.partition("?")
    match = _ROUTE.match(path)
    if match is None:
        return ""
    repository, kind, reference, catalog = match.groups()
    operation = _OPERATIONS[kind] if kind else "catalog" if catalog else "base"
    fields["registry.operation"] = operation
    if repository:
        fields["registry.repository"] = repository
    if operation in ("manifest", "blob", "referrers") and reference:
        fields["registry.reference"] = reference = unquote(reference)
    elif operation == "upload" and (match := re.search(r"(?:^|&)(?:digest|mount)=([^&]+)", query)):
        reference = unquote(match[1])
    if reference and _DIGEST.match(reference):
        fields["registry.digest"] = reference
    return operation


def _action(method: str, operation: str, uri: str, status: int) -> str:
    """pull, push, delete or mount, where the request is one; HEAD asks, and an upload's last PUT pushes."""
    if operation in ("manifest", "blob"):
        return {"GET": "pull", "PUT": "push", "DELETE": "delete"}.get(method, "")
    if operation == "upload" and method == "PUT":
        return "push"
    if operation == "upload" and method == "POST":
        if status == 201 and "mount=" in uri:
            return "mount"
        return "push" if "digest=" in uri.partition("?")[2] else ""
    return ""


def go_duration(value: object) -> int | None:
    """Go's time.Duration as text (`1m51.9s`, `77.4µs`; a bare number is nanoseconds) -> nanoseconds.

    https://pkg.go.dev/time#ParseDuration; None if it is no duration.
    """
    if not isinstance(value, str):
        return _integer(value)
    if len(value) > 40:
        return None
    parts = _GO_DURATION.findall(value)
    if not parts or "".join(number + unit for number, unit in parts) != value:
        return None
    return _integer(round(sum(float(number) * _NANOSECONDS[unit] for number, unit in parts)))


def mask_url(url: str) -> str:
    """Credentials in a URL's query (tokens, signatures, signed upload state) and user info become `***`."""
    if "?" not in url and "@" not in url:
        return url
    return _USER_INFO.sub(rf"\1{MASK}@", _SENSITIVE_PARAMETER.sub(rf"\1{MASK}", url))


def mask_text(text: str) -> str:
    """Credentials in free text (in URLs, Authorization, passwords, tokens) become `***`."""
    if _SUSPECT.search(text) is None:
        return text
    text = mask_url(text)
    for pattern, replacement in _SENSITIVE_TEXT:
        text = pattern.sub(replacement, text)
    return text


def host_of(address: str) -> str:
    """`10.0.0.1:4242`, `[::1]:80` or a bare address -> the address."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.rpartition(":")[0] if address.count(":") == 1 else address


def _utc(text: object) -> str | None:
    """RFC 3339 -> the same moment in UTC (its own digits kept where it is UTC), None if it is none."""
    if not isinstance(text, str) or _RFC3339.fullmatch(text) is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return text if text.endswith("Z") else _rfc3339(moment)
    except (ValueError, OverflowError):
        return None


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _integer(value: object) -> int | None:
    """A count, as a number or its digits, within 0..2^63-1."""
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None
    return value if type(value) is int and 0 <= value < 2**63 else None


def _unquote(value: str) -> str:
    return _unescape(value[1:-1]) if value.startswith('"') else value


def _unescape(text: str) -> str:
    return _ESCAPE.sub(_character, text) if "\\" in text else text


def _character(match: re.Match[str]) -> str:
    """One escape of Go's strconv.Quote."""
    body = match[1]
    if len(body) > 1:
        code = int(body[1:], 16)
        return chr(code) if code < (0x80 if body[0] == "x" else 0x110000) else "\ufffd"
    return _CONTROL.get(body, body)
