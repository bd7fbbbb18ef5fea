"""A whole log, read in blocks -> one JSON line per understood line, and what became of the others.

Memory does not grow with the log: caches, counts and the list of odd lines are bounded.
"""

import io
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

import orjson

from collectors.formats.access import COMBINED
from collectors.formats.fast import access_json
from collectors.formats.heads import split_head
from collectors.formats.lines import parse_payload

MAX_LINE = 1 << 20  # bytes, without the newline
BLOCK = 1 << 14  # small enough for lines and JSON to stay in the processor's cache
_KEPT_RANGES = 100


class OddLines:
    """Numbers of lines as ranges: how many there are, and the first hundred ranges of them."""

    def __init__(self) -> None:
        self.count, self.last = 0, 0
        self._ranges: list[list[int]] = []

    def add(self, number: int) -> None:
        """A line after all those before."""
        if self._ranges and self._ranges[-1][1] == number - 1:
            self._ranges[-1][1] = number
        elif len(self._ranges) < _KEPT_RANGES:
            self._ranges.append([number, number])
        self.count, self.last = self.count + 1, number

    def __str__(self) -> str:
        told = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in self._ranges)
        left = self.count - sum(b - a + 1 for a, b in self._ranges)
        return f"{told} and {left} more, the last {self.last}" if left else told


class LogReader:
    """Lines -> JSON lines, counted.

    `formats` counts understood lines by `seawall.format`, `blank` those with nothing in them, which are
    neither understood nor not; `odd` are those not understood. `now`: about when the log was written.
    """

    def __init__(self, now: datetime) -> None:
        self.formats: Counter[str] = Counter()
        self.odd, self.blank, self.lines = OddLines(), 0, 0
        self._now = now

    def read(self, file: io.BufferedIOBase) -> Iterator[bytes]:
        """JSON lines, a block of them at a time. A line ends at \\n only; the last one may have none."""
        rest, cut = b"", False
        while block := file.read1(BLOCK):
            block = rest + block
            end = block.rfind(b"\n") + 1
            rest = block[end:]
            if end:
                yield self._block(block[: end - 1], cut)
                cut = False
            if len(rest) > MAX_LINE:
                rest, cut = b"", True
        if rest or cut:
            yield self._block(rest, cut)

    def _block(self, block: bytes, cut: bool) -> bytes:
        """JSON of whole lines; the first is not understood if it is too long, or the end of a `cut` one."""
        if cut or len(block) > MAX_LINE:
            first, newline, others = block.partition(b"\n")
            if cut or len(first) > MAX_LINE:
                self.lines += 1
                self.odd.add(self.lines)
                return self._block(others, False) if newline else b""
        lines = block.decode("utf-8", "replace").split("\n")
        out = self._documents(lines)
        self.lines += len(lines)
        return ("\n".join(out) + "\n").encode() if out else b""

    def _documents(self, lines: list[str]) -> list[str]:
        out: list[str] = []
        short = 0
        for number, line in enumerate(lines, self.lines + 1):
            try:
                out.append(access_json(line, number))
                short += 1
            except (ValueError, OSError):
                if document := self._document(line, number):
                    out.append(document)
        if short:
            self.formats[COMBINED] += short
        return out

    def _document(self, line: str, number: int) -> str:
        """The long way; nothing for a line that is blank or not understood."""
        payload = split_head(line.rstrip("\r"), self._now)
        if not payload.text.strip():
            self.blank += 1
            return ""
        if len(payload.text) < len(line):
            with suppress(ValueError, OSError):
                document = access_json(payload.text, number)
                self.formats[COMBINED] += 1
                return document
        fields = parse_payload(payload)
        if fields is None:
            self.odd.add(number)
            return ""
        self.formats[fields["seawall.format"]] += 1
        return f'{{"log.line":{number},{orjson.dumps(fields).decode()[1:]}'
