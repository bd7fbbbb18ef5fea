"""What registries push to a running Seawall: notifications of a real docker-registry, Harbor's webhooks."""

import asyncio
import json
import shutil
import sqlite3
import time
from pathlib import Path

import httpx
import pytest

from seawall.core.errors import Overloaded
from seawall.service import QUEUE_SIZE, Intake
from seawall.stores.duckdb import DuckDatabase
from seawall.stores.memory import MemoryEvents
from seawall.stores.sql import SqlRecords
from seawall.telemetry import Telemetry
from tests.e2e.test_following import metric
from tests.harbor import LOGIN, HarborStand
from tests.registries import Registry, push
from tests.serving import Up, until

pytestmark = pytest.mark.e2e
SECRET = "hunter2-planted-secret"
TOKEN = "webhook-token-for-tests"
GOLDEN = Path(__file__).parent.parent / "golden/reconstructed"
SAMPLES = json.loads((GOLDEN / "harbor-webhooks.json").read_text())


@pytest.fixture
def config(secret_file, tmp_path):
    tokens = {name: {"token_file": str(secret_file(name, TOKEN))} for name in ("distribution", "harbor")}
    registries = [{"name": name, "url": "http://127.0.0.1:1"} for name in ("main", "other")]
    return {"registries": registries, "probe": {"interval": "2s", "timeout": "500ms"}, "webhooks": tokens}


def deliver(service: Up, body, header: str | None = TOKEN, path: str = "harbor?registry=main"):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": header} if header else {}
    return httpx.post(f"{service.url}/api/v1/webhooks/{path}", content=content, headers=headers, timeout=20)


def events(service: Up, dataset: str) -> list[dict]:
    found = service.get("/events?limit=200&hours=200000")["items"]
    return [event for event in found if event.get("event.dataset") == dataset]


def test_harbors_webhook_in_both_forms_is_kept_once_and_the_gate_holds(up, config):
    service = up(config)
    for form in SAMPLES.values():
        for delivery in [*form, *form]:
            answer = deliver(service, delivery)
            assert (answer.status_code, answer.json()) == (202, {"events": 1})
    kept = events(service, "harbor.webhook")
    assert len(kept) == len(SAMPLES["default"]) + len(SAMPLES["cloudevents"])
    assert {event["registry.name"] for event in kept} == {"main"}
    assert deliver(service, SAMPLES["default"][0], f"Bearer {TOKEN}").status_code == 202
    for wrong in (None, "", "Bearer", f"Basic {TOKEN}", f"{TOKEN}x", service.token()):
        assert deliver(service, b"{}", wrong).status_code == 401, wrong
    assert deliver(service, b"{}", TOKEN, "distribution?registry=main").status_code == 401
    assert deliver(service, b"x" * (1 << 20) + b"x").status_code == 413
    assert deliver(service, b"{").status_code == 400
    assert deliver(service, SAMPLES["default"][0], path="harbor").status_code == 400
    assert deliver(service, SAMPLES["default"][0], path="harbor?registry=none").status_code == 400
    assert len(events(service, "harbor.webhook")) == len(kept)


async def test_a_full_queue_takes_nothing_and_says_so():
    records = SqlRecords("memory:")
    intake = Intake(MemoryEvents(), Telemetry(records))
    waiting = [asyncio.ensure_future(intake.keep([])) for _ in range(QUEUE_SIZE)]
    await asyncio.sleep(0)
    assert intake.depth() == QUEUE_SIZE
    with pytest.raises(Overloaded, match="send it again later"):
        await intake.keep([])
    writer = asyncio.ensure_future(intake.write())
    await asyncio.gather(*waiting)
    assert intake.depth() == 0
    writer.cancel()
    records.close()


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("docker-registry") is None, reason="no docker-registry (Debian package)")
def test_a_real_registry_tells_a_real_seawall_once_also_over_a_kill(up, config, tmp_path):
    """The registry repeats what it could not deliver while Seawall was dead."""
    service = up(config)
    endpoint = (
        f"name: seawall, url: '{service.url}/api/v1/webhooks/distribution?registry=main',"
        f" headers: {{Authorization: ['Bearer {TOKEN}']}}, timeout: 2s, threshold: 3, backoff: 1s"
    )
    folder = tmp_path / "registry"
    folder.mkdir()
    registry = Registry(folder, f"notifications: {{endpoints: [{{{endpoint}}}]}}\n").start()
    try:
        push(registry.url, "team/app", "1.0")
        until(lambda: len(events(service, "distribution.notification")) == 5, 30, "the push")
        service.kill()
        accept = {"accept": "application/vnd.docker.distribution.manifest.list.v2+json"}
        with httpx.Client(base_url=registry.url, trust_env=False, headers=accept) as client:
            for method in ("GET", "HEAD", "GET"):
                assert client.request(method, "/v2/team/app/manifests/1.0").status_code == 200
        time.sleep(1.5)  # the registry tries, fails and backs off
        service.start()
        until(lambda: len(events(service, "distribution.notification")) == 8, 60, "the pulls")
    finally:
        registry.stop()
    pulls = [e for e in events(service, "distribution.notification") if e["event.action"] == "pull"]
    assert sorted(e["http.request.method"] for e in pulls) == ["GET", "GET", "HEAD"]
    assert {e["registry.reference"] for e in pulls} == {"1.0"}
    assert len({e["event.id"] for e in pulls}) == 3


