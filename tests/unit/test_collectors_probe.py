"""The synthetic pull against a scripted HTTP server: tokens, redirects, broken content, time-outs."""

import asyncio
import base64
import hashlib
import ipaddress
import json
import socket
import ssl
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from collectors.exchange import Credentials, Tokens, tls_context
from collectors.probe import Image, PullProbe, parse_image, probe
from seawall.core.errors import InputError
from seawall.core.signals import EXCLUDED_USER_AGENTS, labels

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
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("host:5000/a/b:1.0", Image("host:5000", "a/b", "1.0")),
        ("registry.example.com/a", Image("registry.example.com", "a", "latest")),
        ("localhost/a", Image("localhost", "a", "latest")),
        ("a/b", Image("", "a/b", "latest")),
        ("nginx:1.27", Image("", "nginx", "1.27")),
        (f"h.x/a:t@{digest(b'')}", Image("h.x", "a", digest(b""))),
    ],
)
def test_image_references_are_read_as_docker_does(text, image):
    assert parse_image(text) == image


@pytest.mark.parametrize(
    "text", ["", "A/b", "a:", "a@sha256:12", "h.x/", "a b", "a/../b", "a:t/b", "h:5000/a:b:c"]
)
def test_what_is_no_image_reference_is_refused_with_an_example(text):
    with pytest.raises(InputError, match=r"write it like registry\.example\.com"):
        parse_image(text)


async def test_a_pull_walks_index_manifest_and_blobs_and_counts_every_byte():
    async with serving(registry) as server:
        pull = await probe(server.url, IMAGE, 5)
    assert pull.ok and not pull.note
    assert pull.bytes == sum(map(len, CONTENT.values()))
    assert set(pull.seconds_by_phase()) == {
        "connect", "manifest_index", "manifest_child", "blob_ttfb", "blob_transfer",
    }  # fmt: skip
    assert all(0 < seconds <= pull.seconds for seconds in pull.seconds_by_phase().values())
    assert all(r.headers["user-agent"].startswith(EXCLUDED_USER_AGENTS) for r in server.requests)


async def test_a_tag_that_names_a_manifest_needs_no_child():
    async with serving(lambda r: (200, {}, MANIFEST) if r.path.endswith("1.0") else registry(r)) as server:
        pull = await probe(server.url, IMAGE, 5)
    assert pull.ok and "manifest_child" not in pull.seconds_by_phase()


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_registry_that_says_no_is_healthy_and_says_why(status):
    async with serving(lambda r: (status, {}, b"{}")) as server:
        pull = await probe(server.url, IMAGE, 5)
    assert pull.ok and not pull.reason
    assert str(status) in pull.note or "asks for a password" in pull.note


@pytest.mark.parametrize("throttling_fails", [False, True])
async def test_throttling_is_a_setting(throttling_fails):
    async with serving(lambda r: (429, {}, b"{}")) as server:
        pull = await probe(server.url, IMAGE, 5, throttling_fails=throttling_fails)
    assert pull.ok is not throttling_fails


@pytest.mark.parametrize(
    ("path", "answer", "phase", "reason"),
    [
        ("/v2/team/app/manifests/1.0", (500, {}, b""), "manifest_index", "answered 500"),
        ("/v2/team/app/manifests/1.0", (200, {}, b"<html>"), "manifest_index", "no JSON"),
        ("/v2/team/app/manifests/1.0", (200, {}, b'{"config": 3}'), "manifest_index", "without digest"),
        (
            "/v2/team/app/manifests/1.0",
            (200, {"docker-content-digest": digest(b"other")}, INDEX),
            "manifest_index",
            "wrong content",
        ),
        ("/v2/team/app/manifests/sha256:", (200, {}, b"{}"), "manifest_child", "wrong content"),
        ("/v2/team/app/manifests/sha256:", (502, {}, b""), "manifest_child", "answered 502"),
        (f"/v2/team/app/blobs/{digest(LAYER)}", (503, {}, b""), "blob_ttfb", "answered 503"),
        (f"/v2/team/app/blobs/{digest(LAYER)}", (200, {}, LAYER[::-1]), "blob_transfer", "wrong content"),
        (f"/v2/team/app/blobs/{digest(LAYER)}", (200, {}, LAYER + b"!"), "blob_transfer", "longer than"),
        (f"/v2/team/app/blobs/{digest(LAYER)}", (200, {}, LAYER[:9]), "blob_transfer", "wrong content"),
        ("/v2/", (307, {"location": "/v2/again"}, b""), "redirect", "more than 5 redirects"),
        ("/v2/", (307, {"location": "file:///etc/passwd"}, b""), "redirect", "no URL of HTTP"),
        ("/v2/", (307, {"location": "http://x:port/"}, b""), "redirect", "no URL"),
    ],
)  # fmt: skip
async def test_a_failure_names_its_phase_and_reason(path, answer, phase, reason):
    async with serving(changed(path, answer)) as server:
        pull = await probe(server.url, IMAGE, 5)
    assert not pull.ok and pull.phase == phase and reason in pull.reason
    assert [p.name for p in pull.phases if p.error == pull.reason] == [phase]


