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
from models.lstm import LEVELS, WEIGHTS, Lstm, Network, read_weights
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
    inputs = np.random.default_rng(0).normal(0, 2, (100, 5, len(features.INPUTS))).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(inputs)).numpy()
    carried = np.zeros((2 * served.hidden, 5), dtype=np.float32)
    for t in range(100):
        quantiles, carried = served.step(np.ascontiguousarray(inputs[t].T), carried)
        np.testing.assert_allclose(quantiles.T, expected[t], atol=1e-5, rtol=1e-5)


def test_quantiles_never_cross() -> None:
    _, tensors = read_weights(WEIGHTS)
    served = Network(tensors)
    inputs = np.random.default_rng(1).normal(0, 5, (len(features.INPUTS), 500)).astype(np.float32)
    quantiles, _ = served.step(inputs, np.zeros((2 * served.hidden, 500), dtype=np.float32))
    assert (np.diff(quantiles, axis=0) >= 0).all()


def test_normal_noise_is_mostly_calm() -> None:
    for seed in range(3):
        scores = np.array([s.score for s in run(regular(1500, seed))[100:]])
        assert (scores >= 0.9).mean() < 0.04
        assert np.median(scores) == 0
    rng = np.random.default_rng(5)
    latency = np.array([s.score for s in run(rng.lognormal(-3, 0.4, 1500).tolist())[100:]])
    assert (latency >= 0.9).mean() < 0.04


def test_a_spike_stands_out_and_is_forgotten() -> None:
    values = regular(500)
    values[400] += 5
    scores = [s.score for s in run(values)]
    assert scores[400] > 0.99
    assert max(scores[398:400]) < 0.9
    assert np.mean(np.array(scores[410:]) >= 0.9) < 0.05


def test_a_level_shift_scores_high_and_becomes_normal() -> None:
    values = regular(900)
    values[400:] = [v + 8 for v in values[400:]]
    scores = [s.score for s in run(values)]
    assert scores[400] > 0.99
    assert np.mean(np.array(scores[450:]) >= 0.9) < 0.05


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
    tensors["head.bias"] = tensors["head.bias"] + 1
    path.write_bytes(save(tensors))
    weights = {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    path.with_suffix(".json").write_text(json.dumps({**card, "weights": weights}))
    with pytest.raises(InputError, match="detector lstm state: it is of"):
        Lstm().restore(Lstm(path).state())


def test_the_card_tells_what_was_trained() -> None:
    card, _ = read_weights(WEIGHTS)
    assert WEIGHTS.stat().st_size < 200_000
    assert card["quantiles"] == list(LEVELS)
    assert {"seed", "series", "samples"} <= card["training"].keys()
    assert {"lstm", "running_mean", "last_value", "seasonal_naive"} <= card["backtest"].keys()
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
