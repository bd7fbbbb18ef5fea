"""Learning from the installation's own history: once a day, in a process of its own at the lowest priority.

The service writes the history, a `seawall train` judges and adapts, and both meet in STATE/models: the
service follows what it finds promoted there. No torch comes into the serving process.
"""

import logging
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.gate import MINIMUM, History
from models.registry import ModelRegistry
from models.training import read_outcome, write_histories
from models.watch import Watch
from seawall.core.errors import SeawallError
from seawall.core.ports import Clock, SampleStore
from seawall.core.signals import labels
from seawall.statefolder import StateFolder

MODELS, HISTORY, OUTCOME = "models", "history.safetensors", "outcome.json"
DAY = 86400.0
SPAN = 14 * DAY
MOST_SAMPLES = 20_000_000  # over all signals: bounds the time of a round
LEAST_SAMPLES = 4000  # of a signal, however many signals there are
LONGEST = 6 * 3600.0  # seconds after which a round is given up
OBSERVED = "seawall_observed"
log = logging.getLogger(__name__)


def read_history(samples: SampleStore, registries: Sequence[str], now: float) -> list[History]:
    """What was observed of each signal in the last two weeks, read a day at a time."""
    found = [
        (registry, dict(sample.labels)["signal"])
        for registry in registries
        for sample in samples.latest(registry, OBSERVED, now - SPAN, now)
    ]
    most = max(LEAST_SAMPLES, MOST_SAMPLES // max(1, len(found)))
    return [_history(samples, registry, signal, now, most) for registry, signal in found]


def _history(samples: SampleStore, registry: str, signal: str, now: float, most: int) -> History:
    times, values, end = list[np.ndarray](), list[np.ndarray](), now
    while end > now - SPAN and sum(map(len, times)) < most:
        day = samples.range(registry, OBSERVED, end - DAY, end, labels(signal=signal))
        times.append(np.array([sample.at for sample in day]))
        values.append(np.array([sample.value for sample in day]))
        end -= DAY
    at, value = np.concatenate(times[::-1])[-most:], np.concatenate(values[::-1])[-most:]
    return History(f"{registry} {signal}", at, value)


class Retraining:
    """The daily round, and following what it came to."""

    def __init__(
        self, samples: SampleStore, registries: Sequence[str], clock: Clock, state: StateFolder, watch: Watch
    ) -> None:
        self._samples, self._registries, self._clock = samples, registries, clock
        self._folder, self._state, self._watch = state.path / MODELS, state, watch
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = threading.Event()
        self._followed = 0.0

    def tick(self) -> None:
        """Run a round if the last one began a day ago; called every hour, in a thread."""
        history = self._folder / HISTORY
        if history.exists() and self._clock.now() - history.stat().st_mtime < DAY:
            return
        try:
            histories = read_history(self._samples, self._registries, self._clock.now())
            if any(len(it.at) >= MINIMUM for it in histories):
                self.round(histories)
        except (SeawallError, OSError) as error:
            log.error("the models were not judged anew: %s", error)

    def round(self, histories: Sequence[History]) -> None:
        """Write the history, let `seawall train` work on it, follow the outcome."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        write_histories(self._folder / HISTORY, histories)
        with (self._folder / "train.log").open("wb") as told:
            command = [sys.executable, "-m", "seawall", "train", "--state", str(self._state.path), "--polite"]
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=told, stderr=subprocess.STDOUT
            )
            if self._stopped.is_set():
                self._process.kill()
            code = self._wait(self._process)
        if code == 0:
            self.follow()
        elif not self._stopped.is_set():
            log.error("seawall train ended with %d; see %s", code, self._folder / "train.log")

    def _wait(self, process: "subprocess.Popen[bytes]") -> int:
        try:
            return process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def follow(self) -> None:
        """Serve what was promoted and believe the newest verdicts; called every minute."""
        path = self._folder / OUTCOME
        versions = ModelRegistry(self._folder)
        try:
            current = versions.current()
            lstm = None
            if current != self._watch.version:
                lstm = versions.load(current)
                if (state := versions.state(current)) is not None:
                    lstm.restore(state)
            changed = path.stat().st_mtime if path.exists() else 0.0
            verdicts = read_outcome(path).verdicts if changed > self._followed else ()
            if lstm or verdicts:
                self._watch.adopt(verdicts, lstm)
                log.info("the models: %s serves; %d verdicts", current, len(verdicts))
            self._followed = changed
        except (SeawallError, OSError) as error:
            log.error("what was promoted cannot be served: %s", error)

    def stop(self) -> None:
        """End a round that runs."""
        self._stopped.set()
        if self._process is not None and self._process.poll() is None:
            self._process.kill()


def history_file(state: Path) -> Path:
    """Where a service keeps the history that it last wrote."""
    return state / MODELS / HISTORY
