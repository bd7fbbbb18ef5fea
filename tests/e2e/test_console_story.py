"""The whole story in Chromium, on a desk and on a phone, in both themes; axe-core judges every page.

Pictures of every page are left in build/console, to be looked at.
"""

import threading
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from seawall.core.actions import ActionState
from seawall.core.signals import (
    CACHE_HIT_RATIO,
    CERTIFICATE_NOT_AFTER,
    PROBE_DURATION,
    STORAGE_BYTES,
    STORAGE_FULL,
    Sample,
    labels,
)
from tests.e2e.console_stand import HARBOUR
from tests.e2e.test_console_pages import WIDTHS, chromium, open_page, seawall, turn

__all__ = ["chromium", "open_page", "seawall"]
pytestmark = pytest.mark.e2e
PICTURES = Path(__file__).parents[2] / "build" / "console"
PHASES = {"dns": 0.002, "connect": 0.004, "manifest_index": 0.012, "blob_ttfb": 0.03, "blob_transfer": 0.12}


def furnish(seawall):
    """What other collectors would have measured of the registry: phases, room, cache, certificate."""
    now = seawall.clock.now()

    def sample(signal, value, **pairs):
        return Sample(HARBOUR, signal, now, value, labels(**pairs))

    found = [sample(PROBE_DURATION, took, site="local", phase=name) for name, took in PHASES.items()]
    room = (("used", 217e9), ("available", 783e9))
    found += [sample(STORAGE_BYTES, value, volume="/srv", state=state) for state, value in room]
    full = (("early", 20 * 86400.0), ("likely", 34 * 86400.0))
    found += [sample(STORAGE_FULL, value, volume="/srv", bound=bound) for bound, value in full]
    found.append(sample(CACHE_HIT_RATIO, 0.87, cache="nginx"))
    found.append(sample(CERTIFICATE_NOT_AFTER, now + 40 * 86400))
    seawall.service.samples.append(found)


