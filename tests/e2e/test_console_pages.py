"""The console against a running Seawall: over HTTP, and in a real Chromium."""

import asyncio
import re
import shutil
import threading
import time
from collections.abc import Coroutine
from dataclasses import replace

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright

from seawall.console import logs
from seawall.core.actions import ActionState
from seawall.core.incidents import Finding, Impact, IncidentState
from seawall.core.times import rfc3339
from seawall.service import SESSION_COOKIE
from tests.e2e.console_stand import HARBOUR, stand

pytestmark = pytest.mark.e2e

SAME = {"Sec-Fetch-Site": "same-origin"}
HTML = {"Accept": "text/html"}
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = {"phone": (390, 844), "desktop": (1440, 900)}


def turn(work: Coroutine):
    """Run a coroutine on a loop of its own; Playwright keeps this thread's."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(asyncio.run(work)))
    thread.start()
    thread.join(60)
    assert answers, "it failed; see above"
    return answers[0]


@pytest.fixture
def seawall(tmp_path):
    with stand(tmp_path) as found:
        yield found


def client(seawall, role=None):
    """A browser-like client, logged in through the form when a role is given."""
    session = seawall.leaving.enter_context(httpx.Client(base_url=seawall.url, headers={**HTML, **SAME}))
    if role:
        answer = session.post("/login", data={"token": seawall.token(f"{role}-person", role)})
        assert answer.status_code == 303
    return session


# in and out ------------------------------------------------------------------------------------


def test_a_stranger_is_sent_to_the_login_and_sees_nothing_else(seawall):
    stranger = client(seawall)
    home = stranger.get("/")
    assert (home.status_code, home.headers["location"]) == (303, "/login")
    for path in ("/incidents", "/incidents/inc-1", "/actions/act-1", "/playbooks", "/nothing"):
        answer = stranger.get(path)
        assert answer.status_code == 401
        assert 'name="token"' in answer.text and HARBOUR not in answer.text
    for path in ("/freeze", "/actions/act-1/approve", "/incidents/inc-1/note", "/logout"):
        assert stranger.post(path).status_code == 401


def test_a_token_becomes_a_cookie_that_no_script_can_read(seawall):
    answer = client(seawall).post(
        "/login", data={"token": seawall.token("ada", "viewer"), "next": "/playbooks"}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/playbooks")
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith(SESSION_COOKIE)
    assert "httponly" in cookie and "samesite=lax" in cookie and "path=/" in cookie
    assert "secure" not in cookie, "plain HTTP on loopback"


def test_a_wrong_token_is_told_and_not_repeated(seawall):
    stranger = client(seawall)
    answer = stranger.post("/login", data={"token": "sw_wrong<script>", "next": "/incidents"})
    assert answer.status_code == 401
    assert "not known here" in answer.text and "sw_wrong" not in answer.text
    assert 'name="next" value="/incidents"' in answer.text
    assert not stranger.cookies


@pytest.mark.parametrize(
    "next", ["https://evil.example/", "//evil.example", "/\\evil.example", "evil", "/a\r\nX: y", ""]
)
def test_a_login_never_leads_elsewhere(seawall, next):
    answer = client(seawall).post("/login", data={"token": seawall.token("ada", "viewer"), "next": next})
    assert answer.headers["location"] == "/"


def test_a_login_from_another_site_is_refused(seawall):
    data = {"token": seawall.token("ada", "viewer")}
    answer = client(seawall).post("/login", data=data, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403 and "set-cookie" not in answer.headers


def test_logging_out_ends_the_session_itself(seawall):
    person = client(seawall, "viewer")
    secret = person.cookies[SESSION_COOKIE]
    assert person.get("/").status_code == 200
    assert person.post("/logout").headers["location"] == "/login"
    again = client(seawall)
    again.cookies.set(SESSION_COOKIE, secret)
    assert again.get("/").status_code == 303


def test_an_endless_form_is_cut_off(seawall):
    assert client(seawall).post("/login", data={"token": "x" * 70_000}).status_code == 413


# the pages -------------------------------------------------------------------------------------


def test_the_overview_tells_values_and_never_calls_the_unknown_well(seawall):
    turn(seawall.live(30))
    page = client(seawall, "viewer").get("/")
    assert page.headers["cache-control"] == "no-store"
    assert "3 of 4 promises kept, 1 unknown" in page.text
    assert "All promises kept" not in page.text
    assert re.search(r"<strong>\d+ ms</strong>\s*<small>at most 500 ms, over 1h</small>", page.text)
    assert "<strong>0 min</strong>" in page.text and "at most 5 min a month" in page.text
    assert "22 %" in page.text and "no trust configured" in page.text
    assert "seasonal baseline; LSTM in shadow" in page.text
    assert len(page.content) < 60_000


def test_stale_judgement_is_the_headline(seawall):
    turn(seawall.live(2))
    seawall.clock.move(3600)
    assert "Seawall has stopped judging" in client(seawall, "viewer").get("/").text


def test_no_page_carries_inline_style_or_script(seawall):
    _, action = turn(seawall.sink())
    person = client(seawall, "approver")
    for path in (
        "/",
        "/incidents",
        "/incidents/inc-1",
        f"/actions/{action.id}",
        "/playbooks",
        "/incidents/x",
    ):
        text = person.get(path).text
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! src=)|javascript:", text), path
        assert text.startswith("<!doctype html>\n<html lang="), path


def test_what_is_not_there_is_a_page_in_the_same_look(seawall):
    person = client(seawall, "viewer")
    for path in ("/incidents/x", "/actions/x"):
        answer = person.get(path)
        assert answer.status_code == 404 and "There is nothing here" in answer.text
        assert answer.headers["content-type"].startswith("text/html")
    assert person.get("/incidents?cursor=nonsense").status_code == 400
    assert person.get("/incidents?state=nonsense").status_code == 400


def test_what_others_wrote_is_shown_and_never_run(seawall):
    finding = Finding("alertmanager", "f", HARBOUR, None, "<script>alert(1)</script>", "<img src=x>", 1.0)
    seawall.service.cycle.receive([finding])
    person = client(seawall, "operator")
    person.post("/incidents/inc-1/note", data={"text": "<b>bold</b> & plain"})
    for path in ("/", "/incidents", "/incidents/inc-1"):
        text = person.get(path).text
        assert "<script>alert" not in text and "<img src=x>" not in text and "<b>bold" not in text
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; plain" in person.get("/incidents/inc-1").text


def test_incidents_come_in_pages(seawall):
    for number in range(60):
        name = f"n{number:02}"
        seawall.service.cycle.receive([Finding("x", name, name, None, f"trouble {name}", "r", float(number))])
    person = client(seawall, "viewer")
    first = person.get("/incidents")
    assert "trouble n59" in first.text and "trouble n09" not in first.text
    older = re.search(r'href="(/incidents\?cursor=[^"]+)">Older', first.text)[1]
    second = person.get(older.replace("&amp;", "&")).text
    assert "trouble n09" in second and "trouble n59" not in second and ">Older" not in second


def test_an_incident_is_acknowledged_noted_and_resolved(seawall):
    incident, action = turn(seawall.sink())
    person = client(seawall, "operator")
    page = person.get(f"/incidents/{incident.id}").text
    assert incident.title in page and "Probe rounds" in page and f"/actions/{action.id}" in page
    assert person.post(f"/incidents/{incident.id}/acknowledge").status_code == 303
    again = person.post(f"/incidents/{incident.id}/acknowledge")
    assert again.status_code == 409 and 'role="alert"' in again.text and incident.title in again.text
    assert person.post(f"/incidents/{incident.id}/note", data={"text": " "}).status_code == 400
    assert person.post(f"/incidents/{incident.id}/note", data={"text": "looking"}).status_code == 303
    assert person.post(f"/incidents/{incident.id}/resolve", data={"reason": "by hand"}).status_code == 303
    kept = seawall.service.records.incident(incident.id)
    assert kept.state is IncidentState.RESOLVED and kept.acknowledged_by == "operator-person"
    assert [line.text for line in kept.timeline if line.actor == "operator-person"] == [
        "acknowledged by operator-person",
        "looking",
        "resolved by operator-person: by hand",
    ]


def test_one_that_came_back_tells_of_the_trouble_now(seawall):
    incident, action = turn(seawall.sink())
    seawall.service.repair.approve(action.id, "bob", "go")
    seawall.reach(action.id, ActionState.VERIFYING)
    seawall.tide.up = True
    turn(seawall.live(34))
    seawall.tide.up = False
    turn(seawall.live(3))
    back = seawall.service.records.incident(incident.id)
    assert back.state is IncidentState.OPEN and back.actions == (action.id,)
    person = client(seawall, "viewer")
    page = person.get(f"/incidents/{incident.id}").text
    since = f'<time datetime="{rfc3339(back.reopened_at)}">'
    assert f"Since {since}" in page and "came back once, first seen" in page
    offered, earlier = page.index("No repair is on offer"), page.index("Earlier repairs")
    assert offered < earlier < page.index(f"/actions/{action.id}")
    lines = logs.related(seawall.service, back)
    assert lines and all(it.at >= back.reopened_at - logs.BEFORE for it in lines)
    assert f"since {since}" in person.get("/").text and since in person.get("/incidents").text


def test_what_a_dead_registry_did_not_log_is_not_called_none(seawall):
    incident, _ = turn(seawall.sink())
    person = client(seawall, "viewer")
    assert "logs nothing" not in person.get(f"/incidents/{incident.id}").text
    seawall.service.cycle._amend(incident, "incident.explained", {}, impact=Impact(0, 1, 1))
    page = person.get(f"/incidents/{incident.id}").text
    assert '<span class="said">unknown</span>' in page and "logs nothing" in page


def test_a_history_speaks_of_states_as_the_page_does(seawall):
    _, action = turn(seawall.sink())
    page = client(seawall, "viewer").get(f"/actions/{action.id}").text
    assert "</strong> Waits for approval: asked a person" in page and "awaiting_approval:" not in page
    assert "1 change;" in page and "(s)" not in page


def test_a_viewer_changes_nothing_and_reads_why(seawall):
    incident, action = turn(seawall.sink())
    person = client(seawall, "viewer")
    page = person.get(f"/actions/{action.id}").text
    assert "you are viewer; it needs the role approver" in page and "Approve and run" not in page
    digest = {"digest": action.preview.digest}
    for path, data in (
        (f"/actions/{action.id}/approve", digest),
        (f"/actions/{action.id}/reject", {}),
        (f"/actions/{action.id}/cancel", {}),
        (f"/incidents/{incident.id}/acknowledge", {}),
        (f"/incidents/{incident.id}/resolve", {}),
        (f"/incidents/{incident.id}/note", {"text": "x"}),
        ("/freeze", {}),
        ("/unfreeze", {}),
    ):
        answer = person.post(path, data=data)
        assert answer.status_code == 403 and 'role="alert"' in answer.text, path
    assert seawall.service.records.action(action.id).state is ActionState.AWAITING_APPROVAL
    assert seawall.service.records.incident(incident.id).state is IncidentState.OPEN
    assert seawall.service.records.frozen() == (False, "")


def test_an_approval_is_for_exactly_the_preview_that_was_shown(seawall):
    _, action = turn(seawall.sink())
    person = client(seawall, "approver")
    page = person.get(f"/actions/{action.id}").text
    assert f'name="digest" value="{action.preview.digest}"' in page
    assert '<span class="del">- state: exited' in page and '<span class="add">+ state: running' in page
    for wrong in ({}, {"digest": ""}, {"digest": "0" * 64}):
        answer = person.post(f"/actions/{action.id}/approve", data={**wrong, "reason": "my words"})
        assert answer.status_code == 409
        assert 'role="alert"' in answer.text and 'value="my words"' in answer.text
    assert seawall.runner.runs == []
    right = {"digest": action.preview.digest, "reason": "my words"}
    assert person.post(f"/actions/{action.id}/approve", data=right).status_code == 303
    after = seawall.reach(action.id, ActionState.VERIFYING)
    assert seawall.runner.runs == [action.preview.digest]
    assert [(a.by, a.reason) for a in after.approvals] == [("approver-person", "my words")]


def test_a_rejection_is_kept_with_its_reason(seawall):
    _, action = turn(seawall.sink())
    person = client(seawall, "approver")
    assert person.post(f"/actions/{action.id}/reject", data={"reason": "not tonight"}).status_code == 303
    page = person.get(f"/actions/{action.id}").text
    assert "Rejected" in page and "not tonight" in page and "Approve and run" not in page


def test_a_preview_without_a_change_says_so(seawall):
    seawall.runner.world = "running"
    _, action = turn(seawall.sink())
    assert "This would change nothing" in client(seawall, "approver").get(f"/actions/{action.id}").text


def test_the_freeze_holds_approvals_back_and_is_on_every_page(seawall):
    _, action = turn(seawall.sink())
    person, operator = client(seawall, "approver"), client(seawall, "operator")
    assert operator.post("/freeze", data={"reason": "storm"}).status_code == 303
    for path in ("/", "/incidents", "/playbooks", f"/actions/{action.id}"):
        assert "Seawall is frozen</strong> by operator-person: storm" in person.get(path).text, path
    answer = person.post(f"/actions/{action.id}/approve", data={"digest": action.preview.digest})
    assert answer.status_code == 403 and "frozen" in answer.text
    assert operator.post("/unfreeze").status_code == 403
    assert person.post("/unfreeze").status_code == 303
    assert seawall.service.records.frozen() == (False, "")


def test_assets_are_small_typed_and_kept(seawall):
    person = client(seawall, "viewer")
    login, sizes = client(seawall).get("/login").text, {}
    for path in re.findall(r'(?:href|src)="(/static/[^"]+)"', login + person.get("/incidents").text):
        answer = person.get(path)
        assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"]
        sizes[path.partition("?")[0]] = len(answer.content)
    assert sizes["/static/seawall.css"] < 15_000
    assert sizes["/static/pages.css"] < 5_000 and "pages.css" not in login + person.get("/").text
    assert sum(sizes.values()) + len(login) < 60_000


def test_console_pages_are_not_in_the_api_description(seawall):
    paths = client(seawall).get("/api/openapi.json").json()["paths"]
    assert paths and all(path.startswith(("/api/", "/healthz", "/readyz", "/metrics")) for path in paths)


# in a browser ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium():
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed; apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(seawall, chromium):
    """Opens a logged-in page of a width and theme; afterwards no page may have complained."""
    complaints, contexts = [], []

    def opened(role="approver", size="phone", theme="light"):
        width, height = WIDTHS[size]
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda it: complaints.append(it.text) if it.type in ("error", "warning") else None)
        page.goto(f"{seawall.url}/playbooks")
        page.get_by_label("Access token").fill(seawall.token(f"{role}-{size}-{theme}", role))
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("Playbooks")
        return page

    yield opened
    for context in contexts:
        context.close()
    refused = re.compile(r"the server responded with a status of (401|409)")
    assert [it for it in complaints if not refused.search(it)] == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", list(WIDTHS))
def test_every_page_fits_its_screen_and_keeps_the_csp(seawall, open_page, size, theme):
    turn(seawall.live(20))
    incident, action = turn(seawall.sink())
    page = open_page("approver", size, theme)
    for path in ("/", "/incidents", f"/incidents/{incident.id}", f"/actions/{action.id}", "/playbooks"):
        page.goto(seawall.url + path)
        expect(page.locator("h1")).to_be_visible()
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, path
        small = page.eval_on_selector_all(
            "main button, main a.button, main input, nav a",
            "all => all.filter(it => it.offsetParent && it.type !== 'hidden')"
            ".map(it => [it.textContent, it.getBoundingClientRect().height]).filter(([, high]) => high < 44)",
        )
        assert small == [], path


def test_the_story_from_page_to_approval_to_healed_is_told_live(seawall, open_page):
    turn(seawall.live(30))
    page = open_page()
    page.goto(seawall.url)
    expect(page.locator("#headline")).to_contain_text("3 of 4 promises kept")
    expect(page.locator("#link")).to_have_text("Live")
    _, action = turn(seawall.sink())
    seawall.runner.hold = threading.Event()
    expect(page.locator("#headline")).to_contain_text("1 incident needs you")
    page.get_by_role("link", name="Read and decide").click()
    expect(page.locator(".diff .add")).to_have_text("+ state: running")
    page.get_by_label("Reason").fill("page at 3 a.m.")
    page.get_by_role("button", name="Approve and run").click()
    seawall.reach(action.id, ActionState.RUNNING)
    expect(page.locator(".steps [aria-current=step]")).to_contain_text("Running")
    seawall.runner.hold.set()
    seawall.reach(action.id, ActionState.VERIFYING)
    seawall.tide.up = True
    turn(seawall.live(2))
    expect(page.locator("#state")).to_contain_text("2 of 3 good rounds")
    turn(seawall.live(2))
    expect(page.locator(".steps li:last-child")).to_have_class("done")
    expect(page.locator("#decision")).to_contain_text("page at 3 a.m.")
    assert seawall.runner.runs == [action.preview.digest]
    page.goto(seawall.url)
    expect(page.locator("#headline")).not_to_contain_text("incident")


def test_what_is_being_typed_survives_the_news(seawall, open_page):
    incident, _ = turn(seawall.sink())
    page = open_page("operator")
    page.goto(f"{seawall.url}/incidents/{incident.id}")
    expect(page.locator("#link")).to_have_text("Live")
    page.get_by_label("Note for the timeline").fill("half a sent")
    page.get_by_label("Close it by hand").fill("because")
    seawall.service.note(incident.id, "bob", "news of bob")
    expect(page.locator("#lines")).to_contain_text("news of bob")
    assert page.get_by_label("Note for the timeline").input_value() == "half a sent"
    assert page.get_by_label("Close it by hand").input_value() == "because"


def test_a_decision_that_another_person_took_leaves_no_button(seawall, open_page):
    _, action = turn(seawall.sink())
    page = open_page()
    page.goto(f"{seawall.url}/actions/{action.id}")
    expect(page.locator("#link")).to_have_text("Live")
    seawall.service.repair.reject(action.id, "bob", "not now")
    expect(page.locator("#state")).to_contain_text("not now")
    expect(page.get_by_role("button", name="Approve and run")).to_have_count(0)


def test_another_preview_is_never_put_under_the_thumb(seawall, open_page):
    _, action = turn(seawall.sink())
    page = open_page()
    page.goto(f"{seawall.url}/actions/{action.id}")
    expect(page.locator("#link")).to_have_text("Live")
    newer = replace(action.preview, digest="f" * 64, diff="- everything\n+ nothing\n")
    moved = action
    for state in (ActionState.PROPOSED, ActionState.PREVIEWED, ActionState.AWAITING_APPROVAL):
        after = replace(moved, state=state, preview=newer)
        moved = seawall.service.records.transition(moved, after, "test", seawall.clock.now(), {})
    seawall.service.telemetry.action(moved)
    expect(page.locator("[data-stale]")).to_be_visible()
    expect(page.get_by_role("button", name="Approve and run")).to_be_disabled()
    expect(page.locator(".diff")).not_to_contain_text("everything")
    page.get_by_role("link", name="Show what holds now").click()
    expect(page.locator(".diff")).to_contain_text("everything")
    expect(page.get_by_role("button", name="Approve and run")).to_be_enabled()


def test_the_approval_can_be_given_with_the_keyboard_alone(seawall, open_page):
    _, action = turn(seawall.sink())
    page = open_page()
    page.goto(f"{seawall.url}/actions/{action.id}")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('approve')"):
            break
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    expect(page.locator("#decision")).to_contain_text("Approved by")
    seawall.reach(action.id, ActionState.VERIFYING)
    assert seawall.runner.runs == [action.preview.digest]


def test_a_refusal_comes_back_on_the_page_with_the_reason_still_there(seawall, open_page):
    _, action = turn(seawall.sink())
    page = open_page()
    page.goto(f"{seawall.url}/actions/{action.id}")
    page.locator("[name=digest]").evaluate("field => { field.value = '0'.repeat(64) }")
    page.get_by_label("Reason").fill("my words")
    with page.expect_response("**/approve"):
        page.get_by_role("button", name="Approve and run").click()
    expect(page.locator("#banner")).to_contain_text("read it again before you approve")
    page.wait_for_url(f"**/actions/{action.id}")
    # The page renews itself at most once a second, so that the second renewal follows the first one's end.
    for _ in range(2):
        with page.expect_response(lambda it: it.request.method == "GET" and it.url.endswith(action.id)):
            seawall.service.telemetry.say("action", {"id": action.id})
    expect(page.get_by_label("Reason")).to_have_value("my words")
    assert seawall.runner.runs == []


def test_times_are_local_to_the_reader(seawall, chromium):
    turn(seawall.live(1))
    context = chromium.new_context(timezone_id="Asia/Shanghai", locale="en-GB")
    page = context.new_page()
    page.goto(f"{seawall.url}/login")
    page.get_by_label("Access token").fill(seawall.token("li", "viewer"))
    page.keyboard.press("Enter")
    shown = page.locator("#matrix time").last
    expect(shown).to_have_attribute("title", re.compile("UTC$"))
    hour = time.strftime("%M:%S", time.gmtime(seawall.clock.now()))
    assert hour in shown.text_content()
    assert shown.text_content() not in shown.get_attribute("title")
    assert not re.search("[AP]M", page.locator("main").text_content())
    context.close()


def test_a_right_login_leads_back_after_a_wrong_one(seawall, chromium):
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{seawall.url}/playbooks")
    page.get_by_label("Name").fill("nobody")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in with password").click()
    expect(page.get_by_role("alert")).to_contain_text("is wrong")
    page.get_by_label("Access token").fill(seawall.token("ada", "viewer"))
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Playbooks")
    context.close()


@pytest.mark.parametrize("size", list(WIDTHS))
def test_tables_break_no_word_and_scroll_in_their_card(seawall, open_page, size):
    turn(seawall.sink())
    page = open_page("admin", size)
    high = "all => all.map(it => it.getClientRects().length ? it.offsetHeight / parseFloat("
    high += "getComputedStyle(it).lineHeight) : 0).filter(lines => lines > 2)"
    for path in ("/audit", "/tokens", f"/registries/{HARBOUR}"):
        page.goto(seawall.url + path)
        expect(page.locator("table").first).to_be_visible()
        assert page.eval_on_selector_all(".wide th, .wide td time", high) == [], path
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, path
    beyond = page.eval_on_selector_all(
        ".top nav a", "all => all.filter(it => it.getBoundingClientRect().right > innerWidth).length"
    )
    assert beyond == 0


def test_the_page_is_whole_without_its_script(seawall, chromium):
    incident, action = turn(seawall.sink())
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{seawall.url}/login")
    page.get_by_label("Access token").fill(seawall.token("ada", "approver"))
    page.keyboard.press("Enter")
    expect(page.locator("#headline")).to_contain_text("1 incident needs you")
    page.get_by_role("link", name="1 incident needs you").click()
    expect(page.locator("h1")).to_have_text(incident.title)
    page.get_by_role("link", name="Read and decide").click()
    page.get_by_role("button", name="Approve and run").click()
    expect(page.locator("#decision")).to_contain_text("Approved by")
    seawall.reach(action.id, ActionState.VERIFYING)
    page.reload()
    expect(page.locator("#state")).to_contain_text("0 of 3 good rounds")
    context.close()