@pytest.mark.parametrize(
    ("path", "phase"),
    [
        ("/v2/team/app/manifests/1.0", "manifest_index"),
        ("/v2/team/app/manifests/sha256:", "manifest_child"),
        ("/v2/team/app/blobs/", "blob_ttfb"),
    ],
)
async def test_a_registry_that_hangs_is_left_at_the_deadline_and_the_phase_named(path, phase):
    async with serving(changed(path, None)) as server:
        pull = await probe(server.url, IMAGE, 0.3)
    assert not pull.ok and (pull.phase, pull.reason) == (phase, "no answer within 0.3 s")
    assert 0.3 <= pull.seconds < 1.5


async def test_a_connection_cut_in_the_middle_of_a_blob_is_a_failure_of_the_transfer():
    cut = (200, {"content-length": "5000", "connection": "close"}, b"")

    async with serving(changed(f"/v2/team/app/blobs/{digest(LAYER)}", cut)) as server:
        pull = await probe(server.url, IMAGE, 5)
    assert not pull.ok and pull.phase == "blob_transfer" and "closed connection" in pull.reason


class TokenRegistry:
    """A registry and its token server in one: `tokens` counts how many were given out."""

    def __init__(self, challenge: str = "", status: int = 200, expires_in: int = 300) -> None:
        self.given, self.challenge, self.status, self.expires_in = 0, challenge, status, expires_in
        self.asked: list[Request] = []
        self.revoked = False

    def __call__(self, request: Request) -> Answer:
        if request.path == "/token":
            self.asked.append(request)
            self.given += 1
            self.revoked = False
            body = {"token": f"t{self.given}", "expires_in": self.expires_in}
            return self.status, {}, json.dumps(body).encode()
        if self.revoked or request.headers.get("authorization") != f"Bearer t{self.given}":
            host = request.headers["host"]
            challenge = (
                self.challenge
                or f'Bearer realm="http://{host}/token",service="reg",scope="repository:team/app:pull"'
            )
            return 401, {"www-authenticate": challenge}, b"{}"
        return registry(request)


CREDENTIALS = Credentials("alice", lambda: "secret")


async def test_a_token_is_fetched_as_challenged_and_kept_until_it_expires():
    app, tokens = TokenRegistry(), Tokens()
    async with serving(app) as server:
        pulls = [await probe(server.url, IMAGE, 5, CREDENTIALS, tokens=tokens) for _ in range(2)]
        app.revoked = True
        pulls.append(await probe(server.url, IMAGE, 5, CREDENTIALS, tokens=tokens))
    assert all(pull.ok and not pull.note for pull in pulls)
    assert ["auth_token" in pull.seconds_by_phase() for pull in pulls] == [True, False, True]
    assert app.given == 2
    assert app.asked[0].query == {"service": ["reg"], "scope": ["repository:team/app:pull"]}
    assert app.asked[0].headers["authorization"] == "Basic " + base64.b64encode(b"alice:secret").decode()


async def test_an_expired_token_is_not_sent_again():
    app, tokens = TokenRegistry(expires_in=-1), Tokens()
    async with serving(app) as server:
        assert (await probe(server.url, IMAGE, 5, tokens=tokens)).ok
    assert tokens.get("repository:team/app:pull") is None
    assert "authorization" not in app.asked[0].headers


@pytest.mark.parametrize(("status", "ok"), [(401, True), (403, True), (500, False), (503, False)])
async def test_a_token_server_that_refuses_is_healthy_and_one_that_fails_is_not(status, ok):
    async with serving(TokenRegistry(status=status)) as server:
        pull = await probe(server.url, IMAGE, 5, CREDENTIALS)
    assert pull.ok is ok
    assert str(status) in (pull.note if ok else pull.reason)
    assert ok or pull.phase == "auth_token"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"token": "a\\r\\nb"}', b'{"token": "t", "expires_in": "x"}']
)
async def test_a_token_server_s_nonsense_is_a_failure(body):
    app = TokenRegistry()
    async with serving(lambda r: (200, {}, body) if r.path == "/token" else app(r)) as server:
        pull = await probe(server.url, IMAGE, 5)
    assert not pull.ok and pull.phase == "auth_token" and "token" in pull.reason


async def test_basic_authentication_is_sent_when_asked_for():
    def basic(request: Request) -> Answer:
        if "authorization" not in request.headers:
            return 401, {"www-authenticate": 'Basic realm="registry"'}, b""
        return registry(request)

    async with serving(basic) as server:
        with_password = await probe(server.url, IMAGE, 5, CREDENTIALS)
        without = await probe(server.url, IMAGE, 5)
    assert with_password.ok and not with_password.note
    assert without.ok and "asks for a password" in without.note


