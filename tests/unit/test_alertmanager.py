"""Alertmanager's webhook, read as its source says."""

import json

import pytest

from alerts.alertmanager import parse
from alerts.slos import load_rows
from seawall.core.errors import InputError
from seawall.core.incidents import Severity
from seawall.core.times import parse_time

NOW = parse_time("2026-11-24T03:10:00Z")


def message(*alerts, version="4", **more):
    return json.dumps({"version": version, "status": "firing", "alerts": list(alerts), **more}).encode()


def alert(name="SeawallRegistryUnavailable", status="firing", fingerprint="f1", **labels):
    return {
        "status": status,
        "labels": {"alertname": name, **labels},
        "annotations": {"summary": "it is down"},
        "startsAt": "2026-11-24T03:00:00.5Z",
        "fingerprint": fingerprint,
        "aFieldOfTomorrow": 1,
    }


def read(body, registries=("main", "edge")):
    return parse(body, load_rows(), registries, NOW)


def test_an_alert_names_its_registry_and_row():
    [found] = read(message(alert(registry="edge"))).firing
    assert (found.source, found.fingerprint) == ("alertmanager", "f1")
    assert (found.registry, found.slo, found.severity) == ("edge", "availability", Severity.PAGE)
    assert found.reason == "Alertmanager says SeawallRegistryUnavailable: it is down"
    assert (found.at, found.episode) == (NOW, parse_time("2026-11-24T03:00:00.5Z"))


def test_each_alert_counts_by_its_own_status():
    delivery = read(
        message(alert(fingerprint="a", registry="main"), alert(status="resolved", fingerprint="b"))
    )
    assert [found.fingerprint for found in delivery.firing] == ["a"]
    assert delivery.resolved == ("b",)


def test_the_only_registry_is_meant_where_none_is_named():
    assert read(message(alert()), ["main"]).firing[0].registry == "main"
    assert read(message(alert())).firing[0].registry == "unknown"


def test_a_row_may_be_named_by_a_label():
    assert read(message(alert(name="Mine", slo="pull_latency"))).firing[0].slo == "pull_latency"
    assert read(message(alert(name="Mine", slo="no_such_row"))).firing[0].slo is None


def test_the_watchdog_is_no_trouble():
    assert read(message(alert(name="SeawallWatchdog"))).firing == ()


def test_a_start_in_the_future_is_now():
    late = {**alert(), "startsAt": "2030-01-01T00:00:00Z"}
    assert read(message(late)).firing[0].episode == NOW


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "body"),
        (b"[]", "body"),
        (b'{"alerts": []}', "version"),
        (message(version="3"), "'3'"),
        (message({"status": "firing"}), "alerts.0.labels"),
        (message({**alert(), "startsAt": "yesterday"}), "yesterday"),
        (message({**alert(), "fingerprint": ""}), "fingerprint"),
    ],
)
def test_garbage_is_refused_by_place(body, words):
    with pytest.raises(InputError) as told:
        read(body)
    assert words in str(told.value)
    assert told.value.place == "alertmanager webhook"
