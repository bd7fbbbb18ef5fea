"""A followed log file: every whole line becomes an event once, across rotation, truncation and restarts.

A position is (generation, device, inode, offset, fingerprint). The fingerprint covers the bytes at the
start of the file and just before the offset, so a file that was truncated, replaced or copied is told
from one that grew. A log rotated by rename is finished first under its new name; of one rotated by
copytruncate the unread rest is read from the copy. A generation counts the files of this log, so
(source, generation, offset, line) names a line for ever and a repeated delivery is dropped by the store.
"""

import asyncio
import hashlib
import io
import json
import os
import re
import threading
import weakref
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

from collectors.formats import Fields, Payload, mask_text, parse_payload, split_head
from seawall.core.errors import InputError, SeawallError
from seawall.core.signals import Batch, Event
from seawall.core.times import parse_time, rfc3339

MAX_LINE = 1 << 20  # bytes
MAX_ROUND = 4 << 20  # bytes that one collection reads, give or take a half
KEPT_LINES = 20
_FINGERPRINTED = 256


@dataclass(frozen=True, slots=True)
class Position:
    """Where reading goes on. `cut`: the rest of an over-long line up to its newline is to be skipped."""

    generation: int = 0
    device: int = 0
    inode: int = 0
    offset: int = 0
    fingerprint: str = ""
    cut: bool = False


class Line(NamedTuple):
    """A line, or the joined parts of one that a container engine had split; `offset` is its first byte."""

    offset: int
    payload: Payload


