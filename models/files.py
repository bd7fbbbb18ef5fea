"""Recordings as CSV files: `timestamp,value[,more value columns]` in, the same rows with a verdict out."""

import csv
import gzip
import math
import os
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from models.normaliser import Floats
from seawall.core.errors import InputError
from seawall.core.times import parse_time

TIME, VALUE, LABEL = "timestamp", "value", "label"
RESULTS = ("expected", "lower", "upper", "score", "anomaly", "alert_score")
CARRIED = frozenset({LABEL, *RESULTS})  # columns that no detector sees
BLANKS = frozenset({"", "nan", "na", "n/a", "null", "none"})
LATEST = 1e11  # Unix seconds; what is later is in milliseconds
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Recording:
    """One file: `rows` are its fields as given under `header`, `at` [n] Unix seconds, `values` [k, n] the
    numbers of the k `columns`, NaN where blank."""

    path: Path
    header: tuple[str, ...]
    columns: tuple[str, ...]
    rows: list[list[str]]
    at: Floats
    values: Floats


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a detector says of each row of a recording, arrays [n]; `expected`, `lower` and `upper` are of its
    first column, in that column's unit, NaN where nothing was forecast."""

    expected: Floats
    lower: Floats
    upper: Floats
    score: Floats
    anomaly: NDArray[np.bool_]
    alert_score: Floats


class _Wrong(Exception):
    """What cannot be used: finding and remedy."""

    def at(self, path: Path, line: int) -> InputError:
        """The same with its place."""
        finding, remedy = self.args
        return InputError(f"{path}:{line}", finding, remedy)


def read(path: Path) -> Recording:
    """A CSV file, plain or gzip, UTF-8, with a header.

    `timestamp` is ISO 8601 (UTC where it has no offset) or Unix seconds, in any order. Every other column is
    a series of numbers, except `label` and those that `write` adds; blanks are missing. InputError names the
    line, the finding and the remedy.
    """
    lines = _fields(path)
    line, first = next(lines, (1, []))
    header = tuple(_named(name) for name in first)
    try:
        time, places = _places(header)
    except _Wrong as wrong:
        raise wrong.at(path, line) from None
    rows, at, numbers = list[list[str]](), list[float](), list[list[float]]()
    for line, row in lines:
        try:
            _fit(row, header)
            at.append(_moment(row[time]))
            numbers.append([_number(row[place], header[place]) for place in places])
        except _Wrong as wrong:
            raise wrong.at(path, line) from None
        rows.append(row)
    values = np.array(numbers, dtype=np.float64).reshape(len(rows), len(places)).T
    columns = tuple(header[place] for place in places)
    return Recording(path, header, columns, rows, np.array(at, dtype=np.float64), values)


