"""Versions of the LSTM, and one round of learning through the gate."""

import json

import numpy as np
import pytest

from models.gate import MINIMUM, History
from models.lstm import WEIGHTS, Lstm
from models.recurrent import read_weights
from models.registry import KEPT, SHIPPED, ModelRegistry, version_name
from models.training import (
    learn,
    read_histories,
    read_outcome,
    surely_better,
    write_histories,
    write_outcome,
)
from seawall.core.errors import Conflict, InputError, NotFound

T = 1_790_000_000.0
CARD = {**read_weights(WEIGHTS)[0], "note": "a copy"}


@pytest.fixture
def versions(tmp_path):
    return ModelRegistry(tmp_path / "models")


def add(versions, at=T, content=None):
    name = version_name(at)
    versions.add(name, content or WEIGHTS.read_bytes(), CARD)
    return name


def test_the_shipped_version_serves_until_another_is_promoted(versions):
    assert (versions.names(), versions.current()) == ([SHIPPED], SHIPPED)
    name = add(versions)
    assert versions.current() == SHIPPED
    versions.promote(name, "ada", T, "better")
    assert (versions.current(), versions.promotions()[0].by) == (name, "ada")
    assert versions.load(name).card["name"] == name


def test_rolling_back_goes_to_the_version_before(versions):
    first, second = add(versions), add(versions, T + 1)
    for name in (first, second):
        versions.promote(name, "ada", T, "")
    assert versions.roll_back("bob", T + 2, "too loud") == first
    assert versions.roll_back("bob", T + 3, "still") == SHIPPED
    assert "rolled back from" in versions.promotions()[0].reason
    with pytest.raises(Conflict, match="nothing before it"):
        versions.roll_back("bob", T + 4, "")


def test_comparing_shows_facts_side_by_side(versions):
    name = add(versions)
    facts = versions.compare(SHIPPED, name)
    assert facts["note"] == (None, "a copy")
    assert facts["weights.file"] == ("lstm-1.safetensors", f"{name}.safetensors")


def test_weights_that_are_damaged_never_serve(versions):
    name = add(versions)
    path = versions.path(name)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="SHA-256"):
        versions.promote(name, "ada", T, "")
    assert versions.current() == SHIPPED


def test_names_are_unique_and_unknown_ones_are_told(versions):
    name = add(versions)
    with pytest.raises(Conflict, match="already"):
        add(versions)
    with pytest.raises(NotFound, match=f"known: {SHIPPED}, {name}"):
        versions.path("adapted-never")


def test_damaged_promotions_are_told_with_the_remedy(versions, tmp_path):
    add(versions)
    (tmp_path / "models" / "promotions.json").write_text("{")
    with pytest.raises(InputError, match="remove it"):
        versions.current()


def test_old_versions_go_but_what_serves_stays(versions):
    first = add(versions)
    versions.promote(first, "ada", T, "")
    names = [add(versions, T + k) for k in range(1, KEPT + 3)]
    assert versions.names() == [SHIPPED, first, *names[-KEPT:]]


# learning --------------------------------------------------------------------------------------


def history(count=MINIMUM, seed=1, signal="main x"):
    rng = np.random.default_rng(seed)
    return History(
        signal, T + 60.0 * np.arange(count), 5 + np.sin(np.arange(count) / 9) + 0.1 * rng.normal(size=count)
    )


def test_a_history_that_is_too_short_is_not_judged(versions):
    found = learn([history(MINIMUM - 1)], versions, T)
    assert found.verdicts == () and "nothing to judge" in found.notes[0]


def test_a_round_judges_every_signal_and_keeps_the_figures(versions, tmp_path):
    heard = []
    found = learn([history(), history(seed=2, signal="main y")], versions, T, progress=heard.append)
    assert [it.signal for it in found.verdicts] == ["main x", "main y"]
    assert all(it.losses.keys() == {"lstm", "seasonal", "running_mean"} for it in found.verdicts)
    assert heard == ["judging lstm-1 on signals 1 to 2 of 2"]
    write_outcome(tmp_path / "outcome.json", found)
    assert read_outcome(tmp_path / "outcome.json") == found