class FollowedLog:
    """Collector of one log file of one registry.

    `lines` counts what became of each line: its format (seawall.format), `not_understood` or `cut` (longer
    than 1 MiB); `odd_lines` keeps the last few not understood, masked; `backlog` is the bytes left unread.
    """

    def __init__(
        self,
        registry: str,
        path: str,
        interval: float = 5.0,
        timeout: float = 30.0,
        max_round: int = MAX_ROUND,
    ) -> None:
        self.name, self.registry, self.interval, self.timeout = "logs", registry, interval, timeout
        self.source = f"log:{registry}:{path}"
        self.lines: Counter[str] = Counter()
        self.odd_lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.backlog = 0
        self._path, self._max_round = Path(path), max_round
        self._position = self._next = Position()
        self._counted: Counter[str] = Counter()
        self._descriptor = -1
        self._close: Callable[[], object] = lambda: None
        self._reading = threading.Lock()

    def restore(self, checkpoint: str | None) -> None:
        """Start from a stored checkpoint; None is the file's beginning. InputError if it is none."""
        try:
            self._position = Position(**json.loads(checkpoint)) if checkpoint else Position()
            if min(self._position.offset, self._position.generation, self._position.inode) < 0:
                raise ValueError("a number is negative")
        except (ValueError, TypeError) as error:
            raise InputError(
                f"checkpoint of {self.source}", str(error), "delete it to read the file anew"
            ) from error

    async def collect(self, now: float) -> Batch:
        """The lines added since the position; about `max_round` bytes at most, the rest is `backlog`."""
        return await asyncio.to_thread(self._collect, now)

    async def stored(self) -> None:
        """The batch is durable: the position and the counts advance."""
        self._position = self._next
        self.lines.update(self._counted)
        self._counted = Counter()

    def _collect(self, now: float) -> Batch:
        if not self._reading.acquire(blocking=False):
            raise SeawallError(f"{self._path}: the collection before is still reading; the disk may hang")
        batch = Batch()
        self._counted = Counter()
        try:
            self._next = position = self._read_round(now, batch.events)
            self.backlog = self._unread(position)
        except OSError as error:
            raise SeawallError(
                f"{self._path}: {(error.strerror or str(error)).lower()}; give the path of the registry's log"
                " and let Seawall's user read it"
            ) from error
        finally:
            self._reading.release()
        batch.checkpoints[self.source] = json.dumps(asdict(position))
        if self.backlog:
            batch.notes.append(f"{self._path}: {self.backlog} bytes are still to be read")
        return batch

    def _read_round(self, now: float, events: list[Event]) -> Position:
        position, total = self._position, 0
        while 2 * total < self._max_round:
            position = self._open(position)
            # Asked before reading: what the writer wrote here before it moved on is then surely seen.
            following = self._following(position)
            read, position = self._read(position, now, events)
            total += read
            if read == 0 and following is None:
                break
            if read == 0 and following is not None:
                position = self._finish(position, following, now, events)
        if total == 0:
            self._path.stat()
        return position

    def _open(self, position: Position) -> Position:
        """Have the position's file open: the one already open, the path itself, or a rotated sibling."""
        if self._descriptor >= 0 and _identity(self._descriptor) == (position.device, position.inode):
            if _fingerprint(self._descriptor, position.offset) == position.fingerprint:
                return position
        elif position.inode == 0:
            return self._switch(self._path, position, offset=0)
        for path in (self._path, *self._siblings()):
            if self._continues(path, position):
                return self._switch(path, position, offset=position.offset)
        return self._switch(self._path, replace(position, generation=position.generation + 1), offset=0)

    def _switch(self, path: Path, position: Position, offset: int) -> Position:
        descriptor = os.open(path, os.O_RDONLY)
        self._close()
        self._descriptor, self._close = descriptor, weakref.finalize(self, os.close, descriptor)
        device, inode = _identity(descriptor)
        fingerprint = position.fingerprint if offset else ""
        cut = position.cut if offset else False
        return Position(position.generation, device, inode, offset, fingerprint, cut)

    def _continues(self, path: Path, position: Position) -> bool:
        """Does this file hold, up to the offset, what was read?"""
        try:
            with io.FileIO(path) as file:
                if position.offset == 0:
                    return _identity(file.fileno()) == (position.device, position.inode)
                return _fingerprint(file.fileno(), position.offset) == position.fingerprint
        except OSError:
            return False

    def _siblings(self) -> list[Path]:
        """Rotated files beside it (`x.log.1`, `x.log-20261124`, `x-20261124.log`), oldest first."""
        stem, suffix = re.escape(self._path.stem), re.escape(self._path.suffix)
        rotated = re.compile(rf"{stem}(?:{suffix}[.-][\dTZ._:-]+|[.-][\dTZ._:-]+{suffix})")
        with os.scandir(self._path.parent) as entries:
            found = [e for e in entries if rotated.fullmatch(e.name) and e.is_file()]
        return [Path(e.path) for e in sorted(found, key=lambda e: (e.stat().st_mtime_ns, e.name))]

    def _read(self, position: Position, now: float, events: list[Event]) -> tuple[int, Position]:
        """Consume whole lines of the open file; (bytes consumed, position after them)."""
        before = min(_FINGERPRINTED, position.offset)
        window = os.pread(self._descriptor, before + self._max_round, position.offset - before)
        start = os.pread(self._descriptor, _FINGERPRINTED, 0)
        chunk = window[before:]
        end = chunk.rfind(b"\n") + 1
        cut = end == 0 and len(chunk) >= min(MAX_LINE, self._max_round)
        used = self._keep(chunk if cut else chunk[:end], position, now, events)
        if used == 0:
            return 0, position
        offset, size = position.offset + used, min(_FINGERPRINTED, position.offset + used)
        fingerprint = _hashed(start[:size], window[before + used - size : before + used])
        return used, replace(position, offset=offset, fingerprint=fingerprint, cut=cut)

    def _keep(
        self, chunk: bytes, position: Position, now: float, events: list[Event], last: bool = False
    ) -> int:
        """Lines -> events; returns the bytes consumed. The parts of a line that a container engine split
        wait for its end, unless there is no more to come or they are a line too long already."""
        offset, parts, skip = position.offset, dict[str, Line](), position.cut
        for raw in io.BytesIO(chunk):
            if skip:
                skip = False
            elif line := _join(parts, Line(offset, self._payload(raw))):
                self._add(line, position.generation, now, events)
            offset += len(raw)
        waiting = min((line.offset for line in parts.values()), default=offset)
        if last or (waiting == position.offset and len(chunk) >= MAX_LINE):
            for line in parts.values():
                self._add(line, position.generation, now, events)
            waiting = offset
        return waiting - position.offset

    def _payload(self, raw: bytes) -> Payload:
        if len(raw) > MAX_LINE or not raw.endswith(b"\n"):
            self._counted["cut"] += 1
            raw = raw[:MAX_LINE]
        return split_head(raw.decode("utf-8", "replace").rstrip("\r\n"))

    def _add(self, line: Line, generation: int, now: float, events: list[Event]) -> None:
        text = line.payload.text
        if not text.strip():
            return
        fields = parse_payload(line.payload)
        if fields is None:
            self._counted["not_understood"] += 1
            self.odd_lines.append(mask_text(text[:1000]))
            return
        self._counted[fields["seawall.format"]] += 1
        events.append(self._event(line, generation, fields, now))

    def _event(self, line: Line, generation: int, fields: Fields, now: float) -> Event:
        name = f"{self.source}\0{generation}\0{line.offset}\0{line.payload.text}"
        fields["registry.name"] = self.registry
        if "@timestamp" not in fields:
            fields["@timestamp"] = rfc3339(now)
        at = parse_time(fields["@timestamp"])
        id = hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=16).hexdigest()
        return Event(id, at, self.registry, fields)

    def _following(self, position: Position) -> Path | None:
        """The next file, once this one is read to its end and its writer has moved on; else None."""
        here = (position.device, position.inode)
        try:
            current = self._path.stat()
        except FileNotFoundError:
            return None
        if (current.st_dev, current.st_ino) == here or current.st_size == 0:
            return None
        mine = os.fstat(self._descriptor).st_mtime_ns
        for path in self._siblings():
            stat = path.stat()
            if stat.st_mtime_ns > mine and (stat.st_dev, stat.st_ino) != here:
                return path
        return self._path

    def _finish(self, position: Position, following: Path, now: float, events: list[Event]) -> Position:
        """Take the rest of a rotated file (a last line without newline too), then begin the next file."""
        if rest := os.pread(self._descriptor, MAX_LINE, position.offset):
            self._keep(rest + b"\n", position, now, events, last=True)
        return self._switch(following, replace(position, generation=position.generation + 1), offset=0)

    def _unread(self, position: Position) -> int:
        left = os.fstat(self._descriptor).st_size - position.offset
        current = self._path.stat() if self._path.exists() else None
        if current and (current.st_dev, current.st_ino) != (position.device, position.inode):
            left += current.st_size
        return left if left > 0 else 0


def _join(parts: dict[str, Line], line: Line) -> Line | None:
    """Join the parts of a split line, per stream; None while its end is to come."""
    stream = line.payload.stream
    if stream in parts:
        first = parts.pop(stream)
        line = Line(first.offset, line.payload._replace(text=first.payload.text + line.payload.text))
    if line.payload.partial:
        parts[stream] = line
        return None
    return line


def _identity(descriptor: int) -> tuple[int, int]:
    stat = os.fstat(descriptor)
    return stat.st_dev, stat.st_ino


def _fingerprint(descriptor: int, offset: int) -> str:
    """The fingerprint of a file at an offset, `` at 0, `short` if the file ends before it."""
    size = min(_FINGERPRINTED, offset)
    end = os.pread(descriptor, size, offset - size)
    return _hashed(os.pread(descriptor, size, 0), end) if len(end) == size else "short"


def _hashed(start: bytes, end: bytes) -> str:
    """SHA-256 (32 hex digits) of up to 256 bytes at the start and as many just before the offset."""
    return hashlib.sha256(start + end).hexdigest()[:32] if start else ""
