"""Collectors against a real docker-registry: its log and notifications read."""

import os
import shutil
import threading
import time

import httpx
import pytest

from collectors.logs import FollowedLog
from collectors.notifications import parse_distribution
from tests.registries import Registry, http_server, push

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="no docker-registry (Debian package)"),
]


async def test_the_log_is_read_once_through_rotation_and_truncation(registry):
    """Each request has a path of its own and must come twice: an access and an application line."""
    log, events, asked = FollowedLog("reg", str(registry.log)), {}, []

    def ask(count: int) -> None:
        with httpx.Client(base_url=registry.url, trust_env=False) as client:
            for _ in range(count):
                asked.append(f"/v2/team/app/manifests/t{len(asked)}")
                client.get(asked[-1])
        # The registry answers before it logs.
        deadline = time.monotonic() + 20
        while registry.log.read_bytes().count(f"{asked[-1]} ".encode()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    async def read() -> None:
        batch = await log.collect(1000.0)
        assert not set(events) & {event.id for event in batch.events}
        events.update({event.id: event.fields for event in batch.events})
        await log.stored()

    ask(20)
    await read()
    ask(20)
    shutil.copy(registry.log, registry.log.with_name("registry.log.1"))
    os.truncate(registry.log, 0)
    ask(20)
    await read()
    ask(20)
    registry.stop()
    registry.log.rename(registry.log.with_name("registry.log.2"))
    registry.start()
    ask(20)
    checkpoint = (await log.collect(1000.0)).checkpoints[log.source]
    await read()
    log = FollowedLog("reg", str(registry.log))
    log.restore(checkpoint)
    ask(20)
    await read()

    def urls(dataset: str) -> list[str]:
        found = [f for f in events.values() if f["event.dataset"] == dataset and "url.original" in f]
        return sorted(f["url.original"] for f in found if f.get("registry.operation") == "manifest")

    assert urls("distribution.access") == urls("distribution.app") == sorted(asked)
    timed = [fields for fields in events.values() if "event.duration" in fields]
    assert len(timed) == len(asked) and {f["http.response.status_code"] for f in timed} == {404}
    assert log.lines["not_understood"] == 0


def test_notifications_that_the_registry_sends_are_understood(tmp_path):
    bodies, received = [], threading.Event()

    def keep(handler) -> bytes:
        bodies.append(handler.rfile.read(int(handler.headers["content-length"])))
        if b"manifest.list" in bodies[-1]:
            received.set()
        return b""

    with http_server(keep) as endpoint:
        settings = f"name: seawall, url: {endpoint}, timeout: 5s, threshold: 3, backoff: 1s"
        extra = f"notifications: {{endpoints: [{{{settings}}}]}}\n"
        registry = Registry(tmp_path, extra).start()
        try:
            push(registry.url, "team/app", "1.0")
            assert received.wait(20)
        finally:
            registry.stop()
    events = [event for body in bodies for event in parse_distribution(body, "reg")]
    kinds = [(e.fields["event.action"], e.fields["registry.operation"]) for e in events]
    assert kinds == [("push", "blob")] * 3 + [("push", "manifest")] * 2
    assert {e.fields["registry.repository"] for e in events} == {"team/app"}
    assert events[-1].fields["registry.reference"] == "1.0" and len({e.id for e in events}) == 5
    assert all(abs(e.at - time.time()) < 60 and e.fields["client.ip"] == "127.0.0.1" for e in events)