def scaled(factor):
    """Adapt by scaling the head's bias: worse the further from 1."""
    from safetensors.numpy import load, save

    def adapt(histories, start):
        tensors = load(start.read_bytes())
        tensors["near.bias"] = (tensors["near.bias"] * factor).astype(np.float32)
        return save(tensors), CARD

    return adapt


def test_a_worse_candidate_is_kept_but_never_serves(versions):
    found = learn([history()], versions, T, scaled(3.0))
    assert (found.version, versions.current()) == (SHIPPED, SHIPPED)
    assert "not promoted" in found.notes[0]
    assert len(versions.names()) == 2


def test_a_surely_better_candidate_serves_with_what_it_has_learnt(versions):
    spoilt = version_name(T)
    versions.add(spoilt, *scaled(3.0)([], WEIGHTS))
    versions.promote(spoilt, "ada", T, "")
    found = learn([history()], versions, T + 1, lambda histories, start: (WEIGHTS.read_bytes(), CARD))
    assert found.version == versions.current() == version_name(T + 1)
    assert "promoted" in found.notes[0] and versions.promotions()[0].by == "seawall"
    assert {it.version for it in found.verdicts} == {found.version}
    model = versions.load(found.version)
    model.restore(versions.state(found.version))
    said = model.update(T + 60.0 * MINIMUM, {"main x": 5.0})["main x"]
    assert said.silent == "", "it need not learn the series anew"


def test_nothing_adapted_is_said(versions):
    assert learn([history()], versions, T, lambda histories, start: None).notes == ("nothing was adapted",)


def test_versions_that_are_the_same_are_not_better():
    losses = {"x": np.random.default_rng(1).random(1000)}
    assert surely_better(losses, losses) == (False, surely_better(losses, losses)[1])
    assert surely_better({"x": np.full(3, np.nan)}, {"x": np.full(3, np.nan)})[0] is False


def test_histories_come_back_as_they_were(tmp_path):
    path = tmp_path / "history"
    histories = [history(), History("empty", np.empty(0), np.empty(0))]
    write_histories(path, histories)
    for one, other in zip(read_histories(path), histories, strict=True):
        assert one.signal == other.signal
        assert np.array_equal(one.at, other.at) and np.array_equal(one.values, other.values)


@pytest.mark.parametrize("content", [b"", b"x" * 50, json.dumps({}).encode()])
def test_a_damaged_history_or_outcome_is_told_with_its_place(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    for read in (read_histories, read_outcome):
        with pytest.raises(InputError, match=str(path)):
            read(path)


# adapting --------------------------------------------------------------------------------------


def test_adapting_is_reproducible_gentle_and_moves_the_forecast_only(versions):
    from models.adapt import Plan, adaptation

    some = history(3000)
    some.values[1000:1010] = 500.0
    heard = []
    made = [adaptation(1, heard.append, Plan(epochs=2))([some], WEIGHTS) for _ in range(2)]
    assert made[0][0] == made[1][0]
    weights, card = made[0]
    assert card["data"]["taught"] <= 2400 - 40 and card["data"]["until"] == "2026-09-23T06:12:20.000Z"
    assert card["adapted_from"]["name"] == SHIPPED
    versions.add("adapted-a", weights, card)
    before, after = (read_weights(path)[1] for path in (WEIGHTS, versions.path("adapted-a")))
    moved = max(float(np.abs(after[name] - before[name]).max()) for name in before)
    assert 0 < moved < 0.2
    kept = [name for name in before if not name.startswith(("near", "far"))]
    assert kept and all(np.array_equal(before[name], after[name]) for name in kept), "only the forecast moves"
    assert adaptation(1, heard.append)([history(MINIMUM - 1)], WEIGHTS) is None
    assert isinstance(versions.load("adapted-a"), Lstm)
