"""Links in messages: what `seawall check` says of server.public_url."""

import pytest

from seawall import checks, public_url
from seawall.config import Config

CHANNEL = {"channels": [{"name": "chat", "kind": "webhook", "url": "http://127.0.0.1:9/hook"}]}


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://localhost:8700", True),
        ("http://a.localhost", True),
        ("http://LOCALHOST./", True),
        ("http://127.8.0.1:8700", True),
        ("https://[::1]/", True),
        ("https://seawall.example.com", False),
        ("http://10.0.0.7", False),
        ("http://localhost.example.com", False),
    ],
)
def test_loopback_is_known_by_name_and_address(url, found):
    assert public_url.is_loopback(url) is found


def told(**keys):
    config = Config.model_validate(keys)
    return [it for it in checks._local(config) if it.name == "server.public_url"]


def test_check_warns_only_while_somebody_is_told():
    loopback = {"public_url": "http://127.0.0.1:8700"}
    assert told(server=loopback) == []
    [warned] = told(server=loopback, notify=CHANNEL)
    assert warned.ok and "loopback" in warned.found and "server.public_url" in warned.remedy
    [absent] = told(notify=CHANNEL)
    assert "no links" in absent.found
    assert told(server={"public_url": "https://seawall.example.com"}, notify=CHANNEL) == []
