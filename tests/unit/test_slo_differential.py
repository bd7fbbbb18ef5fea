"""The same history judged by DuckDB, by the memory store, and by a reference that knows neither: all agree.

The reference below is written from the words of docs/slo.md, with lists and loops over the raw history.
Histories have several sites, gaps, late and repeated data, and moments on and beside every edge: minute,
hour, day, month, leap day, and the hours when clocks change.
"""

import math
import random
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts.evaluate import Evaluator
from alerts.slos import load_rows, load_windows
from seawall.core.pulls import DATASET
from seawall.core.signals import Event, Sample, labels
from seawall.core.slos import Exclusion
from seawall.core.times import parse_time, rfc3339
from seawall.stores.duckdb import DuckDatabase, DuckEvents, DuckSamples
from seawall.stores.memory import MemoryEvents, MemorySamples

EDGES = [
    "2026-10-31T23:59:50Z", "2026-11-01T00:00:00Z", "2026-11-01T00:00:01Z", "2026-11-01T00:01:00Z",
    "2026-12-31T23:59:59Z", "2027-01-01T00:00:30Z", "2028-02-29T12:00:00Z", "2028-03-01T00:00:00Z",
    "2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z", "2026-11-24T12:00:00Z", "2026-11-24T13:00:00.500Z",
]  # fmt: skip
BURNS = [(3600, 300, 14.4), (21600, 1800, 6.0), (86400, 7200, 3.0), (259200, 21600, 1.0)]
STEP = 10.0


class History:
    """(what, when it arrived), in the order of arrival."""

    def __init__(self, now: float, seed: int) -> None:
        dice = random.Random(seed)
        self.now, self.samples, self.events = now, [], []
        sites = ["a", "b", "c"][: dice.randint(1, 3)]
        span = dice.choice([600, 5400, 20000])
        health = {site: dice.choice([0.02, 0.3, 0.6]) for site in sites}
        at, number = now - span, 0
        quiet = sorted(now - dice.random() * span for _ in range(4))
        while at <= now + 30:
            if not quiet[0] < at < quiet[1] and not quiet[2] < at < quiet[3]:
                for site in sites:
                    if dice.random() < 0.9:
                        ok = float(dice.random() >= health[site])
                        self._probe(dice, Sample("main", "seawall_probe_success", at, ok, labels(site=site)))
                for _ in range(dice.choice([0, 0, 1, 9])):
                    number += 1
                    self._request(dice, number, at + dice.random() * STEP)
            at += STEP
        for volume in ("/data", "/cache"):
            used = dice.choice([0.3, 0.85, 0.8500001])
            measured = now - dice.choice([0.0, 299.0, 300.0, 301.0])
            self._probe(
                dice, Sample("main", "seawall_storage_used_ratio", measured, used, labels(volume=volume))
            )
        dice.shuffle(self.samples)

    def _probe(self, dice: random.Random, sample: Sample) -> None:
        late = dice.choice([0.0, 0.0, 0.0, 2.0, 1800.0])
        self.samples.append((sample, sample.at + late))

    def _request(self, dice: random.Random, number: int, at: float) -> None:
        fields = {
            "event.duration": round(dice.choice([0.1, 0.4999, 0.5, 0.5001, 2.0]) * 1e9),
            "http.request.method": dice.choice(["GET", "GET", "HEAD"]),
            "http.response.status_code": dice.choice([200, 200, 200, 304, 404, 500]),
            "registry.operation": dice.choice(["manifest", "manifest", "blob"]),
            "user_agent.original": dice.choice(
                ["containerd/1.7", "containerd/1.7", "seawall/1", "harbor-registry-client"]
            ),
        }
        if dice.random() < 0.1:
            judged = at + dice.choice([1.0, 600.0])
            fields = {
                "event.dataset": DATASET,
                "seawall.signature": dice.choice(["signed", "unsigned"]),
                "event.created": rfc3339(judged),
            }
        self.events.append((Event(f"e{number}", at, "main", fields), at + dice.choice([0.0, 0.0, 700.0])))


