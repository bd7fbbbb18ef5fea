"""The short way for access lines gives byte for byte what the long way gives, or leaves the line to it."""

import io
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.formats import fast, parse_line
from collectors.formats.stream import LogReader

HEX = "5da667de41fc9ca3fd527a845d5e0cfb7b4221ef61537197b82807607332cd27"
PLAIN = (
    '10.2.68.1 - - [15/Oct/2024:04:44:10 +0000] "GET /v2/a/b/manifests/sha256:{} HTTP/1.1" 200 7 "" "curl"'
)
UPLOADED = f"/v2/a/blobs/uploads/u?_state=hunter2&digest=sha256:{HEX}"
CLIENTS = ["10.2.68.1", "::1", "999.1.1.1", "01.1.1.1", "node-7", "-", "{10.1.1.1", "", "é", "1.1.1.1\t"]
IDENTITIES = ["-", "ident", "", "a\tb"]
USERS = ["-", "alice", "robot$ci", 'a\\"b', "[x", "", "a b", "a\tb", "\\", "é"]
TIMES = [
    "15/Oct/2024:04:44:10 +0000", "15/Oct/2024:04:44:60 +0000", "29/Feb/2023:04:44:10 +0000", "",
    "15/Oct/2024:04:44:10 +0230", "01/Jan/0001:00:00:00 +0100", "15/Oct/2024:24:44:10 -0000", "15/Okt/2024",
    "15/Oct/2024:04:44:10 +9900", "01/Jan/0999:00:00:00 +0000",
]  # fmt: skip
METHODS = ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "get", "", "G-T", "É"]
PATHS = [
    "/v2/", "/v2/a/manifests/1.0", f"/v2/a/b/manifests/sha256:{HEX}", f"/v2/a/blobs/sha256:{'0' * 64}",
    f"/v2/{'0' * 64}/blobs/sha256:{HEX}", f"/v2/{'%30' * 64}/blobs/sha256:{HEX}",
    f"/v2/a/blobs/sha256:{'A' * 64}", f"/v2/a/mount=/blobs/uploads/?x=sha256:{HEX}",
    f"/v2/a/blobs/sha256:{HEX[:62]}  ", f"/v2/a/blobs/sha256:{HEX[:63]}g", f"/v2/a/blobs/sha256%3A{HEX}",
    "/v2/a/blobs/uploads/", f"/v2/a/blobs/uploads/?mount=sha256:{HEX}&from=b",
    UPLOADED,
    f"/v2/a/blobs/uploads/sha256:{HEX}", f"/v2/a/referrers/sha256:{HEX}", f"/token=sha256:{HEX}",
    "/v2/a/tags/list?n=100", "/v2/_catalog", "/favicon.ico", "", "*", 'a\\"b', "http://u:p@h/v2/", "a b",
]  # fmt: skip
VERSIONS = [" HTTP/1.1", " HTTP/2.0", " HTTP/1.2", "", " ", " HTTP/1.1 ", "XHTTP/1.1"]
STATUSES = ["200", "401", "999", "099", "20", "2000", "٢٠٠", "-", ""]
SIZES = ["0", "7", "-", "007", "00", "9" * 18, "9" * 19, "9" * 30, "1_0", "٣", "", "+7"]
TAILS = [
    ' "" "curl/8"', ' "-" "-"', ' "https://a/?token=hunter2" "x"', "", ' ""', ' "" "a" "b"', '  "" "a"',
    ' "" "docker (linux\\)"', ' "" "a\\"b"', ' "" "Bearer hunter2hunter2"', ' "" "é"',
    ' "" "\\xc3\\xa9\\x00"',
    ' "" "a"\r', ' "" "a" ', ' "" "a\x00"', ' "" "a', ' 7 12 "a" [q]',
]  # fmt: skip


def of(values: list[str]) -> st.SearchStrategy[str]:
    """Mostly the plain first one, so that most lines are odd in one place only."""
    return st.one_of(st.just(values[0]), st.just(values[0]), st.sampled_from(values))


LINES = st.builds(
    '{} {} {} [{}] "{} {}{}" {} {}{}'.format,
    of(CLIENTS), of(IDENTITIES), of(USERS), of(TIMES), of(METHODS), st.sampled_from(PATHS), of(VERSIONS),
    of(STATUSES), of(SIZES), of(TAILS),
)  # fmt: skip


def long_way(line: str, number: int) -> str | None:
    fields = parse_line(line)
    return None if fields is None else orjson.dumps({"log.line": number, **fields}).decode()


def agree(line: str) -> None:
    try:
        short = fast.access_json(line, 12)
    except (ValueError, OSError):
        return
    assert short == long_way(line, 12)


@given(LINES)
def test_lines_with_odd_parts(line):
    agree(line)


@given(LINES, st.integers(0, 400), st.sampled_from(['"', "\\", " ", "[", "]", "?", "\0", "\r", "x", "é", ""]))
def test_lines_with_a_character_changed(line, at, character):
    agree(line[:at] + character + line[at + 1 :])
    agree(line[:at] + character + line[at:])


@pytest.mark.parametrize("client", ["10.2.68.1", "255.255.255.255"])
@pytest.mark.parametrize("user", ["-", "alice", "a\\b"])
@pytest.mark.parametrize("path", ["/v2/", "/v2/a/manifests/1.0", f"/v2/a/blobs/sha256:{HEX}", UPLOADED])
@pytest.mark.parametrize("tail", ['"" "curl/8"', '"-" "-"', '"" "docker (linux\\)"', '"" "x"\r'])
def test_usual_lines_go_the_short_way(client, user, path, tail):
    line = f'{client} - {user} [15/Oct/2024:04:44:10 +0200] "GET {path} HTTP/1.1" 200 0 {tail}'
    assert fast.access_json(line, 1) == long_way(line, 1)


def test_full_caches_begin_anew():
    made = []
    cache = fast.Cache(lambda key: made.append(key) or key.upper(), 3)
    for key in "abcdabc":
        assert cache[key] == key.upper() and len(cache) <= 3
    assert made == list("abcdabc")


@given(
    st.lists(LINES, max_size=8), st.lists(st.sampled_from(["", "{}", "level=info msg=hi", "x"]), max_size=4)
)
def test_a_whole_log_gives_what_its_lines_give(lines, others):
    mixed = [line for pair in zip(lines, [*others, *[""] * 9], strict=False) for line in pair]
    reader = LogReader(datetime.now(UTC))
    printed = b"".join(reader.read(io.BytesIO("\n".join(mixed).encode()))).decode()
    expected = [long_way(line, number) for number, line in enumerate(mixed, 1)]
    assert printed.split("\n")[:-1] == [document for document in expected if document]
    assert sum(reader.formats.values()) + reader.blank + reader.odd.count == reader.lines
