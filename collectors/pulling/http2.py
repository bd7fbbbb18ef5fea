"""HTTP/2 over an asyncio transport (RFC 9113), by h2: all requests of a pull share one connection."""

import asyncio
from typing import cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from collectors.pulling.address import Url
from collectors.pulling.faults import Broken, Gone
from collectors.pulling.wire import MAX_HEAD, Headers, Response, certificate_of

_WINDOW = 1 << 20  # bytes that the other side may send ahead
_CLOSED = "the connection was closed before an answer"


class _Stream:
    """One request: its answer to come, then its body."""

    def __init__(self, head: asyncio.Future[Response]) -> None:
        self.head = head
        self.response: Response | None = None

    def fail(self, error: Exception) -> None:
        """Whoever waits for it hears of the error."""
        if self.response is not None:
            self.response.end(error)
        elif not self.head.done():
            self.head.set_exception(error)


class Http2(asyncio.Protocol):
    """One HTTP/2 connection."""

    def __init__(self) -> None:
        config = H2Configuration(client_side=True, header_encoding="latin-1")
        self._h2 = H2Connection(config=config)
        self._transport: asyncio.Transport | None = None
        self._streams: dict[int, _Stream] = {}
        self._ended = False

    @property
    def usable(self) -> bool:
        """True until one side ends it."""
        return not self._ended and self._transport is not None and not self._transport.is_closing()

    async def get(self, url: Url, headers: Headers) -> Response:
        """GET; returns when the head of the answer is there. Gone, Broken or OSError."""
        if not self.usable:
            raise Gone(_CLOSED)
        number = self._h2.get_next_available_stream_id()
        stream = self._streams[number] = _Stream(asyncio.get_running_loop().create_future())
        pseudo = [(":method", "GET"), (":scheme", url.scheme), (":authority", url.netloc)]
        try:
            self._h2.send_headers(number, [*pseudo, (":path", url.target), *headers], end_stream=True)
        except ProtocolError as error:
            raise Broken(f"HTTP/2: {error}") from error
        self._flush()
        try:
            return await stream.head
        except asyncio.CancelledError:
            self._streams.pop(number, None)
            raise

    def certificate(self) -> bytes | None:
        """See Connection."""
        return certificate_of(self._transport)

    def abort(self) -> None:
        """Close at once."""
        self._ended = True
        if self._transport:
            self._transport.abort()

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and self._transport:
            self._transport.write(data)

    # asyncio.Protocol ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio. Our preface waits for the first request: one write for both."""
        self._transport = cast(asyncio.Transport, transport)
        self._h2.initiate_connection()
        self._h2.update_settings(
            {
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW,
                SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEAD,
            }
        )
        self._h2.increment_flow_control_window(_WINDOW)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        try:
            events = self._h2.receive_data(data)
        except ProtocolError as error:
            self._flush()
            self._fail(Broken(f"the answer is no HTTP/2: {str(error) or type(error).__name__}"))
            return
        for event in events:
            self._handle(event)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._fail(exc or Gone(_CLOSED))
        self._transport = None

    def _fail(self, error: Exception) -> None:
        self._ended = True
        for stream in self._streams.values():
            short = stream.response is not None and isinstance(error, Gone)
            stream.fail(Broken("short body: the connection was closed") if short else error)
        self._streams.clear()
        if self._transport:
            self._transport.abort()

    # events of h2 ----------------------------------------------------------------------------

    def _handle(self, event: Event) -> None:
        match event:
            case ResponseReceived():
                self._head(event)
            case DataReceived():
                self._body(event)
            case StreamEnded() if stream := self._streams.pop(event.stream_id or 0, None):
                if stream.response is not None:
                    stream.response.end()
            case StreamReset() if stream := self._streams.pop(event.stream_id or 0, None):
                stream.fail(Broken(f"the stream was reset ({_named(event.error_code)})"))
            case ConnectionTerminated():
                self._fail(Broken(f"the connection was ended ({_named(event.error_code)})"))

    def _head(self, event: ResponseReceived) -> None:
        stream = self._streams.get(event.stream_id or 0)
        if stream is None:
            return
        headers: dict[str, str] = {}
        for name, value in event.headers or ():
            key, text = str(name), str(value)
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
        stream.response = Response(int(headers.pop(":status")), headers)
        if not stream.head.done():
            stream.head.set_result(stream.response)

    def _body(self, event: DataReceived) -> None:
        number, size = event.stream_id or 0, event.flow_controlled_length or 0
        stream = self._streams.get(number)
        wanted = (
            stream is not None
            and stream.response is not None
            and stream.response.feed(bytes(event.data or b""))
        )
        if size:
            self._h2.acknowledge_received_data(size, number)
        if not wanted and stream is not None:
            self._streams.pop(number, None)
            self._h2.reset_stream(number, ErrorCodes.CANCEL)


def _named(code: ErrorCodes | int | None) -> str:
    return str(getattr(code, "name", code)).lower().replace("_", " ")
