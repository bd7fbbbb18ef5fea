"""Alerts: one per event, silence where it is due, the budget, and a state that is exact."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import DETECTORS, channels, events
from models.alerting import THRESHOLD, Alerting
from models.channels import CHANNELS
from models.normaliser import Floats
from models.streaming import Silence, Step, Streaming
from seawall.core.errors import InputError

START, DAY = 1.7e9, 86400.0


def told(values: Floats, step: float = 300.0, name: str = "lstm") -> tuple[Floats, list[str]]:
    """Alert scores [T, n] of series [T, n], and the channel of each alert of the first."""
    detector, alerting = DETECTORS[name](), Alerting(forecast=name == "lstm")
    return alerts(detector, alerting, START + step * np.arange(len(values)), values)


def alerts(detector: Streaming, alerting: Alerting, at: Floats, values: Floats) -> tuple[Floats, list[str]]:
    columns = detector.columns([f"s{i}" for i in range(values.shape[1])])
    out, names = np.zeros(values.shape), []
    for t, row in enumerate(values):
        moment = np.full(len(row), at[t])
        found = alerting.update(columns, moment, row, detector.advance(columns, moment, row))
        out[t] = found.alert_score
        assert (found.anomaly == (found.alert_score >= THRESHOLD)).all()
        names += [CHANNELS[found.channel[0]]] if found.anomaly[0] else []
    return out, names


def daily(count: int, seed: int = 0, step: float = 300.0) -> Floats:
    """A calm daily wave around 100 with a little noise [T, 1]."""
    wave = 100 + 20 * np.sin(2 * np.pi * np.arange(count) * step / DAY)
    return (wave + np.random.default_rng(seed).normal(size=count))[:, None]


def rows(scores: Floats) -> list[int]:
    return np.flatnonzero(scores[:, 0] >= THRESHOLD).tolist()


def calm(count: int) -> Step:
    zero = np.zeros(count)
    return Step(zero, zero - 1, zero + 1, zero, zero, np.zeros(count, dtype=np.int8), zero, zero, zero)


@pytest.mark.parametrize("name", ["lstm", "running_mean"])
def test_a_shift_that_stays_alerts_once_and_is_the_new_normal(name: str) -> None:
    values = daily(2400)
    values[1500:] += 150
    found = [row for row in rows(told(values, name=name)[0]) if row >= 600]
    assert len(found) == 1
    assert 1500 <= found[0] <= 1505


def test_a_spike_alerts_once_and_names_its_channel() -> None:
    values = daily(1500)
    values[1200] += 200
    scores, names = told(values)
    assert [row for row in rows(scores) if row >= 600] == [1200]
    assert names[-1] in {"value", "surprise", "context"}


def test_a_gap_alerts_and_names_its_channel() -> None:
    detector, alerting, values = DETECTORS["lstm"](), Alerting(), daily(1500)
    at = START + 300.0 * np.arange(1500)
    kept = np.ones(1500, dtype=bool)
    kept[1200:1230] = False
    scores, names = alerts(detector, alerting, at[kept], values[kept])
    assert scores[1200, 0] >= THRESHOLD
    assert names[-1] == "gap"


def test_silence_in_grace() -> None:
    values = daily(60)
    values[10::7] *= 1e6
    assert not told(values)[0].any()


@pytest.mark.parametrize("constant", [0.0, 1.0, -3e12, 1e-9])
def test_a_constant_is_calm_and_its_first_change_is_not(constant: float) -> None:
    values = np.full((1500, 1), constant)
    values[1400:] = constant + 1e6 * (abs(constant) or 1)
    found = rows(told(values)[0])
    assert found[:1] == [1400]
    assert len(found) == 1


def test_unit_and_origin_of_a_value_do_not_matter() -> None:
    values = daily(1500)
    values[1100:1110] += 60
    values[1300:] += 90
    plain = rows(told(values, name="running_mean")[0])
    assert rows(told(1000 * values, name="running_mean")[0]) == plain
    assert rows(told(values - 70, name="running_mean")[0]) == plain


def test_nothing_looks_ahead() -> None:
    values = daily(900)
    other = values.copy()
    other[700:] *= -50
    assert (told(values)[0][:700] == told(other)[0][:700]).all()


def test_a_restart_changes_nothing() -> None:
    values = np.concatenate((daily(900), daily(900, seed=1) ** 2), axis=1)
    values[700:, 0] += 90
    at = START + 300.0 * np.arange(900)
    whole, halves = Alerting(), Alerting()
    detector, second = DETECTORS["lstm"](), DETECTORS["lstm"]()
    expected = alerts(detector, whole, at, values)[0]
    first = alerts(second, halves, at[:650], values[:650])[0]
    restored = Alerting()
    restored.restore(halves.state())
    assert restored.state() == halves.state()
    rest = alerts(second, restored, at[650:], values[650:])[0]
    assert (np.concatenate((first, rest)) == expected).all()
    assert restored.state() == whole.state()


def test_foreign_and_damaged_states_are_refused() -> None:
    alerting = Alerting()
    alerting.update(np.array([0]), np.array([START]), np.array([1.0]), calm(1))
    state = alerting.state()
    for bad in (b"", state[:-1], Alerting(forecast=False).state(), DETECTORS["lstm"]().state()):
        with pytest.raises(InputError, match="alerting state"):
            alerting.restore(bad)
    assert alerting.state() == state


def test_late_and_missing_samples_change_nothing() -> None:
    alerting, columns = Alerting(), np.arange(2)
    for t in range(100):
        alerting.update(columns, np.full(2, START + t), np.array([t % 7.0, t % 5.0]), calm(2))
    state = alerting.state()
    for code in (Silence.LATE, Silence.MISSING):
        step = calm(2)._replace(silent=np.full(2, code, dtype=np.int8))
        found = alerting.update(columns, np.full(2, START), np.array([1e9, np.nan]), step)
        assert not found.alert_score.any()
    assert alerting.state() == state


def test_series_know_nothing_of_one_another() -> None:
    values = np.random.default_rng(3).lognormal(size=(500, 3))
    values[400:402] += np.array([30.0, 0.0, 100.0])
    together, single = Alerting(), Alerting()
    for t, row in enumerate(values):
        at = np.full(3, START + 300.0 * t)
        whole = together.update(np.arange(3), at, row, calm(3)).alert_score
        for column in (2, 0, 1):
            one = np.array([column])
            alone = single.update(one, at[one], row[one], calm(1)).alert_score
            assert alone[0] == pytest.approx(whole[column], abs=1e-6)


@pytest.mark.parametrize(
    "value",
    [
        lambda i: 1e149 * (-1) ** i,
        lambda i: 10.0 ** (i % 300 - 150),
        lambda i: float(i == 120) * 1e150,
        lambda i: float(i) ** 3,
        lambda i: float(i % 2),
    ],
    ids=["huge", "all sizes", "one huge spike", "cubic", "toggle"],
)
def test_scores_are_numbers_whatever_comes(value) -> None:  # type: ignore[no-untyped-def]
    values = np.array([[value(i)] for i in range(400)])
    scores = told(values)[0]
    assert np.isfinite(scores).all()
    assert ((scores >= 0) & (scores <= 1)).all()


def normal(kind: int, rng: np.random.Generator, times: Floats) -> Floats:
    """Latency, request counts or a gauge of one calm day [T]."""
    load = 1 + rng.uniform(0, 0.8) * np.sin(2 * np.pi * (times / DAY + rng.random()))
    if kind == 0:
        return np.asarray(
            rng.uniform(0.01, 0.5) * load * rng.lognormal(0, rng.uniform(0.05, 0.5), len(times))
        )
    if kind == 1:
        return rng.poisson(np.exp(rng.uniform(0, 6)) * load).astype(np.float64)
    return np.asarray(load + rng.uniform(0.02, 0.5) * rng.normal(size=len(times)))


def test_normal_traffic_of_a_day_stays_within_the_budget() -> None:
    """50 series at 10 s for 24 h: no more than one alert per 5,000 rows."""
    times = START + 10.0 * np.arange(8640)
    rngs = np.random.default_rng(11).spawn(50)
    values = np.stack([normal(i % 3, rng, times) for i, rng in enumerate(rngs)], axis=1)
    found, _ = told(values, step=10.0)
    assert (found >= THRESHOLD).sum() <= values.size / 5000


def test_the_budget_raises_the_bar() -> None:
    """Equal impulses: the first is told, the next ones only when the bar has come down."""
    state, heard = np.zeros((events.ROWS, 1)), []
    for t in range(3000):
        impulse = np.array([1.5 if t % 50 == 0 else 0.0])
        heard.append(events.told(state, impulse, np.zeros(1))[0] >= 1)
    assert heard[0]
    assert 3 <= sum(heard) < 60 / 4


def test_a_level_that_lasts_is_told_once_and_again_after_a_calm() -> None:
    state, heard = np.zeros((events.ROWS, 1)), []
    for t in range(4000):
        level = np.array([0.0 if t % 2000 < 1000 else 2.5])
        if events.told(state, np.zeros(1), level)[0] >= 1:
            heard.append(t)
    assert heard == [1000, 3000]


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=200), st.floats(1e-6, 1e6))
def test_a_value_seen_before_is_never_new(whole: list[int], unit: float) -> None:
    """Eleven values fit into the memory, so that a repetition has novelty 0 and a first has more."""
    own, remembered = channels.joined(1)
    seen = set[int]()
    for t, number in enumerate(whole):
        at = np.array([START + t])
        novelty, _ = channels.step(at, np.array([number * unit]), calm(1), own, remembered)
        assert (novelty[0] > 0) == (number not in seen and bool(seen))
        seen.add(number)
    assert (np.diff(remembered[: int(own[channels.EDGES, 0]), 0]) >= 0).all()


def test_memory_stays_bounded_and_forgets_the_narrowest_hole() -> None:
    own, remembered = channels.joined(1)
    for t, number in enumerate([*range(0, 3200, 100), 1e6, 50]):
        channels.step(np.array([START + t]), np.array([float(number)]), calm(1), own, remembered)
    assert remembered.shape == (channels.REMEMBERED, 1)
    assert np.isfinite(remembered).all()
    assert remembered[-1, 0] == 1e6
