"""A TCP relay between a client and a real server: slower, later, or with another time of day."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

_DATE = re.compile(rb"(?<=\r\nDate: )[^\r]+")


@asynccontextmanager
async def relay(
    port: int,
    rate: float = float("inf"),
    delay: float = 0.0,
    edit: Callable[[bytes], bytes] = lambda data: data,
) -> AsyncIterator[str]:
    """To 127.0.0.1:`port`; answers begin `delay` seconds late and come at `rate` bytes a second.
    Yields its URL."""
    tasks: set[asyncio.Task[None]] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: bool) -> None:
        try:
            while data := await reader.read(4096 if answers else 65536):
                if answers:
                    late = delay if data.startswith(b"HTTP/1.1 ") else 0.0
                    await asyncio.sleep(late + len(data) / rate)
                writer.write(edit(data) if answers else data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, far_writer, False), copy(far_reader, writer, True))

    listener = await asyncio.start_server(client, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        await asyncio.gather(*tasks)


def shifted(seconds: float) -> Callable[[bytes], bytes]:
    """An edit that moves the Date header of answers, as a server with a wrong clock would have it."""

    def move(data: bytes) -> bytes:
        def other(found: re.Match[bytes]) -> bytes:
            at = parsedate_to_datetime(found[0].decode()).timestamp() + seconds
            return format_datetime(datetime.fromtimestamp(at, UTC), usegmt=True).encode()

        return _DATE.sub(other, data)

    return move
