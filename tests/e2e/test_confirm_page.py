"""The second factor before an approval: on the page, by keyboard alone, over the API."""

from dataclasses import replace

import httpx
import pyotp
import pytest
from playwright.sync_api import expect

from seawall.core.actions import ActionState, Risk
from seawall.identity.credentials import STEP
from tests.e2e.test_console_pages import SAME, chromium, client, open_page, seawall, turn
from tests.e2e.test_console_story import seen

__all__ = ["chromium", "open_page", "seawall"]
pytestmark = pytest.mark.e2e
OWN = "correct horse battery"
HERE = "127.0.0.1"


class Person:
    """A local approver, set up as its owner does it; `code` is what the authenticator shows, never twice."""

    def __init__(self, seawall, name="ada"):
        self.name, self.clock, accounts = name, seawall.clock, seawall.service.accounts
        once = accounts.add_user(name, "approver", {}, "root")
        accounts.log_in(name, once, "", HERE)
        accounts.change_password(name, once, OWN, HERE)
        self._secret, _ = accounts.begin_totp(name)
        accounts.confirm_totp(name, self.code(), HERE)

    def code(self):
        self.clock.move(2 * STEP)
        return pyotp.TOTP(self._secret).at(int(self.clock.now()))

    def log_in(self, seawall) -> httpx.Client:
        session = client(seawall)
        form = {"name": self.name, "password": OWN, "code": self.code()}
        assert session.post("/login", data=form).status_code == 303
        return session


def later(seawall, seconds=301.0):
    """So long after the log-in, with the question still open."""
    seawall.clock.move(seconds)


def test_a_late_approval_asks_for_a_code_and_a_wrong_or_used_one_is_told(seawall):
    person = Person(seawall)
    session = person.log_in(seawall)
    _, action = turn(seawall.sink())
    page = f"/actions/{action.id}"
    assert 'name="code"' not in session.get(page).text
    later(seawall)
    assert "the last one is too long ago" in session.get(page).text
    form = {"digest": action.preview.digest, "reason": "my words"}
    without = session.post(f"{page}/approve", data=form)
    assert without.status_code == 403 and "needs a code of your authenticator" in without.text
    assert 'value="my words"' in without.text and 'id="code"' in without.text
    wrong = session.post(f"{page}/approve", data={**form, "code": "not one"})
    assert wrong.status_code == 403 and "the code is wrong, or was used before" in wrong.text
    code = person.code()
    assert person_elsewhere_uses(seawall, person, code).status_code == 303
    again = session.post(f"{page}/approve", data={**form, "code": code})
    assert again.status_code == 403 and seawall.runner.runs == []
    assert session.post(f"{page}/approve", data={**form, "code": person.code()}).status_code == 303
    seawall.reach(action.id, ActionState.VERIFYING)
    events = [it["event"] for it in seawall.service.records.audit_entries(50)[0]]
    assert "login.confirmed" in events and events.count("login.failed") == 2


def person_elsewhere_uses(seawall, person, code):
    return client(seawall).post("/login", data={"name": person.name, "password": OWN, "code": code})


def test_guessing_codes_with_a_stolen_session_is_slowed(seawall):
    session = Person(seawall).log_in(seawall)
    _, action = turn(seawall.sink())
    form = {"digest": action.preview.digest}
    answers = [
        session.post(f"/actions/{action.id}/approve", data={**form, "code": f"{n:06}"}) for n in range(6)
    ]
    assert [it.status_code for it in answers] == [403] * 5 + [429]
    assert seawall.service.records.action(action.id).approvals == ()


def test_the_api_asks_a_session_for_the_code(seawall):
    person = Person(seawall)
    session = person.log_in(seawall)
    _, action = turn(seawall.sink())
    later(seawall)
    path = f"/api/v1/actions/{action.id}/approve"
    refused = session.post(path, json={})
    assert refused.status_code == 403 and "needs a code" in refused.json()["detail"]
    assert session.post(path, json={"code": "wrong1"}).status_code == 403
    assert session.post(path, json={"code": person.code()}).status_code == 200
    seawall.reach(action.id, ActionState.VERIFYING)


def test_a_token_is_asked_for_none(seawall):
    _, action = turn(seawall.sink())
    with httpx.Client(base_url=seawall.url, headers=SAME) as program:
        program.headers["Authorization"] = f"Bearer {seawall.token('ci', 'approver')}"
        assert program.post(f"/api/v1/actions/{action.id}/approve", json={}).status_code == 200
    seawall.reach(action.id, ActionState.VERIFYING)


def test_high_risk_asks_each_person_for_a_code_of_their_own(seawall):
    people = [Person(seawall, name) for name in ("ada", "bob")]
    sessions = [person.log_in(seawall) for person in people]
    _, action = turn(seawall.sink())
    risky = replace(action, risk=Risk.HIGH)
    seawall.service.records.transition(action, risky, "test", seawall.clock.now(), {})
    form = {"digest": action.preview.digest, "reason": "it is down"}
    for person, session in zip(people, sessions, strict=True):
        assert "high risk asks for it each time" in session.get(f"/actions/{action.id}").text
        assert session.post(f"/actions/{action.id}/approve", data=form).status_code == 403
        given = session.post(f"/actions/{action.id}/approve", data={**form, "code": person.code()})
        assert given.status_code == 303
    seawall.reach(action.id, ActionState.VERIFYING)


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_the_code_is_given_with_the_keyboard_alone(seawall, chromium, open_page, size):
    person = Person(seawall)
    _, action = turn(seawall.sink())
    page = open_page("viewer", size)
    page.context.clear_cookies()
    session = person.log_in(seawall)
    name, value = next(iter(session.cookies.items()))
    page.context.add_cookies([{"name": name, "value": value, "url": seawall.url}])
    later(seawall)
    page.goto(f"{seawall.url}/actions/{action.id}")
    expect(page.get_by_label("Code of your authenticator")).to_be_visible()
    seen(page, f"11-code-{size}")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "code":
            break
    page.keyboard.type(person.code())
    page.keyboard.press("Enter")
    expect(page.locator("#decision")).to_contain_text("Approved by")
    seawall.reach(action.id, ActionState.VERIFYING)
    assert seawall.runner.runs == [action.preview.digest]
