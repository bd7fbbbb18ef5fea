"""Pretraining: reproducible, and what it ships is what the detector loads."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models import operations
from models.lstm import Lstm

pytest.importorskip("torch")
from models import pretrain

TINY = pretrain.Plan(series=24, held_out=8, samples=200, window=64, batch=8, epochs=2)


def test_generated_series_are_finite_reproducible_and_in_order() -> None:
    times, values = operations.many(7, 40, 500)
    again = operations.many(7, 40, 500)
    assert np.isfinite(values).all()
    assert (np.diff(times, axis=0) > 0).all()
    assert np.array_equal(times, again[0])
    assert np.array_equal(values, again[1])
    assert not np.array_equal(values, operations.many(8, 40, 500)[1])


def test_every_kind_of_series_is_generated_without_warnings() -> None:
    times = 1.7e9 + 60 * np.arange(1000.0)
    for kind, _ in operations.KINDS:
        assert np.isfinite(kind(np.random.default_rng(1), times)).all()


def test_the_seed_alone_decides_the_weights(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        pretrain.pretrain(tmp_path / name, seed, TINY)
    a, b, c = ((tmp_path / n / "lstm-1.safetensors").read_bytes() for n in "abc")
    assert a == b != c
    assert (tmp_path / "a" / "lstm-1.json").read_text() == (tmp_path / "b" / "lstm-1.json").read_text()
    detector = Lstm(tmp_path / "a" / "lstm-1.safetensors")
    assert detector.update(1.7e9, {"x": 1.0})["x"].silent


def test_training_learns(tmp_path: Path) -> None:
    """More epochs on the same series: a lower loss on others."""
    losses = []
    for epochs in (1, 12):
        pretrain.pretrain(tmp_path, 3, replace(TINY, series=64, epochs=epochs))
        losses.append(json.loads((tmp_path / "lstm-1.json").read_text())["backtest"]["lstm"])
    assert losses[1] < losses[0]


def test_windows_are_causal() -> None:
    """What follows a window does not change it."""
    plan = replace(TINY, samples=200, window=64)
    times, values = operations.many(1, 6, plan.samples)
    whole = pretrain.windows_of(times, values, np.zeros(6, dtype=int), plan.window)
    values[plan.window + 1 :] = 1e6
    cut = pretrain.windows_of(times, values, np.zeros(6, dtype=int), plan.window)
    assert np.array_equal(whole.inputs, cut.inputs)
    assert np.array_equal(whole.found, cut.found)
