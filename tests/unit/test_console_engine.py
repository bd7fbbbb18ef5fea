"""What the engine writes, in Chinese: real texts of every part that writes some, and what stays as it is."""

import ast
import asyncio
import re
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import pytest

from alerts import evaluate, latency, ratio
from alerts.correlate import Correlation
from alerts.minutes import Minutes
from alerts.slos import load_rows, load_windows
from collectors import exchange, harbor_facts, probe
from collectors.certificates import Certificate
from collectors.pulling.phases import Phase, too_late
from collectors.pulling.pull import Pull
from models import explain, gate, promise, watch
from models.calibration import Record
from remediation import briefing, deciding, policy_limits
from remediation.catalogue import SHIPPED, Catalogue, InputSpec
from remediation.policy import Blast, Escalation, Limit, Policy, Rule, Window
from remediation.policy_hours import Hours
from seawall.console import engine as engine_module
from seawall.console import words
from seawall.console.engine import MOST, Reading, engine, forms, line, read, word
from seawall.console.render import _ENVIRONMENT
from seawall.core.actions import ActionState as S
from seawall.core.actions import Risk, Verification
from seawall.core.errors import RunFailed
from seawall.core.foresight import Anomaly, Forecast, Part
from seawall.core.incidents import Finding, Impact
from seawall.core.signals import Batch, Sample, labels
from seawall.core.slos import Indicator, Objective, SloRow, SloType, Status
from seawall.cycle import _foreseen
from seawall.stores.memory import MemoryEvents, MemorySamples
from seawall.verification import control, signal_measure
from tests.e2e.console_stand import HARBOUR, STEP, Tide, build
from tests.fakes import FakeClock, FakeRunner, T, outcome
from tests.serving import until
from tests.unit.test_aftermath import Mending, wait_for_undo
from tests.unit.test_cycle import World, slow_requests
from tests.unit.test_lifecycle import Bench
from tests.unit.test_unsigned_row import NOON, finding_of, pulled, row_of
from tests.unit.test_unsigned_row import events as events
from tests.unit.test_unsigned_row import judge as judge

CHINESE = re.compile(r"[一-鿿]")
OWN = "successful|failed|timeout|cancelled|unreachable|lost|ask|auto|observe|seasonal|budget|measured"
ENGLISH = re.compile(rf"[A-Za-z']{{2,}} (?:[a-z] )?[a-z']{{2,}}|[（：](?:{OWN})\b")
ROWS = {row.name: row for row in load_rows()}
ROOT = Path(__file__).parents[2]
evidence = partial(engine, scope="evidence")


@pytest.fixture
def chinese():
    token = words.LOOK.set(words.Look("zh"))
    yield
    words.LOOK.reset(token)


@pytest.fixture
def service(tmp_path):
    clock = FakeClock(T)
    found = build(tmp_path, clock, FakeRunner(clock), Tide())
    yield found
    found.records.close()


def left(texts, told=engine):
    """Those of the engine's texts that are not wholly Chinese: two English words, or one of our own."""
    assert texts
    found = {text: told(text) for text in texts}
    return {text: it for text, it in found.items() if not CHINESE.search(it) or ENGLISH.search(it)}


def statuses():
    evaluator = evaluate.Evaluator(
        ROWS.values(), load_windows(), MemorySamples(), MemoryEvents(), 10.0, ["main"]
    )
    return evaluator.judge("main", T)


def untold(bench):
    """What is not Chinese yet of all that a bench's incidents and actions say, told as the pages do."""
    told = {}
    for it in bench.records.incidents()[0]:
        told |= left([text for text in (it.title, it.explanation, *it.causes) if text])
        for entry in it.timeline:
            told |= left([entry.text], partial(line, actor=entry.actor))
    for it in bench.records.actions()[0]:
        for _, actor, text in it.history:
            told |= left([text], partial(line, actor=actor))
        proof = it.verification.control if it.verification else ""
        told |= left([text for text in (it.reason, proof) if text] + ["it has not run yet"])
        told |= left([bench.cycle.briefing(it.id)["statistics"]["text"]])
    return told


async def live(service, rounds):
    for _ in range(rounds):
        service.clock.move(STEP)
        await service.cycle.collect(service.cycle.collectors[0])
        service.cycle.turn([HARBOUR])


