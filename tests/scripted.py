"""An HTTP/1.1 server whose answers are scripted, and a registry's content for it."""

import asyncio
import hashlib
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from collectors.exchange import TlsFiles
from collectors.pulling.address import Url, parse_url
from collectors.pulling.dial import Route
from collectors.pulling.exchange import Endpoint
from collectors.pulling.images import Image
from collectors.pulling.phases import LIMITS
from collectors.pulling.pull import Pull, Wanted, probe
from collectors.pulling.tokens import Credentials, Tokens

Answer = tuple[int, dict[str, str], bytes]


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass
class Request:
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]


@dataclass
class Server:
    """An HTTP/1.1 server whose answers are a function of the request; None hangs until it is closed."""

    answer: Callable[[Request], Answer | None]
    requests: list[Request] = field(default_factory=list)
    url: str = ""
    sources: list[str] = field(default_factory=list)
    peers: list[dict[str, object] | None] = field(default_factory=list)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sources.append(writer.get_extra_info("peername")[0])
        self.peers.append(writer.get_extra_info("peercert") or None)
        try:
            while await self._reply(self._request(await reader.readuntil(b"\r\n\r\n")), writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _request(self, head: bytes) -> Request:
        first, *rest = head.decode().split("\r\n")
        parts = urlsplit(first.split(" ")[1])
        pairs = (line.split(": ", 1) for line in rest if line)
        request = Request(parts.path, parse_qs(parts.query), {k.lower(): v for k, v in pairs})
        self.requests.append(request)
        return request

    async def _reply(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """True if the connection is kept."""
        answer = self.answer(request)
        if answer is None:
            await self.stopped.wait()
            return False
        status, headers, body = answer
        lines = [f"HTTP/1.1 {status} X", *(f"{k}: {v}" for k, v in headers.items())]
        if "content-length" not in headers:
            lines.append(f"content-length: {len(body)}")
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()
        return headers.get("connection") != "close"


@asynccontextmanager
async def serving(answer: Callable[[Request], Answer | None], tls: ssl.SSLContext | None = None):
    server = Server(answer)
    clients: dict[asyncio.Task, asyncio.StreamWriter] = {}

    async def client(reader, writer):
        clients[asyncio.current_task()] = writer
        await server.serve(reader, writer)

    listener = await asyncio.start_server(client, "127.0.0.1", 0, ssl=tls)
    port = listener.sockets[0].getsockname()[1]
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        yield server
    finally:
        listener.close()
        server.stopped.set()
        for writer in clients.values():
            writer.transport.abort()
        await asyncio.gather(*clients)


CONFIG, LAYER = b'{"os":"linux"}', b"layer" * 1000
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "config": {"digest": digest(CONFIG), "size": len(CONFIG)},
        "layers": [{"digest": digest(LAYER), "size": len(LAYER)}],
    }
).encode()
INDEX = json.dumps(
    {
        "schemaVersion": 2,
        "manifests": [
            {"digest": digest(b"arm"), "size": 3, "platform": {"os": "linux", "architecture": "arm64"}},
            {"digest": digest(MANIFEST), "size": 9, "platform": {"os": "linux", "architecture": "amd64"}},
        ],
    }
).encode()
CONTENT = {
    "/v2/team/app/manifests/1.0": INDEX,
    f"/v2/team/app/manifests/{digest(MANIFEST)}": MANIFEST,
    f"/v2/team/app/blobs/{digest(CONFIG)}": CONFIG,
    f"/v2/team/app/blobs/{digest(LAYER)}": LAYER,
}
IMAGE = Image("", "team/app", "1.0")


def registry(request: Request) -> Answer:
    body = CONTENT.get(request.path)
    return (404, {}, b"{}") if body is None else (200, {}, body)


def changed(path: str, answer: Answer | None) -> Callable[[Request], Answer | None]:
    """The registry, but for the paths that begin so."""
    return lambda request: answer if request.path.startswith(path) else registry(request)


class Wire(asyncio.Transport):
    """A transport in memory: what was written, and whether it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self.closed = b"", False

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True


class Proxy:
    """A forward proxy: CONNECT, and GET with a whole URL. `asked` holds the request lines."""

    def __init__(self, port: int) -> None:
        self.url = Url("http", "127.0.0.1", port, "/")
        self.asked: list[str] = []
        self.refuses = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            line = head.split(b"\r\n")[0].decode()
            self.asked.append(line)
            if self.refuses:
                writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
                return
            method, target, _ = line.split(" ")
            url = parse_url(target if method == "GET" else f"http://{target}")
            far_reader, far_writer = await asyncio.open_connection(url.host, url.port)
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                far_writer.write(head.replace(target.encode(), url.target.encode(), 1))
            await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until one side ends; requests that follow on the same connection name the whole URL too."""
        try:
            while data := await reader.read(65536):
                if data.startswith(b"GET http://"):
                    self.asked.append(data.split(b"\r\n")[0].decode())
                    target = data.split(b" ")[1]
                    data = data.replace(target, parse_url(target.decode()).target.encode(), 1)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def proxying() -> AsyncIterator[Proxy]:
    """A forward proxy on a port of its own."""
    tasks: set[asyncio.Task[None]] = set()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        await made.serve(reader, writer)

    listener = await asyncio.start_server(client, "127.0.0.1", 0)
    made = Proxy(listener.sockets[0].getsockname()[1])
    try:
        yield made
    finally:
        listener.close()
        await asyncio.gather(*tasks)


@asynccontextmanager
async def answering(data: bytes, asked: bytes = b"\r\n\r\n") -> AsyncIterator[str]:
    """A server that answers these very bytes once it has read up to `asked`, and closes; its URL."""
    served: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        try:
            if asked:
                await reader.readuntil(asked)
            writer.write(data)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        await asyncio.gather(*served)


@asynccontextmanager
async def dripping(data: bytes) -> AsyncIterator[str]:
    """A server that answers with these bytes and then with one more every 10 ms, without end; its URL."""
    served: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        writer.write(data)
        try:
            while True:
                writer.write(b"y")
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        await asyncio.gather(*served)


async def pulled(
    url: str,
    image: Image | None = IMAGE,
    deadline: float = 5,
    credentials: Credentials | None = None,
    tls: TlsFiles | None = None,
    tokens: Tokens | None = None,
    route: Route | None = None,
    limits: dict[str, float] | None = None,
    now: float | None = None,
    **wanted: object,
) -> Pull:
    """One pull with everything else as it is by default."""
    made = {**LIMITS, **(limits or {})}
    endpoint = Endpoint(url, credentials, tls or TlsFiles(), route or Route(), made)
    return await probe(endpoint, Wanted(image, deadline, **wanted), tokens, now)