async def test_a_redirect_to_object_storage_is_followed_without_the_authorization():
    app = TokenRegistry()
    async with serving(registry) as storage:

        def redirecting(request: Request) -> Answer:
            if "/blobs/" in request.path:
                return 307, {"location": f"{storage.url}{request.path}?X-Amz-Signature=s"}, b"moved"
            return app(request)

        async with serving(redirecting) as server:
            pull = await probe(server.url, IMAGE, 5, CREDENTIALS)
    assert pull.ok and not pull.note and "redirect" in pull.seconds_by_phase()
    assert len(storage.requests) == 2
    assert not any("authorization" in request.headers for request in storage.requests)


async def test_a_redirect_within_the_registry_keeps_the_authorization():
    app = TokenRegistry()

    def moved(request: Request) -> Answer:
        if request.path == "/v2/team/app/manifests/1.0" and not request.query:
            return 307, {"location": f"{request.path}?again=1"}, b""
        return app(request)

    async with serving(moved) as server:
        tokens = Tokens()
        await probe(server.url, Image("", "team/app", digest(MANIFEST)), 5, tokens=tokens)
        pull = await probe(server.url, IMAGE, 5, tokens=tokens)
    assert pull.ok and not pull.note


@pytest.mark.parametrize(("status", "ok"), [(200, True), (401, True), (404, False), (500, False)])
async def test_without_an_image_the_base_is_asked(status, ok):
    async with serving(lambda r: (status, {}, b"")) as server:
        pull = await probe(server.url, None, 5)
    assert pull.ok is ok and [r.path for r in server.requests] == ["/v2/"]
    assert ok or pull.phase == "base"


def authority(tmp_path, until: timedelta) -> tuple[ssl.SSLContext, str]:
    """A server context for 127.0.0.1 and the file of its own certificate."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "t")]),
    )
    now, address = datetime.now(UTC), ipaddress.ip_address("127.0.0.1")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9)).not_valid_after(now + until)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(address)]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    file = tmp_path / "server.pem"
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    file.write_bytes(pem + public)
    (tmp_path / "ca.pem").write_bytes(public)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context, str(tmp_path / "ca.pem")


async def test_tls_is_a_phase_and_its_authority_is_configured(tmp_path):
    context, ca_file = authority(tmp_path, timedelta(days=9))
    async with serving(registry, tls=context) as server:
        trusted = await probe(server.url, IMAGE, 5, tls=tls_context(ca_file))
        untrusted = await probe(server.url, IMAGE, 5)
    assert trusted.ok and trusted.seconds_by_phase()["tls"] > 0
    assert not untrusted.ok and untrusted.phase == "tls" and "certificate not accepted" in untrusted.reason


async def test_an_expired_certificate_is_said_to_be(tmp_path):
    context, ca_file = authority(tmp_path, timedelta(days=-1))
    async with serving(registry, tls=context) as server:
        pull = await probe(server.url, IMAGE, 5, tls=tls_context(ca_file))
    assert (pull.phase, pull.reason) == ("tls", "certificate not accepted: certificate has expired")


def test_a_ca_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "ca.pem").write_text("nonsense")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(InputError, match="name a PEM file"):
            tls_context(str(tmp_path / name))


async def test_a_name_with_several_addresses_is_tried_in_turn():
    # localhost is ::1 and 127.0.0.1 on most machines; the server listens on the second only.
    async with serving(registry) as server:
        pull = await probe(server.url.replace("127.0.0.1", "localhost"), IMAGE, 5)
    assert pull.ok and pull.seconds_by_phase()["dns"] > 0


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


async def test_the_collector_turns_a_failure_into_samples_a_note_and_an_event():
    collector = PullProbe("reg", "here", f"http://127.0.0.1:{closed_port()}", "team/app:1.0")
    batch = await collector.collect(1000.0)
    assert [(s.signal, s.value, s.labels, s.at) for s in batch.samples] == [
        ("seawall_probe_success", 0.0, labels(site="here"), 1000.0)
    ]
    assert batch.notes[0].startswith("connect: connection refused after ")
    (event,) = batch.events
    assert (event.fields["event.dataset"], event.fields["event.outcome"]) == ("seawall.probe", "failure")
    assert event.fields["seawall.phase"] == "connect"
    assert event.id == (await collector.collect(1000.0)).events[0].id


async def test_the_collector_turns_a_pull_into_one_sample_a_phase():
    async with serving(registry) as server:
        host = server.url.removeprefix("http://")
        batch = await PullProbe("reg", "here", server.url, f"{host}/team/app:1.0").collect(1000.0)
    assert batch.events == batch.notes == []
    assert batch.samples[0].value == 1.0
    keys = [(s.signal, s.labels) for s in batch.samples]
    assert len(keys) == len(set(keys)) == 7
    seconds = {dict(s.labels).get("phase"): s.value for s in batch.samples[1:]}
    assert seconds["total"] >= max(seconds.values())


def test_an_image_of_another_registry_is_refused():
    with pytest.raises(InputError, match="leave the host out"):
        PullProbe("reg", "here", "http://127.0.0.1:5000", "other.example.com/a:1")


def test_secrets_are_not_in_any_repr():
    tokens = Tokens({"scope": ("Bearer hunter2", 1.0)})
    assert "hunter2" not in repr(tokens) and "lambda" not in repr(CREDENTIALS)
