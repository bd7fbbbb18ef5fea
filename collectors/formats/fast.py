"""The short way from a combined access line to its JSON line, for files of millions of them.

A line is cut at its quotes. Pieces that repeat (second, user, request up to its digest, status, user agent)
are turned into JSON once, by the very functions of the long way, and kept in bounded caches. Whatever this is
not sure of raises ValueError and goes the long way; where it is sure, both ways give the same bytes.
"""

import re
import socket
from collections.abc import Callable
from typing import Generic, TypeVar

import orjson

from collectors.formats.access import COMBINED, QUOTED, tail_fields, who_fields
from collectors.formats.requests import answer_fields, request_fields, split_request
from collectors.formats.values import Fields, status_code, storable

T = TypeVar("T")

_BYTES = 32  # of a SHA-256
_HEX = 2 * _BYTES
_VERSIONS = (" HTTP/1.1", " HTTP/1.0", " HTTP/2.0", " HTTP/3.0")
_STATUS = re.compile(r" (\d{3}) ", re.ASCII)
_USER = re.compile(r"[^\s\0]+", re.ASCII)
_TAIL = re.compile(rf"{QUOTED[1:]} {QUOTED}(?: {QUOTED})?\s*", re.ASCII)
_AGAIN = '","registry.digest":"sha256:'
_MOST_DIGITS = 18  # of a size: surely below 2^63
_IPV4 = int(socket.AF_INET)


class Cache(dict[str, T], Generic[T]):
    """Makes what is missing and keeps it; begins anew when full, so that memory stays bounded."""

    def __init__(self, make: Callable[[str], T], size: int) -> None:
        self._make, self._size = make, size

    def __missing__(self, key: str) -> T:
        made = self._make(key)
        if len(self) >= self._size:
            self.clear()
        self[key] = made
        return made


# JSON of a request, and of its answers by status.
_Whole = tuple[str, Cache[str]]
# JSON of a request up to the digest in its URL, from there to its reference, and of its answers.
_ToDigest = tuple[str, str, Cache[str]]


def access_json(line: str, number: int) -> str:
    """A combined access line -> its JSON document; ValueError or OSError where the long way must decide."""
    head, request, middle, tail = line.split('"', 3)
    client, identity, user, second = head.split(" ", 3)
    size = middle[5:-1]
    if not size.isdigit() or (size[0] == "0" and size != "0") or len(size) > _MOST_DIGITS:
        raise ValueError("no size")
    if identity != "-" or middle[-1] != " " or not line.isascii():
        raise ValueError("an identity, or other characters")
    _check_ip(_IPV4, client)
    # `... /sha256:` to -73, its 64 digits to -9, then ` HTTP/1.1`.
    if request[-81:-73] == "/sha256:" and request.endswith(_VERSIONS):
        digest = request[-73:-9]
        if len(_from_hex(digest)) != _BYTES:
            raise ValueError("spaces in a digest")
        start, between, answers = _of_digests[request[:-73]]
        return (
            f'{{"log.line":{number}{_seconds[second]}{client}{_users[user]}{size}{start}{digest}{between}{digest}'
            f'{_AGAIN}{digest}"{answers[middle[:5]]}{_tails[tail]}'
        )
    asked, answers = _requests[request]
    return (
        f'{{"log.line":{number}{_seconds[second]}{client}{_users[user]}{size}{asked}'
        f"{answers[middle[:5]]}{_tails[tail]}"
    )


def _whole(request: str) -> _Whole:
    """A request that is kept as it is."""
    if "\\" in request or "\0" in request:
        raise ValueError("a quoted quote, or NUL")
    method, uri = split_request(request)
    asked = request_fields(method, uri)
    operation = asked.get("registry.operation", "")
    answers = _answers[f"{method} {operation}"] if "=" not in uri else _answers_of(method, operation, uri)
    return _members(asked), answers


def _to_digest(start: str) -> _ToDigest:
    """A request up to the digest that ends it. Two stand-ins show where digests, and only they, stand."""
    (one, answers), (other, _) = (_whole(start + digit * _HEX + _VERSIONS[0]) for digit in "0f")
    pieces = one.split("0" * _HEX)
    if pieces != other.split("f" * _HEX) or pieces[2:] != [_AGAIN, '"']:
        raise ValueError("a digest that stands elsewhere too")
    return pieces[0], pieces[1], answers


def _answers_of(method: str, operation: str, uri: str) -> Cache[str]:
    def answer(status: str) -> str:
        if (match := _STATUS.fullmatch(status)) is None:
            raise ValueError("no status")
        return _members(answer_fields(method, operation, uri, status_code(match[1])))

    return Cache(answer, 1000)


def _usual_answers(kind: str) -> Cache[str]:
    """The answers to every request of one method and operation, where its parameters do not matter."""
    method, _, operation = kind.partition(" ")
    return _answers_of(method, operation, "")


def _second(text: str) -> str:
    fields = who_fields(COMBINED, "-", "-", text[1:-2]) if text[:1] == "[" and text[-2:] == "] " else None
    if fields is None:
        raise ValueError("no time")
    return _members(fields) + ',"client.ip":"'


def _user(text: str) -> str:
    if not _USER.fullmatch(text):
        raise ValueError("no user")
    return '"' + _members(who_fields("", "-", text, None) or {}) + ',"http.response.body.bytes":'


def _tail(text: str) -> str:
    if (match := _TAIL.fullmatch(text)) is None:
        raise ValueError("not referrer and user agent")
    return _members(storable(tail_fields(match[1], match[2]))) + "}"


def _members(fields: Fields) -> str:
    """`,"key":value` for each field."""
    return "," + orjson.dumps(fields).decode()[1:-1] if fields else ""


_seconds = Cache(_second, 1 << 12)
_users = Cache(_user, 1 << 12)
_requests = Cache(_whole, 1 << 15)
_of_digests = Cache(_to_digest, 1 << 15)
_answers = Cache(_usual_answers, 1 << 8)
_tails = Cache(_tail, 1 << 12)
_from_hex = bytes.fromhex
_check_ip = socket.inet_pton  # OSError for what is no address