class Reference:
    """The answers, from the raw lists."""

    def __init__(self, history: History, excluded: tuple[float, float] | None) -> None:
        self.now, self.excluded = history.now, excluded
        self.samples = [it for it, arrived in history.samples if arrived <= history.now]
        self.events = [it for it, arrived in history.events if arrived <= history.now]

    def month(self) -> float:
        day = datetime.fromtimestamp(self.now, UTC)
        return datetime(day.year, day.month, 1, tzinfo=UTC).timestamp()

    def length(self) -> float:
        day = datetime.fromtimestamp(self.now, UTC)
        after = datetime(day.year + day.month // 12, day.month % 12 + 1, 1, tzinfo=UTC)
        return after.timestamp() - self.month()

    def minutes(self) -> dict[int, bool]:
        """Unix minute -> was it bad, of whole watched minutes of the month that maintenance leaves."""
        said, first, end = {}, self.month(), math.floor(self.now / 60) * 60
        requests: dict[int, list[bool]] = {}
        for it in self.samples:
            if it.signal == "seawall_probe_success" and first <= it.at < end:
                sites = said.setdefault(math.floor(it.at / 60), {})
                sites.setdefault(it.labels, []).append(it.value)
        for it in self.events:
            if first <= it.at < end and self.client(it):
                failed = it.fields["http.response.status_code"] >= 500
                requests.setdefault(math.floor(it.at / 60), []).append(failed)
        found = {}
        for minute, sites in said.items():
            down = [values.count(0.0) >= len(values) / 2 for values in sites.values()]
            found[minute] = down.count(True) >= len(down) / 2
        for minute, failed in requests.items():
            if len(failed) >= 20 and failed.count(True) / len(failed) > 0.05:
                found[minute] = True
        return {minute: bad for minute, bad in found.items() if not self.out(minute)}

    def out(self, minute: int) -> bool:
        return (
            self.excluded is not None
            and self.excluded[0] <= minute * 60
            and minute * 60 + 60 <= self.excluded[1]
        )

    @staticmethod
    def client(it: Event) -> bool:
        agent = it.fields.get("user_agent.original", "")
        return "event.duration" in it.fields and not agent.startswith(("seawall", "harbor-registry-client"))

    def burn(self, bad: set[int], span: float) -> float:
        end = math.floor(self.now / 60) * 60
        recent = [minute for minute in bad if minute >= math.floor((end - span) / 60)]
        return len(recent) * 60 / span / (300 / self.length())

    def latencies(self) -> list[float]:
        """The pool: an hour's requests, or the last 1,000 where there were fewer."""
        found = sorted(
            (it.at, it.fields["event.duration"] / 1e9)
            for it in self.events
            if self.client(it)
            and it.at < self.now
            and it.fields["registry.operation"] == "manifest"
            and it.fields["http.request.method"] == "GET"
            and it.fields["http.response.status_code"] in (200, 304)
        )
        hour = [seconds for at, seconds in found if at >= self.now - 3600]
        return hour if len(hour) >= 1000 else [seconds for _, seconds in found[-1000:]]

    def disk(self) -> float | None:
        fresh = [
            it.value
            for it in self.samples
            if it.signal == "seawall_storage_used_ratio" and self.now - 300 <= it.at <= self.now
        ]
        return max(fresh, default=None)

    def unsigned(self) -> int:
        return sum(
            it.fields.get("seawall.signature") == "unsigned"
            and self.now - 86400 <= it.at < self.now + 300
            and datetime.fromisoformat(it.fields["event.created"].replace("Z", "+00:00")).timestamp()
            < self.now
            for it in self.events
        )


def agrees(judge: Evaluator, it: Reference) -> None:
    """Every row of a judge against the reference."""
    rows = {row.name: row for row in judge.judge("main", it.now)}
    minutes, row = it.minutes(), rows["availability"]
    bad = {minute for minute, was in minutes.items() if was}
    assert row.samples == len(minutes)
    assert row.window == (it.month(), it.month() + it.length())
    assert row.value == (len(bad) * 60.0 if minutes else None)
    if minutes:
        assert row.budget_remaining_ratio == pytest.approx(1 - len(bad) / 5)
        assert row.burn_rate == pytest.approx(it.burn(bad, 3600))
        burning = any(min(it.burn(bad, long), it.burn(bad, short)) >= factor for long, short, factor in BURNS)
        assert (row.status == "breached") is (len(bad) > 5)
        assert (
            len(bad) > 5
            or row.indicator_ok is None
            or (row.status == "at_risk") is (burning or not row.indicator_ok)
        )
    pool, row = sorted(it.latencies()), rows["pull_latency"]
    assert row.samples == len(pool)
    assert row.value == (pool[math.ceil(0.99 * len(pool)) - 1] if pool else None)
    assert (row.status == "breached") is (bool(pool) and sum(s <= 0.5 for s in pool) / len(pool) < 0.99)
    assert rows["storage_capacity"].value == it.disk()
    unsigned, row = it.unsigned(), rows["unsigned_pulls"]
    assert (row.status == "breached") is (unsigned > 0)
    if row.value is not None:
        assert row.value == unsigned


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("differential")


@given(
    edge=st.sampled_from(EDGES),
    shift=st.sampled_from([0, 1, 59, 60, 61, 3599, 3600, 86400]),
    seed=st.integers(0, 10**9),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_stores_and_reference_agree_on_every_row(folder, edge, shift, seed):
    now = parse_time(edge) + shift
    history = History(now, seed)
    planned = (now - 900, now - 330) if seed % 2 else None
    exclusions = [Exclusion("main", *planned, "new disks", "ann")] if planned else []
    reference = Reference(history, planned)
    database = DuckDatabase(folder / f"{now}-{seed}")
    stores = [(DuckSamples(database), DuckEvents(database)), (MemorySamples(), MemoryEvents())]
    stores[0][0].backfill(*map(list, zip(*history.samples, strict=True)))
    if history.events:
        stores[0][1].backfill(*map(list, zip(*history.events, strict=True)))
    if seed % 3 == 0:
        database.close_days(now)
    stores[1][0].append(reference.samples)
    stores[1][1].append(reference.events, {})
    stores[0] = (stores[0][0].past(now), stores[0][1].past(now))
    try:
        for samples, events in stores:
            agrees(
                Evaluator(load_rows(), load_windows(), samples, events, STEP, ["main"], lambda _: exclusions),
                reference,
            )
    finally:
        database.close()


@given(seed=st.integers(0, 10**9))
@settings(max_examples=15, deadline=None)
def test_a_judge_that_saw_it_come_agrees_with_one_that_sees_it_whole(seed):
    """Turn after turn, with late data and a restart on the way: the answer is the fresh reading's."""
    now = parse_time(EDGES[seed % len(EDGES)])
    history = History(now, seed)
    samples, events = MemorySamples(), MemoryEvents()
    make = lambda: Evaluator(load_rows(), load_windows(), samples, events, STEP, ["main"])  # noqa: E731
    judge, turn = make(), now - 20000
    coming = sorted(
        [(arrived, it, None) for it, arrived in history.samples]
        + [(arrived, None, it) for it, arrived in history.events],
        key=lambda it: it[0],
    )
    while turn < now:
        turn = min(now, turn + 1700)
        while coming and coming[0][0] <= turn:
            _, sample, event = coming.pop(0)
            samples.append([sample] if sample else [])
            events.append([event] if event else [], {})
            judge.heard("main", (sample or event).at)
        if seed % 2 and abs(now - turn - 10000) < 850:
            judge = make()
        judge.judge("main", turn)
    agrees(judge, Reference(history, None))
