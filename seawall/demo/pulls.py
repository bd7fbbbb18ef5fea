"""One pull of a whole image, as containerd does it: HEAD of the tag, index, manifest, then blobs in parallel.

Every body is read to its end and checked against its digest; what happened is counted in a Report.
"""

import contextlib
import hashlib
import http.client
import json
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from seawall.core.errors import InputError
from seawall.demo.images import INDEX, MANIFEST, Image

DOCKER = "application/vnd.docker.distribution.manifest"
HEADERS = {
    "Accept": f"{DOCKER}.v2+json, {DOCKER}.list.v2+json, {MANIFEST}, {INDEX}, */*",
    "Accept-Encoding": "identity",
    "User-Agent": "containerd/1.7.24",
}
CONCURRENT_DOWNLOADS = 3  # containerd's max_concurrent_downloads
TIMEOUT_SECONDS = 10.0
CHUNK = 256 * 1024


class PullFailed(Exception):
    """A pull did not bring what the manifest promises; the text is the kind of failure."""


@dataclass(slots=True)
class Report:
    """What has happened so far. Times are Unix seconds, `bytes` are verified body bytes; manifest_requests
    holds HEAD and GET."""

    started: float
    pulls: int = 0
    failed_pulls: int = 0
    skipped_pulls: int = 0
    in_flight: int = 0
    manifest_requests: int = 0
    manifest_gets: int = 0
    blob_requests: int = 0
    bytes: int = 0
    first_failure_at: float | None = None
    last_failure_at: float | None = None
    errors: dict[str, int] = field(default_factory=dict)
    updated: float = 0.0
    cpu_seconds: float = 0.0
    ended: str | None = None

    def failed(self, kind: str) -> None:
        """Count one failed pull."""
        self.failed_pulls += 1
        self.errors[kind] = self.errors.get(kind, 0) + 1
        self.last_failure_at = time.time()
        self.first_failure_at = self.first_failure_at or self.last_failure_at

    def write(self, path: Path) -> None:
        """Replace the file in one step, so that a reader never sees half of it."""
        self.updated, self.cpu_seconds = time.time(), time.process_time()
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_text(json.dumps(asdict(self)))
        fresh.replace(path)


class Connections:
    """One kept-alive connection a thread. (httpx took four times the CPU for the same requests.)"""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        if place.scheme != "http" or place.hostname != "127.0.0.1" or place.port is None:
            raise InputError(
                url, "the traffic goes to a registry on 127.0.0.1 only", "give http://127.0.0.1:PORT"
            )
        self._host, self._port = place.hostname, place.port
        self._mine, self._all = threading.local(), deque[http.client.HTTPConnection]()
        self.broken_off = False

    @contextlib.contextmanager
    def request(self, method: str, path: str) -> Iterator[http.client.HTTPResponse]:
        """The answer, to be read whole. PullFailed unless it is 200; OSError, HTTPException."""
        connection = self._connection()
        try:
            answer = self._answer(connection, method, path)
            if answer.status != http.client.OK:
                raise PullFailed(f"http {answer.status}")
            yield answer
        except BaseException:
            connection.close()
            raise

    def _answer(
        self, connection: http.client.HTTPConnection, method: str, path: str
    ) -> http.client.HTTPResponse:
        reused = connection.sock is not None
        try:
            return self._exchange(connection, method, path)
        except ConnectionError:
            connection.close()
            if not reused:
                raise
        # As Go's client: a kept-alive connection that the server had closed is no failure yet.
        return self._exchange(connection, method, path)

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, path: str
    ) -> http.client.HTTPResponse:
        if self.broken_off:
            raise PullFailed("broken off")
        connection.request(method, path, headers=HEADERS)
        return connection.getresponse()

    def _connection(self) -> http.client.HTTPConnection:
        if not hasattr(self._mine, "connection"):
            self._mine.connection = http.client.HTTPConnection(
                self._host, self._port, timeout=TIMEOUT_SECONDS
            )
            self._all.append(self._mine.connection)
        connection: http.client.HTTPConnection = self._mine.connection
        return connection

    def break_off(self) -> None:
        """End every transfer at once and allow no other; the threads that wait for one get an error."""
        self.broken_off = True
        for connection in self._all:
            if (sock := connection.sock) is not None:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