def test_a_source_that_hangs_delays_no_other(config, tmp_path):
    """The engine never answers, Harbor is not there; the file beside them is read all the same."""
    engine = tmp_path / "bin" / "podman"
    engine.parent.mkdir()
    engine.write_text("#!/bin/sh\nexec sleep 1000\n")
    engine.chmod(0o755)
    (tmp_path / "a.log").write_text('time="2026-08-14T19:41:43Z" level=info msg=here\n')
    config["registries"][0] |= {
        "runtime": "podman",
        "runtime_env": {"PATH": f"{engine.parent}:/usr/bin:/bin"},
        "logs": ["container:slow", str(tmp_path / "gone.log"), str(tmp_path / "a.log")],
        "username": "u",
        "password_env": "HARBOR_PASSWORD",
        "audit_log": True,
    }
    service = Up(tmp_path, config)
    try:
        service.start()
        until(lambda: events(service, "distribution.app"), 15, "the event of the file")
        down = dict(metric(service, "seawall_collector_up"))
    finally:
        service.stop()
    up = {pairs.split('"')[1] for pairs, value in down.items() if value}
    assert f"logs:{tmp_path}/a.log" in up and f"logs:{tmp_path}/gone.log" not in up


def planted_log(path: Path) -> None:
    """Lines of every kind that a careless registry or client may write."""
    url = f"/v2/a/manifests/1?token={SECRET}&X-Amz-Signature={SECRET}"
    path.write_text(
        f'10.0.0.1 - - [14/Aug/2026:19:41:43 +0000] "GET {url} HTTP/1.1" 200 1 "https://u:{SECRET}@h/" "c"\n'
        f'time="2026-08-14T19:41:43Z" level=info msg="response completed" http.request.uri="{url}"'
        f" http.response.status=200 http.response.duration=8ms\n"
        f'level=error msg="login failed: password={SECRET} Authorization: Bearer {SECRET}"\n'
        f'{{"level":"error","msg":"Authorization: Basic {SECRET}","time":"2026-08-14T19:41:43Z"}}\n'
        f"what is this? password={SECRET}\n"
    )


def test_planted_secrets_reach_neither_store_nor_log_nor_answer(config, secret_file, tmp_path):
    planted_log(tmp_path / "registry.log")
    reports = tmp_path / "reports"
    reports.mkdir()
    report = json.loads((GOLDEN / "trivy-report.json").read_text())
    report["Results"][0]["Vulnerabilities"][0]["Title"] = f"password={SECRET}"
    (reports / "a.json").write_text(json.dumps(report))
    (reports / "b.json").write_text(f'{{"ArtifactName": "a", "CreatedAt": "password={SECRET}"}}')
    entry = json.loads((GOLDEN / "harbor-audit.json").read_text())["auditlog-exts"][0] | {
        "operation_description": f"pull artifact with token={SECRET}",
        "op_time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    notice = json.loads((GOLDEN / "distribution-notification.json").read_text())
    notice["events"][0]["target"]["url"] = f"https://u:{SECRET}@s3/x?X-Amz-Signature={SECRET}&sig={SECRET}"
    hook = json.loads(json.dumps(SAMPLES["default"][6]))
    hook["event_data"]["custom_attributes"]["Details"] = f"Authorization: Bearer {SECRET}"
    hook["event_data"]["resources"][0]["resource_url"] = f"https://h/x?token={SECRET}"
    with HarborStand({"/auditlog-exts": lambda: [entry]}) as harbor:
        config["registries"][0] |= {
            "url": harbor.url,
            "username": LOGIN[0],
            "password_file": str(secret_file("password", LOGIN[1])),
            "logs": [str(tmp_path / "registry.log"), "-"],
            "audit_log": True,
            "trivy_reports": str(reports),
        }
        service = Up(tmp_path, config)
        try:
            with (tmp_path / "registry.log").open("rb") as piped:
                service.start(stdin=piped.fileno())
            assert (
                deliver(service, notice, f"Bearer {TOKEN}", "distribution?registry=main").status_code == 202
            )
            assert deliver(service, hook).status_code == 202
            wanted = {"distribution.access", "distribution.app", "distribution.notification"}
            wanted |= {"harbor.webhook", "harbor.audit", "trivy.report"}

            def told() -> set[str]:
                found = service.get("/events?limit=200&hours=200000")["items"]
                return {event["event.dataset"] for event in found}

            until(lambda: told() >= wanted, 90, "an event of every source")
            answers = json.dumps(service.get("/events?limit=200&hours=200000"))
            with service.api() as api:
                answers += api.get("/metrics").text + api.get("/").text
        finally:
            service.stop()
    assert sum(answers.count(f'"event.dataset": "{name}"') > 0 for name in wanted) == len(wanted)
    for secret in (SECRET, LOGIN[1], TOKEN):
        assert secret not in answers
        assert secret not in service.log.read_text()
        assert not [path for path in service.state.rglob("*") if holds(path, secret)]
    assert SECRET not in dump(service.state)


def holds(path: Path, secret: str) -> bool:
    return path.is_file() and secret.encode() in path.read_bytes()


def dump(state: Path) -> str:
    """Everything that the stores keep, uncompressed."""
    database = DuckDatabase(state / "data")
    try:
        tables = ("events_all", "samples_all", "checkpoints")
        text = "".join(str(database.query(f"SELECT * FROM {table}")) for table in tables)
    finally:
        database.close()
    with sqlite3.connect(state / "records.sqlite") as records:
        return text + "\n".join(records.iterdump())
