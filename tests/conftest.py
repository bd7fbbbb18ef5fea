"""Fixtures that start real servers and stop them by pid."""

import json
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import Postgres
from tests.registries import Registry
from tests.scripted import Proxy, proxying
from tests.serving import Up


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[[dict[str, Any]], Up]]:
    """Starts Seawall with a configuration; stopped at the end."""
    running: list[Up] = []

    def start(config: dict[str, Any]) -> Up:
        running.append(Up(tmp_path, config))
        return running[-1].start()

    yield start
    for one in running:
        one.stop()


@pytest.fixture
def secret_file(tmp_path: Path) -> Callable[[str, str], Path]:
    """A 0600 file with a secret."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.touch(mode=0o600)
        path.write_text(text)
        return path

    return write


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """A real docker-registry."""
    running = Registry(tmp_path).start()
    yield running
    running.stop()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A forward proxy."""
    async with proxying() as made:
        yield made


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL; each test makes databases of its own in it."""
    server = Postgres()
    server.start()
    yield server
    server.close()


def pytest_report_header() -> list[str]:
    """What this machine has for the tests that need a real server."""
    programs = (
        "podman",
        "docker-registry",
        "chromium",
        "prometheus",
        "prometheus-alertmanager",
        "prometheus-node-exporter",
        "skopeo",
    )
    missing = [program for program in programs if shutil.which(program) is None]
    return [f"real servers missing, their tests are skipped: {', '.join(missing)}"] if missing else []


@pytest.fixture
def people() -> Iterator[tuple[str, list[dict]]]:
    """A webhook channel that listens: (URL, what it was told)."""
    got: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", got
    server.shutdown()
    server.server_close()
