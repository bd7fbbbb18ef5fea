"""What an action's workers say, line by line, while they run and for as long as their folders are kept.

Each run has one bounded log, events.jsonl (at most 1 MiB, masked by the worker that writes it), which is
compressed with the rest of the folder once the action is over. Readers keep no copy.
"""

import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FOLDER = re.compile(r"(\d+)-(check|final-check|run|undo)")
_CURSOR = re.compile(r"(\d{1,9})\.(\d{1,9})")


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `phase` is check | final-check | run | undo, `cursor` its place: `FOLDER.LINE`, from 1."""

    cursor: str
    at: float
    phase: str
    text: str


def lines(folder: Path, after: str = "") -> Iterator[Line]:
    """The lines of an action's folder that follow `after` (a cursor; "" or a broken one: all), in order."""
    found = _CURSOR.fullmatch(after)
    number, line = (int(found[1]), int(found[2])) if found else (0, 0)
    for first, phase, run in _runs(folder):
        if first >= number:
            yield from _of_run(run, first, phase, line if first == number else 0)


def _runs(folder: Path) -> list[tuple[int, str, Path]]:
    if not folder.is_dir():
        return []
    named = ((_FOLDER.fullmatch(it.name), it) for it in folder.iterdir())
    return sorted((int(found[1]), found[2], it) for found, it in named if found)


def _of_run(run: Path, number: int, phase: str, skip: int) -> Iterator[Line]:
    for count, raw in enumerate(_text(run).split(b"\n")[:-1], 1):
        if count > skip:
            said = json.loads(raw)
            yield Line(f"{number}.{count}", said["at"], phase, said["line"])


def _text(run: Path) -> bytes:
    """Of a run under way or just over; or of one that is packed. A packing in between is seen whole."""
    for _ in range(2):
        try:
            return (run / "events.jsonl").read_bytes()
        except FileNotFoundError:
            try:
                return gzip.decompress((run / "events.jsonl.gz").read_bytes())
            except FileNotFoundError:
                continue
    return b""