def test_titles_and_reasons_of_a_running_cycle_are_chinese(service, chinese):
    seen = []
    for up, rounds in ((True, 30), (False, 4)):
        service.cycle.collectors[0].up = up
        asyncio.run(live(service, rounds))
        seen += [status.reason for status in service.statuses(HARBOUR)]
    seen += [it.title for it in service.records.incidents()[0]]
    assert len(seen) == 9
    assert left([part for text in seen for part in text.split("; ")]) == {}


class Disk:
    """A collector with a note and none of the rest."""

    name, registry, interval, timeout = "storage", "main", 10.0, 5.0

    async def collect(self, now):
        return Batch(notes=["/srv: mounted read-only; see dmesg for errors of its device"])

    async def stored(self):
        pass


def test_the_story_from_failure_over_approval_to_proof(tmp_path, chinese):
    world = World(tmp_path)
    slow_requests(world)
    assert asyncio.run(world.cycle.collect(Disk()))
    world.rounds("+++-")
    full = Sample("main", "seawall_storage_used_ratio", world.clock.now(), 0.97, labels(volume="/srv"))
    world.samples.append([full])
    world.rounds("-")
    action = world.bench.until(world.action.id, S.AWAITING_APPROVAL)
    world.bench.cycle.approve(action.id, "ada")
    world.bench.until(action.id, S.VERIFYING)
    world.rounds("-+++")
    assert world.records.action(action.id).state is S.SUCCEEDED
    assert untold(world.bench) == {}
    down = next(engine(it.explanation) for it in world.incidents if it.slo == "availability")
    assert "（/srv：以只读方式挂载；设备错误见 dmesg）" in down
    assert "当时同样不正常：" in down and "97.0%" in down


@pytest.mark.parametrize("status", ["successful", "failed"])
def test_the_story_of_a_repair_that_is_taken_back(tmp_path, status, chinese):
    world = Mending(tmp_path)
    id = world.run()
    world.bench.until(id, S.VERIFYING)
    world.bench.runner.status = status
    world.rounds("-------")
    wait_for_undo(world, id)
    world.round(False)
    assert world.records.action(id).state in (S.ROLLED_BACK, S.ESCALATED)
    assert untold(world.bench) == {}


def test_the_story_of_a_run_that_is_lost_and_of_one_without_undo(tmp_path, chinese):
    world = Mending(tmp_path / "a")

    def lost(*_):
        raise RunFailed("the worker of /runs/act-1/3-run left no outcome: killed")

    world.bench.runner.run = lost
    world.bench.until(world.run(), S.IN_DOUBT)
    assert untold(world.bench) == {}
    world = Mending(tmp_path / "b", undo={"none": "nothing to take back"})
    world.bench.until(world.run(), S.VERIFYING)
    world.rounds("-" * 12)
    assert world.action.state is S.ESCALATED and untold(world.bench) == {}


def test_the_story_of_what_fails_before_it_runs_and_of_a_world_that_moves(tmp_path, chinese):
    world = World(tmp_path)
    world.rounds("+++--")
    bench, id = world.bench, world.action.id
    asked = bench.until(id, S.AWAITING_APPROVAL)
    bench.runner.world = "paused"
    bench.cycle.approve(id, "ada")
    until(lambda: bench.records.action(id).preview not in (None, asked.preview), 10, "a new preview")
    bench.until(id, S.AWAITING_APPROVAL)
    bench.runner.check = lambda target: outcome(T, (), "unreachable", "gone")
    bench.cycle.approve(id, "ada")
    bench.until(id, S.FAILED)
    assert untold(bench) == {}
    bench.until(bench.cycle.propose(world.incidents[0])[0][0].id, S.FAILED)
    assert len(world.incidents[0].timeline) == 5 and untold(bench) == {}


def test_the_story_of_what_recovers_by_itself_comes_back_and_runs_out_of_time(tmp_path, chinese):
    world = World(tmp_path)
    world.rounds("+++--")
    world.bench.until(world.action.id, S.AWAITING_APPROVAL)
    world.rounds("++++--")
    world.bench.until(world.action.id, S.AWAITING_APPROVAL)
    world.clock.move(3600)
    world.rounds("--")
    assert S.EXPIRED in {it.state for it in world.records.actions()[0]} and world.incidents[0].reopened
    assert untold(world.bench) == {}