def _fields(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of each line that is not empty; bytes that are no UTF-8 survive a round trip."""
    line = 0
    try:
        with path.open("rb") as raw:
            packed = raw.read(len(_GZIP)) == _GZIP
        with _text(path, packed) as file:
            reader = csv.reader(file, strict=True)
            for row in reader:
                line = reader.line_num
                if row:
                    yield line, row
    except csv.Error as error:
        raise InputError(f"{path}:{line + 1}", f"it is not CSV: {error}", "mend that line") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}:{line + 1}", f"the gzip data breaks: {error}", "pack it anew") from error
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}", "see to the file") from error


def _text(path: Path, packed: bool) -> IO[str]:
    if packed:
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="")
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _named(name: str) -> str:
    """A column's name; `Timestamp` and `Value` are taken in any case."""
    name = name.strip()
    return name.lower() if name.lower() in (TIME, VALUE, LABEL) else name


def _places(header: Sequence[str]) -> tuple[int, list[int]]:
    """Where the time and the values stand, `value` before other columns."""
    twice = {name for name in header if header.count(name) > 1}
    if twice:
        raise _Wrong(f"the header names {sorted(twice)[0]!r} twice", "name each column once")
    values = [name for name in header if name != TIME and name not in CARRIED]
    if TIME not in header or not values:
        finding = f"the header is {','.join(header)[:200]!r}" if header else "it is empty"
        raise _Wrong(finding, "begin with a header such as timestamp,value")
    return header.index(TIME), [header.index(name) for name in sorted(values, key=lambda n: n != VALUE)]


def _fit(row: Sequence[str], header: Sequence[str]) -> None:
    """A row must have the header's fields."""
    if len(row) != len(header):
        raise _Wrong(f"{len(row)} fields, the header has {len(header)}", "give each column one field")


def _moment(text: str) -> float:
    """Unix seconds of a field."""
    try:
        try:
            at = float(text)
        except ValueError:
            return parse_time(text)
    except (ValueError, OverflowError):
        raise _Wrong(
            f"{text[:80]!r} is no time", "give ISO 8601 such as 2026-11-24T03:00:00Z, or Unix seconds"
        ) from None
    if not abs(at) < LATEST:
        raise _Wrong(f"{text[:80]!r} is no time in Unix seconds", "give seconds, not milliseconds")
    return at


def _number(text: str, column: str) -> float:
    """A number, NaN where the field is blank."""
    try:
        return float(text)
    except ValueError:
        if text.strip().lower() in BLANKS:
            return math.nan
    raise _Wrong(f"{column} is {text[:80]!r}", "give a number such as 1.5, or leave it blank")


def labels(recording: Recording) -> NDArray[np.bool_] | None:
    """Rows [n] whose `label` is neither blank nor 0; None where there is no such column."""
    if LABEL not in recording.header:
        return None
    place = recording.header.index(LABEL)
    texts = [row[place].strip() for row in recording.rows]
    return np.array([text not in ("", "0", "0.0") for text in texts], dtype=np.bool_)


def destinations(paths: Sequence[Path], out: Path) -> list[Path]:
    """Where the answer to each file belongs: `out`/NAME without `.gz`; files of one name from several folders
    keep the folders below the one that they share. InputError where two would meet or a file be overwritten.
    """
    named = defaultdict[str, list[Path]](list)
    for path in paths:
        named[_plain(path)].append(path)
    places = [out / _below(path, named[_plain(path)]) / _plain(path) for path in paths]
    sources = {path.resolve(): path for path in paths}
    taken: dict[Path, Path] = {}
    for path, place in zip(paths, places, strict=True):
        if place in taken:
            raise InputError(str(path), f"{place} is the answer to {taken[place]} already", "name it once")
        if place.resolve() in sources:
            raise InputError(str(path), f"{place} is an input", "give --out another folder")
        taken[place] = path
    return places


def _plain(path: Path) -> str:
    return path.name.removesuffix(".gz")


def _below(path: Path, same: Sequence[Path]) -> Path:
    """The folder of `path` below the one that all of `same` share."""
    folders = [one.absolute().parent for one in same]
    return path.absolute().parent.relative_to(os.path.commonpath(folders))


def write(place: Path, recording: Recording, verdict: Verdict) -> None:
    """The rows as given, the first column under the name `value`, with the verdict's columns; whole or not at
    all. OSError when the disk refuses."""
    first = recording.columns[0]
    kept = [name for name in recording.header if name not in RESULTS and name not in (TIME, first)]
    order = [recording.header.index(name) for name in (TIME, first, *kept)]
    words = zip(*map(_written, (getattr(verdict, name) for name in RESULTS)), strict=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        with partial.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            out = csv.writer(file, lineterminator="\n")
            quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
            out.writerow([TIME, VALUE, *kept, *RESULTS])
            for row, said in zip(recording.rows, words, strict=True):
                # Python below 3.13 quotes no carriage return by itself.
                (quoted if any("\r" in field for field in row) else out).writerow(
                    [*(row[i] for i in order), *said]
                )
        partial.replace(place)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _written(column: NDArray[np.float64] | NDArray[np.bool_]) -> list[str]:
    """Numbers as text that reads back exactly, blank where there is none, flags as 0 and 1."""
    if column.dtype == np.bool_:
        return ["1" if flag else "0" for flag in column.tolist()]
    return ["" if math.isnan(number) else repr(number) for number in column.tolist()]
