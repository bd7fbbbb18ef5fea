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
import stat
import threading
import weakref
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from collectors.log_lines import MAX_LINE, Backlog, Line, Lines, join
from seawall.core.errors import InputError, SeawallError
from seawall.core.signals import Batch, Event

MAX_ROUND = 4 << 20  # bytes that one collection reads, give or take a half
_FINGERPRINTED = 256
# Which source reads a file (device, inode), so that two names of one file are not read twice.
Claims = dict[tuple[int, int], str]


@dataclass(frozen=True, slots=True)
class Position:
    """Where reading goes on. `cut`: the rest of an over-long line up to its newline is to be skipped."""

    generation: int = 0
    device: int = 0
    inode: int = 0
    offset: int = 0
    fingerprint: str = ""
    cut: bool = False


class FollowedLog:
    """Collector of one log file of one registry.

    `source` names its checkpoint. Two collectors that share `claims` never read one file both.
    """

    def __init__(
        self,
        registry: str,
        path: str,
        interval: float = 5.0,
        timeout: float = 30.0,
        max_round: int = MAX_ROUND,
        name: str = "",
        source: str = "",
        claims: Claims | None = None,
    ) -> None:
        self.name, self.registry = name or f"logs:{path}", registry
        self.interval, self.timeout = interval, timeout
        self.source = source or f"log:{registry}:{path}"
        self._lines, self._backlog = Lines(registry, self.source), Backlog(registry, self.name)
        self._path, self._max_round = Path(path), max_round
        self._position = self._next = Position()
        self._more = False
        self._held: tuple[int, int] | None = None
        self._claims = claims if claims is not None else {}
        self._descriptor = -1
        self._close: Callable[[], object] = lambda: None
        self._reading = threading.Lock()

    @property
    def lines(self) -> Counter[str]:
        """What became of the lines that are stored."""
        return self._lines.durable

    @property
    def odd_lines(self) -> deque[str]:
        """The last few lines that were not understood, masked."""
        return self._lines.odd

    @property
    def backlog(self) -> int:
        """Bytes that the last collection left unread."""
        return self._backlog.bytes

    @property
    def more(self) -> bool:
        """Did the last collection stop because it had read enough?"""
        return self._more

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
        self._lines.stored()

    def _collect(self, now: float) -> Batch:
        if not self._reading.acquire(blocking=False):
            raise SeawallError(f"{self._path}: the collection before is still reading; the disk may hang")
        batch = Batch()
        self._lines.begin(now)
        try:
            self._next = position = self._read_round(batch.events)
            self._backlog.tell(batch, self._unread(position), now)
        except OSError as error:
            remedy = "give the path of the registry's log and let Seawall's user read it"
            raise InputError(str(self._path), (error.strerror or str(error)).lower(), remedy) from error
        finally:
            self._reading.release()
        batch.checkpoints[self.source] = json.dumps(asdict(position))
        return batch

    def _read_round(self, events: list[Event]) -> Position:
        position, total = self._position, 0
        while 2 * total < self._max_round:
            position = self._open(position)
            # Asked before reading: what the writer wrote here before it moved on is then surely seen.
            following = self._following(position)
            read, position = self._read(position, events)
            total += read
            if read == 0 and following is None:
                break
            if read == 0 and following is not None:
                position = self._finish(position, following, events)
        self._more = 2 * total >= self._max_round
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
        descriptor = _open_file(path)
        device, inode = _identity(descriptor)
        if (other := self._claims.setdefault((device, inode), self.source)) != self.source:
            os.close(descriptor)
            raise InputError(str(path), f"the same file is read as {other}", "name it once")
        self._let_go()
        self._claims[device, inode] = self.source
        self._descriptor, self._close = descriptor, weakref.finalize(self, os.close, descriptor)
        fingerprint = position.fingerprint if offset else ""
        cut = position.cut if offset else False
        return Position(position.generation, device, inode, offset, fingerprint, cut)

    def _let_go(self) -> None:
        """Close the open file, and let others have it."""
        if self._descriptor >= 0:
            self._claims.pop(_identity(self._descriptor), None)
        self._close()
        self._descriptor = -1

    def close(self) -> None:
        """Give the file back; a later collection opens it anew."""
        self._let_go()

    def _continues(self, path: Path, position: Position) -> bool:
        """Does this file hold, up to the offset, what was read?"""
        try:
            descriptor = _open_file(path)
        except OSError:
            return False
        try:
            if position.offset == 0:
                return _identity(descriptor) == (position.device, position.inode)
            return _fingerprint(descriptor, position.offset) == position.fingerprint
        finally:
            os.close(descriptor)

    def _siblings(self) -> list[Path]:
        """Rotated files beside it (`x.log.1`, `x.log-20261124`, `x-20261124.log`), oldest first."""
        rotated = rotations_of(self._path)
        with os.scandir(self._path.parent) as entries:
            found = [e for e in entries if rotated.fullmatch(e.name) and e.is_file()]
        return [Path(e.path) for e in sorted(found, key=lambda e: (e.stat().st_mtime_ns, e.name))]

    def _read(self, position: Position, events: list[Event]) -> tuple[int, Position]:
        """Consume whole lines of the open file; (bytes consumed, position after them)."""
        before = min(_FINGERPRINTED, position.offset)
        window = os.pread(self._descriptor, before + self._max_round, position.offset - before)
        start = os.pread(self._descriptor, _FINGERPRINTED, 0)
        chunk = window[before:]
        end = chunk.rfind(b"\n") + 1
        full = len(chunk) >= min(MAX_LINE, self._max_round)
        cut = end == 0 and full
        used = self._keep(chunk if cut else chunk[:end], position, events, full)
        if used == 0:
            return 0, position
        offset, size = position.offset + used, min(_FINGERPRINTED, position.offset + used)
        fingerprint = _hashed(start[:size], window[before + used - size : before + used])
        return used, replace(position, offset=offset, fingerprint=fingerprint, cut=cut)

    def _keep(
        self, chunk: bytes, position: Position, events: list[Event], full: bool, last: bool = False
    ) -> int:
        """Lines -> events; returns the bytes consumed. The parts of a line that a container engine split
        wait for its end, with what follows them; but for one round only where they fill the chunk already,
        have waited before, or no more is to come."""
        offset, parts, whole, skip = position.offset, dict[str, Line](), list[Line](), position.cut
        for raw in io.BytesIO(chunk):
            if skip:
                skip = False
            elif line := join(parts, Line(offset, self._lines.payload(raw))):
                whole.append(line)
            offset += len(raw)
        waiting = min((line.offset for line in parts.values()), default=offset)
        held = position.generation, waiting
        if last or (waiting == position.offset and (full or held == self._held)):
            whole += parts.values()
            waiting = offset
        self._held = held if waiting < offset else None
        for line in whole:
            if line.offset < waiting:
                self._add(line, position.generation, events)
        return waiting - position.offset

    def _add(self, line: Line, generation: int, events: list[Event]) -> None:
        if event := self._lines.event(line.payload, f"{generation}\0{line.offset}"):
            events.append(event)

    def _following(self, position: Position) -> Path | None:
        """The next file, once this one is read to its end and its writer has moved on; else None."""
        here = (position.device, position.inode)
        try:
            current = self._path.stat()
        except FileNotFoundError:
            return None
        if (current.st_dev, current.st_ino) == here:
            return None
        mine = os.fstat(self._descriptor).st_mtime_ns
        for path in self._siblings():
            found = path.stat()
            if found.st_mtime_ns > mine and (found.st_dev, found.st_ino) != here:
                return path
        return self._path if current.st_size else None

    def _finish(self, position: Position, following: Path, events: list[Event]) -> Position:
        """Take the rest of a rotated file (a last line without newline too), then begin the next file."""
        if rest := os.pread(self._descriptor, MAX_LINE, position.offset):
            self._keep(rest + b"\n", position, events, full=True, last=True)
        return self._switch(following, replace(position, generation=position.generation + 1), offset=0)

    def _unread(self, position: Position) -> int:
        """Bytes left in the open file, and in those that its writer has begun since."""
        mine = os.fstat(self._descriptor)
        left = max(0, mine.st_size - position.offset)
        current = self._path.stat() if self._path.exists() else None
        if current is None or (current.st_dev, current.st_ino) == (position.device, position.inode):
            return left
        stats = [path.stat() for path in self._siblings()]
        later = [found for found in stats if found.st_mtime_ns > mine.st_mtime_ns]
        return left + sum(found.st_size for found in (*later, current) if found.st_ino != position.inode)


def rotations_of(path: Path) -> re.Pattern[str]:
    """Matches the names that a rotation gives the log: `x.log.1`, `x.log-20261124`, `x-20261124.log`."""
    stem, suffix = re.escape(path.stem), re.escape(path.suffix)
    return re.compile(rf"{stem}(?:{suffix}[.-][\dTZ._:-]+|[.-][\dTZ._:-]+{suffix})")


def _open_file(path: Path) -> int:
    """A descriptor of a regular file; a pipe without a writer must not hang us."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(None, "it is no regular file")
    return descriptor


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
