"""The audit log sent on: to a syslog server (RFC 5424), and into the event store (and so to Elasticsearch).

At least once and in order: how far a target has come is kept with the records, and moves on after it has
taken them. UDP says nothing about what was lost on the way. In the event store each entry has the id
`audit:HASH`, so that sending it again has no effect.
"""

import asyncio
import json
import logging
import os
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, Protocol
from urllib.parse import urlsplit

from seawall.config.audit import Audit
from seawall.core.accounts import AccountStore
from seawall.core.errors import SeawallError, StoreUnavailable
from seawall.core.ports import EventStore
from seawall.core.signals import Event
from seawall.core.times import rfc3339

EVERY = 2.0  # seconds
BATCH = 200
TIMEOUT = 5.0
NOTICE, WARNING = 5, 4  # severities of RFC 5424
FACILITIES = {"auth": 4, "authpriv": 10, **{f"local{n}": 16 + n for n in range(8)}}
LARGEST_DATAGRAM = 8192
REGISTRY = "seawall"  # the registry.name of entries in the event store: they are about Seawall itself
log = logging.getLogger(__name__)
Entry = Mapping[str, Any]


class Target(Protocol):
    """Where entries go."""

    name: str

    def send(self, entries: Sequence[Entry]) -> None:
        """Taken when this returns. SeawallError."""
        ...


def message_of(entry: Entry, facility: str, host: str, largest: int | None = None) -> bytes:
    """One syslog message: the header, no structured data, the entry as JSON."""
    failed = entry["event"].endswith((".failed", ".reused", ".refused"))
    priority = FACILITIES[facility] * 8 + (WARNING if failed else NOTICE)
    kind = re.sub(r"[^!-~]", "_", entry["event"])[:32] or "-"
    header = f"<{priority}>1 {rfc3339(entry['at'])} {host} seawall {os.getpid()} {kind} - "
    whole = header.encode() + _json({**entry, "detail": json.loads(entry["detail"])})
    if largest is not None and len(whole) > largest:
        return header.encode() + _json({**entry, "detail": {"cut": len(whole)}})
    return whole


def _json(entry: Entry) -> bytes:
    return json.dumps(dict(entry), ensure_ascii=True, sort_keys=True).encode()


class Syslog:
    """udp:// (RFC 5426), tcp:// and tls:// (octet counting, RFC 6587 and 5425), or unix:/dev/log."""

    def __init__(self, url: str, facility: str) -> None:
        self.name = f"syslog {url}"
        self._url, self._facility = url, facility
        self._host = re.sub(r"[^!-~]", "_", socket.gethostname())[:255] or "-"

    def send(self, entries: Sequence[Entry]) -> None:
        """See the port."""
        try:
            self._send(entries)
        except OSError as error:
            raise StoreUnavailable(f"audit.syslog {self._url}: {error}") from error

    def _send(self, entries: Sequence[Entry]) -> None:
        scheme, _, rest = self._url.partition(":")
        if scheme in ("udp", "unix"):
            with closing(self._datagrams(scheme, rest)) as out:
                for entry in entries:
                    out.send(message_of(entry, self._facility, self._host, LARGEST_DATAGRAM))
            return
        with closing(self._stream(scheme)) as out:
            for entry in entries:
                message = message_of(entry, self._facility, self._host)
                out.sendall(f"{len(message)} ".encode() + message)

    def _place(self) -> tuple[str, int]:
        parts = urlsplit(self._url)
        return parts.hostname or "", parts.port or 514

    def _datagrams(self, scheme: str, path: str) -> socket.socket:
        if scheme == "unix":
            out, place = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), path
            out.settimeout(TIMEOUT)
            out.connect(place)
            return out
        family, kind, proto, _, address = socket.getaddrinfo(*self._place(), type=socket.SOCK_DGRAM)[0]
        out = socket.socket(family, kind, proto)
        out.connect(address)
        return out

    def _stream(self, scheme: str) -> socket.socket:
        plain = socket.create_connection(self._place(), TIMEOUT)
        if scheme == "tcp":
            return plain
        return ssl.create_default_context().wrap_socket(plain, server_hostname=self._place()[0])


class Events:
    """The event store."""

    name = "events"

    def __init__(self, events: EventStore) -> None:
        self._events = events

    def send(self, entries: Sequence[Entry]) -> None:
        """See the port."""
        self._events.append([event_of(entry) for entry in entries], {})


def event_of(entry: Entry) -> Event:
    """An entry as an event (ECS fields)."""
    fields = {
        "event.dataset": "seawall.audit",
        "event.action": entry["event"],
        "event.outcome": "failure" if entry["event"].endswith((".failed", ".reused")) else "success",
        "user.name": entry["actor"],
        "message": f"{entry['event']} {entry['subject']} {entry['detail']} ({entry['seq']} {entry['hash']})",
    }
    return Event(f"audit:{entry['hash']}", entry["at"], REGISTRY, fields)


class AuditExport:
    """Follows the log for every target that is configured."""

    def __init__(self, config: Audit, store: AccountStore, events: EventStore) -> None:
        self._store = store
        self._targets: list[Target] = []
        self._said: dict[str, str] = {}
        if config.syslog:
            self._targets.append(Syslog(config.syslog, config.facility))
        if config.events:
            self._targets.append(Events(events))

    def step(self) -> int:
        """Send what is new; how many entries were taken. A target that fails delays no other."""
        return sum(self._one(target) for target in self._targets)

    def _one(self, target: Target) -> int:
        try:
            entries = self._store.audit_since(self._store.audit_mark(target.name), BATCH)
            if entries:
                target.send(entries)
                self._store.audit_mark(target.name, entries[-1]["seq"])
        except SeawallError as error:
            if self._said.get(target.name) != str(error):
                log.error("audit log not sent: %s", error)
                self._said[target.name] = str(error)
            return 0
        self._said.pop(target.name, None)
        return len(entries)

    async def follow(self) -> None:
        """Until cancelled."""
        while self._targets:
            taken = await asyncio.to_thread(self.step)
            if taken < BATCH:
                await asyncio.sleep(EVERY)
