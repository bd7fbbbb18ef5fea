"""The collector: a pull becomes samples, a failure an event and a note too."""

import socket

import pytest

from collectors.probe import PullProbe
from collectors.pulling.exchange import Endpoint
from collectors.pulling.pull import Wanted, image_of
from collectors.pulling.tokens import Credentials, Tokens
from seawall.core.errors import InputError
from seawall.core.signals import labels
from tests.scripted import IMAGE, registry, serving


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


async def test_the_collector_turns_a_failure_into_samples_a_note_and_an_event():
    collector = PullProbe("reg", Endpoint(f"http://127.0.0.1:{closed_port()}"), Wanted(IMAGE, 5), "here")
    batch = await collector.collect(1000.0)
    assert [(s.signal, s.value, s.labels, s.at) for s in batch.samples] == [
        ("seawall_probe_success", 0.0, labels(site="here"), 1000.0)
    ]
    assert batch.notes[0].startswith("connect: connection refused after ")
    (event,) = batch.events
    assert (event.fields["event.dataset"], event.fields["event.outcome"]) == ("seawall.probe", "failure")
    assert event.fields["seawall.phase"] == "connect"
    assert event.id == (await collector.collect(1000.0)).events[0].id


async def test_the_collector_turns_a_pull_into_one_sample_a_phase():
    async with serving(registry) as server:
        host = server.url.removeprefix("http://")
        image = image_of(server.url, f"{host}/team/app:1.0")
        probe = PullProbe("reg", Endpoint(server.url), Wanted(image, 5), "here")
        batch = await probe.collect(1000.0)
    assert batch.events == batch.notes == []
    assert batch.samples[0].value == 1.0
    keys = [(s.signal, s.labels) for s in batch.samples]
    assert len(keys) == len(set(keys)) == 7
    seconds = {dict(s.labels).get("phase"): s.value for s in batch.samples[1:]}
    assert seconds["total"] >= max(seconds.values())


def test_an_image_of_another_registry_is_refused():
    with pytest.raises(InputError, match="leave the host out"):
        image_of("http://127.0.0.1:5000", "other.example.com/a:1")


def test_secrets_are_not_in_any_repr():
    tokens = Tokens({"scope": ("Bearer hunter2", 1.0)})
    assert "hunter2" not in repr(tokens) and "lambda" not in repr(Credentials("a", lambda: "b"))