def test_the_story_of_alerts_of_others_and_of_what_cools_down(tmp_path, chinese):
    world = World(tmp_path)
    alert = Finding("alertmanager", "a", "main", None, "main: Full", "Alertmanager says X: x", T)
    world.cycle.receive([alert])
    world.cycle.close_finding("alertmanager", "a", "Alertmanager says it is over")
    action = world.bench.until(world.bench.propose().id, S.AWAITING_APPROVAL)
    world.bench.cycle.approve(action.id, "ada")
    world.bench.until(action.id, S.VERIFYING)
    reasons = world.bench.cycle.propose(world.bench.incident())[1]
    assert left([f"no repair offered: {it}" for it in reasons], partial(line, actor="seawall")) == {}
    told = {entry.text: line(entry.text, entry.actor) for it in world.incidents for entry in it.timeline}
    assert told["resolved, Alertmanager says it is over"] == "已解决：Alertmanager 报告已结束"
    assert told["opened: Alertmanager says X: x"] == "事件开始：Alertmanager 报告 X：x"


def test_the_story_of_people_keeps_their_words(tmp_path, chinese):
    bench = Bench(tmp_path, Policy(escalation=(Escalation(after="10m", notify="ops"),)))
    action = bench.awaiting()
    risky = replace(action, risk=Risk.HIGH)
    bench.records.transition(action, risky, "seawall", T, {"reason": "asked a person"})
    bench.clock.move(601)
    bench.cycle.expire(bench.clock.now())
    bench.cycle.approve(action.id, "ada", "probes succeed; no event yet")
    bench.cycle.revoke(action.id, "ada", "sure. Not sure")
    bench.cycle.reject(action.id, "bob", "probes succeed")
    told = [line(text, actor) for _, actor, text in bench.records.action(action.id).history]
    assert told[-3:-1] == ["等待审批：还需要另一人批准", "等待审批：收回批准：sure. Not sure"]
    assert told[-1] == "已拒绝：probes succeed" and "等待审批：10m 内无人决定：第 1 步，通知 ops" in told
    assert line("approved: probes succeed; no event yet", "ada") == "已批准：probes succeed; no event yet"
    assert word(bench.records.action(action.id).reason, "people") == "probes succeed"


def test_a_persons_lines_are_framed_and_their_notes_stay(service, chinese):
    service.cycle.collectors[0].up = False
    asyncio.run(live(service, 4))
    id = service.records.incidents()[0][0].id
    service.acknowledge(id, "ada")
    service.note(id, "ada", "probes succeed")
    service.assign(id, "ada", "bob")
    service.resolve(id, "bob", "no event yet; done")
    told = [line(it.text, it.actor) for it in service.records.incident(id).timeline]
    assert told[-4:-1] == ["ada 已确认", "probes succeed", "由 ada 移交给 bob"]
    assert told[-1] == "由 bob 解决：no event yet; done"
    assert engine(service.records.actions()[0][0].reason) == "事件已由 bob 解决"


def test_what_the_policy_says_is_chinese(chinese):
    times = None, Hours(start="22:00", to="06:00"), Hours(days=("mon",), zone="Europe/Berlin")
    rules = [Rule(mode=mode, hours=hours) for mode in ("observe", "ask", "auto") for hours in times]
    texts = [Policy(rules=(it,)).decide("p", "main", risk, T - 40000)[1] for it in rules for risk in Risk]
    assert any("every day" in text for text in texts)
    strict = Policy(
        blast=Blast(hosts=1, share=0.1),
        windows=(Window(name="day", hours=Hours()),),
        cooldown=3600.0,
        limits=(Limit(runs=1),),
        groups={"pair": ("main", "other")},
    )
    ran = [policy_limits.Ran(f"act-{name}", "p", name, T - 60) for name in ("main", "other")]
    ran = [replace(it, action=f"act-{number}") for number, it in enumerate(ran)]
    found = policy_limits.blocks(strict, policy_limits.Subject("act-9", "p", "main", 5, 9), ran, T)
    assert len({it.rule for it in found}) == 7
    silent = (
        "silenced in Alertmanager by ada until 2026-11-24T03:00:00Z: a; b",
        "silences are not known (503)",
    )
    why = "inhibited by Up", "silenced by f00", "muted by the time interval night"
    silent = *silent, *(f"Down is {it} in Alertmanager" for it in why)
    against = [*found, *(policy_limits.Block("silences", text) for text in silent)]
    texts += [f"rule 1 says auto, but {deciding.words([it])}" for it in against]
    texts += [f"it waits: {deciding.words(against)}", f"the default is ask; {deciding.words(against)}"]
    texts += ["nobody has approved it", "the approval is for another preview", "nobody approved in time"]
    texts += ["the approval ran out before the run began", "2 different people must approve it"]
    assert left(texts) == {}


