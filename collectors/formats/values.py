"""Values that several formats share: counts, durations, addresses, JSON objects and Go's quoting."""

import json
import re
import socket
from typing import Any

import orjson

from collectors.formats.masking import mask_text

Fields = dict[str, Any]

_ESCAPE = re.compile(
    r"((?:\\x[89a-fA-F][0-9a-fA-F])+)|\\(x[0-7][0-9a-fA-F]|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL
)
_CONTROL = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_GO_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_NANOSECONDS = {"ns": 1, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9}
_SECONDS = re.compile(r"(\d{1,9})(?:\.(\d{1,9}))?", re.ASCII)


def integer(value: object) -> int | None:
    """A count, as a number or its digits, within 0..2^63-1."""
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None
    return value if type(value) is int and 0 <= value < 2**63 else None


def status_code(value: object) -> int | None:
    """An HTTP status within 100..599, as a number or its digits."""
    status = integer(value)
    return status if status is not None and 100 <= status <= 599 else None


def go_duration(value: object) -> int | None:
    """Go's time.Duration as text (`1m51.9s`, `77.4µs`; a bare number is nanoseconds) -> nanoseconds.

    https://pkg.go.dev/time#ParseDuration; None if it is no duration.
    """
    if not isinstance(value, str):
        return integer(value)
    if len(value) > 40:
        return None
    parts = _GO_DURATION.findall(value)
    if not parts or "".join(number + unit for number, unit in parts) != value:
        return None
    return integer(round(sum(float(number) * _NANOSECONDS[unit] for number, unit in parts)))


def seconds_duration(text: object) -> int | None:
    """nginx's `$request_time` (`0.001`, seconds) -> nanoseconds, exactly; None if it is none."""
    match = _SECONDS.fullmatch(text) if isinstance(text, str) else None
    return int(match[1]) * 10**9 + int((match[2] or "").ljust(9, "0")) if match else None


def client_fields(address: str) -> Fields:
    """`client.ip` for an IP address, `client.address` for any other name (ECS: `ip` takes only IPs)."""
    if not address or address == "-":
        return {}
    return {"client.ip": address} if _is_ip(address) else {"client.address": mask_text(address)}


def _is_ip(text: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except (OSError, ValueError):
        return False
    return True


def host_of(address: str) -> str:
    """`10.0.0.1:4242`, `[::1]:80` or a bare address -> the address."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.rpartition(":")[0] if address.count(":") == 1 else address


def json_object(text: str) -> dict[str, Any] | None:
    """The object that a JSON text is, or None. Lone surrogates, which orjson refuses, are accepted."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        if "\\u" not in text:
            return None
        document = _slow_json(text)
    return document if isinstance(document, dict) else None


def _slow_json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def storable(fields: Fields) -> Fields:
    """Without NUL and lone surrogates, which escapes can make and no store takes."""
    return {k: _UNSTORABLE.sub("\ufffd", v) if isinstance(v, str) else v for k, v in fields.items()}


def unquote_go(value: str) -> str:
    """A word of logfmt: Go's strconv.Quote undone where it is quoted."""
    return unescape_go(value[1:-1]) if value.startswith('"') else value


def unescape_go(text: str) -> str:
    """The escapes of Go's strconv.Quote and of nginx undone; bytes above 0x7f are read as UTF-8."""
    return _ESCAPE.sub(_character, text) if "\\" in text else text


def _character(match: re.Match[str]) -> str:
    octets, body = match.groups()
    if octets:
        return bytes.fromhex(octets.replace("\\x", "")).decode("utf-8", "replace")
    if len(body) > 1:
        code = int(body[1:], 16)
        return chr(code) if code < 0x110000 else "\ufffd"
    return _CONTROL.get(body, body)
