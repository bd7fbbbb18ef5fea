"""Collectors against a real docker-registry: probed, killed, paused; log, metrics and notifications read."""

import base64
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from collectors.distribution import DistributionMetrics
from collectors.logs import FollowedLog
from collectors.notifications import parse_distribution
from collectors.probe import PullProbe
from seawall.core.signals import labels

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="no docker-registry (Debian package)"),
]
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
LAYERS = [os.urandom(200_000), os.urandom(50_000)]


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@dataclass
class Registry:
    """A docker-registry process of our own; `log` holds both its outputs."""

    folder: Path
    extra: str = ""
    port: int = field(default_factory=free_port)
    debug_port: int = field(default_factory=free_port)
    process: subprocess.Popen | None = None

    def __post_init__(self) -> None:
        self.url, self.log = f"http://127.0.0.1:{self.port}", self.folder / "registry.log"
        self.metrics_url = f"http://127.0.0.1:{self.debug_port}/metrics"

    def start(self) -> "Registry":
        config = self.folder / f"{self.port}.yml"
        config.write_text(
            "version: 0.1\n"
            f"storage: {{filesystem: {{rootdirectory: {self.folder}/data}}}}\n"
            f"http:\n  addr: 127.0.0.1:{self.port}\n"
            f"  debug: {{addr: '127.0.0.1:{self.debug_port}',"
            " prometheus: {enabled: true, path: /metrics}}\n" + self.extra
        )
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while True:
            try:
                httpx.get(f"{self.url}/", trust_env=False)
                return self
            except httpx.ConnectError:
                assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.05)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(10)


@pytest.fixture
def registry(tmp_path):
    registry = Registry(tmp_path).start()
    try:
        yield registry
    finally:
        registry.stop()


def push(url: str, repository: str, tag: str) -> None:
    """An image of two layers, behind an index."""
    with httpx.Client(base_url=url, trust_env=False) as client:

        def blob(data: bytes) -> dict:
            where = client.post(f"/v2/{repository}/blobs/uploads/").headers["location"]
            answer = client.put(f"{where}&digest={digest(data)}", content=data)
            assert answer.status_code == 201
            return {"digest": digest(data), "size": len(data)}

        def manifest(document: dict, reference: str | None = None) -> bytes:
            body = json.dumps({"schemaVersion": 2, **document}).encode()
            path = f"/v2/{repository}/manifests/{reference or digest(body)}"
            answer = client.put(path, content=body, headers={"content-type": document["mediaType"]})
            assert answer.status_code == 201
            return body

        config = {**blob(b'{"os":"linux","architecture":"amd64"}'), "mediaType": "application/octet-stream"}
        layers = [{**blob(layer), "mediaType": "application/octet-stream"} for layer in LAYERS]
        body = manifest({"mediaType": MANIFEST, "config": config, "layers": layers})
        platform = {"os": "linux", "architecture": "amd64"}
        child = {"mediaType": MANIFEST, "digest": digest(body), "size": len(body), "platform": platform}
        manifest({"mediaType": INDEX, "manifests": [child]}, tag)


def value(batch, phase: str | None = None) -> float | None:
    wanted = labels(site="here", phase=phase) if phase else labels(site="here")
    return next((sample.value for sample in batch.samples if sample.labels == wanted), None)


async def test_an_image_is_pulled_by_phases_and_every_byte_verified(registry):
    push(registry.url, "team/app", "1.0")
    batch = await PullProbe("reg", "here", registry.url, "team/app:1.0").collect(1000.0)
    assert value(batch) == 1.0 and not batch.notes and not batch.events
    for phase in ("connect", "manifest_index", "manifest_child", "blob_ttfb", "blob_transfer"):
        assert 0 < value(batch, phase) < 5
    blob = registry.folder.glob(f"data/docker/registry/v2/blobs/sha256/*/{digest(LAYERS[0])[7:]}/data")
    next(blob).write_bytes(b"bit rot".ljust(len(LAYERS[0])))
    batch = await PullProbe("reg", "here", registry.url, "team/app:1.0").collect(1010.0)
    assert value(batch) == 0.0 and batch.notes[0].startswith("blob_transfer: wrong content")


