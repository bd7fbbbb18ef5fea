"""Learning beside the service: the history is written, a process works on it, the service follows."""

import threading

import numpy as np
import pytest

from alerts.slos import load_rows
from models.gate import MINIMUM
from models.lstm import WEIGHTS, Lstm
from models.recurrent import read_weights
from models.registry import SHIPPED, ModelRegistry
from models.watch import Watch
from seawall.core.signals import Sample, labels
from seawall.detecting import restored_watch, save_watch
from seawall.retraining import HISTORY, MODELS, OUTCOME, Retraining, read_history
from seawall.statefolder import StateFolder
from seawall.stores.memory import MemorySamples
from tests.fakes import FakeClock

SIGNAL = "slo:pull_latency"


class House:
    """A service's models, its store and its state folder; `count` values were observed until now."""

    def __init__(self, folder, count=MINIMUM + 100):
        self.state = StateFolder(folder / "state")
        self.state.acquire()
        self.clock, self.samples = FakeClock(), MemorySamples()
        self.watch = Watch(load_rows(), Lstm())
        self.folder = self.state.path / MODELS
        self.versions = ModelRegistry(self.folder)
        rng, now = np.random.default_rng(1), self.clock.now()
        values = 0.2 + 0.02 * np.sin(np.arange(count) / 9) + 0.005 * rng.normal(size=count)
        self.samples.append(
            [
                Sample(
                    "main", "seawall_observed", now - 10.0 * (count - k), float(value), labels(signal=SIGNAL)
                )
                for k, value in enumerate(values)
            ]
        )
        self.retraining = Retraining(self.samples, ["main"], self.clock, self.state, self.watch)

    def promote(self, at=1.0):
        name = f"adapted-{at:g}"
        self.versions.add(name, WEIGHTS.read_bytes(), read_weights(WEIGHTS)[0])
        self.versions.promote(name, "ada", at, "")
        return name


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


def test_the_history_is_what_was_observed(house):
    (history,) = read_history(house.samples, ["main"], house.clock.now())
    assert history.signal == f"main {SIGNAL}"
    assert len(history.at) == MINIMUM + 100
    assert np.all(np.diff(history.at) == 10.0)


def test_a_round_judges_in_another_process_and_the_service_follows(house):
    house.retraining.tick()
    verdict = house.watch.verdicts()[f"main {SIGNAL}"]
    assert verdict.version == house.watch.version
    assert verdict.losses.keys() == {"lstm", "seasonal", "running_mean"}
    before = (house.folder / OUTCOME).stat().st_mtime_ns
    house.retraining.tick()
    assert (house.folder / OUTCOME).stat().st_mtime_ns == before, "not again on the same day"


def test_a_young_installation_starts_no_process(tmp_path):
    house = House(tmp_path, MINIMUM - 1)
    house.retraining.tick()
    assert not house.folder.exists()


def test_what_is_promoted_or_rolled_back_by_hand_is_followed(house):
    name = house.promote()
    house.retraining.follow()
    assert house.watch.version == name
    house.versions.roll_back("ada", 2.0, "")
    house.retraining.follow()
    assert house.watch.version == SHIPPED


def test_a_damaged_version_changes_nothing(house, caplog):
    house.versions.path(house.promote()).write_bytes(b"x")
    house.retraining.follow()
    assert house.watch.version == SHIPPED
    assert "cannot be served" in caplog.text
    assert restored_watch(load_rows(), house.state).version == SHIPPED


def test_the_promoted_version_serves_after_a_restart_with_what_was_learnt(house):
    name = house.promote()
    house.retraining.follow()
    for k in range(100):
        house.watch.look("main", 1.79e9 + 10 * k, {"x": 1.0}, [])
    save_watch(house.watch, house.state)
    after = restored_watch(load_rows(), house.state)
    assert after.version == name
    assert after.states() == house.watch.states()


def test_a_part_that_is_damaged_starts_anew_and_says_so(house, caplog):
    for k in range(100):
        house.watch.look("main", 1.79e9 + 10 * k, {"x": 1.0}, [])
    save_watch(house.watch, house.state)
    house.state.write_bytes("forecasts", b"x")
    after = restored_watch(load_rows(), house.state)
    assert "forecasts starts anew" in caplog.text
    assert after.look("main", 1.79e9 + 1000, {"x": 1.0}, []).scores["x"].silent == ""


def test_stopping_ends_a_round_that_runs(house):
    thread = threading.Thread(target=house.retraining.tick)
    thread.start()
    house.retraining.stop()
    thread.join(60)
    assert not thread.is_alive()
    assert not (house.folder / OUTCOME).exists()
    assert (house.folder / HISTORY).exists() or not house.folder.exists()


def test_a_round_that_fails_is_told_with_its_log(house, caplog):
    (house.folder / "promotions.json").mkdir(parents=True)
    house.retraining.tick()
    assert "seawall train ended with" in caplog.text
