"""`seawall up`: one process, one event loop, a TCP port and a socket in the state folder."""

import asyncio
import logging
import socket
import struct
import sys
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from seawall import app as wiring
from seawall import identity_files
from seawall.api.gate import SOCKET_CLIENT
from seawall.config import Config
from seawall.statefolder import StateFolder


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


def up(config: Config, state_path: Path, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    for noisy in ("apscheduler", "httpx"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    state = StateFolder(state_path)
    state.acquire()
    tcp = wiring.listen(host, port)
    service, stores = wiring.build_service(config, state)
    identity_files.first_token(service.accounts, state)
    if identity_files.first_user(service.accounts, state):
        logging.info(
            "first start: log in as admin with the password in %s", state.path / identity_files.PASSWORD
        )
    service.accounts.password_changed = lambda: identity_files.drop_used(service.accounts, state)
    for fault in service.broken_playbooks:
        logging.warning("playbook left out: %s", fault)
    application = wiring.build_app(service, wiring.lifespan_of(service, stores, state))
    server = uvicorn.Server(
        uvicorn.Config(
            application,
            http=PeerProtocol,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=3,
            ssl_certfile=config.server.tls_cert,
            ssl_keyfile=config.server.tls_key,
        )
    )
    scheme = "https" if config.server.tls_cert else "http"
    shown = f"[{host}]" if ":" in host else host
    logging.info("Seawall at %s://%s:%d (state in %s)", scheme, shown, tcp.getsockname()[1], state.path)
    logging.info("log in with the token in %s", state.path / "admin-token")
    server.run(sockets=[tcp, state.listen()])