def test_why_no_repair_fits_is_chinese(chinese):
    spec = InputSpec(type="integer", minimum=2, maximum=3, choices=None)
    flaws = [spec.fault(it) for it in (1, 4, "x")] + [replace_choices().fault(it) for it in ("x", "a\nb")]
    texts = [f"p does not apply: input x {flaw}" for flaw in flaws]
    told = {"url": "http://x", "repairs": {"deny_map": "/etc/x"}, "container": "a\nb"}
    for row, facts in product(ROWS, ({}, told, {"url": "ftp:x"})):
        texts += Catalogue.load([SHIPPED])[0].proposals(row, facts)[1]
    assert any("set registry." in it for it in texts) and any("does not tell incident." in it for it in texts)
    assert left(texts) == {}


def replace_choices():
    return InputSpec(type="string", choices=["a", "b"])


def test_every_explanation_and_cause_is_chinese(chinese):
    correlation, texts = Correlation(ROWS.values()), []
    good = [replace(it, indicator_ok=True, since=T) for it in statuses()]
    bad = [replace(it, indicator_ok=False, since=T, now_reason="probes succeed") for it in good]
    impacts = Impact(), Impact(1, 1, 1), Impact(7, 2, 3), Impact(0, 2, 3)
    reason = "P99 9 ms over only 5 requests in 1m (fewer than 9)"
    for impact, others, slo in product(impacts, (statuses(), good, bad), ("availability", "unsigned_pulls")):
        finding = Finding("seawall", "f", "main", slo, "t", reason, T)
        texts += [correlation.explain(finding, impact, it, others) for it in ([], ["no event yet"])]
        texts += correlation.causes(finding, others)
    assert left(texts) == {}
    assert any("（尚无事件）" in engine(text) for text in texts)


def test_the_row_of_unsigned_pulls_is_chinese(events, judge, chinese):
    texts = [row_of(judge, registry=name).reason for name in ("main", "mute", "none")]
    pulled(events, "unknown", 5)
    texts += [row_of(judge).reason, row_of(judge, NOON + 3000).reason]
    pulled(events, "unsigned", 30, count=2)
    pulled(events, "unsigned", 20, user__name="", client__ip="10.0.0.2")
    assert "alice 从 10.0.0.1 拉取 team/app:1.0 (sha256:" in engine(finding_of(judge)[0].reason)
    pulled(events, "unsigned", 15, user__name="", client__ip="")
    pulled(events, "unsigned", 10, client__ip="", user__name="bob")
    finding, rows = finding_of(judge)
    texts += [finding.reason, Correlation(judge.rows).explain(finding, Impact(0, 1, 2), [], rows)]
    texts += [text for status in rows for text in (status.reason, status.now_reason)]
    assert left(texts) == {}
    for reason in (
        "look-up failed: 5",
        "broken signature: x",
        "untrusted: x",
        "not yet valid: x",
        "revoked: x",
    ):
        assert left([f"1 of 2 pulls without a verdict: team/app:1: {reason}"]) == {}


