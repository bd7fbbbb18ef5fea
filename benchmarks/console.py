"""First paint of every page of the console in Chromium on this machine, over 10,000 incidents and a million
events of one day in the embedded stores. Each figure is the median of five loads, without the first."""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import sqlalchemy as sa
from playwright.sync_api import Page, sync_playwright

from benchmarks.figure import Figure
from seawall import app as wiring
from seawall.config import Config
from seawall.core.incidents import Finding, IncidentState
from seawall.core.signals import PROBE_DURATION, PROBE_SUCCESS, STORAGE_USED_RATIO, Event, Sample, labels
from seawall.service import SESSION_COOKIE, Service
from seawall.statefolder import StateFolder
from seawall.stores.schema import incidents
from seawall.stores.sql import SqlRecords
from tests.e2e.console_stand import serve

INCIDENTS, EVENTS, BATCH, DAY = 10_000, 1_000_000, 20_000, 86400.0
LOADS = 5
MAIN = "main"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PAINT = (
    "new Promise(done => new PerformanceObserver(all => done(all.getEntries()[0].startTime))"
    ".observe({ type: 'paint', buffered: true }))"
)


def measure() -> list[Figure]:
    """One figure a page, in milliseconds after the navigation began."""
    with tempfile.TemporaryDirectory(prefix="seawall-console-") as name:
        state = StateFolder(Path(name))
        registry = {"name": MAIN, "url": "http://127.0.0.1:5000"}
        service, stores = wiring.build_service(Config.model_validate({"registries": [registry]}), state)
        try:
            incident = _fill(service)
            service.cycle.turn([MAIN])
            with serve(service) as url:
                return list(_painted(url, _session(service, url), incident))
        finally:
            for store in (stores.samples, stores.events, stores.records):
                store.close()


def _session(service: Service, url: str) -> str:
    token = service.new_token("reader", "approver", "benchmark", None)
    answer = httpx.post(f"{url}/login", data={"token": token}, headers={"Sec-Fetch-Site": "same-origin"})
    return answer.cookies[SESSION_COOKIE]


def _painted(url: str, secret: str, incident: str) -> Iterator[Figure]:
    pages = {
        "overview": "/",
        "registry": f"/registries/{MAIN}",
        "incidents": "/incidents",
        "incidents of one severity": "/incidents?severity=ticket",
        "incident": f"/incidents/{incident}",
        "logs": "/logs",
        "logs, a search over a day": "/logs?q=app7+containerd&within=1d",
        "playbooks": "/playbooks",
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page()
        page.context.add_cookies([{"name": SESSION_COOKIE, "value": secret, "url": url}])
        for name, path in pages.items():
            yield Figure(f"console: first paint of {name}", _paint(page, url + path), 300, "ms")
        browser.close()


def _paint(page: Page, address: str) -> float:
    found = []
    for _ in range(LOADS + 1):
        answer = page.goto(address)
        assert answer is not None and answer.status == 200, address
        found.append(float(page.evaluate(PAINT)))
    return median(found[1:])


def _fill(service: Service) -> str:
    """A day of requests, half an hour of probes, and incidents, of which one is open; its id."""
    now = service.clock.now()
    for first in range(0, EVENTS, BATCH):
        service.events.append([_event(number, now) for number in range(first, first + BATCH)], {})
    service.samples.append(list(_samples(now)))
    return _incidents(service, now)


def _incidents(service: Service, now: float) -> str:
    """The first and the last through the store's own door; those between are copies of the first, all in one
    transaction, since 20,000 durable ones would take a quarter of an hour."""
    at = now - INCIDENTS * 600.0
    first, _ = service.records.open_incident(Finding("b", "0", MAIN, None, "trouble", "it failed", at), "b")
    over = replace(first, state=IncidentState.RESOLVED, resolved_at=at + 60)
    service.records.save_incident(over, "b", "incident.resolved", {}, at + 60)
    assert isinstance(service.records, SqlRecords)
    with service.records.engine.connect() as read:
        row = dict(read.execute(sa.select(incidents).where(incidents.c.id == first.id)).mappings().one())
    row.pop("number")
    rows = [_copy(row, number, at + number * 600.0) for number in range(2, INCIDENTS)]
    with service.records.engine.execution_options(seawall_write=True).connect() as db, db.begin():
        db.execute(incidents.insert(), rows)
    last, _ = service.records.open_incident(Finding("b", "z", MAIN, None, "trouble", "it fails", now), "b")
    return last.id


def _copy(row: dict[str, Any], number: int, at: float) -> dict[str, Any]:
    body = json.loads(row["body"]) | {"id": f"inc-{number}", "opened_at": at, "resolved_at": at + 60}
    return row | {"id": f"inc-{number}", "body": json.dumps(body)}


def _samples(now: float) -> Iterator[Sample]:
    for ago in range(0, 1800, 10):
        site = labels(site="local")
        yield Sample(MAIN, PROBE_SUCCESS, now - ago, 1.0, site)
        yield Sample(MAIN, PROBE_DURATION, now - ago, 0.02, labels(site="local", phase="total"))
        yield Sample(MAIN, PROBE_DURATION, now - ago, 0.01, labels(site="local", phase="connect"))
        yield Sample(MAIN, STORAGE_USED_RATIO, now - ago, 0.4, labels(volume="/srv"))


def _event(number: int, now: float) -> Event:
    failed = number % 200 == 0
    fields = {
        "event.dataset": "distribution.app",
        "event.action": "pull",
        "event.outcome": "failure" if failed else "success",
        "event.duration": 1_000_000 + number,
        "http.request.method": "GET",
        "http.response.status_code": 502 if failed else 200,
        "http.response.body.bytes": 1234,
        "url.original": f"/v2/team/app{number % 50}/manifests/1.{number % 7}",
        "user_agent.original": "containerd/1.7.24",
        "client.ip": f"10.0.{number % 5}.{number % 250}",
        "registry.repository": f"team/app{number % 50}",
        "registry.operation": "manifest",
    }
    return Event(f"bench-{number:09d}", now - DAY + number / EVENTS * DAY, MAIN, fields)


if __name__ == "__main__":
    began = time.perf_counter()
    results: Sequence[Figure] = measure()
    for figure in results:
        print(figure)
    print(f"{time.perf_counter() - began:.0f} s in all")
