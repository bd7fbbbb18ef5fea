"""`seawall up`: one process, one event loop, a TCP port and a socket in the state folder."""

import asyncio
import logging
import socket
import struct
import sys
from functools import partial
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from seawall import app as wiring
from seawall.api.gate import SOCKET_CLIENT
from seawall.config import Config
from seawall.core.errors import InputError
from seawall.identity import files as identity_files
from seawall.service import Service
from seawall.statefolder import StateFolder
from seawall.tls import Certificate

RENEW = 10.0  # seconds between two looks at the certificate's files
log = logging.getLogger(__name__)


class Listening(uvicorn.Server):
    """A port, with TLS where there is a certificate, and the folder's socket, which is plain: it does not
    leave this machine, and the kernel says who is at its other end."""

    def __init__(self, config: uvicorn.Config, local: socket.socket, certificate: Certificate | None) -> None:
        super().__init__(config)
        self._local, self._certificate = local, certificate
        self._renewing: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on both."""
        await super().startup(sockets)
        config = self.config
        protocol = partial(
            PeerProtocol, config=config, server_state=self.server_state, app_state=self.lifespan.state
        )
        loop = asyncio.get_running_loop()
        self.servers.append(await loop.create_server(protocol, sock=self._local, backlog=config.backlog))
        if self._certificate:
            self._renewing = asyncio.create_task(self._renew(self._certificate))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the watch over the certificate, too."""
        if self._renewing:
            self._renewing.cancel()
        await super().shutdown([*(sockets or []), self._local])

    async def _renew(self, certificate: Certificate) -> None:
        while True:
            await asyncio.sleep(RENEW)
            try:
                if await asyncio.to_thread(certificate.renew):
                    log.info("the certificate was read again")
            except InputError as error:
                log.error("the old certificate goes on: %s", error)


class PeerProtocol(HttpToolsProtocol):
    """On the socket, the kernel names the peer's user (SO_PEERCRED, unix(7))."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note who is at the other end."""
        super().connection_made(transport)
        peer = transport.get_extra_info("socket")
        if peer is not None and peer.family == socket.AF_UNIX:
            size = struct.calcsize("3i")
            _pid, uid, _gid = struct.unpack(
                "3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
            )
            self.client = (f"{SOCKET_CLIENT}{uid}", 0)


# They tell each request and each retry; what that means for Seawall is told once by Seawall.
QUIETER = {"apscheduler": logging.ERROR, "httpx": logging.WARNING, "elastic_transport": logging.ERROR}


def up(config: Config, state_path: Path, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    for noisy, level in QUIETER.items():
        logging.getLogger(noisy).setLevel(level)
    state = StateFolder(state_path)
    state.acquire()
    certificate = Certificate(config.server) if config.server.tls_cert else None
    tcp = wiring.listen(host, port)
    service, stores = wiring.build_service(config, state)
    with wiring.whole(stores, service.telemetry):
        server = _listening(service, stores, state, certificate)
    scheme = "https" if certificate else "http"
    shown = f"[{host}]" if ":" in host else host
    logging.info("Seawall at %s://%s:%d (state in %s)", scheme, shown, tcp.getsockname()[1], state.path)
    logging.info("log in with the token in %s", state.path / "admin-token")
    server.run(sockets=[tcp])


def _listening(
    service: Service, stores: wiring.Stores, state: StateFolder, certificate: Certificate | None
) -> Listening:
    identity_files.first_token(service.accounts, state)
    if identity_files.first_user(service.accounts, state):
        logging.info(
            "first start: log in as admin with the password in %s", state.path / identity_files.PASSWORD
        )
    service.accounts.password_changed = lambda: identity_files.drop_used(service.accounts, state)
    for fault in service.broken_playbooks:
        logging.warning("playbook left out: %s", fault)
    application = wiring.build_app(service, wiring.lifespan_of(service, stores, state))
    return Listening(
        uvicorn.Config(
            application,
            http=PeerProtocol,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=3,
            ssl_context_factory=(lambda *_: certificate.context) if certificate else None,
        ),
        state.listen(),
        certificate,
    )
