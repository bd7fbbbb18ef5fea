"""People are told with a picture of the signal: a killed registry, a real Seawall, a real listener."""

from xml.etree import ElementTree

import pytest

from tests.registries import push
from tests.serving import until

pytestmark = pytest.mark.e2e
SVG = "{http://www.w3.org/2000/svg}"


def test_the_message_shows_the_rounds_that_failed_and_links_to_the_incident(up, registry, people):
    push(registry.url, "team/app", "1.0")
    url, got = people
    service = up(
        {
            "registries": [{"name": "main", "url": registry.url}],
            "probe": {"interval": "1s", "timeout": "800ms", "image": "team/app:1.0"},
            "server": {"public_url": "https://seawall.example.com"},
            "notify": {"channels": [{"name": "hook", "kind": "webhook", "url": url}]},
        }
    )
    until(lambda: any(it["indicator_ok"] for it in service.get("/slos")["items"]), 60, "a good round")
    registry.stop()
    until(lambda: got, 60, "a message")
    picture = ElementTree.fromstring(got[0]["picture"])
    assert picture.tag == f"{SVG}svg"
    assert picture.find(f"{SVG}title").text == "main: Registry unavailable"
    kinds = {path.get("class") for path in picture.iter(f"{SVG}path") if path.get("d")}
    assert {"bar-good", "bar-bad"} <= kinds, got[0]["picture"]
    assert got[0]["url"] == f"https://seawall.example.com/incidents/{got[0]['incident']}"
