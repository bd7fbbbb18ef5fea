"""Opening a connection by phases: the name, the address, a proxy, TLS."""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field

from collectors.pulling.address import Url, is_address, is_inner
from collectors.pulling.faults import Broken
from collectors.pulling.http2 import Http2
from collectors.pulling.names import Address, resolve
from collectors.pulling.phases import Steps
from collectors.pulling.wire import Connection, Http1

_MAX_PROXY_HEAD = 16 << 10


@dataclass(frozen=True, slots=True)
class Route:
    """How a site reaches out: from an address of this machine, through an HTTP proxy, or just so."""

    source: str | None = None
    proxy: Url | None = None


@dataclass(slots=True)
class Dialler:
    """The connections of one pull. A name is resolved once; the address that answered is kept.

    `home` is the registry's host: who is sent elsewhere from there must not end at an inner address of this
    machine (`is_inner`), unless the registry itself lives at one.
    """

    home: str
    route: Route = field(default_factory=Route)
    _known: dict[tuple[str, int], Sequence[Address]] = field(default_factory=dict)
    _home_is_inner: bool = False

    async def open(self, url: Url, tls: ssl.SSLContext | None, steps: Steps) -> Connection:
        """A connection to the host of `url`, over TLS where a context is given. Broken or OSError."""
        proxy = self.route.proxy
        if proxy and url.host != self.home and is_address(url.host):
            self._refuse_inner(url.host, [(socket.AF_INET, url.host)])
        peer = proxy or url
        addresses = await self._addresses(peer.host, peer.port, steps, guarded=proxy is None)
        steps.enter("connect")
        sock = await self._connect(addresses, (peer.host, peer.port), steps)
        try:
            if proxy and tls:
                await _tunnel(sock, url)
            return await _speak(sock, url, tls, steps, absolute=proxy is not None and tls is None)
        except BaseException:
            sock.close()
            raise

    async def _addresses(self, host: str, port: int, steps: Steps, guarded: bool) -> Sequence[Address]:
        found = self._known.get((host, port))
        if found is None:
            if is_address(host):
                found = [(socket.AF_INET6 if ":" in host else socket.AF_INET, host)]
            else:
                steps.enter("dns")
                found = await resolve(host)
                steps.end()
            if guarded:
                found = self._refuse_inner(host, found)
            self._known[host, port] = found
        return found

    def _refuse_inner(self, host: str, found: Sequence[Address]) -> Sequence[Address]:
        if host == self.home:
            self._home_is_inner = any(is_inner(address) for _, address in found)
        elif not self._home_is_inner:
            outer = [it for it in found if not is_inner(it[1])]
            if not outer:
                raise Broken(f"sent to {host}, an inner address of this machine; not followed")
            return outer
        return found

    async def _connect(
        self, addresses: Sequence[Address], key: tuple[str, int], steps: Steps
    ) -> socket.socket:
        """To the first address that accepts; each has its share of the limit."""
        usable = [it for it in addresses if self._fits(it)]
        if not usable:
            raise Broken(f"no address of the kind of the source address {self.route.source}")
        share = steps.limit("connect") / len(usable) if len(usable) > 1 else None
        for number, address in enumerate(usable, 1):
            try:
                async with asyncio.timeout(share):
                    sock = await self._try(address, key[1])
            except OSError:  # TimeoutError is one
                if number == len(usable):
                    raise
                continue
            self._known[key] = [address]
            return sock
        raise AssertionError("the last address returned or raised")

    def _fits(self, address: Address) -> bool:
        source = self.route.source
        return source is None or (":" in source) == (address[0] == socket.AF_INET6)

    async def _try(self, address: Address, port: int) -> socket.socket:
        family, host = address
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            if self.route.source:
                sock.bind((self.route.source, 0))
            await asyncio.get_running_loop().sock_connect(sock, (host, port))
        except BaseException:
            sock.close()
            raise
        return sock


async def _tunnel(sock: socket.socket, url: Url) -> None:
    """CONNECT through an HTTP proxy (RFC 9110 section 9.3.6)."""
    loop = asyncio.get_running_loop()
    host = f"[{url.host}]" if ":" in url.host else url.host
    await loop.sock_sendall(
        sock, f"CONNECT {host}:{url.port} HTTP/1.1\r\nhost: {host}:{url.port}\r\n\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        more = await loop.sock_recv(sock, 4096)
        head += more
        if not more or len(head) > _MAX_PROXY_HEAD:
            raise Broken("the proxy's answer is none")
    version, _, rest = head.partition(b" ")
    if not version.startswith(b"HTTP/1.") or rest[:1] != b"2":
        raise Broken(f"the proxy answered {rest[:3].decode('latin-1')}")


class _Chosen(asyncio.Protocol):
    """Becomes what TLS has agreed upon (ALPN), before the first byte is read."""

    def __init__(self) -> None:
        self.connection: Http1 | Http2 = Http1()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        agreed = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        if agreed == "h2":
            self.connection = Http2()
        transport.set_protocol(self.connection)
        self.connection.connection_made(transport)


async def _speak(
    sock: socket.socket, url: Url, tls: ssl.SSLContext | None, steps: Steps, absolute: bool
) -> Connection:
    loop = asyncio.get_running_loop()
    if tls is None:
        return (await loop.create_connection(lambda: Http1(absolute), sock=sock))[1]
    steps.enter("tls")
    made = await loop.create_connection(_Chosen, sock=sock, ssl=tls, server_hostname=url.host)
    return made[1].connection
