"""Harbor's audit log, paged from a real HTTP server: nothing skipped, nothing kept twice."""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors import harbor_audit
from collectors.harbor_audit import HarborAudit, parse_entry
from collectors.harbor_client import HarborClient
from seawall.core.errors import InputError, SeawallError
from seawall.core.times import rfc3339
from tests.harbor import LOGIN, HarborStand

SAMPLES = json.loads((Path(__file__).parent.parent / "golden/reconstructed/harbor-audit.json").read_text())
NOW = 1_790_000_000.0


def entry(id: int, at: float, **changes) -> dict:
    digest = f"sha256:{id:064x}"
    return {
        "id": id,
        "username": "anonymous",
        "resource": "library/nginx:1.27",
        "resource_type": "artifact",
        "operation": "pull",
        "operation_description": f"pull artifact: library/nginx@{digest}",
        "operation_result": True,
        "op_time": rfc3339(at),
        **changes,
    }


class Log:
    """Harbor's audit table."""

    def __init__(self, *entries: dict) -> None:
        self.entries = list(entries)

    def __call__(self) -> list[dict]:
        return self.entries


class Reader:
    """Collects as the cycle does: ids are kept once, positions advance once stored."""

    def __init__(self, stand: HarborStand, password: str = LOGIN[1]) -> None:
        self.stand, self.password = stand, password
        self.kept: dict[str, dict] = {}
        self.checkpoint: str | None = None
        self.start()

    def start(self) -> None:
        self.audit = HarborAudit("reg", HarborClient(self.stand.url, LOGIN[0], lambda: self.password))
        self.audit.restore(self.checkpoint)

    async def round(self, now: float = NOW, durable: bool = True):
        batch = await self.audit.collect(now)
        if durable:
            self.kept.update({event.id: dict(event.fields) for event in batch.events})
            self.checkpoint = batch.checkpoints.get(self.audit.source, self.checkpoint)
            await self.audit.stored()
        return batch

    def ids(self) -> list[int]:
        return sorted(int(f["registry.digest"].removeprefix("sha256:"), 16) for f in self.kept.values())


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def stand(log):
    with HarborStand({"/auditlog-exts": log}) as stand:
        yield stand


def test_an_entry_gives_exactly_these_fields():
    event = parse_entry(SAMPLES["auditlog-exts"][0], "reg", "auditlog-exts")
    assert event.fields == {
        "@timestamp": "2026-01-02T15:04:06.120Z",
        "event.action": "pull",
        "event.dataset": "harbor.audit",
        "event.outcome": "success",
        "message": f"pull artifact: library/nginx@sha256:{'0a' * 32}",
        "registry.digest": f"sha256:{'0a' * 32}",
        "registry.name": "reg",
        "registry.operation": "manifest",
        "registry.reference": "1.27",
        "registry.repository": "library/nginx",
        "seawall.format": "harbor.audit",
        "user.name": "robot$ci",
    }


def test_what_happened_to_artifacts_is_told_and_log_ins_are_not():
    told = [parse_entry(item, "reg", "x") for items in SAMPLES.values() for item in items]
    actions = [event.fields["event.action"] if event else None for event in told]
    assert actions == ["pull", "pull", "push", None, "pull", "delete"]


@pytest.mark.parametrize("resource", [f"a/b:sha256:{'0a' * 32}", f"a/b@sha256:{'0a' * 32}"])
def test_a_digest_of_the_old_form_stands_in_the_resource(resource):
    old = {"id": 1, "operation": "pull", "resource_type": "artifact", "op_time": "2026-01-02T15:04:05Z"}
    fields = parse_entry(old | {"resource": resource}, "reg", "audit-logs").fields
    assert fields["registry.repository"] == "a/b"
    assert fields["registry.digest"] == fields["registry.reference"] == f"sha256:{'0a' * 32}"


def test_a_failed_pull_is_a_failure():
    event = parse_entry(entry(1, NOW, operation_result=False), "reg", "x")
    assert event.fields["event.outcome"] == "failure"


@pytest.mark.parametrize("links", [True, False])
async def test_several_pages_are_read_with_and_without_links(log, stand, links):
    stand.links = links
    log.entries = [entry(n, NOW - n) for n in range(1, 251)]
    reader = Reader(stand)
    await reader.round()
    assert reader.ids() == list(range(1, 251))
    assert len(stand.asked) == 3 and all("sort=-op_time" in path for path in stand.asked)


async def test_the_first_reading_goes_back_one_day(log, stand):
    log.entries = [entry(n, NOW - n * 3600) for n in range(1, 251)]
    reader = Reader(stand)
    await reader.round()
    assert set(range(1, 25)) <= set(reader.ids()) and len(stand.asked) == 2


async def test_only_what_is_new_comes_next_time(log, stand):
    log.entries = [entry(n, NOW - n) for n in range(1, 51)]
    reader = Reader(stand)
    await reader.round()
    log.entries.append(entry(51, NOW))
    assert [e.fields["registry.digest"][-2:] for e in (await reader.round()).events] == ["33"]


async def test_entries_of_one_second_over_a_page_edge_and_late_ones_are_kept(log, stand):
    log.entries = [entry(n, NOW - 5) for n in range(1, 151)]
    reader = Reader(stand)
    await reader.round()
    log.entries += [entry(n, NOW - 5) for n in range(151, 300)]
    log.entries.append(entry(300, NOW - 5 - harbor_audit.OVERLAP + 1))
    await reader.round()
    assert reader.ids() == list(range(1, 301))