def test_the_parts_of_a_budget_a_quantile_and_a_ratio_are_all_known(chinese):
    window, nothing = load_windows()[0], Indicator(None, "no event yet")
    minutes = Minutes(watched=10, bad=(T,), excluded=5)
    texts = evaluate._told(minutes, 300.0, Indicator(True, "probes succeed"), window, 3600.0, 120.0)
    texts += evaluate._told(Minutes(0, (), 0), 300.0, nothing, None, None, 0.0)
    texts += ratio._told(3, 900, 0.01, False, nothing, window) + ratio._told(0, 0, 0.01, True, nothing, None)
    texts += [latency._raw(ROWS["pull_latency"], count, 0.2, 3600.0).reason for count in (5, 5000)]
    row = SloRow("r", "R", SloType.RATIO, "s_total", Objective("<=", 0.1), "ratio", "A", 60.0, 60.0)
    texts.append(ratio.Ratios(MemorySamples(), [window]).indicator(row, "main", T, None).reason)
    assert len(texts) == 17 and left(texts) == {}


def test_every_shipped_row_has_a_chinese_title(chinese):
    for row in ROWS.values():
        texts = [
            row.title,
            *(f"main: {row.title}{it}" for it in ("", " is at risk", ", the month's budget is spent")),
        ]
        assert left(texts) == {}


def test_every_forecast_is_chinese(chinese):
    times = (None, None, None), (None, 7200.0, None), (600.0, 1200.0, None), (600.0, 1200.0, 1800.0)
    past = promise.PAST, f"lstm and {promise.PAST}", f"seasonal and {promise.PAST}"
    models, texts = ("lstm", "seasonal", "budget", promise.MEASURED, *past), []
    for status, model, it in product(statuses(), models, times):
        reason = promise._reason(ROWS[status.name], promise.Chance(0.62, it, model))
        ahead = Forecast(status.name, "main", T, 3600.0, 0.6, model, reason, True, T)
        foreseen = _foreseen(replace(status, status=Status.OK, indicator_ok=True), ahead)
        texts += [foreseen.reason, foreseen.risk_reason]
        texts += [it.title for it in Correlation(ROWS.values()).findings([foreseen])]
        told = [ahead], [replace(ahead, at_risk=False)]
        texts += [explain.promise_of(ROWS.values(), [], forecasts)[1] for forecasts in told]
    assert left(texts) == {}


def test_every_anomaly_is_chinese(chinese):
    broken = [replace(it, indicator_ok=False) for it in statuses()]
    promises = [explain.promise_of(ROWS.values(), it, [])[1] for it in (broken, [])]
    signals = ["slo:pull_latency", "seawall_probe_duration_seconds{site=local}", "requests_per_minute"]
    signals += ["seawall_storage_used_ratio{volume=/srv}", "failed_requests_per_minute"]
    more, texts = tuple(Part(it, 1.0) for it in signals), []
    for channel, model, ended, signal in product(("", *explain.CHANNELS), explain.MODELS, (None, T), signals):
        figures = (1.0, 0.5, 0.4, 0.6, 1.0)
        it = Anomaly("main", signal, model, T, T, ended, *figures, channel, more, (T,))
        texts.append(explain.text_of(ROWS.values(), it, promises[ended is None]))
    assert left(texts) == {}
    assert "LSTM 模型预期 500 ms（400 ms 至 600 ms）" in engine(texts[0])


def test_what_the_gate_and_silence_say_is_chinese(chinese):
    means = {"lstm": 0.5, "seasonal": 0.4, "running_mean": 0.6}
    texts = [gate._beaten(means), *(gate._not_beaten(it, means, 1.0) for it in ("seasonal", "running_mean"))]
    texts += [f"rolled back: {it.fault()}" for it in (Record(9999, 0.1), Record(9999, 0.9, 0.5))]
    texts += [
        "too short a history: 5 of 9 samples",
        "3 alerts, 1 are allowed; loss 1 is not lower than x's 2",
    ]
    texts += ["only 5 samples of the last fifth could be judged"]
    assert left(texts, partial(engine, scope="gate")) == {}
    silent = [*filter(None, watch.WORDS.values()), "nothing was expected"]
    assert left(silent, partial(word, place="silent")) == {}


