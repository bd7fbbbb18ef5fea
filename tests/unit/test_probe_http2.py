"""HTTP/2, frame by frame: every legal course of an answer, and whatever else a server may send."""

import asyncio
import os

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, RstStreamFrame, SettingsFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.pulling.address import parse_url
from collectors.pulling.faults import Broken, Gone
from collectors.pulling.http2 import Http2
from tests.scripted import Wire

ROUNDS = 20_000 if os.environ.get("SEAWALL_SOAK") else 200
URL = parse_url("https://registry.example.com/v2/")


class Peer:
    """Our connection, and a server's side of it."""

    def __init__(self) -> None:
        self.wire, self.ours = Wire(), Http2()
        self.ours.connection_made(self.wire)
        self.theirs = H2Connection(H2Configuration(client_side=False))
        self.theirs.initiate_connection()

    async def ask(self) -> asyncio.Task:
        task = asyncio.create_task(self.ours.get(URL, [("accept", "*/*")]))
        await asyncio.sleep(0)
        self.exchange()
        return task

    def exchange(self) -> None:
        """What each has written reaches the other."""
        self.theirs.receive_data(self.wire.written)
        self.wire.written = b""
        self.ours.data_received(self.theirs.data_to_send())


async def test_an_answer_comes_in_pieces_and_a_reset_is_told():
    peer = Peer()
    first, second = await peer.ask(), await peer.ask()
    for number in (1, 3):
        peer.theirs.send_headers(number, [(":status", "200"), ("x", "1"), ("x", "2")])
        peer.theirs.send_data(number, b"abc")
    peer.exchange()
    answers = await first, await second
    assert answers[0].status == 200 and answers[0].headers["x"] == "1, 2"
    peer.theirs.send_data(1, b"def", end_stream=True)
    peer.theirs.reset_stream(3, 2)
    peer.exchange()
    assert await answers[0].read() == b"abcdef"
    with pytest.raises(Broken, match="the stream was reset"):
        await answers[1].read()
    assert peer.ours.usable


async def test_a_body_larger_than_the_window_is_acknowledged_as_it_comes():
    peer, size = Peer(), 0
    answer_task = await peer.ask()
    peer.theirs.send_headers(1, [(":status", "200")])
    peer.exchange()
    answer = await answer_task

    def count(chunk: bytes) -> None:
        nonlocal size
        size += len(chunk)

    reading = asyncio.create_task(answer.drain(count))
    await asyncio.sleep(0)
    for _ in range(300):
        assert peer.theirs.local_flow_control_window(1) >= 16_384
        peer.theirs.send_data(1, b"x" * 16_384)
        peer.exchange()
    peer.theirs.end_stream(1)
    peer.exchange()
    await reading
    assert size == 300 * 16_384


async def test_a_body_that_nobody_wants_is_cancelled():
    peer = Peer()
    asked = await peer.ask()
    peer.theirs.send_headers(1, [(":status", "200")])
    peer.exchange()
    answer = await asked

    def refuse(chunk: bytes) -> None:
        raise Broken("too long")

    reading = asyncio.create_task(answer.drain(refuse))
    await asyncio.sleep(0)
    peer.theirs.send_data(1, b"x")
    peer.exchange()
    with pytest.raises(Broken, match="too long"):
        await reading
    assert b"\x00\x00\x04\x03" in peer.wire.written or not peer.theirs.open_outbound_streams


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("end", "error", "words"),
    [
        (lambda peer: peer.theirs.close_connection(11), Broken, "the connection was ended"),
        (lambda peer: peer.ours.connection_lost(None), Gone, "closed before an answer"),
        (lambda peer: peer.ours.connection_lost(ConnectionResetError(104, "reset")), OSError, "reset"),
        (lambda peer: peer.ours.data_received(b"\0\0\1" + bytes(6) + b"x"), Broken, "no HTTP/2"),
    ],
)
async def test_the_end_of_the_connection_is_told_to_whoever_waits(end, error, words):
    peer = Peer()
    asked = await peer.ask()
    end(peer)
    peer.ours.data_received(peer.theirs.data_to_send())
    with pytest.raises(error, match=words):
        await asked
    assert not peer.ours.usable
    with pytest.raises(Gone):
        await peer.ours.get(URL, [])


frames = st.one_of(
    st.builds(lambda n, d: DataFrame(n, d).serialize(), st.integers(1, 5), st.binary(max_size=30)),
    st.builds(
        lambda n, d, f: HeadersFrame(n, d, flags=f).serialize(),
        st.integers(1, 5),
        st.sampled_from([b"\x88", b"\x8d", b"\x88\x40\x01\xff\x01\xff", b"\x00", b""])
        | st.binary(max_size=20),
        st.lists(st.sampled_from(["END_HEADERS", "END_STREAM"]), unique=True),
    ),
    st.builds(
        lambda n, e: RstStreamFrame(n, error_code=e).serialize(), st.integers(1, 5), st.integers(0, 20)
    ),
    st.builds(lambda e: GoAwayFrame(0, error_code=e).serialize(), st.integers(0, 20)),
    st.builds(lambda k, v: SettingsFrame(0, {k: v}).serialize(), st.integers(1, 8), st.integers(0, 2**31)),
    st.binary(max_size=40),
)


@pytest.mark.soak
@settings(max_examples=ROUNDS, deadline=None)
@given(st.lists(frames, max_size=8))
def test_any_frames_for_an_answer_end_in_a_verdict(pieces):
    async def run() -> None:
        peer = Peer()
        asked = await peer.ask()
        for piece in pieces:
            peer.ours.data_received(piece)
        peer.ours.connection_lost(None)
        try:
            await (await asyncio.wait_for(asked, 5)).drain(lambda chunk: None)
        except (Broken, OSError) as error:
            assert str(error)

    asyncio.run(run())
