"""What Harbor tells over its API, from a real HTTP server with answers in the swagger's shapes."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors import harbor_facts
from collectors.harbor_api import FACTS, HarborApi
from collectors.harbor_client import MAX_ANSWER, HarborClient
from seawall.core.errors import InputError, SeawallError
from seawall.core.signals import (
    COMPONENT_UP,
    GC_DURATION,
    GC_FAILED,
    GC_FREED,
    GC_LAST_SUCCESS,
    GC_PROGRESS,
    GC_RUNNING,
    JOBS_PAUSED,
    PROJECTS,
    QUOTA_USED_RATIO,
    REPLICATION_EXECUTIONS,
    REPLICATION_FAILING,
    REPLICATION_LAST_SUCCESS,
    REPLICATION_RUNNING,
    ROBOT_EXPIRY,
    STORAGE_BYTES,
    STORAGE_USED_RATIO,
    STORED_BYTES,
    labels,
)
from seawall.core.times import parse_time
from tests.scripted import serving

DOCUMENTS = json.loads((Path(__file__).parent.parent / "golden/reconstructed/harbor-api.json").read_text())
LOG = (
    b"2026-09-21T14:10:00Z [INFO] [/jobservice/job/impl/gc/garbage_collection.go:424]:"
    b" [4021f70a][%d/2000] delete blob from storage: sha256:1f0d\n"
)
NOW = 1_790_000_000.0
LOGIN = "Basic cm9ib3Q6c2VjcmV0"


def harbor(documents=DOCUMENTS, **answers):
    def answer(request):
        path = request.path.removeprefix("/api/v2.0")
        name = path.strip("/").replace("/", "_")
        if name in answers:
            return answers[name] if isinstance(answers[name], tuple) else answers[name](request)
        if path.endswith("/log"):
            return 200, {}, b"".join(LOG % n for n in range(0, 501, 100))
        if path != "/health" and request.headers.get("authorization") != LOGIN:
            return 401, {}, b"{}"
        return 200, {}, json.dumps(documents[path]).encode()

    return answer


async def ask(answer, username="robot", exporter=False, rounds=1):
    async with serving(answer) as server:
        client = HarborClient(server.url, username, (lambda: "secret") if username else None)
        api = HarborApi("reg", client, bool(username), exporter)
        for _ in range(rounds):
            batch = await api.collect(NOW)
    return batch, server


def of(batch, signal):
    return {sample.labels: sample.value for sample in batch.samples if sample.signal == signal}


async def test_health_is_read_from_the_body_although_the_answer_is_200():
    batch, _ = await ask(harbor())
    up = of(batch, COMPONENT_UP)
    assert up[labels(component="jobservice")] == 0 and up[labels(component="core")] == 1 and len(up) == 7
    assert "jobservice is unhealthy: failed to check health: dial tcp: connection refused" in batch.notes


async def test_volumes_queues_quotas_statistics_and_robots():
    batch, _ = await ask(harbor())
    assert of(batch, STORAGE_USED_RATIO) == {labels(volume="harbor"): 0.8}
    assert of(batch, STORAGE_BYTES)[labels(volume="harbor", state="available")] == 20 << 30
    assert of(batch, JOBS_PAUSED) == {labels(type="REPLICATION"): 0, labels(type="IMAGE_SCAN"): 1}
    assert of(batch, PROJECTS)[labels(quota="near")] == 1
    assert of(batch, QUOTA_USED_RATIO) == {(): pytest.approx(0.97)}
    assert of(batch, STORED_BYTES) == {(): 16815296512}
    assert of(batch, ROBOT_EXPIRY) == {(): 1790604800}
    assert {"the job queue IMAGE_SCAN is paused", "robot account robot$seawall expires in 7d"} <= set(
        batch.notes
    )


async def test_garbage_collection_dry_runs_left_out():
    batch, _ = await ask(harbor())
    assert of(batch, GC_RUNNING) == {(): 1} and of(batch, GC_FAILED) == {(): 1}
    assert of(batch, GC_LAST_SUCCESS) == {(): parse_time("2026-09-18T14:05:00Z")}
    assert of(batch, GC_DURATION) == {(): 300} and of(batch, GC_FREED) == {(): 734003200}
    assert of(batch, GC_PROGRESS) == {(): 0.25}
    assert "the last garbage collection ended with Error" in batch.notes


async def test_a_log_too_long_is_read_once_for_a_run():
    long = (200, {}, b"x" * (MAX_ANSWER + 1))
    batch, server = await ask(harbor(system_gc_9_log=long), rounds=3)
    assert of(batch, GC_PROGRESS) == {} and of(batch, GC_RUNNING) == {(): 1}
    assert [request.path for request in server.requests].count("/api/v2.0/system/gc/9/log") == 1


async def test_replication_that_fails_or_hangs_is_seen():
    batch, _ = await ask(harbor())
    assert of(batch, REPLICATION_EXECUTIONS) == {
        labels(status="success"): 2, labels(status="failed"): 1,
        labels(status="stopped"): 0, labels(status="in_progress"): 1,
    }  # fmt: skip
    assert of(batch, REPLICATION_FAILING) == {(): 1} and of(batch, REPLICATION_RUNNING) == {(): 3600}
    assert of(batch, REPLICATION_LAST_SUCCESS) == {(): parse_time("2026-09-20T12:02:00Z")}
    assert "replication policy 1 failed the last time" in batch.notes


@pytest.mark.parametrize(
    "volume", [{"total": 0, "free": 0}, {"total": 5, "free": 9}, {"total": 5, "free": -1}, {"total": "5"}, {}]
)
async def test_a_volume_that_cannot_be_right_is_unknown_and_neither_full_nor_empty(volume):
    batch, _ = await ask(harbor({**DOCUMENTS, "/systeminfo/volumes": {"storage": [volume]}}))
    assert not of(batch, STORAGE_USED_RATIO) and not of(batch, STORAGE_BYTES)
    assert any("harbor is unknown" in note for note in batch.notes)


@pytest.mark.parametrize("fact", [fact for fact in FACTS if fact.right], ids=lambda fact: fact.path)
async def test_a_missing_right_is_named_and_takes_nothing_else_away(fact):
    batch, _ = await ask(harbor(**{fact.path.strip("/").replace("/", "_"): (403, {}, b"{}")}))
    refused = [note for note in batch.notes if "answered 403" in note]
    assert len(refused) == 1 and refused[0].endswith(f"give the account the right {fact.right!r}")
    assert of(batch, COMPONENT_UP) and len({sample.signal for sample in batch.samples}) > 8


async def test_a_wrong_password_leaves_the_health():
    batch, _ = await ask(harbor(), username="mallory")
    assert {sample.signal for sample in batch.samples} == {COMPONENT_UP}
    assert sum("the user name or password is wrong" in note for note in batch.notes) == len(FACTS)


async def test_without_an_account_only_health_is_asked():
    batch, server = await ask(harbor(), username=None)
    assert [request.path for request in server.requests] == ["/api/v2.0/health"]
    assert "no username, so only its health is known" in batch.asides[-1]


async def test_what_the_exporter_has_is_not_asked_again():
    _, server = await ask(harbor(), exporter=True)
    asked = {request.path for request in server.requests}
    assert not asked & {"/api/v2.0/quotas", "/api/v2.0/statistics"}


async def test_an_older_harbor_lacks_a_path():
    batch, _ = await ask(harbor(jobservice_queues=(404, {}, b"{}")))
    assert not of(batch, JOBS_PAUSED) and any("has it not (404)" in note for note in batch.notes)


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_proxy_without_core_says_that_core_is_down(status):
    batch, server = await ask(lambda request: (status, {}, b"<html>"))
    assert of(batch, COMPONENT_UP) == {labels(component="core"): 0} and len(batch.samples) == 1
    assert len(server.requests) == 1


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"components": 3}', b"[" * 100_000])
async def test_a_health_that_is_none_is_an_error(body):
    with pytest.raises(InputError, match=r"/health: .*; name Harbor's own address as url"):
        await ask(harbor(health=(200, {}, body)))


async def test_an_unreachable_harbor_is_told():
    async with serving(harbor()) as server:
        pass
    with pytest.raises(SeawallError, match="connection refused"):
        await HarborApi("reg", HarborClient(server.url), False, False).collect(NOW)


async def test_2500_projects_are_read_page_by_page_up_to_the_limit():
    def quotas(request):
        start = (int(request.query["page"][0]) - 1) * 100
        entries = [
            {"ref": {"name": f"p{n}"}, "hard": {"storage": 10}, "used": {"storage": 1}}
            for n in range(start, min(start + 100, 2500))
        ]
        return 200, {}, json.dumps(entries).encode()

    batch, _ = await ask(harbor(quotas=quotas))
    assert of(batch, PROJECTS)[labels(quota="below")] == 2000
    assert "/quotas: only the first 2000 are looked at" in batch.asides


KEYS = st.sampled_from(
    (
        "components", "name", "status", "error", "storage", "total", "free", "ref", "used", "hard", "id",
        "job_status", "job_parameters", "creation_time", "update_time", "policy_id", "start_time", "end_time",
        "job_type", "count", "latency", "paused", "disable", "expires_at",
        "total_storage_consumption", "dry_run",
    )
)  # fmt: skip
WORDS = st.sampled_from(["Success", "Running", "InProgress", "Failed", "9999-12-31T23:59:59Z", '{"a":', "{}"])
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | WORDS | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=8),
    max_leaves=30,
)
READERS = [fact.read for fact in FACTS]


@given(JSON)
def test_any_answer_gives_finite_samples_or_none(document):
    for reader in READERS:
        for sample in reader(document, "reg", NOW).samples:
            assert abs(sample.value) < float("inf")
    harbor_facts.running_collection(document)
    with contextlib.suppress(InputError):
        harbor_facts.health(document, "reg", NOW)


@given(st.text(alphabet="[]/0123456789 x", max_size=60))
def test_any_log_gives_a_progress_within_0_and_1_or_none(log):
    for sample in harbor_facts.progress(log, "reg", NOW):
        assert 0 <= sample.value <= 1
