"""The client's reading of answers: every legal form, and whatever else a server may send."""

import asyncio
import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.pulling.address import parse_url
from collectors.pulling.faults import Broken
from collectors.pulling.images import Platform, blobs_of, child_of, read_manifest
from collectors.pulling.pull import Pull
from collectors.pulling.tokens import read_challenge, read_date, read_token
from collectors.pulling.wire import Http1
from tests.scripted import MANIFEST, Wire, answering, changed, digest, dripping, pulled, registry, serving

BODY = b"x" * 10
OK = b"HTTP/1.1 200 OK\r\n"


async def base(answer: bytes, deadline: float = 5) -> Pull:
    async with answering(answer) as url:
        return await pulled(url, None, deadline)


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"content-length: 10\r\n\r\n" + BODY,
        OK + b"transfer-encoding: chunked\r\n\r\n5\r\nxxxxx\r\n5;ext=1\r\nxxxxx\r\n0\r\nx-trailer: 1\r\n\r\n",
        OK + b"\r\n" + BODY,  # until the connection is closed
        b"HTTP/1.0 200 OK\r\n\r\n" + BODY,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK + b"\r\n" + BODY,
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
)
async def test_every_legal_form_of_a_body_is_read(answer):
    pull = await base(answer)
    assert pull.ok or pull.reason == "GET /v2/: the registry answered 204"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "the connection was closed before an answer"),
        (OK, "the connection was closed before an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the answer is no HTTP"),
        (OK + b"content-length: 10\r\n\r\nxxxx", "short body: the connection was closed after 4 of 10 bytes"),
        (OK + b"transfer-encoding: chunked\r\n\r\n5\r\nxx", "short body: the connection was closed after 2"),
        (OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n", "the answer is no HTTP"),
        (OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nx", "the answer is no HTTP"),
        (OK + b"content-length: -1\r\n\r\nx", "the answer is no HTTP"),
        (OK + b"x: y\r\n" * 20_000, "headers of more than 65536 bytes"),
        (OK + b"x: " + b"y" * 100_000, "headers of more than 65536 bytes"),
        (b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n", "another protocol"),
        (OK + b"content-length: 2000000\r\n\r\n" + b"x" * 2_000_000, "more than 1048576 bytes"),
    ],
)
async def test_a_broken_answer_is_told(answer, reason):
    pull = await base(answer)
    assert not pull.ok and pull.phase == "base" and reason in pull.reason


async def test_a_second_answer_to_one_question_is_not_taken_for_the_next_one():
    stray = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"

    def head(body: bytes) -> bytes:
        return OK + f"content-length: {len(body)}\r\n\r\n".encode() + body

    async with answering(head(MANIFEST) + stray) as url:
        pull = await pulled(url)
    assert not pull.ok and pull.phase == "blob_transfer" and "is longer than" in pull.reason


async def test_a_connection_that_the_server_closed_between_requests_is_opened_anew():
    def closing(request):
        status, headers, body = registry(request)
        return status, {**headers, "connection": "close"}, body

    async with serving(closing) as server:
        pull = await pulled(server.url)
    assert pull.ok and not pull.note
    assert len(server.sources) == len(server.requests) == 4


@pytest.mark.parametrize("drip", [b"HTTP/1.1 200 OK\r\nx: ", OK + b"content-length: 99\r\n\r\n"])
async def test_a_server_that_drips_is_left_at_the_limit(drip):
    async with dripping(drip) as url:
        pull = await pulled(url, None, deadline=0.4)
    assert (pull.ok, pull.phase, pull.reason) == (False, "base", "no answer within 0.4 s")


@pytest.mark.parametrize(
    "url",
    ["", "x", "ftp://h/", "http://", "http://[::1", "http://a b/", "http://h:99999/", "http://h:0/", "//h/",
     "http://é" + "x" * 300 + "/"],
)  # fmt: skip
def test_what_is_no_url_of_http_is_refused(url):
    with pytest.raises(Broken, match="no URL"):
        parse_url(url)


def test_a_url_is_sent_without_user_fragment_and_line_breaks():
    url = parse_url("https://user:pw@[::1]:8443/a b?x=1 2#frag")
    assert str(url) == "https://[::1]:8443/a%20b?x=1%202" and "pw" not in str(url)
    assert parse_url("http://h/").join("/x\r\nevil: 1").target.isprintable()
    assert parse_url("http://bücher.example/").host == "xn--bcher-kva.example"


# Fuzzing: whatever comes is a verdict, at once. The long form is `make soak`.
ROUNDS = 20_000 if os.environ.get("SEAWALL_SOAK") else 150
fuzzed = settings(
    max_examples=ROUNDS,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
heads = st.sampled_from([b"", OK, OK + b"transfer-encoding: chunked\r\n\r\n", OK + b"content-length: 5\r\n"])
pieces = st.sampled_from(
    [b"\r\n", b"\r\n\r\n", b"content-length: ", b"0\r\n", b"5\r\n", b"HTTP/1.1 ", b": ", b"{"]
)
answers = st.builds(
    lambda head, rest: head + b"".join(rest),
    heads,
    st.lists(st.one_of(pieces, st.binary(max_size=40)), max_size=12),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just(digest(b"")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["manifests", "platform", "os", "digest", "size", "config", "layers", "urls", "x"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@pytest.mark.soak
@fuzzed
@given(answers)
def test_any_bytes_for_an_answer_are_a_verdict(answer):
    async def run() -> None:
        ours = Http1()
        ours.connection_made(Wire())
        asked = asyncio.create_task(ours.get(parse_url("http://h/"), []))
        await asyncio.sleep(0)
        for cut in range(0, len(answer), 7):
            ours.data_received(answer[cut : cut + 7])
        ours.connection_lost(None)
        try:
            await (await asyncio.wait_for(asked, 20)).drain(lambda chunk: None)
        except Broken as error:
            assert str(error)

    asyncio.run(run())


@pytest.mark.soak
@fuzzed
@given(anything)
def test_any_json_for_a_manifest_is_a_verdict(document):
    body = json.dumps(document).encode()

    async def run() -> Pull:
        async with serving(changed("/v2/team/app/manifests/", (200, {}, body))) as server:
            return await pulled(server.url, deadline=20)

    pull = asyncio.run(run())
    assert pull.ok or (pull.reason and pull.phase and "within" not in pull.reason)


@pytest.mark.soak
@fuzzed
@given(st.text(max_size=200), st.binary(max_size=100), anything)
def test_any_header_or_document_is_read_or_refused(text, body, document):
    read_challenge(text)
    read_date(text)
    for data in (body, json.dumps(document).encode()):
        for read in (lambda d: read_token(200, d, 1.0), lambda d: blobs_of(read_manifest(d))):
            try:
                read(data)
            except Exception as error:
                assert type(error).__name__ in ("Broken", "Denied"), repr(error)
    if isinstance(document, dict):
        try:
            child_of(document, Platform())
        except Exception as error:
            assert type(error).__name__ == "Denied", repr(error)
