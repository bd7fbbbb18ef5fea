"""Accounts on a real database: log-in with a second factor, sessions that turn, tokens, limits."""

from dataclasses import replace

import pyotp
import pytest
from cryptography.fernet import Fernet

from seawall.core.accounts import Identity, LoginRefused, TooManyAttempts
from seawall.core.errors import Conflict, InputError, NotFound
from seawall.identity import ABSOLUTE, GRACE, IDLE, REMEMBERED, ROTATE, Accounts
from seawall.identity.credentials import STEP, Vault, check_password
from seawall.identity.files import first_token, first_user, vault_of
from seawall.identity.limits import network_of, wait_after
from seawall.statefolder import StateFolder
from seawall.stores.sql import SqlRecords
from tests.fakes import FakeClock, T

HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"
OWN = "correct horse battery"


@pytest.fixture
def clock():
    return FakeClock(T)


@pytest.fixture
def records():
    found = SqlRecords("memory:")
    yield found
    found.close()


@pytest.fixture
def accounts(records, clock):
    return Accounts(records, records, clock, Vault(Fernet.generate_key()))


def ready(accounts, clock, name="ada", role="approver", grants=None):
    """An account with a password of its own and a second factor: (TOTP secret, recovery codes)."""
    once = accounts.add_user(name, role, grants or {}, "root")
    accounts.log_in(name, once, "", HOME)
    accounts.change_password(name, once, OWN, HOME)
    secret, _ = accounts.begin_totp(name)
    codes = accounts.confirm_totp(name, code_of(secret, clock), HOME)
    clock.move(2 * STEP)
    return secret, codes


def code_of(secret, clock):
    return pyotp.TOTP(secret).at(int(clock.now()))


def test_the_first_log_in_opens_the_set_up_and_nothing_else(accounts, clock):
    once = accounts.add_user("ada", "admin", {}, "root")
    user, cookie = accounts.log_in("ada", once, "", HOME)
    assert not user.ready
    assert accounts.resume(cookie).who is None
    accounts.change_password("ada", once, OWN, HOME)
    assert accounts.resume(cookie) is None, "a change of password ends the sessions"
    assert accounts.resume(accounts.fresh_session("ada")).who is None, "no second factor yet"
    secret, uri = accounts.begin_totp("ada")
    assert uri.startswith("otpauth://totp/Seawall:ada?")
    assert accounts.begin_totp("ada")[0] == secret
    with pytest.raises(LoginRefused):
        accounts.confirm_totp("ada", "000000" if code_of(secret, clock) != "000000" else "111111", HOME)
    assert len(accounts.confirm_totp("ada", code_of(secret, clock), HOME)) == 10
    assert accounts.resume(accounts.fresh_session("ada")).who == Identity("ada", "admin", "session")


def test_every_local_account_needs_its_second_factor_and_a_code_counts_once(accounts, clock):
    secret, codes = ready(accounts, clock)
    with pytest.raises(LoginRefused):
        accounts.log_in("ada", OWN, "", HOME)
    code = code_of(secret, clock)
    accounts.log_in("ada", OWN, code, HOME)
    with pytest.raises(LoginRefused):
        accounts.log_in("ada", OWN, code, HOME)
    accounts.log_in("ada", OWN, codes[0], HOME)
    with pytest.raises(LoginRefused):
        accounts.log_in("ada", OWN, codes[0], HOME)


def test_a_stranger_and_a_wrong_password_are_told_the_same(accounts, clock):
    ready(accounts, clock)
    said = []
    for name, password in (("ada", "wrong"), ("nobody", OWN)):
        with pytest.raises(LoginRefused) as refused:
            accounts.log_in(name, password, "", ELSEWHERE)
        said.append(str(refused.value))
    assert said[0] == said[1]


def test_log_ins_are_audited_and_no_typed_secret_is(accounts, records, clock):
    ready(accounts, clock)
    with pytest.raises(LoginRefused):
        accounts.log_in("my secret phrase", "x", "", ELSEWHERE)
    entries, _ = records.audit_entries(200)
    assert entries[0]["event"] == "login.failed" and ELSEWHERE in entries[0]["detail"]
    assert "login.succeeded" in {it["event"] for it in entries}
    assert "my secret phrase" not in str(entries)
    assert records.audit_verify()[1] is None


