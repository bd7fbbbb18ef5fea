"""Pretraining: reproducible, and what it ships is what the detector loads."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models import incidents, operations
from models.lstm import Lstm

pytest.importorskip("torch")
from models import pretrain
from models.lessons import lessons

TINY = pretrain.Plan(
    long=16, long_rows=400, short=24, short_rows=200, held_out=8, batch=8, window=50, steps=30
)


def test_generated_series_are_finite_reproducible_and_in_order() -> None:
    times, values = operations.many(7, 40, 500)
    again = operations.many(7, 40, 500)
    assert np.isfinite(values).all()
    assert (np.diff(times, axis=0) > 0).all()
    assert np.array_equal(times, again[0])
    assert np.array_equal(values, again[1])
    assert not np.array_equal(values, operations.many(8, 40, 500)[1])


@pytest.mark.parametrize("short", [False, True])
def test_incidents_are_labelled_reproducible_and_rare(short: bool) -> None:
    times, values, labels = incidents.many(3, 60, 1500, short)
    again = incidents.many(3, 60, 1500, short)
    assert all(
        np.array_equal(a, b, equal_nan=True) for a, b in zip((times, values, labels), again, strict=True)
    )
    assert (np.diff(times, axis=0) > 0).all()
    assert np.isfinite(values).mean() > 0.95
    assert 0.01 < labels.mean() < 0.15
    assert not labels[: incidents.FIRST].any()


@pytest.mark.parametrize("kind", list(operations.KINDS))
def test_every_kind_of_series_is_generated_without_warnings(kind: str) -> None:
    for seed in range(5):
        world = operations.world(np.random.default_rng(seed), 1000)
        world.kind = kind
        assert np.isfinite(operations.render(world)).all()


@pytest.mark.parametrize("name", list(incidents.TYPES))
def test_every_incident_changes_its_rows_and_no_earlier_one(name: str) -> None:
    """Bending or touching some rows leaves what came before as it was."""
    incident, changed = incidents.TYPES[name], False
    for seed in range(12):
        kind = incident.kinds[seed % len(incident.kinds)]
        plain, bent = (operations.world(np.random.default_rng(seed), 3000) for _ in range(2))
        plain.kind = bent.kind = kind
        part = slice(2000, 2000 + max(3, min(600, int(incident.hours[1] * bent.per_hour))))
        if incident.bend:
            incident.bend(bent, part)
        before, after = operations.render(plain), operations.render(bent)
        if incident.touch:
            incident.touch(bent, after, part)
        assert np.allclose(before[: part.start], after[: part.start])
        changed |= not np.allclose(before[part], after[part])
    assert changed or name == "gap"


def test_the_seed_alone_decides_the_weights(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        pretrain.pretrain(tmp_path / name, seed, TINY)
    a, b, c = ((tmp_path / n / "lstm-1.safetensors").read_bytes() for n in "abc")
    assert a == b != c
    assert (tmp_path / "a" / "lstm-1.json").read_text() == (tmp_path / "b" / "lstm-1.json").read_text()
    detector = Lstm(tmp_path / "a" / "lstm-1.safetensors")
    assert detector.update(1.7e9, {"x": 1.0})["x"].silent


def test_training_learns(tmp_path: Path) -> None:
    """More steps on the same series: a lower loss on others."""
    losses = []
    for steps in (2, 80):
        pretrain.pretrain(tmp_path, 3, replace(TINY, steps=steps))
        losses.append(json.loads((tmp_path / "lstm-1.json").read_text())["backtest"]["lstm"])
    assert losses[1] < losses[0]


def test_lessons_are_causal() -> None:
    """What follows a row changes neither its inputs nor its anchors."""
    times, values = operations.many(1, 6, 300)
    whole = lessons(times, values)
    values[201:] = 1e6
    cut = lessons(times, values)
    assert np.array_equal(whole.inputs[:201], cut.inputs[:201])
    assert np.array_equal(whole.seasonal[:201], cut.seasonal[:201])


def test_lessons_find_what_came_at_each_horizon() -> None:
    """Of a series of minutes: the next, the 15th and the 60th row after, where there is one."""
    at = 1.7e9 + 60.0 * np.arange(400)[:, None]
    values = 5 + np.sin(np.arange(400.0) / 20)[:, None]
    values[300] = np.nan
    found = lessons(at, values).found[:, :, 0]
    assert not np.isfinite(found[-1]).any()
    assert np.isfinite(found[299, 0])  # the row after the missing one comes soon enough
    assert not np.isfinite(found[300]).any()
    again = lessons(at, values, np.arange(400)[:, None] != 100).found[:, :, 0]
    gone = np.isfinite(found) & ~np.isfinite(again)
    assert [np.flatnonzero(gone[:, k]).tolist() for k in range(3)] == [[99], [85], [40]]
