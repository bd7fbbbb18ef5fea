"""`seawall train` and `seawall models` as their user runs them: processes, files, exit codes."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from models.lstm import WEIGHTS
from models.recurrent import read_weights
from models.registry import ModelRegistry
from seawall.core.signals import Sample, labels
from seawall.stores.duckdb import DuckDatabase, DuckSamples

CONFIG = "registries: [{name: main, url: 'http://127.0.0.1:5000'}]\n"


def seawall(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "seawall", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)


def values(count):
    rng = np.random.default_rng(1)
    return 5 + np.sin(np.arange(count) / 9) + 0.1 * rng.normal(size=count)


@pytest.fixture
def recording(tmp_path) -> Path:
    path = tmp_path / "queue.csv"
    lines = [f"{1.79e9 + 60 * k:.0f},{value:.4f}" for k, value in enumerate(values(2100))]
    path.write_text("\n".join(["timestamp,value", *lines]) + "\n")
    return path


def test_recordings_are_judged_adapted_to_and_the_versions_listed(recording, tmp_path):
    state = tmp_path / "state"
    done = seawall("train", "--csv", recording, "--state", state, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert [it["signal"] for it in said["verdicts"]] == ["queue value"]
    assert said["verdicts"][0]["losses"].keys() == {"lstm", "seasonal", "running_mean"}
    assert "adapting, pass 4 of 4" in done.stderr
    listed = json.loads(seawall("models", "--state", state, "--json").stdout)["items"]
    assert len(listed) == 2 and listed[0]["name"] == "lstm-1"
    assert [it["name"] for it in listed if it["serves"]] == [said["version"]]


def test_stored_history_is_read_where_no_seawall_works(tmp_path):
    state, config = tmp_path / "state", tmp_path / "seawall.yaml"
    config.write_text(CONFIG)
    state.mkdir()
    database = DuckDatabase(state / "data")
    now = time.time()
    pairs = labels(signal="slo:pull_latency")
    DuckSamples(database).append(
        [
            Sample("main", "seawall_observed", now - 10 * (2100 - k), float(v), pairs)
            for k, v in enumerate(values(2100))
        ]
    )
    database.close()
    done = seawall("train", "--judge-only", "--state", state, "--config", config)
    assert done.returncode == 0, done.stderr
    assert "main slo:pull_latency" in done.stdout and "nothing was adapted" in done.stdout


def test_promoting_comparing_and_rolling_back(tmp_path):
    versions = ModelRegistry(tmp_path / "models")
    versions.add("adapted-a", WEIGHTS.read_bytes(), read_weights(WEIGHTS)[0])
    promoted = seawall("models", "--promote", "adapted-a", "--reason", "try it", "--state", tmp_path)
    assert promoted.returncode == 0 and "try it" in promoted.stdout
    assert versions.current() == "adapted-a"
    compared = json.loads(
        seawall("models", "--compare", "lstm-1", "adapted-a", "--state", tmp_path, "--json").stdout
    )
    assert compared["name"] == {"lstm-1": "lstm-1", "adapted-a": "adapted-a"}
    assert seawall("models", "--roll-back", "--state", tmp_path).returncode == 0
    assert versions.current() == "lstm-1"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["train"], 2, "there is no such state folder"),
        (["train", "--csv", "nowhere.csv"], 2, "nowhere.csv"),
        (["models", "--promote", "never"], 1, "no model version 'never'"),
        (["models", "--roll-back"], 1, "nothing before it"),
        (["models", "--roll-back", "--promote", "x"], 2, "give one of the two"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path, arguments, code, told):
    done = seawall(*arguments, "--state", tmp_path / "none")
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr and done.stderr.count("\n") == 1
