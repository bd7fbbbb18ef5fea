"""The models at work: who serves, what alerts, how an episode explains itself, what a restart keeps."""

import json
from dataclasses import replace

import numpy as np
import pytest

from alerts.slos import load_rows
from models.calibration import MINIMUM, Calibration
from models.episodes import GONE, Episodes, Moment
from models.lstm import Lstm
from models.watch import Watch
from seawall.core.errors import InputError
from seawall.core.foresight import Forecast, Verdict
from seawall.core.ports import Score
from seawall.core.slos import Status
from tests.unit.test_models_promise import status

ROWS = load_rows()
T, STEP = 1_790_000_000.0, 10.0
PROBE = "seawall_probe_duration_seconds{site=local}"


def passed(signal, at=T, ok=True):
    return Verdict(signal, at, "lstm-1", ok, "surely lower", 1000, at, {"lstm": 1.0}, {}, 0, 1)


def calm(rng, count):
    return 0.1 + 0.01 * rng.normal(size=count)


def run(watch, values, start=T):
    """Every look at one registry with one signal."""
    return [watch.look("main", start + STEP * k, {PROBE: float(value)}, []) for k, value in enumerate(values)]


@pytest.fixture
def watch():
    return Watch(ROWS, Lstm())


def test_the_baseline_serves_and_the_lstm_is_shown_in_shadow(watch):
    sight = run(watch, calm(np.random.default_rng(1), 80))[-1]
    assert sight.scores[PROBE].model == "seasonal"
    assert sight.shadows[PROBE].model == "lstm"
    assert sight.scores[PROBE].silent == ""


def test_a_verdict_lets_the_lstm_serve_its_signal_and_no_other(watch):
    watch.adopt([passed(f"main {PROBE}")])
    sight = watch.look("main", T, {PROBE: 0.1, "other": 1.0}, [])
    assert {name: score.model for name, score in sight.scores.items()} == {PROBE: "lstm", "other": "seasonal"}
    assert set(sight.shadows) == {"other"}


def test_a_verdict_on_other_weights_or_an_older_one_changes_nothing(watch):
    watch.adopt([replace(passed(f"main {PROBE}"), version="adapted-x")])
    assert watch.verdicts() == {}
    watch.adopt([passed(f"main {PROBE}", ok=False)])
    watch.adopt([passed(f"main {PROBE}", at=T - 1)])
    assert not watch.verdicts()[f"main {PROBE}"].passed


def test_values_that_are_no_numbers_are_left_out(watch):
    sight = watch.look("main", T, {PROBE: float("nan"), "other": 1.0, "huge": 1e200}, [])
    assert set(sight.scores) == {"other"}
    assert watch.look("main", T + 1, {}, []).scores == {}


def test_an_anomaly_begins_once_explains_itself_and_ends(watch):
    rng = np.random.default_rng(1)
    values = np.concatenate((calm(rng, 400), np.full(30, 3.0), calm(rng, 200)))
    heard = [it for sight in run(watch, values) for it in sight.anomalies if it.observed == 3.0]
    assert len({it.since for it in heard}) == 1
    first, last = heard[0], heard[-1]
    assert (first.signal, first.until, first.model) == (PROBE, None, "seasonal")
    assert T + 400 * STEP <= first.since <= T + 410 * STEP
    assert T + 430 * STEP < last.until < T + 480 * STEP
    assert last.lower < 0.1 < last.upper < 1
    assert "Probe duration (site local) was unusual" in last.text
    assert "3 s at " in last.text and "expected" in last.text
    assert last in watch.anomalies()


def test_normal_values_begin_hardly_anything(watch):
    """The budget is an alert in 5,000 samples, with one to begin with."""
    sights = run(watch, calm(np.random.default_rng(2), 1500))
    assert len({it.since for sight in sights for it in sight.anomalies}) <= 1


def test_a_restart_continues_exactly(watch):
    values = calm(np.random.default_rng(3), 200)
    watch.adopt([passed(f"main {PROBE}")])
    run(watch, values[:100])
    after = Watch(ROWS, Lstm())
    for part, state in watch.states().items():
        after.restore(part, state)
    start = T + 100 * STEP
    assert run(after, values[100:], start) == run(watch, values[100:], start)
    assert after.verdicts() == watch.verdicts()
    assert after.states() == watch.states()


@pytest.mark.parametrize("part", Watch.PARTS)
@pytest.mark.parametrize("state", [b"", b"[1]", bytes(200)], ids=["empty", "list", "zeros"])
def test_a_damaged_part_is_refused_and_the_rest_goes_on(watch, part, state):
    run(watch, calm(np.random.default_rng(4), 20))
    before = watch.states()
    with pytest.raises(InputError):
        watch.restore(part, state)
    assert watch.states() == before


def test_the_lstm_is_taken_back_when_its_band_no_longer_holds_the_values(watch):
    name = f"main {PROBE}"
    watch.adopt([passed(name)])
    run(watch, calm(np.random.default_rng(5), 100))
    kept = json.loads(watch.states()["verdicts"])
    kept["calibration"][name] = {"samples": 5000, "inside": 0.7501, "alerts": 0.0}
    watch.restore("verdicts", json.dumps(kept).encode())
    sights = run(watch, [9.0, 0.1], T + 100 * STEP)
    assert [sight.scores[PROBE].model for sight in sights] == ["lstm", "seasonal"]
    assert watch.verdicts()[name].reason == "rolled back: only 75% of the values lie in a band meant for 90%"
    watch.adopt([passed(name)])
    assert not watch.verdicts()[name].passed, "the verdict that let it serve is known already"
    watch.adopt([passed(name, at=T + 1)])
    assert watch.verdicts()[name].passed


