"""A whole log: where lines end, what is too long, blank or odd, and that no line harms its neighbour."""

import io
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.formats.stream import BLOCK, MAX_LINE, LogReader, OddLines

LINE = b"level=info msg=hello"


def read(log: bytes) -> tuple[list[dict], LogReader]:
    reader = LogReader(datetime(2026, 11, 24, tzinfo=UTC))
    printed = b"".join(reader.read(io.BytesIO(log)))
    assert printed.endswith(b"\n") or not printed
    return [json.loads(line) for line in printed.decode().split("\n")[:-1]], reader


def numbers(log: bytes) -> list[int]:
    return [document["log.line"] for document in read(log)[0]]


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (b"", []),
        (b"\n", []),
        (LINE, [1]),
        (LINE + b"\n", [1]),
        (LINE + b"\r\n" + LINE + b"\r\n", [1, 2]),
        (b"\n\n" + LINE, [3]),
        (LINE + b"\rlevel=info msg=x\n" + LINE, [1, 2]),
        (LINE + "\u2028\x85\x0b\x0c".encode() + LINE + b"\n" + LINE, [1, 2]),
        (b"odd\n" + LINE, [2]),
        (b"\xff\xfe odd\n" + LINE, [2]),
        (b"\x00\n" + LINE, [2]),
    ],
)
def test_lines_end_at_a_newline_only_and_are_counted_from_one(log, expected):
    assert numbers(log) == expected


def test_what_is_no_utf_8_and_nul_are_replaced():
    documents, _ = read(b"level=info msg=a\xff\x00b\n" + LINE)
    assert [document["message"] for document in documents] == ["a\ufffd\ufffdb", "hello"]


def test_blank_lines_are_neither_understood_nor_not():
    _, reader = read(b"\n  \n\t\r\n2024-10-15T04:44:10Z stdout F \n" + LINE + b"\n")
    assert (reader.blank, reader.odd.count, reader.lines) == (4, 0, 5)
    assert reader.formats == {"distribution.logfmt": 1}


@pytest.mark.parametrize("around", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1])
def test_a_line_longer_than_a_mebibyte_is_not_understood_and_its_neighbours_are(around):
    fits = LINE + b"a" * (MAX_LINE - len(LINE))
    _, reader = read(fits + b"\n" + LINE)
    assert reader.odd.count == 0
    for long in (fits + b"a", fits * 3):
        before = LINE + b"b" * around + b"\n"
        documents, reader = read(before + long + b"\n" + LINE + b"\n" + long + b"\n" + LINE)
        assert [document["log.line"] for document in documents] == [1, 3, 5]
        assert str(reader.odd) == "2, 4" and reader.lines == 5
        assert str(read(before + long)[1].odd) == "2"


@given(st.lists(st.sampled_from([LINE, b"odd", b"", b"x" * 700, b"y" * BLOCK])), st.booleans())
def test_blocks_cut_nothing(lines, ended):
    documents, reader = read(b"\n".join(lines) + b"\n" * (ended and bool(lines)))
    assert [d["log.line"] for d in documents] == [n for n, line in enumerate(lines, 1) if line == LINE]
    assert reader.odd.count == sum(line not in (LINE, b"") for line in lines)


def test_a_slow_writer_is_answered_before_the_next_line():
    class Pipe(io.BytesIO):
        def read1(self, size: int | None = -1) -> bytes:
            return self.readline()

    reader = LogReader(datetime.now(UTC))
    assert len(list(reader.read(Pipe((LINE + b"\n") * 3)))) == 3


def test_numbers_of_odd_lines_stay_short_for_millions_of_them():
    odd = OddLines()
    assert str(odd) == ""
    for number in [1, 2, 3, 7]:
        odd.add(number)
    assert str(odd) == "1-3, 7"
    for number in range(9, 1_000_000, 2):
        odd.add(number)
    assert str(odd).startswith("1-3, 7, 9, 11, ") and str(odd).endswith(" and 499898 more, the last 999999")
    assert len(str(odd)) < 1000 and odd.count == 499_996 + 4
