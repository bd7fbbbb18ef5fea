"""A real docker-registry of our own, images for it, and a token server that it trusts."""

import base64
import hashlib
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from tests.serving import free_port

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
LAYERS = [os.urandom(200_000), os.urandom(50_000)]


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass
class Registry:
    """A docker-registry process of our own; `log` holds both its outputs. `tls` is the text of http.tls,
    `extra` more of the configuration."""

    folder: Path
    extra: str = ""
    tls: str = ""
    port: int = field(default_factory=free_port)
    debug_port: int = field(default_factory=free_port)
    process: subprocess.Popen | None = None

    def __post_init__(self) -> None:
        scheme = "https" if self.tls else "http"
        self.url, self.log = f"{scheme}://127.0.0.1:{self.port}", self.folder / "registry.log"
        self.metrics_url = f"http://127.0.0.1:{self.debug_port}/metrics"

    def start(self) -> "Registry":
        config = self.folder / f"{self.port}.yml"
        config.write_text(
            "version: 0.1\n"
            f"storage: {{filesystem: {{rootdirectory: {self.folder}/data}}}}\n"
            f"http:\n  addr: 127.0.0.1:{self.port}\n"
            f"  debug: {{addr: '127.0.0.1:{self.debug_port}',"
            " prometheus: {enabled: true, path: /metrics}}\n"
            + (f"  tls: {{{self.tls}}}\n" if self.tls else "")
            + self.extra
        )
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while True:  # the debug port is there a moment before the other one
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                httpx.get(f"http://127.0.0.1:{self.debug_port}/metrics", trust_env=False)
                return self
            except (OSError, httpx.ConnectError):
                assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.05)

    def signal(self, number: signal.Signals) -> None:
        """Sent and, for SIGSTOP, obeyed: each thread stops by itself, and one may answer once more."""
        self.process.send_signal(number)
        while number == signal.SIGSTOP and not all(
            it.read_text().rpartition(")")[2].split()[0] in "tT"
            for it in Path(f"/proc/{self.process.pid}/task").glob("*/stat")
        ):
            time.sleep(0.001)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(10)


def push(
    url: str, repository: str, tag: str, verify: str | None = None, auth: tuple[str, str] | None = None
) -> None:
    """An image of two layers, behind an index; `verify` is the file of the registry's authority, `auth` an
    account with its password."""
    trusted = ssl.create_default_context(cafile=verify) if verify else False
    with httpx.Client(base_url=url, trust_env=False, verify=trusted, auth=auth) as client:

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


@contextmanager
def http_server(answer: Callable[[BaseHTTPRequestHandler], bytes], ahead: float = 0) -> Iterator[str]:
    """`answer(handler)` replies to each request, in a thread; its clock is `ahead` by so many seconds."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = answer(self)
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(time.time() + ahead)

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


class TokenServer:
    """Issues the JSON Web Tokens of distribution's token specification to alice, ES256 with x5c."""

    def __init__(self, folder: Path, ahead: float = 0) -> None:
        self.ahead = ahead
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
        now = int(time.time() + self.ahead)
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
