"""Names to addresses, so that a dead name server delays nobody else.

getaddrinfo blocks a thread, for half a minute if the name server is gone. Each name has at most one look-up
under way, in a thread of its own that is not waited for at exit; who asks for the same name shares it.
"""

import asyncio
import socket
import threading
from collections.abc import Sequence

Address = tuple[socket.AddressFamily, str]
_Found = Sequence[Address] | OSError
_under_way: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Future[_Found]] = {}


async def resolve(host: str) -> Sequence[Address]:
    """(family, address) of a name, in the system's order. socket.gaierror if there is none."""
    loop = asyncio.get_running_loop()
    key = loop, host
    future = _under_way.get(key)
    if future is None:
        future = _under_way[key] = loop.create_future()
        future.add_done_callback(lambda _: _under_way.pop(key, None))
        threading.Thread(target=_look_up, args=(loop, future, host), name=f"dns {host}", daemon=True).start()
    found = await asyncio.shield(future)
    if isinstance(found, OSError):
        raise found
    return found


def _look_up(loop: asyncio.AbstractEventLoop, future: asyncio.Future[_Found], host: str) -> None:
    found: _Found
    try:
        entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        found = list(dict.fromkeys((entry[0], str(entry[4][0])) for entry in entries))
    except OSError as error:
        found = error
    except UnicodeError:
        found = socket.gaierror(socket.EAI_NONAME, "no such host")
    try:
        loop.call_soon_threadsafe(_settle, future, found)
    except RuntimeError:
        _under_way.pop((loop, host), None)  # the loop ended while the name server was silent


def _settle(future: asyncio.Future[_Found], found: _Found) -> None:
    if not future.done():
        future.set_result(found)