def test_calibration_is_patient_and_then_names_the_fault():
    book = Calibration()
    faults = [book.learn("x", inside=k % 3 > 0, alert=False) for k in range(4 * MINIMUM)]
    assert not any(faults[: MINIMUM - 1])
    assert "lie in a band meant for 90%" in faults[-1]
    noisy = Calibration()
    faults = [noisy.learn("x", inside=True, alert=k % 100 == 0) for k in range(4 * MINIMUM)]
    assert "alerts in 5,000 samples" in faults[-1]
    steady = Calibration()
    assert not any(steady.learn("x", k % 10 > 0, k % 5000 == 0) for k in range(20000))


# episodes --------------------------------------------------------------------------------------


def look(at, values, statuses=(), forecasts=(), silent=""):
    """Signals observed at `values` where 1 was expected, 0.5 to 1.5."""
    scores = {
        name: Score(1.0, 0.5, 1.5, 0.9 if abs(value - 1) > 0.5 else 0.0, silent, "seasonal")
        for name, value in values.items()
    }
    return Moment("main", at, values, scores, statuses, forecasts)


@pytest.fixture
def episodes():
    return Episodes(ROWS)


def test_an_episode_remembers_its_worst_moment(episodes):
    episodes.see(look(T, {"x": 3.0}), {"x": "value"})
    episodes.see(look(T + 10, {"x": 9.0}), {})
    episodes.see(look(T + 20, {"x": 2.0}), {})
    only = episodes.all()[0]
    assert (only.since, only.at, only.observed) == (T, T + 10, 9.0)


def test_it_began_when_the_signal_became_unusual_not_when_it_alerted(episodes):
    for k in range(5):
        episodes.see(look(T + k, {"x": 3.0}), {})
    episodes.see(look(T + 10, {"x": 3.0}), {"x": "surprise_5"})
    assert episodes.all()[0].since == T


def test_an_alert_without_a_high_score_is_an_episode_too(episodes):
    episodes.see(look(T, {"x": 1.2}), {"x": "flat"})
    episodes.see(look(T + 10, {"x": 1.2}), {})
    assert episodes.all()[0].until is None
    assert "standing still" in episodes.all()[0].text


def test_signals_that_are_unusual_together_are_named(episodes):
    episodes.see(look(T, {PROBE: 3.0, "slo:pull_latency": 1.0}), {PROBE: "value"})
    for k in range(4):
        episodes.see(look(T + 10 + k, {PROBE: 4.0 + k, "slo:pull_latency": 5.0}), {})
    only = episodes.all()[0]
    assert [part.signal for part in only.parts] == ["slo:pull_latency"]
    assert "Unusual with it: Image pull latency P99." in only.text


def test_it_ends_when_its_signal_vanishes(episodes):
    episodes.see(look(T, {"x": 3.0}), {"x": "value"})
    told = episodes.see(look(T + GONE + 1, {"y": 1.0}), {})
    assert [it.until for it in told] == [T + GONE + 1]
    assert episodes.open == {}


def test_similar_episodes_are_those_of_the_same_kind(episodes):
    for k, value in enumerate((3.0, -8.0, 3.2, 60.0, 3.1)):
        at = T + 5000 * k
        episodes.see(look(at, {"x": value}), {"x": "value"})
        for calm_ in range(30):
            episodes.see(look(at + 10 + calm_, {"x": 1.0}), {})
    episodes.see(look(T + 50000, {"x": 3.1}), {"x": "value"})
    assert episodes.all()[0].similar == (T + 20000, T + 10000, T)


def test_the_promise_is_told_the_worst_first(episodes):
    disk = next(row for row in ROWS if row.name == "storage_capacity")
    kept, broken = status(disk, 0.5), status(disk, 0.9, ok=False, status=Status.BREACHED)
    calm_, risky = (
        Forecast("storage_capacity", "main", T, 86400.0, p, "lstm", f"{p:.0%} within 1d", at_risk=risk)
        for p, risk in ((0.1, False), (0.8, True))
    )
    episodes.see(look(T, {"x": 3.0}, [kept], [calm_]), {"x": "value"})
    assert episodes.all()[0].promise == "within"
    assert "likeliest to be: Disk used, 10% within 1d" in episodes.all()[0].text
    episodes.see(look(T + 10, {"x": 3.0}, [kept], [risky]), {})
    assert episodes.all()[0].promise == "at_risk"
    assert "At risk: Disk used: 80% within 1d." in episodes.all()[0].text
    episodes.see(look(T + 20, {"x": 3.0}, [broken], [risky]), {})
    assert episodes.all()[0].promise == "breached"
    assert "Breached: Disk used." in episodes.all()[0].text


def test_a_silent_word_never_begins_or_worsens_anything(episodes):
    episodes.see(look(T, {"x": 30.0}, silent="learning"), {})
    assert episodes.all() == []
    episodes.see(look(T + 10, {"x": 3.0}), {"x": "value"})
    episodes.see(look(T + 20, {"x": 99.0}, silent="after a pause"), {})
    assert episodes.all()[0].observed == 3.0
