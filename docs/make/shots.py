"""Pictures of the console and of the demo, taken while `seawall demo` is told: `make shots`.

A real registry in a container, the real Seawall, and Chromium as the person who approves. The pictures go to
docs/images: PNG with at most 256 colours, each below 250 kB. Look at each before you keep it.
"""

import io
import re
import sys
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright
from rich.color_triplet import ColorTriplet
from rich.terminal_theme import MONOKAI

from seawall.client import Client
from seawall.core.errors import SeawallError
from seawall.demo.plant import Plant
from seawall.demo.story import DETECT_SECONDS, Options, Story
from tests.e2e.test_console_pages import CHROMIUM, FLAGS

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
LARGEST = 250_000
DESK: dict[str, Any] = {
    "viewport": {"width": 1120, "height": 780},
    "device_scale_factor": 1.5,
    "locale": "en-GB",
}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 1060},
    "device_scale_factor": 2,
    "locale": "en-GB",
    "color_scheme": "dark",
}
SEA = (11, 23, 32)
PAPER = "body{margin:0}pre{margin:0;padding:18px 22px;font-size:13px!important}"


class Camera:
    """A person before the console, at a desk and with a phone."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self._browser, self._folder = browser, folder
        self.desk = browser.new_context(**DESK).new_page()
        self.phone = browser.new_context(**PHONE).new_page()

    def log_in(self, url: str, token: str) -> None:
        """Both, through the form."""
        for page in (self.desk, self.phone):
            page.goto(f"{url}/login")
            page.locator("input[name=token]").fill(token)
            page.keyboard.press("Enter")
            expect(page.locator("#headline")).to_be_visible(timeout=20_000)

    def take(self, page: Page, name: str, whole: bool = False) -> None:
        """The page as it is now, in few colours."""
        shot = Image.open(io.BytesIO(page.screenshot(full_page=whole))).convert("RGB")
        path = self._folder / f"{name}.png"
        shot.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
        if (size := path.stat().st_size) >= LARGEST:
            raise SeawallError(
                f"{path}: {size} bytes; a picture has less than {LARGEST}: take less of the page"
            )

    def terminal(self, html: str, name: str) -> None:
        """What the demo wrote, as a terminal shows it."""
        page = self._browser.new_context(**DESK).new_page()
        page.set_content(html)
        page.add_style_tag(content=PAPER)
        width = page.evaluate("document.querySelector('pre code').getBoundingClientRect().width")
        page.set_viewport_size({"width": int(width) + 44, "height": 200})
        self.take(page, name, whole=True)


class Pictured(Story):
    """The demo's own story; Chromium looks on, and approves."""

    def __init__(self, plant: Plant, camera: Camera) -> None:
        super().__init__(plant, Options(yes=False, auto=False, process=False, as_json=False))
        self._camera = camera
        self._out.record, self._out.width = True, 150

    def _watch(
        self, ask: Callable[[], Any], seconds: float, picture: Callable[[], Any] | None = None
    ) -> Any | None:
        """As told without a terminal: what is drawn live there is written once."""
        answer = super()._watch(ask, seconds)
        if answer is not None and picture:
            self._out.print(picture())
        return answer

    def _warm_up(self, client: Client) -> None:
        super()._warm_up(client)
        made = client.post("/tokens", {"name": "ada", "role": "approver", "valid_for": "1h"})
        self._camera.log_in(self._plant.url, made["token"])
        self._camera.desk.goto(self._plant.url)
        self._camera.take(self._camera.desk, "overview")

    def _decided(self, client: Client, action: dict[str, Any]) -> dict[str, Any]:
        desk, phone, url = self._camera.desk, self._camera.phone, self._plant.url
        desk.goto(f"{url}/incidents/{action['incident']}")
        expect(desk.locator("#related li").first).to_be_visible()
        self._camera.take(desk, "incident")
        self._asked(client, action["id"])
        phone.goto(f"{url}/actions/{action['id']}")
        phone.get_by_label(re.compile("^Reason")).fill("seen the diff")
        phone.get_by_role("heading", name="What the repair would change").evaluate(
            "it => it.scrollIntoView()"
        )
        self._camera.take(phone, "approval-phone")
        phone.get_by_role("button", name="Approve and run").click()
        self._say(f"ada approves {action['id']} in the console, on a phone", "ada")
        return client.get(f"/actions/{action['id']}")  # type: ignore[no-any-return]

    def _asked(self, client: Client, id: str) -> None:
        """Returns once the action waits for a person."""

        def asked() -> bool | None:
            return client.get(f"/actions/{id}")["state"] == "awaiting_approval" or None

        if not self._watch(asked, DETECT_SECONDS):
            raise SeawallError(f"{id}: nobody was asked within {DETECT_SECONDS:.0f} s; see its history")

    def _healed(self, client: Client, id: str) -> dict[str, Any]:
        action = super()._healed(client, id)
        phone = self._camera.phone
        phone.goto(f"{self._plant.url}/actions/{id}")
        expect(phone.locator(".steps li:last-child")).to_have_class("done", timeout=20_000)
        self._camera.take(phone, "healed-phone")
        return action

    def written(self) -> str:
        """HTML of all that was said, without this machine's temporary folder."""
        theme = copy(MONOKAI)
        theme.background_color = ColorTriplet(*SEA)
        html = self._out.export_html(theme=theme, inline_styles=True)
        places = {str(self._plant.folder): "/tmp/demo", str(ROOT): "/opt/seawall"}  # noqa: S108 - a text
        for here, there in places.items():
            html = html.replace(here, there)
        return re.sub(r"\n\s*\n(\s*\n)+", "\n\n", html)


def main() -> int:
    """0 once the registry was healed and every picture lies in docs/images."""
    if CHROMIUM is None:
        sys.exit("shots: no browser found; install chromium")
    IMAGES.mkdir(exist_ok=True)
    plant = Plant("container", auto=False)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            camera = Camera(browser, IMAGES)
            story = Pictured(plant, camera)
            summary = story.tell()
            camera.terminal(story.written(), "demo")
            browser.close()
    finally:
        plant.close()
    return 0 if summary["healed"] else 1


if __name__ == "__main__":
    sys.exit(main())
