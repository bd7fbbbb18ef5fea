"""One turn over real stores, judge and correlation; clock, runner and observer are fakes."""

import asyncio
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from alerts.correlate import Correlation
from alerts.evaluate import Evaluator
from alerts.slos import load_rows, load_windows
from seawall.core.actions import ActionState as S
from seawall.core.errors import InputError, StoreUnavailable
from seawall.core.foresight import Forecast, Sight
from seawall.core.incidents import Finding, IncidentState
from seawall.core.ports import Score
from seawall.core.signals import Batch, Event, Sample, labels
from seawall.core.slos import Status
from seawall.cycle import Cycle, Parts
from seawall.keeping import Keeper
from seawall.stores.memory import MemoryEvents, MemorySamples
from tests.fakes import FakeObserver
from tests.unit.test_lifecycle import Bench

INTERVAL = 10.0


class World:
    """A cycle whose probe rounds the test writes by hand."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder)
        self.clock, self.records = self.bench.clock, self.bench.records
        self.samples, self.events = MemorySamples(), MemoryEvents()
        self.observer = FakeObserver()
        rows = load_rows()
        self.cycle = Cycle(
            Parts(
                clock=self.clock,
                collectors=[],
                samples=self.samples,
                events=self.events,
                records=self.records,
                judge=Evaluator(rows, load_windows(), self.samples, self.events, INTERVAL),
                correlator=Correlation(rows),
                repair=self.bench.cycle,
                observer=self.observer,
            )
        )

    def round(self, ok: bool) -> None:
        """One probe round and the turn after it."""
        self.clock.move(INTERVAL)
        pairs = labels(site="local")
        self.samples.append([Sample("main", "seawall_probe_success", self.clock.now(), float(ok), pairs)])
        self.cycle.turn(["main"])

    def rounds(self, pattern: str) -> None:
        for character in pattern:
            self.round(character == "+")

    @property
    def incidents(self):
        return self.records.incidents()[0]

    @property
    def action(self):
        return self.records.actions()[0][0]


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def slow_requests(world, count=1000, seconds=0.9):
    fields = {
        "event.duration": round(seconds * 1e9),
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "registry.operation": "manifest",
        "registry.repository": "team/app",
        "client.ip": "127.0.0.9",
    }
    now = world.clock.now()
    world.events.append([Event(f"{now}-{i}", now - i / count, "main", fields) for i in range(count)], {})


def test_two_failed_rounds_open_one_incident_and_propose_one_repair(world):
    world.rounds("+++-")
    assert world.incidents == []
    world.rounds("---")
    assert len(world.incidents) == 1
    incident = world.incidents[0]
    assert (incident.slo, incident.registry, incident.state) == ("availability", "main", IncidentState.OPEN)
    assert "2 probe rounds failed" in incident.explanation
    assert len(incident.actions) == 1


def test_the_story_from_failure_to_proof(world):
    world.rounds("+++--")
    action = world.bench.until(world.action.id, S.AWAITING_APPROVAL)
    world.bench.cycle.approve(action.id, "ada")
    world.bench.until(action.id, S.VERIFYING)
    world.rounds("-++")
    assert world.action.state is S.VERIFYING
    assert world.action.verification.good_rounds == 2
    world.round(True)
    assert world.action.state is S.SUCCEEDED
    assert world.incidents[0].state is IncidentState.RESOLVED
    assert "healed by act-1" in world.incidents[0].timeline[-1].text
    world.rounds("+++")
    assert len(world.incidents) == 1


def test_rounds_before_the_end_of_the_run_prove_nothing(world):
    world.rounds("+++--")
    action = world.bench.until(world.action.id, S.AWAITING_APPROVAL)
    world.rounds("+")
    world.bench.cycle.approve(action.id, "ada")
    world.bench.until(action.id, S.VERIFYING)
    world.cycle.turn(["main"])
    assert world.action.verification.good_rounds == 0


def test_a_repair_that_does_not_help_is_escalated(world):
    world.rounds("+++--")
    action = world.bench.until(world.action.id, S.AWAITING_APPROVAL)
    world.bench.cycle.approve(action.id, "ada")
    world.bench.until(action.id, S.VERIFYING)
    world.rounds("-" * 20)
    assert world.action.state is S.ESCALATED
    assert world.incidents[0].state is IncidentState.OPEN
    assert any("escalated" in line.text for line in world.incidents[0].timeline)


def test_a_registry_that_recovers_by_itself_closes_the_incident_and_the_question(world):
    world.rounds("+++--")
    action = world.bench.until(world.action.id, S.AWAITING_APPROVAL)
    world.rounds("++")
    assert world.incidents[0].state is IncidentState.OPEN
    world.rounds("++")
    assert world.incidents[0].state is IncidentState.RESOLVED
    assert world.records.action(action.id).state is S.EXPIRED
    assert world.bench.runner.runs == []


def test_a_second_outage_is_a_second_incident(world):
    world.rounds("+++--++++" + "+" * 60 + "--")
    assert [it.state for it in world.incidents] == [IncidentState.OPEN, IncidentState.RESOLVED]


def test_an_outage_that_is_back_within_the_window_reopens_its_incident_and_is_repaired_anew(world):
    world.rounds("+++--")
    world.cycle.close_finding("nobody", "nothing", "")
    world.rounds("++++--")
    (it,) = world.incidents
    assert (it.state, it.reopened, it.resolved_by) == (IncidentState.OPEN, 1, None)
    assert len(it.actions) == 2
    told = [line.text for line in it.timeline]
    assert sum(text.startswith("reopened: ") for text in told) == 1
    assert world.records.audit_verify()[1] is None


def test_what_flaps_must_hold_for_longer_each_time(world):
    world.rounds("+++--++++--")
    world.rounds("+++++")
    assert world.incidents[0].state is IncidentState.OPEN  # three good rounds were enough the first time
    world.rounds("+")
    assert world.incidents[0].state is IncidentState.RESOLVED


def test_what_a_person_closed_is_not_reopened(world):
    world.rounds("+++--")
    (it,) = world.incidents
    closed = replace(it, state=IncidentState.RESOLVED, resolved_at=world.clock.now(), resolved_by="ann")
    world.records.save_incident(closed, "ann", "incident.resolved", {}, world.clock.now())
    world.rounds("+--")
    assert [it.state for it in world.incidents] == [IncidentState.OPEN, IncidentState.RESOLVED]


def test_an_alert_about_failed_probes_joins_the_outage_and_one_about_pushes_the_full_disk(world):
    world.rounds("+++--")
    probe = Finding("alertmanager", "f1", "main", None, "main: BlackboxProbeFailed", "x", world.clock.now())
    assert world.cycle.receive([probe])[0].slo == "availability"
    pairs = labels(volume="/data")
    world.samples.append([Sample("main", "seawall_storage_used_ratio", world.clock.now(), 0.97, pairs)])
    world.rounds("-")
    push = Finding("alertmanager", "f2", "main", None, "main: Push5xx", "5xx on push", world.clock.now())
    assert world.cycle.receive([push])[0].slo == "storage_capacity"
    odd = Finding("alertmanager", "f3", "main", None, "main: Licence", "ends soon", world.clock.now())
    assert world.cycle.receive([odd])[0].slo is None


def test_the_first_cause_is_ranked_first_with_its_evidence(world):
    pairs = labels(volume="/data")
    world.rounds("+++-")
    world.samples.append([Sample("main", "seawall_storage_used_ratio", world.clock.now(), 0.97, pairs)])
    world.rounds("-")
    down = next(it for it in world.incidents if it.slo == "availability")
    assert "storage_capacity" in down.causes[0] and "97.0%" in down.causes[0]
    assert "2 probe rounds failed" in down.causes[1]


def test_the_explanation_has_what_points_at_the_fault_and_not_what_tells_of_the_collecting(world):
    class Disk:
        name, registry, interval, timeout = "storage", "main", 10.0, 5.0

        async def collect(self, now):
            return Batch(notes=["/data is mounted read-only"], asides=["growth is unknown so far"])

        async def stored(self):
            pass

    assert asyncio.run(world.cycle.collect(Disk()))
    world.rounds("+++--")
    told = world.incidents[0].explanation
    assert "(/data is mounted read-only)" in told and "growth" not in told


def test_a_rejected_repair_is_not_offered_again_in_the_same_incident(world):
    world.rounds("+++--")
    action = world.bench.until(world.action.id, S.AWAITING_APPROVAL)
    world.bench.cycle.reject(action.id, "ada", "we do it by hand")
    world.rounds("---")
    assert len(world.records.actions()[0]) == 1


def test_a_repair_whose_cooldown_has_ended_is_offered_in_the_same_incident(world):
    world.rounds("+++--")
    first = world.bench.until(world.action.id, S.AWAITING_APPROVAL)
    world.bench.cycle.approve(first.id, "ada", "", first.preview.digest)
    world.bench.until(first.id, S.VERIFYING)
    world.rounds("+++++")
    assert world.incidents[0].state is IncidentState.RESOLVED
    world.rounds("--")
    told = [line.text for line in world.incidents[0].timeline if "cooldown" in line.text]
    assert len(told) == 1 and len(world.records.actions()[0]) == 1
    world.rounds("-" * 60)
    second = world.action
    assert second.id != first.id and second.incident == first.incident
    assert [line.text for line in world.incidents[0].timeline if "cooldown" in line.text] == told


def test_an_alert_that_begins_after_the_end_is_not_taken_for_its_echo(world):
    world.rounds("+++--")
    world.rounds("+++")
    over = world.incidents[0]
    assert over.state is IncidentState.RESOLVED
    slow = partial(
        Finding, "alertmanager", registry="main", slo=None, title="main: Foo", reason="slow pushes"
    )
    echo = world.cycle.receive([slow(fingerprint="e", at=over.resolved_at + 30)])
    assert (
        [it.id for it in echo]
        == [over.id]
        == [it.id for it in world.cycle.receive([slow(fingerprint="e", at=over.resolved_at + 30)])]
    )
    assert [line.text for line in world.incidents[0].timeline if "wake" in line.text] == [
        "main: Foo: in the wake of this, so that it opens nothing"
    ]
    later = world.cycle.receive([slow(fingerprint="f", at=over.resolved_at + 90)])
    assert later[0].id != over.id and later[0].state is IncidentState.OPEN


def test_a_question_that_expired_is_asked_again_while_it_hurts(world):
    world.rounds("+++--")
    action = world.bench.until(world.action.id, S.AWAITING_APPROVAL)
    world.clock.move(3600)
    world.rounds("--")
    assert world.records.action(action.id).state is S.EXPIRED
    world.round(False)
    assert world.action.id != action.id


def test_a_registry_that_is_down_explains_its_latency(world):
    world.rounds("+++--")
    slow_requests(world)
    world.rounds("--")
    assert len(world.incidents) == 1
    assert any("P99" in cause for cause in world.incidents[0].causes)


def test_slow_requests_just_after_an_outage_are_its_aftermath(world):
    world.rounds("+++--++++")
    slow_requests(world)
    world.rounds("++")
    assert len(world.incidents) == 1


def test_slow_requests_alone_are_an_incident_without_a_repair(world):
    world.rounds("+++")
    slow_requests(world)
    world.round(True)
    assert [it.slo for it in world.incidents] == ["pull_latency"]
    assert world.incidents[0].impact.clients == 1
    assert world.records.actions()[0] == []


def test_no_data_opens_nothing(world):
    world.rounds("+++")
    world.clock.move(600)
    world.cycle.turn(["main"])
    assert world.incidents == []


def test_an_outside_alert_is_closed_by_its_source(world):
    alert = Finding("alertmanager", "abc", "main", None, "main: Custom", "custom", world.clock.now())
    [incident] = world.cycle.receive([alert])
    world.cycle.close_finding("alertmanager", "abc", "over")
    assert world.records.incident(incident.id).state is IncidentState.RESOLVED


def test_our_own_finding_is_not_closed_by_another_source(world):
    world.rounds("+++--")
    alert = Finding("alertmanager", "abc", "main", "availability", "main: down", "x", world.clock.now())
    [incident] = world.cycle.receive([alert])
    world.cycle.close_finding("alertmanager", "abc", "over")
    assert world.records.incident(incident.id).state is IncidentState.OPEN


# collecting ----------------------------------------------------------------------------------


class FakeCollector:
    """A source whose behaviour the test chooses."""

    name, registry, interval, timeout = "fake", "main", 10.0, 0.2

    def __init__(self, batch=None, error=None, seconds=0.0):
        self.batch, self.error, self.seconds, self.advanced = batch or Batch(), error, seconds, 0

    async def collect(self, now):
        await asyncio.sleep(self.seconds)
        if self.error:
            raise self.error
        return self.batch

    async def stored(self):
        self.advanced += 1


async def test_a_batch_is_kept_before_its_position_advances(world):
    event = Event("e1", world.clock.now(), "main", {})
    collector = FakeCollector(Batch(events=[event], checkpoints={"log": "7"}))
    assert await world.cycle.collect(collector)
    assert (world.events.checkpoint("log"), collector.advanced) == ("7", 1)


@pytest.mark.parametrize("error", [StoreUnavailable("disk full"), OSError("gone"), ValueError("a bug")])
async def test_a_source_that_fails_is_told_and_does_not_advance(world, error):
    collector = FakeCollector(error=error)
    assert not await world.cycle.collect(collector)
    assert collector.advanced == 0
    assert world.observer.heard[-1][0] == "missed"


async def test_a_source_that_hangs_delays_nobody_else(world):
    began = time.monotonic()
    hanging, quick = FakeCollector(seconds=30), FakeCollector()
    results = await asyncio.gather(world.cycle.collect(hanging), world.cycle.collect(quick))
    assert results == [False, True]
    assert time.monotonic() - began < 5
    assert ("missed", "no answer within 200ms") in world.observer.heard


async def test_a_store_that_refuses_keeps_the_position(world):
    class Refusing(MemoryEvents):
        def append(self, events, checkpoints):
            raise StoreUnavailable("disk full")

    world.cycle.keeper = Keeper(world.samples, Refusing(), lambda samples, events: None)
    collector = FakeCollector(Batch(events=[Event("e", 1.0, "main", {})]))
    assert not await world.cycle.collect(collector)
    assert collector.advanced == 0


# the detector --------------------------------------------------------------------------------


class FakeWatcher:
    """Says one word, and forecasts what the test wants."""

    def __init__(self, forecast=None):
        self.forecast, self.heard = forecast, []

    def look(self, registry, at, values, statuses):
        self.heard.append((registry, at, dict(values)))
        scores = {name: Score(1.0, 0.5, 1.5, 0.99, "", "seasonal") for name in values}
        found = [replace(self.forecast, at=at)] if self.forecast else []
        return Sight(scores, {}, found)

    def anomalies(self):
        return []

    def verdicts(self):
        return {}


def test_scores_are_kept_and_shown_but_open_nothing(tmp_path):
    world = World(tmp_path)
    world.cycle._p = replace(world.cycle._p, watcher=FakeWatcher())
    slow_requests(world, seconds=0.2)
    world.rounds("+++")
    assert world.incidents == []
    heard = [what for kind, what in world.observer.heard if kind == "scored"]
    assert "slo:pull_latency" in heard[-1]
    kept = world.samples.latest("main", "seawall_anomaly_score", 0, world.clock.now())
    assert {dict(s.labels)["signal"] for s in kept} == {"slo:pull_latency"}


# the forecast of the promise -------------------------------------------------------------------


def disk(world, ratio):
    """One storage sample and the turn after it."""
    world.clock.move(INTERVAL)
    pairs = labels(volume="/srv")
    world.samples.append([Sample("main", "seawall_storage_used_ratio", world.clock.now(), ratio, pairs)])
    world.cycle.turn(["main"])


@pytest.fixture
def filling(tmp_path):
    """A world whose disk is forecast to fill up."""
    world = World(tmp_path)
    since = world.clock.now()
    forecast = Forecast("storage_capacity", "main", since, 86400.0, 0.8, "past changes", "80 % within 1d")
    world.watcher = FakeWatcher(forecast)
    world.cycle._p = replace(world.cycle._p, watcher=world.watcher)
    return world


def storage(world):
    return next(it for it in world.cycle.statuses["main"] if it.name == "storage_capacity")


def test_a_likely_breach_shows_in_the_row_and_opens_nothing_until_it_is_a_risk(filling):
    disk(filling, 0.6)
    assert storage(filling).breach_probability == 0.8
    assert storage(filling).status is Status.OK
    assert filling.incidents == []


def at_risk(world, since):
    world.watcher.forecast = replace(world.watcher.forecast, at_risk=since is not None, since=since)


def test_a_row_at_risk_opens_one_ticket_that_lasts_as_long_as_the_risk(filling):
    at_risk(filling, filling.clock.now())
    for _ in range(8):
        disk(filling, 0.6)
    assert storage(filling).status is Status.AT_RISK
    incident = filling.incidents[0]
    assert [it.severity for it in filling.incidents] == ["ticket"]
    assert incident.state is IncidentState.OPEN and incident.actions == ()
    assert "a breach is forecast: 80 % within 1d" in incident.explanation
    at_risk(filling, None)
    for _ in range(4):
        disk(filling, 0.6)
    assert [it.state for it in filling.incidents] == [IncidentState.RESOLVED]


def test_a_risk_that_comes_true_pages_in_the_same_incident(filling):
    at_risk(filling, filling.clock.now())
    disk(filling, 0.6)
    disk(filling, 0.9)
    assert [(it.severity, it.state) for it in filling.incidents] == [("page", IncidentState.OPEN)]


def test_a_risk_that_somebody_closed_stays_closed(filling):
    at_risk(filling, filling.clock.now())
    disk(filling, 0.6)
    incident = filling.incidents[0]
    closed = replace(incident, state=IncidentState.RESOLVED, resolved_at=filling.clock.now())
    filling.records.save_incident(closed, "ada", "incident.resolved", {}, filling.clock.now())
    disk(filling, 0.6)
    assert [it.state for it in filling.incidents] == [IncidentState.RESOLVED]


def test_a_row_that_does_not_say_so_opens_no_incident(filling):
    at_risk(filling, filling.clock.now())
    filling.watcher.forecast = replace(filling.watcher.forecast, slo="pull_latency")
    slow_requests(filling, seconds=0.2)
    disk(filling, 0.6)
    found = {it.name: it.status for it in filling.cycle.statuses["main"]}
    assert found["pull_latency"] is Status.AT_RISK
    assert filling.incidents == []


def test_the_models_see_each_minute_of_traffic_once(filling):
    disk(filling, 0.6)
    assert "requests_per_minute" not in filling.watcher.heard[-1][2], "nobody ever asked"
    slow_requests(filling, count=40, seconds=0.1)
    for _ in range(30):
        disk(filling, 0.6)
    seen = [v["requests_per_minute"] for _, _, v in filling.watcher.heard if "requests_per_minute" in v]
    assert sum(seen) == 40 and seen[-1] == 0, "what stops is seen to stop"
    assert len(seen) == 5


def test_models_that_fail_stop_nothing_else(world):
    class Failing(FakeWatcher):
        def look(self, registry, at, values, statuses):
            raise InputError("detector lstm", "too many series", "watch fewer")

    world.cycle._p = replace(world.cycle._p, watcher=Failing())
    world.rounds("+++--")
    assert len(world.incidents) == 1