async def test_a_killed_registry_refuses_the_connection(registry):
    probe = PullProbe("reg", "here", registry.url)
    assert value(await probe.collect(1000.0)) == 1.0
    registry.stop()
    batch = await probe.collect(1010.0)
    assert value(batch) == 0.0
    assert batch.notes[0].startswith("connect: connection refused after ")
    assert batch.events[0].fields["seawall.phase"] == "connect"
    registry.start()
    assert value(await probe.collect(1020.0)) == 1.0


@pytest.mark.parametrize(("image", "phase"), [("team/app:1.0", "manifest_index"), (None, "base")])
async def test_a_paused_registry_is_left_at_the_deadline(registry, image, phase):
    push(registry.url, "team/app", "1.0")
    probe = PullProbe("reg", "here", registry.url, image, timeout=0.5)
    registry.signal(signal.SIGSTOP)
    started = time.monotonic()
    batch = await probe.collect(1000.0)
    assert time.monotonic() - started < 2
    assert value(batch) == 0.0
    assert batch.notes[0].startswith(f"{phase}: no answer within 0.5 s after ")
    registry.signal(signal.SIGCONT)
    probe.timeout = 10
    assert value(await probe.collect(1010.0)) == 1.0


async def test_an_image_that_is_not_there_is_no_failure_of_the_registry(registry):
    batch = await PullProbe("reg", "here", registry.url, "no/such:1").collect(1000.0)
    assert value(batch) == 1.0 and "answered 404" in batch.notes[0] and not batch.events


