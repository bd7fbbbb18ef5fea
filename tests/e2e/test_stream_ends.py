"""Open streams end with the rights of who opened them, on a running Seawall (`seawall up`)."""

import threading
import time
from contextlib import closing as closing_of
from contextlib import suppress

import httpx
import pytest

from seawall.api.lasting import CHECK
from tests.e2e.test_security_owasp import browser, closing, set_up
from tests.e2e.test_up import TOKEN, alert, config, deliver
from tests.serving import Up, until

__all__ = ["closing", "config"]
pytestmark = pytest.mark.e2e
SOON = CHECK + 10.0  # a look every CHECK seconds, and a busy machine


@pytest.fixture
def service(up, config) -> Up:
    return up(config)


class Listener(threading.Thread):
    """Reads a stream until the server ends it."""

    def __init__(self, client: httpx.Client, path: str) -> None:
        super().__init__(daemon=True)
        self._client, self._path = client, path
        self.opened, self.lines, self.status, self.whole = threading.Event(), [], 0, False
        self.start()
        assert self.opened.wait(20), "it was not answered"

    def run(self) -> None:
        with closing_of(self._client), suppress(httpx.TransportError):  # the test's end stops the server
            with self._client.stream("GET", self._path, timeout=60) as answer:
                self.status = answer.status_code
                self.opened.set()
                for line in answer.iter_lines():
                    self.lines.append(line)
            self.whole = True

    def names(self) -> list[str]:
        return [line.removeprefix("event: ") for line in self.lines if line.startswith("event: ")]


def freeze(service: Up) -> None:
    with service.api() as api:
        api.post("/api/v1/freeze", json={"reason": "x"}).raise_for_status()
        api.post("/api/v1/unfreeze", json={"reason": "x"}).raise_for_status()


def ended(listener: Listener) -> bool:
    listener.join(SOON)
    return listener.whole


def test_a_stream_ends_with_its_token_and_says_nothing_after_it(service):
    stays = Listener(service.api(), "/api/v1/stream")
    goes = Listener(service.api(service.person("bob", "viewer")), "/api/v1/stream")
    freeze(service)
    until(lambda: "freeze" in goes.names() and "freeze" in stays.names(), 20, "a message on both")
    with service.api() as api:
        api.post("/api/v1/tokens/bob/revoke").raise_for_status()
    heard = goes.names().count("freeze")
    freeze(service)
    assert ended(goes) and goes.names().count("freeze") == heard
    until(lambda: stays.names().count("freeze") == 4, 20, "the messages of the one that stays")
    assert stays.is_alive()


def test_a_stream_ends_when_its_token_expires(service):
    with service.api() as api:
        made = api.post("/api/v1/tokens", json={"name": "short", "role": "viewer", "valid_for": "3s"}).json()
    begun = time.monotonic()
    goes = Listener(service.api(made["token"]), "/api/v1/stream")
    assert ended(goes) and time.monotonic() - begun >= 2.5 and goes.status == 200


@pytest.mark.parametrize("end", ["log-out", "disable", "reset", "role", "password"])
def test_a_stream_ends_with_its_session(service, end):
    own, _, _ = set_up(service, "ada")
    goes = Listener(own, "/api/v1/stream")
    assert goes.status == 200
    with service.api() as api:
        if end == "log-out":
            other = browser(service)
            other.cookies.update(own.cookies)
            other.post("/api/v1/auth/logout").raise_for_status()
        elif end == "role":
            api.post("/api/v1/users/ada/role", json={"role": "operator"}).raise_for_status()
        elif end == "password":
            other = browser(service)
            other.cookies.update(own.cookies)
            passwords = {"old": "a long passphrase of mine", "new": "another long passphrase"}
            other.post("/api/v1/auth/password", json=passwords).raise_for_status()
        else:
            api.post(f"/api/v1/users/ada/{end}").raise_for_status()
    assert ended(goes)


def test_the_output_of_a_run_is_no_longer_followed_after_a_revocation(service):
    assert deliver(service, alert(), TOKEN).status_code == 202
    id = until(lambda: service.get("/actions")["items"], 30, "an action")[0]["id"]
    goes = Listener(service.api(service.person("bob", "viewer")), f"/api/v1/actions/{id}/follow")
    assert goes.status == 200
    with service.api() as api:
        api.post("/api/v1/tokens/bob/revoke").raise_for_status()
    assert ended(goes) and "end" not in goes.names()


def test_the_sockets_stream_stays(service):
    transport = httpx.HTTPTransport(uds=str(service.state / "seawall.sock"))
    stays = Listener(httpx.Client(transport=transport, base_url="http://seawall"), "/api/v1/stream")
    with service.api() as api:
        service.person("bob", "viewer")
        api.post("/api/v1/tokens/bob/revoke").raise_for_status()
    freeze(service)
    until(lambda: "freeze" in stays.names(), 20, "a message")
    assert stays.is_alive()
