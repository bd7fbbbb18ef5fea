"""A pull that failed for want of time says nothing where this process was what stood still."""

import asyncio
import time

from collectors.probe import PullProbe
from collectors.pulling.exchange import Endpoint
from collectors.pulling.pull import Wanted
from collectors.starved import EVERY, lateness

DEADLINE = 1.0


async def collected(stall: float):
    """One round against a server that never answers, while the loop is blocked for `stall` seconds."""
    answering = []

    async def silent(reader, writer):
        answering.append(asyncio.current_task())
        await reader.read()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        probe = PullProbe("reg", Endpoint(f"http://{host}:{port}"), Wanted(None, DEADLINE), "here")
        asyncio.get_running_loop().call_later(DEADLINE / 4, time.sleep, stall)
        batch = await probe.collect(1000.0)
        await asyncio.gather(*answering)
        return batch


async def test_a_silent_registry_is_blamed():
    batch = await collected(0.0)
    assert batch.samples[0].value == 0.0
    assert len(batch.events) == 1


async def test_a_starved_seawall_blames_nobody():
    batch = await collected(DEADLINE)
    assert batch.samples == batch.events == []
    (note,) = batch.notes
    assert note.startswith("not judged: Seawall itself was too busy to read for ")


async def test_the_lateness_is_the_longest_stall_since():
    meter, began = lateness(), time.monotonic()
    await asyncio.sleep(EVERY / 2)
    time.sleep(2 * EVERY)
    assert meter.worst(began) >= EVERY  # lasts: nobody has looked yet
    await asyncio.sleep(2 * EVERY)
    assert meter.worst(began) >= EVERY
    assert meter is lateness()