def test_a_disabled_or_reset_account_is_out_at_once(accounts, clock):
    secret, _ = ready(accounts, clock)
    _, cookie = accounts.log_in("ada", OWN, code_of(secret, clock), HOME)
    accounts.disable("ada", True, "root")
    assert accounts.resume(cookie) is None
    clock.move(2 * STEP)
    with pytest.raises(LoginRefused):
        accounts.log_in("ada", OWN, code_of(secret, clock), HOME)
    accounts.disable("ada", False, "root")
    once = accounts.reset("ada", "root")
    with pytest.raises(LoginRefused):
        accounts.log_in("ada", OWN, code_of(secret, clock), HOME)
    assert not accounts.log_in("ada", once, "", HOME)[0].ready


def test_a_role_counts_from_the_next_request(accounts, clock):
    secret, _ = ready(accounts, clock)
    _, cookie = accounts.log_in("ada", OWN, code_of(secret, clock), HOME)
    accounts.set_role("ada", "viewer", {"main": "operator"}, "root")
    who = accounts.resume(cookie).who
    assert (who.role, who.grants) == ("viewer", (("main", "operator"),))
    with pytest.raises(Conflict, match="own role"):
        accounts.set_role("ada", "admin", {}, "ada")


@pytest.mark.parametrize(("seconds", "alive"), [(IDLE - 1, True), (IDLE + 1, False)])
def test_an_idle_session_ends(accounts, clock, seconds, alive):
    accounts.new_token("ci", "viewer", {}, "root", None)
    cookie = accounts.log_in_with_token(accounts.new_token("b", "viewer", {}, "root", None))[1]
    clock.move(seconds)
    assert (accounts.resume(cookie) is not None) is alive


