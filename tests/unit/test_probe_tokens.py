"""Who may see what: challenges, tokens, passwords, and redirects."""

import base64
import json

import pytest

from collectors.exchange import TlsFiles
from collectors.pulling.images import Image
from collectors.pulling.tokens import Credentials, Tokens, read_challenge, read_token
from seawall.core.times import rfc3339
from tests.certificates import Authority, server_context
from tests.fakes import T
from tests.scripted import (
    LAYER,
    MANIFEST,
    Answer,
    Request,
    answering,
    changed,
    digest,
    pulled,
    registry,
    serving,
)
from tests.serving import free_port


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
        pulls = [await pulled(server.url, credentials=CREDENTIALS, tokens=tokens) for _ in range(2)]
        app.revoked = True
        pulls.append(await pulled(server.url, credentials=CREDENTIALS, tokens=tokens))
    assert all(pull.ok and not pull.note for pull in pulls)
    assert ["auth_token" in pull.seconds_by_phase() for pull in pulls] == [True, False, True]
    assert app.given == 2
    assert app.asked[0].query == {"service": ["reg"], "scope": ["repository:team/app:pull"]}
    assert app.asked[0].headers["authorization"] == "Basic " + base64.b64encode(b"alice:secret").decode()


async def test_an_expired_token_is_not_sent_again():
    app, tokens = TokenRegistry(expires_in=-1), Tokens()
    async with serving(app) as server:
        assert (await pulled(server.url, tokens=tokens)).ok
    assert tokens.get("repository:team/app:pull") is None
    assert "authorization" not in app.asked[0].headers


@pytest.mark.parametrize(("status", "ok"), [(401, True), (403, True), (500, False), (503, False)])
async def test_a_token_server_that_refuses_is_healthy_and_one_that_fails_is_not(status, ok):
    async with serving(TokenRegistry(status=status)) as server:
        pull = await pulled(server.url, credentials=CREDENTIALS)
    assert pull.ok is ok
    assert str(status) in (pull.note if ok else pull.reason)
    assert ok or pull.phase == "auth_token"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"token": "a\\r\\nb"}', b'{"token": "t", "expires_in": "x"}']
)
async def test_a_token_server_s_nonsense_is_a_failure(body):
    app = TokenRegistry()
    async with serving(lambda r: (200, {}, body) if r.path == "/token" else app(r)) as server:
        pull = await pulled(server.url)
    assert not pull.ok and pull.phase == "auth_token" and "token" in pull.reason


async def test_basic_authentication_is_sent_when_asked_for():
    def basic(request: Request) -> Answer:
        if "authorization" not in request.headers:
            return 401, {"www-authenticate": 'Basic realm="registry"'}, b""
        return registry(request)

    async with serving(basic) as server:
        with_password = await pulled(server.url, credentials=CREDENTIALS)
        without = await pulled(server.url)
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
            pull = await pulled(server.url, credentials=CREDENTIALS)
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
        await pulled(server.url, Image("", "team/app", digest(MANIFEST)), 5, tokens=tokens)
        pull = await pulled(server.url, tokens=tokens)
    assert pull.ok and not pull.note


async def test_a_redirect_is_followed_without_credentials_from_https_to_http(tmp_path):
    authority, app = Authority(tmp_path / "tls"), TokenRegistry()
    async with serving(registry) as storage:

        def redirecting(request: Request) -> Answer:
            if "/blobs/" in request.path:
                return 302, {"location": f"{storage.url}{request.path}", "set-cookie": "a=b"}, b""
            return app(request)

        async with serving(redirecting, tls=server_context(authority.issue("server"))) as server:
            app.challenge = f'Bearer realm="{server.url}/token",service="reg"'
            pull = await pulled(server.url, credentials=CREDENTIALS, tls=TlsFiles(str(authority.ca)))
    assert pull.ok and not pull.note
    assert {name for request in storage.requests for name in request.headers} == {
        "host",
        "user-agent",
        "accept",
    }


