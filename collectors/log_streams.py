"""Lines without a file: identified by their time and text, and by how many equal ones came before.

So a history that is delivered again (`docker logs -f` piped once more, a runtime asked for the last minute
twice) is kept once, while two equal requests within one moment stay two.
"""

import contextlib
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from itertools import islice
from typing import BinaryIO, NamedTuple

from collectors.events import event_id
from collectors.formats import Payload
from collectors.log_lines import MAX_LINE, Backlog, Line, Lines, is_cut, join, payload_of
from seawall.core.errors import InputError
from seawall.core.signals import Batch

REMEMBERED = 100_000  # lines whose equals are counted
BUFFER = 8 << 20  # bytes that are read ahead; a full buffer makes the writer wait
_BATCH = 30_000  # lines of one collection


class Repeats:
    """Numbers equal lines in the order in which they come; forgets the oldest."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._counts: OrderedDict[str, int] = OrderedDict()

    def number(self, *parts: str) -> int:
        """How many equal ones came before this one."""
        key = event_id(*parts)
        count = self._counts.pop(key, 0)
        self._counts[key] = count + 1
        if len(self._counts) > self._limit:
            self._counts.popitem(last=False)
        return count


class _Read(NamedTuple):
    """A line that waits; `size` is its bytes, `cut` says that it was longer than 1 MiB."""

    payload: Payload
    place: str
    size: int
    cut: bool


class PipedLog:
    """Collector of a stream, such as standard input: read by a thread of its own into a bounded buffer.

    A pipe has no position: lines that were read but not stored when Seawall is killed are gone (at most
    `BUFFER` bytes), unless their writer tells its history again.
    """

    def __init__(
        self, registry: str, open: Callable[[], BinaryIO], interval: float = 1.0, timeout: float = 30.0
    ) -> None:
        self.name, self.registry, self.interval, self.timeout = "logs:-", registry, interval, timeout
        self.source = f"log:{registry}:-"
        self._lines, self._backlog = Lines(registry, self.source), Backlog(registry, self.name)
        self._open, self._repeats = open, Repeats()
        self._waiting: deque[_Read] = deque()
        self._taken = 0
        self._change = threading.Condition()
        self._bytes, self._ended = 0, False
        self._thread: threading.Thread | None = None

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
        """Bytes that were read and wait for the next collection."""
        return self._backlog.bytes

    @property
    def more(self) -> bool:
        """Did the last collection stop because it had read enough?"""
        return self._taken == 0 and len(self._waiting) >= _BATCH

    async def collect(self, now: float) -> Batch:
        """What has come since. SeawallError once the stream has ended and all of it is stored."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, name=self.source, daemon=True)
            self._thread.start()
        with self._change:
            read, ended = list(islice(self._waiting, _BATCH)), self._ended
        if ended and not read:
            raise InputError(self.name, "the stream has ended", "start its writer and Seawall anew")
        self._lines.begin(now)
        batch, self._taken = Batch(), len(read)
        for item in read:
            if item.cut:
                self._lines.count_cut()
            if event := self._lines.event(item.payload, item.place):
                batch.events.append(event)
        self._backlog.tell(batch, self._bytes - sum(item.size for item in read), now)
        return batch

    async def stored(self) -> None:
        """The batch is durable: its lines leave the buffer, and the writer may go on."""
        self._lines.stored()
        with self._change:
            for _ in range(self._taken):
                self._bytes -= self._waiting.popleft().size
            self._taken = 0
            self._change.notify()

    def _follow(self) -> None:
        parts: dict[str, Line] = {}
        skip = False
        with contextlib.suppress(OSError, ValueError), self._open() as stream:
            while raw := stream.readline(MAX_LINE):
                if not skip and (line := join(parts, Line(0, payload_of(raw)))):
                    self._put(line.payload, len(raw), is_cut(raw))
                skip = not raw.endswith(b"\n")
        with self._change:
            self._ended = True

    def _put(self, payload: Payload, size: int, cut: bool) -> None:
        place = str(self._repeats.number(payload.at or "", payload.stream, payload.text))
        with self._change:
            self._change.wait_for(lambda: self._bytes < BUFFER)
            self._waiting.append(_Read(payload, place, size, cut))
            self._bytes += size
