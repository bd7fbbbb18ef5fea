"""Alertmanager's silences over Seawall's alerts; a small server answers as its API v2 does."""

import asyncio
import json

import pytest

from alerts.posting import Peer
from alerts.silences import AlertmanagerSilences, covers
from alerts.slos import load_rows
from seawall.core.errors import SeawallError
from tests.scripted import serving


def matcher(name: str, value: str, regex: bool = False, equal: bool = True) -> dict:
    return {"name": name, "value": value, "isRegex": regex, "isEqual": equal}


LABELS = {"alertname": "SeawallRegistryUnavailable", "registry": "main", "severity": "page"}


@pytest.mark.parametrize(
    ("matchers", "fits"),
    [
        ([matcher("registry", "main")], True),
        ([matcher("registry", "spare")], False),
        ([matcher("registry", "ma", regex=True)], False),  # the whole value
        ([matcher("registry", "ma.*|x", regex=True)], True),
        ([matcher("registry", "spare", equal=False)], True),
        ([matcher("registry", "ma.*", regex=True, equal=False)], False),
        ([matcher("team", "")], True),  # a missing label is empty
        ([matcher("registry", "main"), matcher("team", "x")], False),
        ([], False),
    ],
)
def test_matchers_are_alertmanagers(matchers, fits):
    assert covers(matchers, LABELS) is fits


def asked(answer, registry: str = "main", slo: str | None = "availability") -> str | None:
    async def ask() -> str | None:
        async with serving(lambda request: answer) as server:
            rows = load_rows()
            return await asyncio.to_thread(
                AlertmanagerSilences(Peer(server.url), rows).silenced, registry, slo
            )

    return asyncio.run(ask())


def silences(*matchers: dict, state: str = "active"):
    one = {"matchers": list(matchers), "status": {"state": state}, "createdBy": "ops", "comment": "move"}
    body = json.dumps([one | {"endsAt": "2026-11-24T15:00:00Z"}]).encode()
    return 200, {"content-type": "application/json"}, body


def test_an_active_silence_is_told_with_who_until_when_and_why():
    told = asked(silences(matcher("alertname", "SeawallRegistryUnavailable"), matcher("severity", "page")))
    assert told == "silenced in Alertmanager by ops until 2026-11-24T15:00:00Z: move"


def test_another_row_an_old_silence_and_none_do_not_count():
    assert asked(silences(matcher("alertname", "SeawallPullLatency"))) is None
    assert asked(silences(matcher("registry", "main"), state="expired")) is None
    assert asked(silences(matcher("registry", "main"), state="pending")) is None
    assert asked((200, {}, b"[]")) is None


@pytest.mark.parametrize("answer", [(500, {}, b"no"), (200, {}, b"<html>"), (200, {}, b"{}")])
def test_an_answer_that_is_none_is_not_no_silence(answer):
    with pytest.raises(SeawallError, match="Alertmanager at"):
        asked(answer)


def test_an_alertmanager_that_is_away_is_not_no_silence():
    with pytest.raises(SeawallError, match="Alertmanager at"):
        AlertmanagerSilences(Peer("http://127.0.0.1:9"), load_rows()).silenced("main", "availability")


# what Alertmanager suppresses by itself --------------------------------------------------------


def suppressed(*alerts: tuple[dict, dict]):
    """Answers /silences with none, /alerts with these (more labels, status)."""
    base = {"alertname": "SeawallRegistryUnavailable", "registry": "main", "slo": "availability"}
    found = [
        {"labels": base | more, "fingerprint": f"f{number}", "status": {"state": "suppressed"} | status}
        for number, (more, status) in enumerate(alerts)
    ]

    def answer(request):
        body = found if request.path.startswith("/api/v2/alerts") else []
        return 200, {"content-type": "application/json"}, json.dumps(body).encode()

    return answer


def told(answer) -> str | None:
    async def ask() -> str | None:
        async with serving(answer) as server:
            silences = AlertmanagerSilences(Peer(server.url), load_rows())
            return await asyncio.to_thread(silences.silenced, "main", "availability")

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"inhibitedBy": ["f9"], "silencedBy": []}, "inhibited by f9"),
        ({"inhibitedBy": [], "silencedBy": ["s1"]}, "silenced by s1"),
        ({"mutedBy": ["nights"]}, "muted by the time interval nights"),
    ],
)
def test_what_alertmanager_suppresses_is_told_with_its_reason(status, words):
    assert told(suppressed(({}, status))) == f"SeawallRegistryUnavailable is {words} in Alertmanager"


def test_an_inhibition_names_the_alert_that_inhibits():
    outer = ({"alertname": "SeawallStorageCapacity", "slo": "storage_capacity"}, {"inhibitedBy": []})
    answer = suppressed(({}, {"inhibitedBy": ["f1"]}), outer)
    assert told(answer).startswith("SeawallRegistryUnavailable is inhibited by SeawallStorageCapacity")


def test_one_that_still_fires_is_enough_and_other_rows_do_not_count():
    fires = {"inhibitedBy": [], "silencedBy": []}
    assert told(suppressed(({"severity": "ticket"}, {"inhibitedBy": ["f1"]}), ({}, fires))) is None
    assert told(suppressed(({"slo": "pull_latency"}, {"inhibitedBy": ["f1"]}))) is None
    assert told(suppressed(({"registry": "spare"}, {"inhibitedBy": ["f1"]}))) is None
    assert told(suppressed()) is None