def test_a_used_session_ends_after_its_whole_time(accounts, clock):
    cookie = accounts.log_in_with_token(accounts.new_token("b", "viewer", {}, "root", None))[1]
    for _ in range(int(ABSOLUTE // IDLE) * 2):
        clock.move(IDLE / 2)
        entry = accounts.resume(cookie)
        if entry is None:
            break
        cookie = entry.secret or cookie
    assert clock.now() - T >= ABSOLUTE
    assert accounts.resume(cookie) is None


def test_a_cookie_turns_and_the_old_one_ends_the_session_once_it_comes_late(accounts, records, clock):
    old = accounts.log_in_with_token(accounts.new_token("b", "viewer", {}, "root", None))[1]
    clock.move(ROTATE + 1)
    new = accounts.resume(old).secret
    assert new and accounts.resume(old).secret == new, "requests side by side get the same one"
    assert accounts.resume(new).who is not None
    assert accounts.resume(old).who is not None, "a request that was under way"
    clock.move(GRACE + 1)
    assert accounts.resume(old) is None
    assert accounts.resume(new) is None, "one of the two was a thief"
    assert records.audit_entries(1)[0][0]["event"] == "session.reused"


def test_a_revoked_token_opens_nothing_nor_do_its_sessions(accounts, clock):
    secret = accounts.new_token("ci", "operator", {"main": "approver"}, "root", T + 100)
    cookie = accounts.log_in_with_token(secret)[1]
    assert accounts.tokens()[0].used_at == T
    accounts.revoke_token("ci", "root")
    assert accounts.by_token(secret) is None and accounts.resume(cookie) is None
    assert accounts.was_revoked(secret)
    with pytest.raises(NotFound):
        accounts.revoke_token("ci", "root")


def test_a_token_is_remembered_for_a_second_and_no_longer(accounts, records, clock):
    secret = accounts.new_token("ci", "operator", {}, "root", T + 100)
    for _ in range(2):  # the first use is written down, and so not remembered
        assert accounts.by_token(secret).role == "operator"
    records.revoke_token("ci", "root", T)  # by another Seawall on the same records
    assert accounts.by_token(secret) is not None
    clock.move(REMEMBERED)
    assert accounts.by_token(secret) is None
    short = accounts.new_token("short", "viewer", {}, "root", clock.now() + REMEMBERED / 2)
    assert accounts.by_token(short) is not None and accounts.by_token(short) is not None
    clock.move(REMEMBERED / 2)
    assert accounts.by_token(short) is None, "its end counts at once"


def test_a_session_ends_with_the_token_it_was_made_from(accounts, clock):
    cookie = accounts.log_in_with_token(accounts.new_token("b", "viewer", {}, "root", T + 100))[1]
    clock.move(101)
    assert accounts.resume(cookie) is None


def test_a_role_for_one_registry_counts_there_only():
    who = Identity("ada", "viewer", "token", (("main", "approver"),))
    assert who.within("main").may("approver")
    assert not who.within("other").may("operator") and not who.within(None).may("operator")
    nothing = replace(who, role="none")
    assert not nothing.within("other").may("viewer") and nothing.within("main").may("viewer")


@pytest.mark.parametrize("role", ["root", "", "none"])
def test_an_unknown_role_is_refused(accounts, role):
    with pytest.raises(InputError, match="use one of"):
        accounts.new_token("x", role, {}, "root", None)


# wrong attempts --------------------------------------------------------------------------------


def wrong(accounts, times, name="ada", address=ELSEWHERE):
    for _ in range(times):
        accounts.limits.wrong(name, address)


def test_wrong_attempts_cost_time_also_after_a_restart(accounts, records, clock):
    ready(accounts, clock)
    for _ in range(5):
        with pytest.raises(LoginRefused):
            accounts.log_in("ada", "wrong", "", ELSEWHERE)
    again = Accounts(records, records, clock, Vault(Fernet.generate_key()))
    with pytest.raises(TooManyAttempts) as waiting:
        again.log_in("ada", OWN, "", ELSEWHERE)
    clock.move(waiting.value.seconds)
    with pytest.raises(LoginRefused):
        again.log_in("ada", "wrong", "", ELSEWHERE)
    assert wait_after(6, (5, 60.0)) == 2 * wait_after(5, (5, 60.0)) and wait_after(99, (5, 60.0)) == 60


def test_an_attacker_elsewhere_cannot_keep_the_owner_out(accounts, clock):
    secret, _ = ready(accounts, clock)
    for number in range(60):
        wrong(accounts, 1, address=f"203.0.113.{number}")
    with pytest.raises(TooManyAttempts):
        accounts.limits.check("ada", "203.0.113.200")
    accounts.log_in("ada", OWN, code_of(secret, clock), HOME)


def test_one_address_cannot_try_many_names(accounts):
    for number in range(20):
        wrong(accounts, 1, f"user{number}")
    with pytest.raises(TooManyAttempts):
        accounts.limits.check("somebody", ELSEWHERE)
    accounts.limits.check("somebody", HOME)


def test_a_household_of_ipv6_is_one_address():
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff") != network_of("2001:db8:0:1::1")


@pytest.mark.parametrize("password", ["short", "x" * 257, "aaaaaaaaaaaaaaaa", "ada12345678901"[:13]])
def test_an_easy_password_is_refused(password):
    with pytest.raises(InputError, match="password"):
        check_password("ada", password)


# the state folder ------------------------------------------------------------------------------


def test_the_first_start_makes_one_admin_and_one_token_for_their_owner_only(accounts, tmp_path):
    state = StateFolder(tmp_path / "state")
    state.path.mkdir()
    assert first_user(accounts, state) and not first_user(accounts, state)
    first_token(accounts, state)
    for name in ("admin-password", "admin-token"):
        assert (state.path / name).stat().st_mode & 0o777 == 0o600
    first = (state.path / "admin-token").read_text().strip()
    accounts.revoke_token("admin", "root")
    first_token(accounts, state)
    second = (state.path / "admin-token").read_text().strip()
    assert second != first and accounts.by_token(second).role == "admin" and accounts.by_token(first) is None


def test_totp_secrets_lie_sealed_and_need_the_folders_key(accounts, records, clock, tmp_path):
    secret, codes = ready(accounts, clock)
    body = str(records.users())
    assert secret not in body and codes[0] not in body and OWN not in body
    other = StateFolder(tmp_path)
    with pytest.raises(InputError, match="does not fit"):
        Accounts(records, records, clock, vault_of(other)).log_in("ada", OWN, "123456", HOME)
    (tmp_path / "identity-key").write_text("damaged\n")
    with pytest.raises(InputError, match="does not hold a key"):
        vault_of(other)
