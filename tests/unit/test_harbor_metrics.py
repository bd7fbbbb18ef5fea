"""Harbor's metrics pages, with the names of its sources (golden/reconstructed), over HTTP."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.harbor import REMEDY, HarborExporter, Project, harbor_page, quota_notes, quota_samples
from collectors.pages import Target
from seawall.core.errors import InputError
from seawall.core.signals import (
    COMPONENT_DURATION,
    COMPONENT_UP,
    GC_RUNS,
    IN_FLIGHT,
    JOBS,
    JOBS_LATENCY,
    JOBS_QUEUED,
    PROJECTS,
    QUOTA_USED_RATIO,
    REPLICATION_TASKS,
    REQUESTS,
    STORED_BYTES,
    labels,
)
from tests.scripted import serving

GOLDEN = Path(__file__).parent.parent / "golden"
PAGES = {
    "core": (GOLDEN / "reconstructed/harbor-core.prom").read_bytes(),
    "jobservice": (GOLDEN / "reconstructed/harbor-jobservice.prom").read_bytes(),
    "registry": (GOLDEN / "captured/distribution-2.8.2-metrics.txt").read_bytes(),
    "": (GOLDEN / "reconstructed/harbor-exporter.prom").read_bytes(),
}


def harbor(request):
    return 200, {}, PAGES[request.query.get("comp", [""])[0]]


def of(batch, signal):
    return {sample.labels: sample.value for sample in batch.samples if sample.signal == signal}


async def read(component):
    async with serving(harbor) as server:
        return await harbor_page("reg", Target(f"{server.url}/metrics", REMEDY), component).collect(1.0)


def without(page: bytes, *starts: bytes) -> bytes:
    return b"".join(line for line in page.splitlines(keepends=True) if not line.startswith(starts))


async def test_core_gives_requests_by_operation_and_its_own_quantiles():
    batch = await read("core")
    assert of(batch, REQUESTS) == {
        labels(handler="manifest", code="200"): 4911,
        labels(handler="manifest", code="500"): 10,
        labels(handler="blob", code="200"): 18,
        labels(handler="GetHealth", code="200"): 77,
    }
    assert of(batch, IN_FLIGHT) == {labels(handler="core"): 3}
    # Blobs were not asked for lately: their quantiles are NaN, which is unknown.
    assert of(batch, COMPONENT_DURATION) == {
        labels(component="core", operation="manifest", quantile="0.5"): 0.012,
        labels(component="core", operation="manifest", quantile="0.9"): 0.05,
        labels(component="core", operation="manifest", quantile="0.99"): 0.31,
    }


async def test_jobs_replication_and_garbage_collection_are_counted():
    batch = await read("jobservice")
    assert of(batch, JOBS)[labels(type="IMAGE_SCAN", status="success")] == 311
    assert of(batch, REPLICATION_TASKS) == {labels(status="success"): 40, labels(status="fail"): 2}
    assert of(batch, GC_RUNS) == {labels(status="success"): 5, labels(status="stop"): 1}


async def test_requests_of_the_inner_registry_are_not_counted_twice():
    batch = await read("registry")
    assert batch.samples and not of(batch, REQUESTS)


async def exporter(*pages: bytes):
    answers = list(pages)
    async with serving(lambda request: (200, {}, answers.pop(0))) as server:
        collector = HarborExporter("reg", Target(f"{server.url}/metrics", REMEDY))
        return [await collector.collect(float(n)) for n in range(len(pages))][-1]


async def test_the_exporter_gives_components_queues_and_quotas():
    batch = await exporter(PAGES[""])
    assert of(batch, COMPONENT_UP) == {
        labels(component="core"): 1, labels(component="database"): 1,
        labels(component="jobservice"): 0, labels(component="registry"): 1,
    }  # fmt: skip
    assert of(batch, JOBS_QUEUED)[labels(type="REPLICATION")] == 4
    assert of(batch, JOBS_LATENCY)[labels(type="REPLICATION")] == 12
    assert of(batch, STORED_BYTES) == {(): 1.6815296512e10}
    assert of(batch, PROJECTS) == {
        labels(quota="unlimited"): 1, labels(quota="below"): 1,
        labels(quota="near"): 1, labels(quota="full"): 0,
    }  # fmt: skip
    assert of(batch, QUOTA_USED_RATIO) == {(): pytest.approx(0.97)}
    assert batch.notes == ["project team-a uses 97% of its quota"]


async def test_health_that_vanishes_says_that_core_is_down_and_no_more():
    gone = without(PAGES[""], b"harbor_health", b"harbor_up")
    batch = await exporter(PAGES[""], gone)
    assert of(batch, COMPONENT_UP) == {labels(component="core"): 0}
    assert of(batch, JOBS_QUEUED) and "harbor_health has vanished" in batch.notes[0]
    assert of(await exporter(gone), COMPONENT_UP) == {labels(component="core"): 0}


async def test_an_exporter_that_reaches_nothing_any_more_is_core_down_too():
    empty = b"go_goroutines 9\n"
    assert of(await exporter(PAGES[""], empty), COMPONENT_UP) == {labels(component="core"): 0}


async def test_a_page_that_never_was_harbors_is_no_sign_of_harbor():
    with pytest.raises(InputError, match="no metric of Harbor: not its exporter"):
        await exporter(b"node_load1 0.5\n")


async def test_a_broken_health_line_is_not_an_absence():
    broken = PAGES[""].replace(b"harbor_health 0", b"harbor_health zero")
    batch = await exporter(broken)
    assert of(batch, COMPONENT_UP)[labels(component="core")] == 1 and "broken line" in batch.notes[0]


async def test_a_page_that_is_missing_leaves_the_others():
    def answer(request):
        return (503, {}, b"") if request.query.get("comp") == ["core"] else harbor(request)

    async with serving(answer) as server:
        target = Target(f"{server.url}/metrics", REMEDY)
        with pytest.raises(InputError, match=r"comp=core: answered 503; enable it with metric\.enabled"):
            await harbor_page("reg", target, "core").collect(1.0)
        assert (await harbor_page("reg", target, "jobservice").collect(1.0)).samples
        assert (await HarborExporter("reg", target).collect(1.0)).samples


@pytest.mark.parametrize(
    ("used", "limit", "state"),
    [
        (5, -1, "unlimited"),
        (0, 10, "below"),
        (8.5, 10, "below"),
        (9, 10, "near"),
        (10, 10, "full"),
        (0, 0, "full"),
    ],
)
def test_the_states_of_a_quota(used, limit, state):
    assert Project("p", used, limit).state == state


PROJECT = st.builds(Project, st.text(max_size=5), st.floats(), st.floats())


@given(st.lists(PROJECT, max_size=20))
def test_every_project_has_one_state_and_no_name_becomes_a_label(projects):
    samples = list(quota_samples(projects, "reg", 1.0))
    assert sum(sample.value for sample in samples if sample.signal == PROJECTS) == len(projects)
    assert {name for sample in samples for name, _ in sample.labels} <= {"quota"}
    assert len(list(quota_notes(projects))) <= 3


def test_the_fullest_projects_are_named_first():
    projects = [Project(name, used, 10) for name, used in (("a", 9), ("b", 12), ("c", 8.6), ("d", 9.5))]
    assert [note.split()[1] for note in quota_notes(projects)] == ["b", "d", "a"]
    assert [note.split()[1] for note in quota_notes([replace(projects[0], limit=-1)])] == []
