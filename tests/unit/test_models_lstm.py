"""The LSTM detector: what it says on series that a person can judge, and that it serves what was trained."""

import hashlib
import json
import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from models import features
from models.lstm import WEIGHTS, Lstm
from models.recurrent import HORIZONS, LEVELS, Network, read_weights
from models.streaming import BELIEVED
from seawall.core.errors import InputError
from seawall.core.ports import Score

START = 1.7e9


def run(values: list[float], step: float = 10.0) -> list[Score]:
    detector = Lstm()
    return [detector.update(START + step * i, {"x": v})["x"] for i, v in enumerate(values)]


def regular(count: int, seed: int = 0) -> list[float]:
    """A wave of 60 samples with noise of a tenth of it, around 10."""
    rng = np.random.default_rng(seed)
    return [10 + math.sin(2 * math.pi * i / 60) + 0.1 * rng.normal() for i in range(count)]


def test_serving_does_not_import_torch() -> None:
    code = (
        "import sys; from models import DETECTORS;"
        "[d().update(1.7e9, {'x': 1.0}) for d in DETECTORS.values()];"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_numpy_steps_equal_the_torch_network() -> None:
    torch = pytest.importorskip("torch")
    from models.network import Forecaster

    _, tensors = read_weights(WEIGHTS)
    network, served = Forecaster(), Network(tensors)
    network.load_state_dict({name: torch.from_numpy(t.copy()) for name, t in tensors.items()})
    rng = np.random.default_rng(0)
    inputs = rng.normal(0, 2, (100, 5, len(features.INPUTS))).astype(np.float32)
    anchors = rng.normal(0, 2, (100, 5, len(HORIZONS) - 1, 4)).astype(np.float32)
    with torch.no_grad():
        near, far, logits, _ = network(torch.from_numpy(inputs), torch.from_numpy(anchors))
    carried = np.zeros((2 * served.hidden, 5), dtype=np.float32)
    for t in range(100):
        quantiles, probability = served.step(np.ascontiguousarray(inputs[t].T), carried)
        np.testing.assert_allclose(quantiles.T, near[t], atol=1e-4, rtol=1e-4)
        np.testing.assert_allclose(probability, torch.sigmoid(logits[t]), atol=1e-4, rtol=1e-4)
        for k in range(1, len(HORIZONS)):
            ahead = served.quantiles(k, carried[: served.hidden], anchors[t, :, k - 1].T)
            np.testing.assert_allclose(ahead.T, far[t, :, k - 1], atol=1e-4, rtol=1e-4)


def test_quantiles_never_cross() -> None:
    _, tensors = read_weights(WEIGHTS)
    served = Network(tensors)
    inputs = np.random.default_rng(1).normal(0, 5, (len(features.INPUTS), 500)).astype(np.float32)
    quantiles, probability = served.step(inputs, np.zeros((2 * served.hidden, 500), dtype=np.float32))
    assert (np.diff(quantiles, axis=0) >= 0).all()
    assert ((probability >= 0) & (probability <= 1)).all()


def test_normal_noise_is_mostly_calm() -> None:
    for seed in range(3):
        scores = np.array([s.score for s in run(regular(1500, seed))[100:]])
        assert (scores >= 0.9).mean() < 0.04
        assert np.median(scores) < 0.25
    rng = np.random.default_rng(5)
    latency = np.array([s.score for s in run(rng.lognormal(-3, 0.4, 1500).tolist())[100:]])
    assert (latency >= 0.9).mean() < 0.04


def test_a_spike_stands_out_and_is_forgotten() -> None:
    values = regular(500)
    values[400] += 5
    scores = [s.score for s in run(values, step=300)]
    assert scores[400] > 0.8
    assert max(scores[390:400]) < 0.5
    assert np.mean(np.array(scores[410:]) >= 0.9) < 0.05


def test_a_level_shift_scores_high_and_becomes_normal() -> None:
    values = regular(900)
    values[400:] = [v + 8 for v in values[400:]]
    after_a_day, first_hours = ([s.score for s in run(values, step)] for step in (300, 10))
    assert max(after_a_day[400:405]) > 0.9
    assert max(first_hours[400:405]) > 0.6  # the scale is not trusted yet
    assert np.mean(np.array(first_hours[600:]) >= 0.9) < 0.05


def test_the_band_follows_the_wave_closer_than_the_running_mean() -> None:
    """Expected values track a regular series better than its mean does: the network does something."""
    values = regular(1500)
    error = [abs(s.expected - v) for s, v in zip(run(values), values, strict=True)][300:]
    assert np.mean(error) < 0.35 * np.mean(np.abs(np.array(values[300:]) - 10))


def test_band_covers_about_nine_values_in_ten() -> None:
    values = regular(2000)
    inside = [s.lower <= v <= s.upper for s, v in zip(run(values), values, strict=True)][200:]
    assert 0.8 < np.mean(inside) < 0.98


def copied(folder: Path) -> tuple[Path, dict[str, object]]:
    """The shipped weights and card in a folder of the test's own."""
    path = folder / WEIGHTS.name
    path.write_bytes(WEIGHTS.read_bytes())
    card = WEIGHTS.with_suffix(".json").read_text()
    path.with_suffix(".json").write_text(card)
    return path, json.loads(card)


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    path, _ = copied(tmp_path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        InputError, match=r"lstm-1\.safetensors: its SHA-256 is .*; install the package again"
    ):
        Lstm(path)


@pytest.mark.parametrize("harm", ["no card", "no weights", "not JSON", "no hash", "other inputs"])
def test_weights_and_card_must_belong_together(tmp_path: Path, harm: str) -> None:
    path, card = copied(tmp_path)
    side = path.with_suffix(".json")
    if harm == "no card":
        side.unlink()
    elif harm == "no weights":
        path.unlink()
    elif harm == "not JSON":
        side.write_text("{")
    elif harm == "no hash":
        side.write_text(json.dumps({**card, "weights": {}}))
    else:
        side.write_text(json.dumps({**card, "inputs": ["value"]}))
    with pytest.raises(InputError, match=str(path)):
        Lstm(path)


def test_a_state_of_other_weights_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import load, save

    path, card = copied(tmp_path)
    tensors = load(path.read_bytes())
    tensors["near.bias"] = tensors["near.bias"] + 1
    path.write_bytes(save(tensors))
    weights = {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    path.with_suffix(".json").write_text(json.dumps({**card, "weights": weights}))
    with pytest.raises(InputError, match="detector lstm state: it is of"):
        Lstm().restore(Lstm(path).state())


def test_the_card_tells_what_was_trained() -> None:
    card, _ = read_weights(WEIGHTS)
    assert WEIGHTS.stat().st_size < 200_000
    assert card["quantiles"] == list(LEVELS)
    assert {"seed", "long", "short", "steps"} <= card["training"].keys()
    assert {"lstm", "running_mean", "last_value", "seasonal"} <= card["backtest"].keys()
    assert card["versions"]["seawall"]


def test_fifty_series_step_within_a_few_milliseconds() -> None:
    """A guard against a step that grows with history; figures belong to the benchmarks."""
    detector, names = Lstm(), [f"s{i}" for i in range(50)]
    rng, took = np.random.default_rng(0), []
    for i in range(300):
        values = dict(zip(names, rng.normal(size=50).tolist(), strict=True))
        begun = time.perf_counter()
        detector.update(START + 10 * i, values)
        took.append(time.perf_counter() - begun)
    assert np.median(took[-100:]) < 0.005


def week_of(seed: int, days: int, step: float = 600.0) -> tuple[np.ndarray, np.ndarray]:
    """(times, values) of a rate with a daily peak and a quiet weekend, from a Monday."""
    at = 1_699_833_600 + step * np.arange(days * 86400 / step)  # Monday, 13 November 2023
    hour, weekend = at % 86400 / 3600, (at // 86400 + 3) % 7 >= 5
    busy = np.exp(-0.5 * ((hour - 14) / 3) ** 2) * np.where(weekend, 0.4, 1)
    return at, (20 + 200 * busy) * np.exp(0.04 * np.random.default_rng(seed).normal(size=len(at)))


def scores(at: np.ndarray, values: np.ndarray, network: bool = True) -> np.ndarray:
    detector = Lstm(network=network)
    column = detector.columns(["x"])
    return np.array(
        [detector.advance(column, at[i : i + 1], values[i : i + 1]).score[0] for i in range(len(at))]
    )


def test_a_peak_that_does_not_come_is_noticed_though_its_values_are_ordinary() -> None:
    at, values = week_of(1, 18)
    wrong = (at >= at[0] + 17 * 86400 + 11 * 3600) & (at < at[0] + 17 * 86400 + 17 * 3600)
    values[wrong] = values[(at >= at[0] + 16 * 86400) & (at < at[0] + 16 * 86400 + 6 * 3600)]
    said = scores(at, values)
    calm = said[(at > at[0] + 14 * 86400) & ~wrong]
    assert np.median(said[wrong]) > 0.8
    assert np.mean(calm > 0.5) < 0.03
    assert np.median(scores(at, values, network=False)[wrong]) < np.median(said[wrong])


def test_a_gap_scores_after_it_and_not_for_ever() -> None:
    at, values = week_of(2, 16)
    kept = np.ones(len(at), dtype=bool)
    kept[15 * 144 + 60 : 15 * 144 + 80] = False
    said = scores(at[kept], values[kept])
    gap = 15 * 144 + 60
    assert said[gap + 1 : gap + 5].max() > 0.5
    assert np.median(said[gap + 30 :]) < 0.2


def test_the_hours_ahead_follow_the_profile() -> None:
    """At night the next hour is quiet; half a day before the peak the day ahead is like the day before."""
    at, values = week_of(3, 17)
    detector = Lstm()
    column = detector.columns(["x"])
    errors: dict[float, list[float]] = {seconds: [] for seconds in HORIZONS}
    for i in range(len(at) - 144):
        detector.advance(column, at[i : i + 1], values[i : i + 1])
        if i > 14 * 144 and i % 7 == 0:
            for seconds, quantiles in detector.ahead(column).items():
                found = values[i + max(1, round(seconds / 600))]
                assert (np.diff(quantiles[:, 0]) >= 0).all()
                errors[seconds].append(abs(math.log(quantiles[LEVELS.index(0.5), 0] / found)))
    assert errors.keys() == set(HORIZONS)
    for seconds, found in errors.items():
        assert np.median(found) < 0.15, seconds


def test_a_clock_set_back_is_believed_and_a_far_future_does_not_poison() -> None:
    detector = Lstm()
    for i in range(100):
        detector.update(START + 10 * i, {"x": 1.0 + i % 3})
    detector.update(START + 1e9, {"x": 1.0})
    words = [detector.update(START + 1000 + 10 * i, {"x": 1.0 + i % 3})["x"] for i in range(30)]
    late = [word.silent.startswith("late") for word in words]
    assert all(late[: BELIEVED - 1])
    assert not any(late[BELIEVED - 1 :])
    assert max(word.score for word in words[-10:]) < 0.7


def test_a_level_that_moves_for_good_is_the_new_normal() -> None:
    """A deploy that makes everything half as fast again is noticed at most for a while."""
    at, values = week_of(4, 20)
    values[16 * 144 :] *= 1.5
    said = scores(at, values)
    assert np.mean(said[18 * 144 :] > 0.5) < 0.1


def test_columns_that_are_no_run_step_like_those_that_are() -> None:
    """A batch in any order and with holes equals one series after the other."""
    rng, together, alone = np.random.default_rng(6), Lstm(), Lstm()
    names = [f"s{i}" for i in range(7)]
    columns, single = together.columns(names), alone.columns(names)
    for i in range(150):
        order = rng.permutation(7)[: rng.integers(1, 8)]
        at, values = START + 10.0 * i + rng.uniform(0, 5, 7), rng.lognormal(size=7)
        batch = together.advance(columns[order], at[order], values[order])
        for place, k in enumerate(order):
            one = alone.advance(single[k : k + 1], at[k : k + 1], values[k : k + 1])
            for many, said in zip(batch, one, strict=True):
                np.testing.assert_allclose(many[place], said[0], rtol=1e-4, atol=1e-5)


def test_without_the_network_the_same_features_speak() -> None:
    """The ablation is a detector of its own: finite, with a band, and its state is not the other's."""
    plain, whole = Lstm(network=False), Lstm()
    for i, value in enumerate(regular(200)):
        word = plain.update(START + 10 * i, {"x": value})["x"]
        assert word.lower <= word.expected <= word.upper
        whole.update(START + 10 * i, {"x": value})
    with pytest.raises(InputError, match="detector lstm state: it is of"):
        plain.restore(whole.state())
