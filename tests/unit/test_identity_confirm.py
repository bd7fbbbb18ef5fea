"""The second factor before an approval: who is asked, when, and what a thief gets. On a real database."""

import pytest

from seawall.core.accounts import LoginRefused, TooManyAttempts
from seawall.core.actions import Risk
from seawall.core.errors import Refused
from seawall.identity.confirm import Confirmation, Proof
from seawall.identity.credentials import STEP
from tests.unit.test_identity import HOME, OWN, accounts, clock, code_of, ready, records

__all__ = ["accounts", "clock", "records"]  # the fixtures
WITHIN = 300.0


@pytest.fixture
def confirmation(accounts, records, clock):
    return Confirmation(accounts, records, clock, WITHIN)


def logged_in(accounts, clock, secret):
    _, cookie = accounts.log_in("ada", OWN, code_of(secret, clock), HOME)
    clock.move(2 * STEP)
    return accounts.resume(cookie)


def test_a_log_in_stands_for_the_first_minutes_but_never_for_high_risk(accounts, confirmation, clock):
    entry = logged_in(accounts, clock, ready(accounts, clock)[0])
    assert [confirmation.needed(entry, risk) for risk in Risk] == ["", "", "code"]
    confirmation.check(Proof(entry, "", HOME), Risk.LOW)
    with pytest.raises(Refused, match="high risk"):
        confirmation.check(Proof(entry, "", HOME), Risk.HIGH)
    clock.move(WITHIN)
    assert confirmation.needed(entry, Risk.LOW) == "code"
    with pytest.raises(Refused, match="too long ago"):
        confirmation.check(Proof(entry, "", HOME), Risk.LOW)


def test_a_code_confirms_its_own_session_only_and_counts_once(accounts, records, confirmation, clock):
    secret, codes = ready(accounts, clock)
    mine = logged_in(accounts, clock, secret)
    other = logged_in(accounts, clock, secret)
    clock.move(WITHIN)
    code = code_of(secret, clock)
    confirmation.check(Proof(mine, code, HOME), Risk.LOW)
    assert records.audit_entries(1)[0][0]["event"] == "login.confirmed"
    assert confirmation.needed(mine, Risk.MEDIUM) == "" and confirmation.needed(other, Risk.MEDIUM) == "code"
    for entry in (mine, other):
        with pytest.raises(LoginRefused, match="used before"):
            confirmation.check(Proof(entry, code, HOME), Risk.HIGH)
    confirmation.check(Proof(other, codes[0], HOME), Risk.HIGH)
    with pytest.raises(LoginRefused):
        confirmation.check(Proof(other, codes[0], HOME), Risk.HIGH)


def test_a_wrong_code_is_refused_even_where_none_was_needed_and_costs_time(accounts, confirmation, clock):
    entry = logged_in(accounts, clock, ready(accounts, clock)[0])
    for _ in range(5):
        with pytest.raises(LoginRefused):
            confirmation.check(Proof(entry, "wrong", HOME), Risk.LOW)
    with pytest.raises(TooManyAttempts):
        confirmation.check(Proof(entry, "wrong", HOME), Risk.LOW)
    with pytest.raises(TooManyAttempts):
        accounts.log_in("ada", OWN, "wrong", HOME)


def test_the_old_password_alone_does_not_confirm_a_session(accounts, confirmation, clock):
    ready(accounts, clock)
    accounts.change_password("ada", OWN, "another long password", HOME)
    entry = accounts.resume(accounts.fresh_session("ada"))
    assert confirmation.needed(entry, Risk.LOW) == "code"


def test_confirm_within_zero_asks_each_time(accounts, records, clock):
    entry = logged_in(accounts, clock, ready(accounts, clock)[0])
    assert Confirmation(accounts, records, clock, 0.0).needed(entry, Risk.LOW) == "code"


def test_a_token_its_session_and_the_socket_have_no_second_factor(accounts, confirmation):
    secret = accounts.new_token("ci", "approver", {}, "root", None)
    entry = accounts.resume(accounts.log_in_with_token(secret)[1])
    for proof in (Proof(), Proof(entry)):
        assert confirmation.needed(proof.entry, Risk.HIGH) == ""
        confirmation.check(proof, Risk.HIGH)