async def test_the_log_is_read_once_through_rotation_and_truncation(registry):
    """Each request has a path of its own and must come twice: an access and an application line."""
    log, events, asked = FollowedLog("reg", str(registry.log)), {}, []

    def ask(count: int) -> None:
        with httpx.Client(base_url=registry.url, trust_env=False) as client:
            for _ in range(count):
                asked.append(f"/v2/team/app/manifests/t{len(asked)}")
                client.get(asked[-1])
        # The registry answers before it logs.
        deadline = time.monotonic() + 20
        while registry.log.read_bytes().count(f"{asked[-1]} ".encode()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    async def read() -> None:
        batch = await log.collect(1000.0)
        assert not set(events) & {event.id for event in batch.events}
        events.update({event.id: event.fields for event in batch.events})
        await log.stored()

    ask(20)
    await read()
    ask(20)
    shutil.copy(registry.log, registry.log.with_name("registry.log.1"))
    os.truncate(registry.log, 0)
    ask(20)
    await read()
    ask(20)
    registry.stop()
    registry.log.rename(registry.log.with_name("registry.log.2"))
    registry.start()
    ask(20)
    checkpoint = (await log.collect(1000.0)).checkpoints[log.source]
    await read()
    log = FollowedLog("reg", str(registry.log))
    log.restore(checkpoint)
    ask(20)
    await read()

    def urls(dataset: str) -> list[str]:
        found = [f for f in events.values() if f["event.dataset"] == dataset and "url.original" in f]
        return sorted(f["url.original"] for f in found if f.get("registry.operation") == "manifest")

    assert urls("distribution.access") == urls("distribution.app") == sorted(asked)
    timed = [fields for fields in events.values() if "event.duration" in fields]
    assert len(timed) == len(asked) and {f["http.response.status_code"] for f in timed} == {404}
    assert log.lines["not_understood"] == 0


async def test_requests_are_counted_as_the_registry_counts_them(registry):
    collector = DistributionMetrics("reg", registry.metrics_url)
    assert (await collector.collect(1000.0)).samples == []
    push(registry.url, "team/app", "1.0")
    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(7):
            await client.get(f"{registry.url}/v2/team/app/manifests/none")
    values = {s.labels: s.value for s in (await collector.collect(1010.0)).samples}
    assert values[labels(handler="manifest", code="404")] == 7
    assert values[labels(handler="manifest", code="201")] == 2


@contextmanager
def http_server(answer):
    """`answer(handler)` replies to each request, in a thread."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = answer(self)
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_notifications_that_the_registry_sends_are_understood(tmp_path):
    bodies, received = [], threading.Event()

    def keep(handler) -> bytes:
        bodies.append(handler.rfile.read(int(handler.headers["content-length"])))
        if b"manifest.list" in bodies[-1]:
            received.set()
        return b""

    with http_server(keep) as endpoint:
        settings = f"name: seawall, url: {endpoint}, timeout: 5s, threshold: 3, backoff: 1s"
        extra = f"notifications: {{endpoints: [{{{settings}}}]}}\n"
        registry = Registry(tmp_path, extra).start()
        try:
            push(registry.url, "team/app", "1.0")
            assert received.wait(20)
        finally:
            registry.stop()
    events = [event for body in bodies for event in parse_distribution(body, "reg")]
    kinds = [(e.fields["event.action"], e.fields["registry.operation"]) for e in events]
    assert kinds == [("push", "blob")] * 3 + [("push", "manifest")] * 2
    assert {e.fields["registry.repository"] for e in events} == {"team/app"}
    assert events[-1].fields["registry.reference"] == "1.0" and len({e.id for e in events}) == 5
    assert all(abs(e.at - time.time()) < 60 and e.fields["client.ip"] == "127.0.0.1" for e in events)


class TokenServer:
    """Issues the JSON Web Tokens of distribution's token specification to alice, ES256 with x5c."""

    def __init__(self, folder: Path) -> None:
        self.key, self.asked = ec.generate_private_key(ec.SECP256R1()), []
        name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")]), datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name).issuer_name(name).public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
            .sign(self.key, hashes.SHA256())
        )  # fmt: skip
        self.x5c = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
        self.bundle = folder / "issuer.pem"
        self.bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def answer(self, handler) -> bytes:
        query = parse_qs(urlsplit(handler.path).query)
        self.asked.append(handler.headers.get("authorization"))
        kind, name, actions = query["scope"][0].split(":")
        allowed = handler.headers.get("authorization") == "Basic " + base64.b64encode(b"alice:pw").decode()
        access = [{"type": kind, "name": name, "actions": actions.split(",")}] if allowed else []
        return json.dumps({"token": self._token(query["service"][0], access), "expires_in": 60}).encode()

    def _token(self, service: str, access: list) -> str:
        now = int(time.time())
        claims = {
            "iss": "issuer",
            "sub": "alice",
            "aud": service,
            "jti": str(len(self.asked)),
            "access": access,
        }
        claims.update({"exp": now + 60, "nbf": now - 5, "iat": now})
        header = {"typ": "JWT", "alg": "ES256", "x5c": [self.x5c]}
        text = ".".join(_base64(json.dumps(part).encode()) for part in (header, claims))
        r, s = decode_dss_signature(self.key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{_base64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


async def test_a_registry_behind_a_token_server_is_pulled_with_one_token(registry):
    push(registry.url, "team/app", "1.0")
    issuer = TokenServer(registry.folder)
    with http_server(issuer.answer) as realm:
        extra = (
            f"auth: {{token: {{realm: {realm}/token, service: seawall-test, issuer: issuer,"
            f" rootcertbundle: {issuer.bundle}}}}}\n"
        )
        guarded = Registry(registry.folder, extra).start()
        try:
            alice = PullProbe("reg", "here", guarded.url, "team/app:1.0", "alice", lambda: "pw")
            first, second = await alice.collect(1000.0), await alice.collect(1010.0)
            mallory = await PullProbe("reg", "here", guarded.url, "team/app:1.0", "m", lambda: "x").collect(
                1000.0
            )
            anonymous = await PullProbe("reg", "here", guarded.url).collect(1000.0)
        finally:
            guarded.stop()
    assert first.notes == second.notes == [] and value(first) == value(second) == 1.0
    assert value(first, "auth_token") > 0 and value(second, "auth_token") is None
    assert value(mallory) == 1.0 and "answered 401" in mallory.notes[0]
    assert value(anonymous) == 1.0 and anonymous.notes == []
    assert len(issuer.asked) == 2