def test_what_a_verification_says_is_chinese(chinese):
    falling = [Indicator(False, "", value, False, T) for value in (0.9, 0.8, 0.7)]
    controls = [control(it, "<")[1] for it in ([], falling, falling[:1], [replace(falling[0], good=True)])]
    samples = MemorySamples()
    measure = signal_measure(samples, "main", Verification("x", T, signal="q_depth", op="<=", value=10.0))
    reasons = [measure(T, None).reason]
    samples.append([Sample("main", "q_depth", T, 11.0)])
    reasons.append(measure(T + 1, None).reason)
    done = [f"3 good rounds after the run: {reason}; {it}" for reason in reasons for it in controls]
    texts = [*done, *(f"good rounds: 1 of 3; {it}" for it in controls)]
    texts += [f"q_depth did not recover in time: {reason}; act-3 is taken back" for reason in reasons]
    texts += [briefing.words(*it) for it in ((0, None, None, 0), (1, 1.0, None, 0), (4, 0.5, 60.0, 2))]
    texts += ["slo 'x' is gone from the matrix: nobody can tell whether it helped"]
    assert left(texts) == {}
    told = [f"resolved, {how} by act-2: {it}" for how in ("healed", "act-1 was taken back") for it in done]
    told += [f"protected, not healed, by act-2: {reasons[1]}; still bad: probes succeed"]
    told += ["act-2: the row is good again; this would take act-1 (block-pushes) back"]
    assert left(told, partial(line, actor="seawall")) == {}


def test_what_the_probe_says_is_chinese(chinese):
    tables = exchange._CERTIFICATE, exchange._SYSTEM, exchange._NAMES, exchange._ALERTS
    faults = [
        *(it for table in tables for it in table.values()),
        too_late("dns", 3),
        too_late("blob_transfer", 8),
    ]
    faults += ["token server auth.example: connection refused", "manifest 1.0: the registry answered 503"]
    faults += ["short body: blob sha256:0 ended after 3 of 5 bytes", "sent to cdn.example: no answer in time"]
    pull = Pull(False, "connect", "", "", 0.1, 0, (Phase("connect", 0.0, 0.0004),), None)
    assert left([probe._told(replace(pull, reason=it)) for it in faults], evidence) == {}
    assert left([replace(pull, skew=seconds).clock() for seconds in (120.0, -120.0)], evidence) == {}


def test_what_certificates_and_harbor_say_is_chinese(chinese):
    notes = [Certificate(T, T + 864000, "").trouble(at) for at in (T - 9e4, T - 9e5, T + 8e5, T + 9e6)]
    notes += harbor_facts.health({"components": [{"name": "core", "status": "down"}]}, "main", T).notes
    notes += harbor_facts.volumes({"storage": [{"total": 0, "free": 0}]}, "main", T).notes
    notes += harbor_facts.collections([{"job_status": "Error"}], "main", T).notes
    notes += harbor_facts.executions([{"policy_id": 3, "status": "Failed"}], "main", T).notes
    notes += harbor_facts.queues([{"job_type": "GC", "paused": True}], "main", T).notes
    notes += harbor_facts.robots([{"name": "ci", "expires_at": T + it} for it in (-9, 99)], "main", T).notes
    assert len(notes) == 11 and left(notes, evidence) == {}


def test_what_is_not_the_engines_stays_as_it_is(chinese):
    texts = "main: a title of our own", "{registry}: {0}", "", "<b>x</b>; y", "P99 of nothing over there"
    for text in (*texts, "killed by signal 9. Core dumped (twice; at least)"):
        assert engine(text) == line(text, "seawall") == line(text, "ada") == text
    assert engine("probes succeed; <script>") == "探测成功; <script>"
    assert engine("the run ended failed: a; b (c. D); e") == "运行结束（失败）：a; b (c. D); e"
    told = engine("Since 2026-11-24T03:00:00.000Z: probes succeed (core is unhealthy: gone. Try; again).")
    assert told == "自 2026-11-24T03:00:00.000Z 起：探测成功（core 不健康：gone. Try; again）。"


def test_times_stay_times_and_all_is_escaped_once(chinese):
    page = _ENVIRONMENT.from_string("{{ text | engine | timed }} {{ text | line('seawall') | timed }}")
    told = page.render(text="Since 2026-11-24T03:00:00.000Z: probes succeed (a & <b>).")
    moment = '<time datetime="2026-11-24T03:00:00.000Z">24 Nov 2026, 03:00:00 UTC</time>'
    assert told == " ".join([f"自 {moment} 起：探测成功（a &amp; &lt;b&gt;）。"] * 2)


