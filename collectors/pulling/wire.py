"""HTTP/1.1 over an asyncio transport: one request at a time, parsed by httptools (llhttp).

A body is handed to its sink as it arrives, without a queue: counting and hashing are all that a probe does.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol, cast

import httptools

from collectors.pulling.address import Url
from collectors.pulling.faults import Broken, Gone

MAX_HEAD = 64 << 10  # bytes of status line and headers
MAX_SMALL = 1 << 20  # bytes of a challenge, token or redirect body
_CLOSED = "the connection was closed before an answer"
Sink = Callable[[bytes], None]
Headers = list[tuple[str, str]]


class Response:
    """An answer's head, and its body as it comes. Header names are in lower case; several of one name are
    joined by commas (RFC 9110 section 5.3)."""

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        self.status, self.headers = status, headers
        self._early: list[bytes] = []
        self._sink: Sink = self._early.append
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self.ended = False

    async def drain(self, sink: Sink) -> None:
        """Give every chunk to `sink` until the body ends; raises what broke it, or what `sink` raised."""
        self._sink = sink
        for chunk in self._early:
            sink(chunk)
        if not self.ended:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self._error:
            raise self._error

    async def read(self, limit: int = MAX_SMALL) -> bytes:
        """The body. Broken if it is over `limit` bytes."""
        body = bytearray()

        def keep(chunk: bytes) -> None:
            body.extend(chunk)
            if len(body) > limit:
                raise Broken(f"an answer of more than {limit} bytes")

        await self.drain(keep)
        return bytes(body)

    def feed(self, chunk: bytes) -> bool:
        """A chunk has come; False if nobody wants more of them."""
        if self.ended:
            return False
        try:
            self._sink(chunk)
        except Exception as error:
            self.end(error)
            return False
        return True

    def end(self, error: Exception | None = None) -> None:
        """The body is complete, or broken."""
        if self.ended:
            return
        self.ended, self._error = True, error
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)


class Connection(Protocol):
    """A connection that requests are made over."""

    @property
    def usable(self) -> bool:
        """May a request be made now?"""
        ...

    async def get(self, url: Url, headers: Headers) -> Response:
        """GET; returns when the head of the answer is there."""
        ...

    def certificate(self) -> bytes | None:
        """The other side's certificate (DER); None without TLS."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...


def certificate_of(transport: asyncio.Transport | None) -> bytes | None:
    """The certificate that the other side has shown (DER)."""
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object") if transport else None
    return tls.getpeercert(binary_form=True) if tls else None


class Http1(asyncio.Protocol):
    """One HTTP/1.1 connection. `absolute`: requests go to a proxy, so they name the whole URL."""

    def __init__(self, absolute: bool = False) -> None:
        self._absolute = absolute
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._head: asyncio.Future[Response] | None = None
        self._response: Response | None = None
        self._headers: dict[str, str] = {}
        self._head_bytes = self._body_bytes = 0
        self._keep = False

    @property
    def usable(self) -> bool:
        """True between two requests of a connection that both sides keep."""
        return self._keep and self._transport is not None and not self._transport.is_closing()

    async def get(self, url: Url, headers: Headers) -> Response:
        """GET; returns when the head of the answer is there. Gone, Broken or OSError."""
        if self._transport is None or self._transport.is_closing():
            raise Gone(_CLOSED)
        self._parser, self._keep = httptools.HttpResponseParser(self), False
        self._response, self._headers = None, {}
        self._head_bytes = self._body_bytes = 0
        self._head = asyncio.get_running_loop().create_future()
        target = str(url) if self._absolute else url.target
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        head = f"GET {target} HTTP/1.1\r\nhost: {url.netloc}\r\n{lines}\r\n"
        self._transport.write(head.encode("latin-1"))
        return await self._head

    def certificate(self) -> bytes | None:
        """See Connection."""
        return certificate_of(self._transport)

    def abort(self) -> None:
        """Close at once, without waiting for the other side."""
        if self._transport:
            self._transport.abort()

    # asyncio.Protocol ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        if self._parser is None:  # nothing was asked for
            self._fail(Broken("an answer without a question"))
            return
        if self._response is None:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(Broken("the answer switches to another protocol"))
        except httptools.HttpParserError as error:
            if not (self._response and self._response.ended):
                self._fail(Broken(f"the answer is no HTTP: {str(error).lower()}"))
        else:
            if self._response is None and self._head_bytes > MAX_HEAD:
                self._fail(Broken(f"headers of more than {MAX_HEAD} bytes"))

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio. A body without a length ends here; any other is cut."""
        length = self._headers.get("content-length")
        if self._response is None:
            self._fail(exc or Gone(_CLOSED))
        elif exc or length or "transfer-encoding" in self._headers:
            got = f"{self._body_bytes} of {length}" if length else str(self._body_bytes)
            self._fail(exc or Broken(f"short body: the connection was closed after {got} bytes"))
        else:
            self._response.end()
        self._transport = None

    def _fail(self, error: Exception) -> None:
        if self._response is not None:
            self._response.end(error)
        elif self._head and not self._head.done():
            self._head.set_exception(error)
        self._keep = False
        self.abort()

    # httptools -------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """See httptools; trailers after the body are left."""
        if self._response is None:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        """See httptools; 100 Continue and its like are no answer."""
        if (
            self._response is not None or self._parser is None or self._head is None
        ):  # a second answer to one question
            self._keep = False
            self.abort()
            return
        status = self._parser.get_status_code()
        if status < 200:
            self._headers = {}
            return
        self._response = Response(status, self._headers)
        if not self._head.done():
            self._head.set_result(self._response)

    def on_body(self, chunk: bytes) -> None:
        """See httptools."""
        self._body_bytes += len(chunk)
        if self._response and not self._response.feed(chunk):
            self.abort()

    def on_message_complete(self) -> None:
        """See httptools."""
        if self._response and self._parser:
            self._keep = self._parser.should_keep_alive() and not self._response.ended
            self._response.end()
            self._parser = None
