"""People are told with a picture of the signal: a killed registry, a real Seawall, a real listener."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.etree import ElementTree

import pytest

from tests.registries import push
from tests.serving import until

pytestmark = pytest.mark.e2e
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def people() -> Iterator[tuple[str, list[dict]]]:
    """A webhook channel: (URL, what it was told)."""
    got: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", got
    server.shutdown()
    server.server_close()


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
