"""Broken and hostile lines in every format: no crash, no hang, no lost neighbour; longer in a soak."""

import io
import json
import os
import random
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collectors.formats.stream import MAX_LINE, LogReader

GOLDEN = Path(__file__).parent.parent / "golden"
CORPUS = sorted({line for path in GOLDEN.rglob("*.log") for line in path.read_bytes().split(b"\n") if line})
SECONDS = 600 if os.environ.get("SEAWALL_SOAK") else 0
HOSTILE, LONG = (40, MAX_LINE) if SECONDS else (8, MAX_LINE >> 4)
ROUNDS = 60  # of a batch of lines, at least
BATCH = 50
PIECES = [
    b'"', b"\\", b"{", b"}", b"[", b"]", b"[{", b":", b",", b"=", b" ", b"\r", b"\t", b"\x00", b"\xff",
    b"\x1b[31m",
    b"\\u0000", b"\\ud800", b"\\x", b"\xe2\x80\xa8", b"?token=", b"://a:b@", b"Bearer ", b"null", b"1e999",
    b"99999999999999999999", b"-1", b"msg=", b"level=", b'"log":', b'"events":', b'"type":', b'"message":',
    b"0000-00-00T00:00:00Z", b"Feb 30 25:61:61 a b: ", b"<999>1 ", b"[1/0]", b"sha256:", b"/v2/", b"%ff",
    b"\xd9\xa3",
]  # fmt: skip
GUARD = b'{"level":"info","msg":"neighbour"}'


def mutated(line: bytes, rng: random.Random) -> bytes:
    """A line with up to six cuts, doublings, swaps with another line, or strange pieces."""
    for _ in range(rng.randint(1, 6)):
        a, b = sorted((rng.randint(0, len(line)), rng.randint(0, len(line))))
        match rng.randrange(5):
            case 0:
                line = line[:a] + line[b:]
            case 1:
                line = line[:b] + line[a:]
            case 2:
                other = rng.choice(CORPUS)
                line = line[:a] + other[rng.randint(0, len(other)) :]
            case 3:
                line = line[:a] + rng.choice(PIECES) + line[a:]
            case _:
                line = line[:a] + bytes([rng.randrange(256)]) + line[a + 1 :]
    return line.replace(b"\n", b"")


def check(lines: list[bytes]) -> None:
    """Each line between two good ones: these are read as ever, and what is printed is what a store takes."""
    reader = LogReader(datetime(2026, 11, 24, tzinfo=UTC))
    log = b"".join(GUARD + b"\n" + line + b"\n" for line in lines)
    documents = [json.loads(line) for line in b"".join(reader.read(io.BytesIO(log))).split(b"\n")[:-1]]
    guards = [d["log.line"] for d in documents if d.get("message") == "neighbour"]
    assert set(range(1, 2 * len(lines), 2)) <= set(guards)
    assert sum(reader.formats.values()) == len(documents)
    assert len(documents) + reader.odd.count + reader.blank == reader.lines == 2 * len(lines)
    for document in documents:
        assert all(isinstance(value, str | int | float) and value is not True for value in document.values())
        assert "\x00" not in json.dumps(document, ensure_ascii=False).encode("utf-8").decode()
        assert 100 <= document.get("http.response.status_code", 200) <= 599
        assert 0 <= document.get("event.duration", 0) < 2**63


@pytest.mark.soak
@pytest.mark.timeout(SECONDS + 300)
def test_mutated_lines_of_every_format():
    seed = random.randrange(2**32) if SECONDS else 1
    rng, end, rounds = random.Random(seed), time.monotonic() + SECONDS, 0
    while rounds < ROUNDS or time.monotonic() < end:
        lines = [mutated(rng.choice(CORPUS), rng) for _ in range(BATCH)]
        try:
            check(lines)
        except Exception as error:
            pytest.fail(f"seed {seed}, round {rounds}, {lines!r}: {error!r}")
        rounds += 1


@pytest.mark.soak
@pytest.mark.timeout(120)  # a quadratic pattern takes far longer
@pytest.mark.parametrize("line", CORPUS[:: len(CORPUS) // HOSTILE], ids=lambda line: repr(line[:40]))
def test_a_long_line_of_one_piece_is_read_in_linear_time(line):
    for piece in PIECES:
        middle = piece * ((LONG - len(line)) // len(piece))
        for at in (len(line) // 3, len(line)):
            check([line[:at] + middle + line[at:]])