def seen(page, name):
    """Leaves a picture, and fails when axe finds what WCAG 2.2 A or AA calls a serious or critical fault."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = Axe().run(page, options={"runOnly": tags}).response["violations"]
    grave = [
        (it["id"], [node["html"][:120] for node in it["nodes"]][:3])
        for it in found
        if it["impact"] in ("serious", "critical")
    ]
    assert grave == [], name
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, name


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", list(WIDTHS))
def test_from_the_page_to_the_approval_to_healed(seawall, open_page, size, theme):
    turn(seawall.live(40))
    furnish(seawall)
    page = open_page("approver", size, theme)

    def look(name):
        seen(page, f"{name}-{size}-{theme}")

    page.goto(seawall.url)
    expect(page.locator("#headline")).to_contain_text("3 of 4 promises kept")
    expect(page.locator("#link")).to_have_text("Live")
    look("1-overview-calm")
    page.get_by_role("link", name=HARBOUR, exact=True).click()
    expect(page.locator("#pull .took")).to_have_count(len(PHASES))
    expect(page.locator("#storage")).to_contain_text("Full in about 34d")
    expect(page.locator("#cache")).to_contain_text("87 % hits")
    expect(page.locator("#top tbody tr")).to_have_count(3)
    look("2-registry")
    page.goto(seawall.url)
    _, action = turn(seawall.sink())
    seawall.runner.hold = threading.Event()
    expect(page.locator("#headline")).to_contain_text("1 incident needs you")
    look("3-overview-incident")
    page.get_by_role("link", name="1 incident needs you").click()
    expect(page.locator("#related li").first).to_contain_text("502")
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.locator("#story")).to_contain_text("is on it")
    look("4-incident")
    page.get_by_role("link", name="Read and decide").click()
    expect(page.locator(".diff .add")).to_have_text("+ state: running")
    look("5-approval")
    page.get_by_label("Reason (goes").fill("page at 3 a.m.")
    page.get_by_role("button", name="Approve and run").click()
    seawall.reach(action.id, ActionState.RUNNING)
    expect(page.locator(".steps [aria-current=step]")).to_contain_text("Running")
    look("6-run")
    seawall.runner.hold.set()
    seawall.reach(action.id, ActionState.VERIFYING)
    seawall.tide.up = True
    turn(seawall.live(4))
    expect(page.locator(".steps li:last-child")).to_have_class("done")
    look("7-healed")
    for path in ("incidents", "logs", "playbooks"):
        page.goto(f"{seawall.url}/{path}")
        expect(page.locator("h1")).to_be_visible()
        look(f"8-{path}")


def test_the_reader_chooses_chinese_and_the_dark_and_they_stay(seawall, open_page):
    turn(seawall.live(20))
    furnish(seawall)
    incident, action = turn(seawall.sink())
    page = open_page("approver", "phone", "light")
    page.goto(seawall.url)
    page.get_by_role("button", name="中文").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    expect(page.locator("#headline")).to_contain_text("1 个事件需要您处理")
    page.get_by_role("button", name="深色").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark == "rgb(11, 23, 32)"
    for path in ("", f"incidents/{incident.id}", f"actions/{action.id}", f"registries/{HARBOUR}", "logs"):
        page.goto(f"{seawall.url}/{path}")
        expect(page.locator("nav a").first).to_have_text("总览")
        seen(page, f"9-chinese-{path.replace('/', '-') or 'overview'}")
    page.get_by_role("button", name="English").click()
    expect(page.locator("h1")).to_have_text("Logs")


def test_a_browser_that_asks_for_chinese_gets_it(seawall, chromium):
    context = chromium.new_context(locale="zh-CN")
    page = context.new_page()
    page.goto(f"{seawall.url}/login")
    page.get_by_label("访问令牌").fill(seawall.token("li", "viewer"))
    page.keyboard.press("Enter")
    expect(page.locator("nav a").first).to_have_text("总览")
    context.close()


def test_the_freeze_is_at_hand_on_every_page_and_by_keyboard(seawall, open_page):
    incident, _ = turn(seawall.sink())
    page = open_page("approver", "phone", "light")
    for path in ("", "incidents", f"incidents/{incident.id}", f"registries/{HARBOUR}", "logs", "playbooks"):
        page.goto(f"{seawall.url}/{path}")
        expect(page.locator("#switch summary")).to_have_text("Freeze")
    page.locator("#switch summary").focus()
    page.keyboard.press("Enter")
    page.locator("#freeze-reason").fill("storm")
    page.keyboard.press("Enter")
    expect(page.locator("#frozen")).to_contain_text("storm")
    assert seawall.service.records.frozen()[0] and page.url.endswith("/playbooks")
    page.locator("#switch summary").click()
    box = page.locator("#switch-form").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    seen(page, "10-frozen")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Lift the freeze")).to_be_hidden()
    page.locator("#switch summary").click()
    page.get_by_role("button", name="Lift the freeze").click()
    expect(page.locator("#switch summary")).to_have_text("Freeze")
    assert not seawall.service.records.frozen()[0]


def test_the_pointer_reads_a_chart_and_the_logs_are_searched(seawall, open_page):
    turn(seawall.live(30))
    incident, _ = turn(seawall.sink())
    page = open_page("viewer", "desktop", "light")
    page.goto(f"{seawall.url}/incidents/{incident.id}")
    page.locator("svg[data-points]").hover()
    expect(page.locator(".hover")).to_contain_text("ms (")
    page.goto(f"{seawall.url}/logs")
    page.keyboard.press("/")
    page.keyboard.type("team/app-1 containerd")
    page.keyboard.press("Enter")
    expect(page.locator("#count")).to_contain_text("99 events match")
    expect(page.locator(".logs li").first).to_contain_text("502")
    page.get_by_label("Failures only").check()
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#count")).to_contain_text("9 events match")
    page.get_by_label("Words that an event must hold").fill("nowhere to be found")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_contain_text("Nothing matches")