async def test_a_restart_goes_on_at_the_checkpoint_without_a_second_event(log, stand):
    log.entries = [entry(n, NOW - 400 + n) for n in range(1, 301)]
    reader = Reader(stand)
    await reader.round()
    before = set(reader.kept)
    reader.start()
    log.entries.append(entry(301, NOW))
    batch = await reader.round()
    assert len({event.id for event in batch.events} - before) == 1
    assert reader.ids() == list(range(1, 302)) and len(batch.events) < 301


async def test_what_was_not_stored_is_read_again(log, stand):
    log.entries = [entry(1, NOW)]
    reader = Reader(stand)
    first, second = await reader.round(durable=False), await reader.round()
    assert [e.id for e in first.events] == [e.id for e in second.events]


async def test_a_long_log_is_caught_up_over_several_rounds(log, stand, monkeypatch):
    monkeypatch.setattr(harbor_audit, "MAX_PAGES", 2)
    log.entries = [entry(n, NOW - 1000 + n) for n in range(1, 501)]
    reader = Reader(stand)
    batch = await reader.round()
    assert "caught up; page 3 comes next" in batch.asides[0] and reader.checkpoint is None
    log.entries += [entry(n, NOW - 1000 + n) for n in range(501, 531)]
    for _ in range(5):
        await reader.round()
    assert reader.ids() == list(range(1, 531))


async def test_the_old_api_stands_in_and_is_remembered(log, stand):
    stand.lists = {"/audit-logs": Log(*SAMPLES["audit-logs"])}
    at = 1_767_366_300.0
    reader = Reader(stand)
    await reader.round(at)
    await reader.round(at)
    assert [f["event.action"] for f in reader.kept.values()] == ["pull", "delete"]
    assert [path.partition("?")[0].rpartition("/")[2] for path in stand.asked] == [
        "auditlog-exts", "audit-logs", "audit-logs",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (401, "answered 401; the user name or password is wrong"),
        (403, "answered 403; this account may not read it"),
        (500, "answered 500; see Harbor's core log"),
        (302, "answered 302"),
        ("half", "half an answer"),
        ("page", "answered 200 without JSON"),
    ],
)
async def test_a_fault_says_why_and_loses_nothing(log, stand, fault, told):
    log.entries = [entry(n, NOW - n) for n in range(1, 151)]
    reader = Reader(stand)
    stand.faults.extend([0, fault])
    with pytest.raises(SeawallError, match=told) as raised:
        await reader.round()
    assert "/auditlog-exts" in str(raised.value) and LOGIN[1] not in str(raised.value)
    await reader.round()
    assert reader.ids() == list(range(1, 151))


async def test_a_wrong_password_is_told(stand):
    with pytest.raises(InputError, match="answered 401"):
        await Reader(stand, "wrong").round()


async def test_after_429_harbor_is_left_alone_for_as_long_as_it_said(log, stand):
    reader = Reader(stand)
    stand.faults.append(429)
    with pytest.raises(SeawallError, match="answered 429"):
        await reader.round()
    with pytest.raises(SeawallError, match=r"asked again in [67] s"):
        await reader.round()
    assert len(stand.asked) == 1


async def test_a_harbor_that_is_away_is_told():
    with HarborStand({}) as stand:
        url = stand.url
    with pytest.raises(SeawallError, match="connection refused; is this Harbor's address"):
        await HarborAudit("reg", HarborClient(url)).collect(NOW)


async def test_a_broken_entry_loses_no_neighbour(log, stand):
    log.entries = [entry(1, NOW), entry(2, NOW) | {"id": "x"}, entry(4, NOW)]
    reader = Reader(stand)
    batch = await reader.round()
    assert reader.ids() == [1, 4] and "1 entries without an id" in batch.notes[0]


async def test_a_harbor_whose_clock_is_ahead_does_not_blind_us(log, stand):
    log.entries = [entry(1, NOW + 9999)]
    reader = Reader(stand)
    await reader.round()
    log.entries.append(entry(2, NOW + 1))
    await reader.round(NOW + 1)
    assert reader.ids() == [1, 2]


@pytest.mark.parametrize("bad", ["x", "[]", "{}", '{"time": "a"}', '{"time": null}'])
def test_a_broken_checkpoint_is_refused(bad):
    with pytest.raises(InputError, match="delete it to read the last day anew"):
        HarborAudit("reg", HarborClient("http://127.0.0.1:1")).restore(bad)


STEPS = st.lists(
    st.one_of(st.integers(1, 130), st.sampled_from(["round", "lost round", "restart", "late", "fault"])),
    max_size=12,
)


@settings(max_examples=15, deadline=None)
@given(STEPS)
def test_any_history_is_read_exactly_once(steps):
    asyncio.run(_history(steps))


async def _history(steps: list[int | str]) -> None:
    log, now = Log(), NOW
    with HarborStand({"/auditlog-exts": log}) as stand:
        reader = Reader(stand)
        for step in [*steps, "round"]:
            now += 2
            count = len(log.entries)
            if isinstance(step, int):
                log.entries += [entry(count + n + 1, now - n % 3) for n in range(step)]
            elif step == "late":
                log.entries.append(entry(count + 1, now - 30))
            elif step == "restart":
                reader.start()
            elif step == "fault":
                stand.faults.append(500)
                with pytest.raises(SeawallError):
                    await reader.round(now)
            else:
                await reader.round(now, durable=step == "round")
    assert reader.ids() == list(range(1, len(log.entries) + 1))


async def test_a_slow_harbor_is_read_page_by_page(log, stand):
    log.entries = [entry(n, NOW - n) for n in range(1, 351)]
    reader = Reader(stand)
    reader.audit.timeout = 0.0
    for pages in range(1, 5):
        await reader.round()
        assert len(stand.asked) == pages
    assert reader.ids() == list(range(1, 351))
