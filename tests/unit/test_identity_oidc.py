"""External users against a real provider on loopback (tests/provider.py): keys that change, late answers,
approvals; the clock is the test's."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from cryptography.fernet import Fernet
from pydantic import ValidationError

from seawall.config import Config
from seawall.config.oidc import Oidc
from seawall.core.accounts import LoginRefused
from seawall.core.actions import Risk
from seawall.core.errors import Conflict, Overloaded, Refused
from seawall.identity import Accounts
from seawall.identity.confirm import Confirmation, Proof
from seawall.identity.credentials import Vault
from seawall.identity.external import PENDING, ExternalLogin
from seawall.identity.oidc import AGAIN, AT_ONCE, KEPT, Provider
from seawall.stores.sql import SqlRecords
from tests.fakes import FakeClock
from tests.provider import CLIENT, SECRET, providing

HOME = "192.0.2.1"
WITHIN = 300.0


class World:
    """Accounts on a real database, and the provider."""

    def __init__(self, provider, records, folder) -> None:
        secret = folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text(SECRET)
        config = Oidc(
            issuer=provider.issuer, client_id=CLIENT, client_secret_file=secret, roles={"on-call": "approver"}
        )
        self.clock, self.provider = FakeClock(time.time()), provider
        self.accounts = Accounts(records, records, self.clock, Vault(Fernet.generate_key()))
        asked = Provider(config, "https://seawall.example/back", self.clock)
        self.external = ExternalLogin(asked, self.accounts, records, records, self.clock)
        self.confirmation = Confirmation(self.accounts, records, self.clock, WITHIN)

    def away(self, fresh: bool = False) -> tuple[str, dict[str, str]]:
        """The sealed cookie, and the query that comes back."""
        address, sealed = self.external.start("/", fresh)
        back = httpx.get(address).headers["location"]
        return sealed, dict(parse_qsl(urlsplit(back).query))

    def log_in(self, fresh: bool = False):
        """The session's entry."""
        sealed, query = self.away(fresh)
        return self.accounts.resume(self.external.finish(sealed, query, HOME)[0])


@pytest.fixture
def world(tmp_path):
    records = SqlRecords("memory:")
    with providing() as provider:
        yield World(provider, records, tmp_path)
    records.close()


def test_a_new_key_of_the_provider_is_fetched_a_minute_later_at_the_latest(world):
    assert world.log_in().who.name == "ada"
    world.provider.key, world.provider.other = world.provider.other, world.provider.key
    with pytest.raises(LoginRefused, match="does not hold"):
        world.log_in()
    world.clock.move(AGAIN + 1)
    assert world.log_in().who.name == "ada"


def test_a_provider_that_is_away_is_told_and_what_is_known_of_it_lasts_an_hour(world):
    world.log_in()
    world.provider.metadata = {"issuer": "https://evil.example"}
    world.log_in()
    world.clock.move(KEPT)
    with pytest.raises(Overloaded, match="another name"):
        world.away()


def test_a_provider_that_hangs_holds_a_few_threads_and_no_more():
    with socket.create_server(("127.0.0.1", 0), backlog=50) as hung, ThreadPoolExecutor(AT_ONCE) as pool:
        config = Oidc(
            issuer=f"http://127.0.0.1:{hung.getsockname()[1]}", client_id="x", roles={"a": "viewer"}
        )
        provider = Provider(config, "https://seawall.example/back", FakeClock(time.time()))
        waiting = [pool.submit(provider.start, "/", False) for _ in range(AT_ONCE)]
        lines = [hung.accept()[0] for _ in range(AT_ONCE)]
        with pytest.raises(Overloaded, match="too many people"):
            provider.start("/", False)
        for line in lines:
            line.close()
        for it in waiting:
            with pytest.raises(Overloaded, match="does not answer"):
                it.result()
        with pytest.raises(Overloaded, match="does not answer"):
            hung.close()
            provider.start("/", False)


def test_an_answer_that_comes_too_late_or_with_another_cookie_is_refused(world):
    sealed, query = world.away()
    world.clock.move(PENDING + 1)
    with pytest.raises(LoginRefused, match="too long ago"):
        world.external.finish(sealed, query, HOME)
    for wrong in ("", "x", Vault(Fernet.generate_key()).seal("{}")):
        with pytest.raises(LoginRefused, match="not begun in this browser"):
            world.external.finish(wrong, query, "192.0.2.2")


def test_an_approval_needs_a_fresh_log_in_at_the_provider(world):
    world.provider.auth_age = 3600  # logged in there an hour ago, for something else
    entry = world.log_in()
    assert [world.confirmation.needed(entry, risk) for risk in Risk] == ["login"] * 3
    with pytest.raises(Refused, match="log in at your provider again"):
        world.confirmation.check(Proof(entry, "", HOME), Risk.LOW)
    with pytest.raises(LoginRefused, match="just logged in there"):
        world.log_in(fresh=True)
    assert world.provider.asked[-1]["prompt"] == "login" and world.provider.asked[-1]["max_age"] == "0"
    world.provider.auth_age = 0
    entry = world.log_in(fresh=True)
    assert [world.confirmation.needed(entry, risk) for risk in Risk] == [""] * 3
    proof = Proof(entry, "", HOME)
    world.confirmation.check(proof, Risk.HIGH)
    world.confirmation.used(proof, Risk.HIGH)
    assert world.confirmation.needed(entry, Risk.LOW) == "login", "one log-in, one approval of high risk"


def test_a_provider_that_does_not_tell_when_confirms_nothing(world):
    world.provider.lie = {"auth_time": None}
    assert world.confirmation.needed(world.log_in(), Risk.LOW) == "login"
    world.provider.lie = {"auth_time": int(world.clock.now()) + 9999}
    assert world.confirmation.needed(world.log_in(), Risk.LOW) == "login"


def test_an_external_account_has_no_password_here(world):
    world.log_in()
    for change in (
        lambda: world.accounts.reset("ada", "root"),
        lambda: world.accounts.change_password("ada", "x", "a long passphrase of mine", HOME),
        lambda: world.accounts.begin_totp("ada"),
    ):
        with pytest.raises(Conflict, match="are kept by"):
            change()
    with pytest.raises(LoginRefused):
        world.accounts.log_in("ada", "", "", HOME)


@pytest.mark.parametrize(
    ("issuer", "words"),
    [
        ("http://id.example.com", "must be https"),
        ("https://me:secret@id.example.com", "is no https"),
        ("https://id.example.com/?x=1", "is no https"),
        ("file:///etc/passwd", "is no https"),
    ],
)
def test_an_unsafe_issuer_is_refused(issuer, words):
    with pytest.raises(ValidationError, match=words):
        Oidc(issuer=issuer, client_id="x", roles={"a": "viewer"})


def test_a_provider_needs_a_public_url_and_the_scope_openid():
    oidc = {"issuer": "https://id.example.com/", "client_id": "x", "roles": {"a": "viewer"}}
    with pytest.raises(ValidationError, match="without public_url"):
        Config.model_validate({"server": {"oidc": oidc}})
    public = {"public_url": "https://seawall.example.com"}
    found = Config.model_validate({"server": {"oidc": oidc, **public}}).server.oidc
    assert found.issuer == "https://id.example.com/", "its last slash is part of its name"
    with pytest.raises(ValidationError, match="lacks openid"):
        Config.model_validate({"server": {"oidc": {**oidc, "scopes": ["profile"]}, **public}})
