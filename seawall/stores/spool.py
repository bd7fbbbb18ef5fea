"""Records on disk that wait for a server that is away: in order, bounded, and there again after a kill.

A record is its length and CRC-32 (two big-endian 32-bit numbers) and zlib data. It is on the disk when `put`
returns. The cursor says what was delivered; it may lag after a power cut, then some records are delivered
again: the stores take a repeat for what it is. A record half written when the process died was never
acknowledged, and is cut off.
"""

import logging
import os
import struct
import threading
import zlib
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from seawall.core.errors import StoreUnavailable

_HEAD = struct.Struct(">II")
SEGMENT = 64 << 20  # bytes of a file before the next one begins
LONGEST_HEAD = 1 << 16  # bytes; of a longer first line the whole record is read
log = logging.getLogger(__name__)


class Spool:
    """One queue in a folder. `limit` is bytes on disk; beyond it `put` raises StoreUnavailable."""

    def __init__(self, folder: Path, limit: int, segment: int = SEGMENT) -> None:
        self._folder, self._limit, self._segment = folder, limit, segment
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Path, int, int]] = deque()  # file, offset of the data, its length
        folder.mkdir(parents=True, exist_ok=True)
        self._bytes = 0
        self._recover()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._bytes

    def put(self, record: bytes) -> None:
        """Durable when it returns. StoreUnavailable when the spool or the disk is full: nothing was taken."""
        packed = zlib.compress(record, 1)
        block = _HEAD.pack(len(packed), zlib.crc32(packed)) + packed
        with self._lock:
            if self._bytes + len(block) > self._limit:
                raise StoreUnavailable(
                    f"{self._folder}: the spool is full ({self._limit >> 20} MiB); bring the store back"
                )
            path = self._open_segment()
            before = path.stat().st_size if path.exists() else 0
            try:
                with path.open("ab") as file:
                    file.write(block)
                    file.flush()
                    os.fsync(file.fileno())
                if not before:
                    _sync_folder(self._folder)
            except OSError as error:
                self._cut(path, before)
                raise StoreUnavailable(f"{self._folder}: {error.strerror}; free the disk") from error
            self._waiting.append((path, before + _HEAD.size, len(packed)))
            self._bytes += len(block)

    def first(self) -> bytes | None:
        """The oldest record that waits; it stays until `drop`."""
        return next(iter(self.leading(1, 0)), None)

    def leading(self, most: int, size: int) -> list[bytes]:
        """The oldest records, up to `most`; no more once they are `size` bytes. They stay until `drop`."""
        with self._lock:
            places = list(islice(self._waiting, most))
        found: list[bytes] = []
        for place in places:
            found.append(_read(*place))
            size -= len(found[-1])
            if size <= 0:
                break
        return found

    def drop(self, count: int = 1) -> None:
        """The oldest records were delivered."""
        with self._lock:
            gone = [self._waiting.popleft() for _ in range(count)]
            self._bytes -= sum(length + _HEAD.size for _, _, length in gone)
            path, offset, length = gone[-1]
            left = self._waiting[0][0] if self._waiting else None
            if left != path:
                self._cursor().unlink(missing_ok=True)  # before the files: a later one may have their names
            for it in sorted({it for it, _, _ in gone} - {left}):
                it.unlink()
            if left == path:
                fresh = self._cursor().with_suffix(".new")
                fresh.write_text(f"{path.name} {offset + length}", encoding="utf-8")
                fresh.replace(self._cursor())

    def heads(self) -> Iterator[bytes]:
        """The first line of each record that waits, the oldest first."""
        with self._lock:
            waiting = list(self._waiting)
        for path, offset, length in waiting:
            with path.open("rb") as file:
                file.seek(offset)
                packed = file.read(length)
            head, ended, _ = zlib.decompressobj().decompress(packed, LONGEST_HEAD).partition(b"\n")
            yield head if ended else zlib.decompress(packed).partition(b"\n")[0]

    def last(self) -> bytes | None:
        """The newest record that waits."""
        with self._lock:
            if not self._waiting:
                return None
            path, offset, length = self._waiting[-1]
        return _read(path, offset, length)

    def _cursor(self) -> Path:
        return self._folder / "cursor"

    def _open_segment(self) -> Path:
        if self._waiting:
            last = self._waiting[-1][0]
            if last.stat().st_size < self._segment:
                return last
            return self._folder / f"{int(last.stem) + 1:010d}.seg"
        numbers = [int(path.stem) for path in self._folder.glob("*.seg")]
        return self._folder / f"{max(numbers, default=0) + 1:010d}.seg"

    @staticmethod
    def _cut(path: Path, size: int) -> None:
        if path.exists():
            os.truncate(path, size)

    def _recover(self) -> None:
        name, _, done = (self._cursor().read_text() if self._cursor().exists() else "").partition(" ")
        for path in sorted(self._folder.glob("*.seg")):
            start = int(done) if path.name == name and done.isdigit() else 0
            end = self._index(path, start)
            if end < path.stat().st_size:
                log.error("%s: %d bytes after %d are no records; cut", path, path.stat().st_size - end, end)
                self._cut(path, end)
            if not any(it[0] == path for it in self._waiting):
                path.unlink()

    def _index(self, path: Path, offset: int) -> int:
        """Take up the whole records from `offset` on; where they end."""
        with path.open("rb") as file:
            file.seek(offset)
            while len(head := file.read(_HEAD.size)) == _HEAD.size:
                length, check = _HEAD.unpack(head)
                packed = file.read(length)
                if len(packed) < length or zlib.crc32(packed) != check:
                    break
                self._waiting.append((path, offset + _HEAD.size, length))
                self._bytes += _HEAD.size + length
                offset += _HEAD.size + length
        return offset


def _read(path: Path, offset: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return zlib.decompress(file.read(length))


def _sync_folder(folder: Path) -> None:
    """A new file's name is durable too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
