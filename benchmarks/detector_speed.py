"""What the shipped detector costs: 10,000 series in one step, one series alone, its state, its memory.

Processor time of one thread, in a process of its own; the whole step: features, network, score, and alerts.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.figure import Figure

MANY, MINUTE, START = 10_000, 60.0, 1.7e9
WARM, STEPS = 70, 60  # steps: past the grace; four quarters of an hour
ALONE = 3000
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def measure() -> list[Figure]:
    """Runs this file as a process of one thread."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.detector_speed"],
        env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE, check=True, timeout=600,
    )  # fmt: skip
    found = json.loads(done.stdout)
    return [
        Figure("detector: a point of 10,000 series, no alerts", found["many"], 2, "µs"),
        Figure("detector: a point of 10,000 series, with alerts", found["many_alerts"], 2, "µs"),
        Figure("detector: a step of one series, no alerts", found["alone"], 100, "µs"),
        Figure("detector: a step of one series, with alerts", found["alone_alerts"], 100, "µs"),
        Figure("detector: state of 10,000 series", found["state"] / 1e6, 100, "MB"),
        Figure("detector: peak RSS with 10,000 series", found["rss"] / 2**20, 400, "MiB"),
    ]


def _costs() -> dict[str, float]:
    """Microseconds of processor time a point, bytes of state, bytes of RSS."""
    from models.alerting import Alerting
    from models.lstm import Lstm

    found: dict[str, float] = {}
    for name, count, steps in (("many", MANY, STEPS), ("alone", 1, ALONE)):
        detector, alerting = Lstm(), Alerting()
        columns = detector.columns([f"s{i}" for i in range(count)])
        at, wave = np.full(count, START), _wave(WARM + steps, count)
        plain, whole = 0.0, 0.0
        for t, values in enumerate(wave):
            at += MINUTE
            began = time.process_time()
            step = detector.advance(columns, at, values)
            said = time.process_time()
            alerting.update(columns, at, values, step)
            if t >= WARM:
                plain += said - began
                whole += time.process_time() - began
        found |= {name: plain / steps / count * 1e6, f"{name}_alerts": whole / steps / count * 1e6}
        if count == MANY:
            found["state"] = len(detector.state()) + len(alerting.state())
    return found | {"rss": _peak()}


def _wave(steps: int, count: int) -> np.ndarray:
    """Values [steps, count]: waves of a day with noise."""
    rng = np.random.default_rng(1)
    phase, day = rng.uniform(0, 6.28, count), 2 * np.pi * MINUTE / 86400
    times = np.arange(steps)[:, None] * day
    return 10 + np.sin(times + phase) + 0.1 * rng.normal(size=(steps, count))


def _peak() -> float:
    """The most memory that this process has had, in bytes (Linux)."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


if __name__ == "__main__":
    print(json.dumps(_costs()))