class Puller:
    """Pulls images; one of many threads calls `pull`, the blobs come over `downloads`."""

    def __init__(self, connections: Connections, downloads: ThreadPoolExecutor, report: Report) -> None:
        self._connections, self._downloads, self._report = connections, downloads, report
        self._lock = threading.Lock()

    def pull(self, image: Image, architecture: str) -> None:
        """One pull, never retried; its failure is counted by kind, unless we are stopping anyway."""
        try:
            self._pull(image, architecture)
        except (OSError, http.client.HTTPException, PullFailed) as error:
            with self._lock:
                if not self._connections.broken_off:
                    self._report.failed(str(error) if isinstance(error, PullFailed) else type(error).__name__)
            return
        self._count(pulls=1)

    def _pull(self, image: Image, architecture: str) -> None:
        index = self._manifest(image.repository, self._resolve(image))
        manifest = self._manifest(image.repository, child_of(index, architecture))
        blobs = deque(blob["digest"] for blob in (manifest["config"], *manifest["layers"]))
        lanes = [
            self._downloads.submit(self._lane, image.repository, blobs)
            for _ in range(min(CONCURRENT_DOWNLOADS, len(blobs)))
        ]
        wait(lanes)
        for lane in lanes:
            lane.result()

    def _lane(self, repository: str, blobs: deque[str]) -> None:
        try:
            while (digest := next_of(blobs)) is not None:
                self._blob(repository, digest)
        except BaseException:
            blobs.clear()
            raise

    def _resolve(self, image: Image) -> str:
        with self._connections.request("HEAD", f"/v2/{image.repository}/manifests/{image.tag}") as answer:
            answer.read()
            digest = answer.headers["docker-content-digest"]
        self._count(manifest_requests=1)
        return str(digest)

    def _manifest(self, repository: str, digest: str) -> dict[str, Any]:
        body = bytearray()
        size = self._read(f"/v2/{repository}/manifests/{digest}", digest, body.extend)
        self._count(manifest_requests=1, manifest_gets=1, bytes=size)
        document: dict[str, Any] = json.loads(body)
        return document

    def _blob(self, repository: str, digest: str) -> None:
        size = self._read(f"/v2/{repository}/blobs/{digest}", digest, lambda chunk: None)
        self._count(blob_requests=1, bytes=size)

    def _read(self, path: str, digest: str, keep: Callable[[memoryview], None]) -> int:
        found, size, buffer = hashlib.sha256(), 0, memoryview(bytearray(CHUNK))
        with self._connections.request("GET", path) as answer:
            while count := answer.readinto(buffer):
                found.update(buffer[:count])
                keep(buffer[:count])
                size += count
            if answer.length:
                raise PullFailed("body cut short")
        if digest != f"sha256:{found.hexdigest()}":
            raise PullFailed("digest mismatch")
        return size

    def write(self, path: Path) -> None:
        """Write the report while nobody changes it."""
        with self._lock:
            self._report.write(path)

    def _count(self, **more: int) -> None:
        with self._lock:
            for name, number in more.items():
                setattr(self._report, name, getattr(self._report, name) + number)


def next_of(blobs: deque[str]) -> str | None:
    """Take the next one; None when another lane has taken the last."""
    try:
        return blobs.popleft()
    except IndexError:
        return None


def child_of(index: dict[str, Any], architecture: str) -> str:
    """The digest of the platform's manifest; PullFailed if the index has none."""
    for manifest in index.get("manifests", ()):
        if manifest["platform"]["architecture"] == architecture:
            return str(manifest["digest"])
    raise PullFailed(f"no {architecture} in the index")