PIECES = ["now: ", "P99 x over ", "((", "))", "; ", "a. A ", "a is unusual since ", " (in 1m)", "x, but "]
PIECES += ["act-1: ", "Since 1: probes succeed (", "probes succeed; ", "a by b from c, once, last at 1: "]


@pytest.mark.parametrize("piece", PIECES)
def test_a_hostile_text_is_bounded_work(piece, monkeypatch):
    """The work is counted, not timed: parts that are looked up, and forms that each is held against."""
    tried, fits = [], engine_module.Form.fits
    monkeypatch.setattr(engine_module.Form, "fits", lambda it, text: (tried.append(it), fits(it, text))[1])
    longest = max(map(len, engine_module._FORMS["zh"].values()))
    for scope in ("", "line", "evidence"):
        tried.clear()
        reading = Reading("zh")
        reading.text((piece * 2000)[:2000], scope)
        assert reading.left >= 0 and len(tried) <= MOST * 2 * longest


def test_a_text_without_end_is_not_looked_at(chinese):
    long = "probes succeed; " * 50_000
    assert engine(long) == line(long, "seawall") == word(long, "people") == long


def test_in_english_nothing_changes():
    for text in ("probes succeed; the next one decides", "Since 1: probes succeed (a). Its", "failed: x"):
        assert engine(text) == line(text, "seawall") == line(text, "ada") == word(text, "outcome") == text


def test_counts_have_their_plural_in_english():
    assert engine("1 change(s); asked") == "1 change; asked"
    assert line("the last 3 round(s) before the run", "seawall") == "the last 3 rounds before the run"
    assert line("the last 3 round(s)", "ada") == "the last 3 round(s)"


def written():
    """Every text in the source of the engine; what is put in is `{}`."""
    for path in (
        it
        for part in ("alerts", "collectors", "models", "remediation", "seawall")
        for it in (ROOT / part).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                yield "".join(it.value if isinstance(it, ast.Constant) else "{}" for it in node.values)


# Pieces of forms that the source does not hold in one: it puts them together.
PUT_TOGETHER = (
    "was taken back by|healed by|and running mean|against seasonal|lstm and past changes"
    "|seasonal and past changes|was unusual since|is unusual since|is not lower than|is not surely lower than"
    "|more (cooldown|in Alertmanager (silences|Probe duration|Storage used|Requests per minute"
    "|Failed requests per minute|1 repository|1 request|1 client|1 pull"
)


def test_every_form_is_still_written_by_the_engine():
    source = "\n".join([*written(), *(row.title for row in ROWS.values())])
    pieces = {it.strip(" :;,.()") for english in forms("zh") for it in read(english, "").literals}
    gone = {it for it in pieces if not all(part in source for part in re.split("[:;,] ", it))}
    assert gone == set(PUT_TOGETHER.split("|"))


AT = dict.fromkeys(("since", "until", "at"), "2026-11-24T03:00:00Z")
TEXTS = {"row": "Disk used", "told": "no event yet", "cause": "no event yet", "pulled": "a:1 by bob"}
SAMPLES = AT | TEXTS | {
    "requests": "5 requests in 1m", "pulls": "3 pulls", "registry": "main", "share": "5%", "time": "3h",
    "action": "act-7", "run": "2-run", "count": "17", "took": "1.5", "outcome": "odd", "mode": "odd",
    "model": "odd", "slo": "a_row", "early": "2h", "late": "2h", "playbook": "mend-it", "phase": "dns",
    "metric": "a_metric", "source": "registry.url",
}  # fmt: skip


@pytest.mark.parametrize("english", forms("zh"))
def test_a_form_keeps_its_places_and_no_other_one_takes_its_text(english, chinese):
    form, told = read(english, ""), forms("zh")[english]
    assert sorted(form.places) == sorted(re.findall(r"\{(\w+)\}", told))
    assert re.search("[一-鿿，：（]", told)
    values = {name: SAMPLES.get(name, f"<{name}>") for name in form.places}
    shown = {name: word(value, name) if name == "pulled" else engine(value) for name, value in values.items()}
    text = english.rpartition(f"{form.scope}=")[2] if form.scope.isalpha() else english
    assert Reading("zh").form(form.scope, text.format(**values), 0) == told.format(**shown)