async def test_a_password_is_not_sent_to_a_token_server_in_the_clear(tmp_path):
    authority, app = Authority(tmp_path / "tls"), TokenRegistry()
    async with serving(app) as tokens, serving(app, tls=server_context(authority.issue("server"))) as server:
        app.challenge = f'Bearer realm="{tokens.url}/token"'
        pull = await pulled(server.url, credentials=CREDENTIALS, tls=TlsFiles(str(authority.ca)))
    assert not pull.ok and "the password is not sent there" in pull.reason and not tokens.requests


async def test_storage_that_is_away_is_named_as_the_failure():
    gone = f"http://127.0.0.1:{free_port()}"
    moved = changed("/v2/team/app/blobs/", (307, {"location": f"{gone}/blob"}, b""))
    async with serving(moved) as server:
        pull = await pulled(server.url)
    assert (pull.phase, pull.reason) == (
        "redirect",
        f"sent to {gone.removeprefix('http://')}: connection refused",
    )


async def test_a_short_body_from_storage_is_a_failure_of_the_transfer_there():
    async with answering(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\nlayer") as storage:
        moved = changed(f"/v2/team/app/blobs/{digest(LAYER)}", (307, {"location": f"{storage}/blob"}, b""))
        async with serving(moved) as server:
            pull = await pulled(server.url)
    host = storage.removeprefix("http://")
    assert (pull.phase, pull.reason) == (
        "blob_transfer",
        f"sent to {host}: short body: the connection was closed after 5 of 5000 bytes",
    )


async def test_a_chain_of_redirects_has_an_end():
    def onwards(request: Request) -> Answer:
        return (
            307,
            {"location": f"/v2/{int(request.query.get('n', ['0'])[0]) + 1}?n={len(server.requests)}"},
            b"",
        )

    async with serving(onwards) as server:
        pull = await pulled(server.url)
    assert (pull.phase, pull.reason) == ("redirect", "more than 5 redirects")
    assert len(server.requests) == 6


async def test_a_fresh_token_that_is_refused_is_noted_and_not_kept():
    app, tokens = TokenRegistry(), Tokens()

    def refusing(request: Request) -> Answer:
        if request.path == "/token":
            return app(request)
        host = request.headers["host"]
        return 401, {"www-authenticate": f'Bearer realm="http://{host}/token",error="invalid_token"'}, b""

    async with serving(refusing) as server:
        pull = await pulled(server.url, credentials=CREDENTIALS, tokens=tokens)
    assert pull.ok and pull.note == "401 after a fresh token (invalid_token)"
    assert app.given == 1 and not tokens.kept


@pytest.mark.parametrize(
    ("document", "date", "seconds"),
    [
        ({"expires_in": 300}, None, 270),
        ({"expires_in": 300, "issued_at": rfc3339(T)}, T, 270),
        ({"expires_in": 300, "issued_at": rfc3339(T - 200)}, T, 90),
        ({"expires_in": 300, "issued_at": rfc3339(T + 999)}, T, 270),
        ({"expires_in": 300, "issued_at": "yesterday"}, T, 270),
        ({"expires_in": 300, "issued_at": 7}, T, 270),
        ({}, T, 54),
    ],
)
def test_what_is_left_of_a_token_is_told_by_the_token_server_s_own_clock(document, date, seconds):
    body = json.dumps({"token": "t", **document}).encode()
    assert read_token(200, body, date) == ("Bearer t", pytest.approx(seconds))


def test_challenges_are_read_in_any_order_and_case():
    both = 'Basic realm="x" , bearer Realm="r",service="s"'
    assert read_challenge(both).scheme == "bearer" and read_challenge(both).parameters["service"] == "s"
    assert read_challenge("BASIC").scheme == "basic" and read_challenge("Negotiate").scheme == ""
