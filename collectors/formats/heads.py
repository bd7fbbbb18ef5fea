"""The heads that container engines and syslog put before a line."""

import re
from datetime import datetime
from typing import NamedTuple

from collectors.formats.times import utc, yearless_time
from collectors.formats.values import json_object

_CRI = re.compile(r"(\d{4}-\d\d-\d\dT\S+) (stdout|stderr) ([FP])(?:$| )(.*)", re.DOTALL)
_RFC3164 = re.compile(
    r"(?:<\d{1,3}>)?(?:([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)|(\d{4}-\d\d-\d\dT\S+))"
    r" (?:\S+ )?[^\s:\[]+(?:\[\d+\])?: (.*)",
    re.DOTALL | re.ASCII,
)
_RFC5424 = re.compile(
    r"<\d{1,3}>1 (\S+) \S+ \S+ \S+ \S+ (?:-|(?:\[[^\"\]]*+(?:\"(?:[^\"\\]|\\.)*+\"[^\"\]]*+)*+\])+)"
    r"(?: (?:\ufeff|\xef\xbb\xbf)?(.*))?$",
    re.DOTALL | re.ASCII,
)


class Payload(NamedTuple):
    """A line without its head. `at` is the head's RFC 3339 time or None; a `partial` payload goes on
    in the next one of the same `stream`."""

    text: str
    at: str | None = None
    stream: str = ""
    partial: bool = False


def split_head(line: str, now: datetime | None = None) -> Payload:
    """Take off the head of CRI (Kubernetes, podman), Docker's json-file or syslog (RFC 3164, RFC 5424).

    A head of RFC 3164 names no year: it gives a time only where `now` tells about when the line was
    written (docs/logs.md).
    """
    if line.startswith("{"):
        return _docker_payload(line)
    if match := _CRI.match(line):
        at, stream, flag, text = match.groups()
        return Payload(text, utc(at), stream, flag == "P")
    if match := _RFC3164.match(line):
        yearless, at, text = match.groups()
        return Payload(text, utc(at) if at else yearless_time(yearless, now) if now else None)
    if match := _RFC5424.match(line):
        return Payload(match[2] or "", utc(match[1]))
    return Payload(line)


def _docker_payload(line: str) -> Payload:
    document = json_object(line) if '"log"' in line else None
    if document is None or not isinstance(document.get("log"), str) or "time" not in document:
        return Payload(line)
    text = document["log"]
    return Payload(
        text.rstrip("\r\n"), utc(document["time"]), str(document.get("stream", "")), not text.endswith("\n")
    )
