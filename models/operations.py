"""Generated operations series for pretraining: what registries and the machines below them look like.

Every series is (times [T] in Unix seconds, values [T] in some unit), reproducible from its generator.
"""

from collections.abc import Callable

import numpy as np

from models.features import DAY
from models.normaliser import Floats

STEPS = (5.0, 10.0, 15.0, 30.0, 60.0, 300.0)  # seconds between samples
STEP_WEIGHTS = (0.1, 0.2, 0.1, 0.1, 0.2, 0.3)
Rng = np.random.Generator


def season(rng: Rng, times: Floats) -> Floats:
    """A daily shape in -1..1 with a few harmonics and quieter weekends [T]."""
    angle = 2 * np.pi * times / DAY
    parts = [
        rng.normal() / k * np.sin(k * angle + rng.uniform(0, 2 * np.pi)) for k in range(1, rng.integers(2, 6))
    ]
    shape = np.sum(parts, axis=0)
    weekend = np.where(times // DAY % 7 >= 5, rng.uniform(0.3, 1), 1)
    return np.asarray(shape / (np.abs(shape).max() + 1e-9) * weekend)


def cycle(rng: Rng, count: int) -> Floats:
    """A job that comes back every 8 to 200 samples: a wave or a short pulse, 0..1 [T]."""
    place = np.arange(count) / rng.uniform(8, 200) + rng.uniform()
    if rng.random() < 0.5:
        return 0.5 + 0.5 * np.sin(2 * np.pi * place)
    return np.asarray((place % 1 < rng.uniform(0.05, 0.4)).astype(np.float64))


def smooth_noise(rng: Rng, count: int, memory: float) -> Floats:
    """Noise of unit variance whose autocorrelation at one sample is `memory` [T]."""
    raw, out = rng.normal(size=count) * np.sqrt(1 - memory**2), np.empty(count)
    level = float(rng.normal())
    for i, shock in enumerate(raw.tolist()):
        level = memory * level + shock
        out[i] = level
    return out


def latency(rng: Rng, times: Floats) -> Floats:
    """Seconds a request takes: lognormal, heavy-tailed, slower at the busy hour."""
    spread = rng.uniform(0.05, 0.6)
    load = 1 + rng.uniform(0, 0.8) * (1 + season(rng, times)) / 2
    noise = smooth_noise(rng, len(times), rng.choice([0.0, 0.5, 0.9]))
    tail = np.where(rng.random(len(times)) < rng.uniform(0, 0.03), rng.pareto(2.5, len(times)) + 1, 1)
    return np.asarray(rng.uniform(0.005, 0.5) * load * np.exp(spread * noise) * tail)


def rate(rng: Rng, times: Floats) -> Floats:
    """Requests counted per sample: Poisson around a daily shape."""
    mean = np.exp(rng.uniform(-1, 7)) * (1 + rng.uniform(0, 0.95) * season(rng, times))
    pulse = 1 + rng.choice([0.0, 1.0]) * rng.uniform(0, 2) * cycle(rng, len(times))
    return np.asarray(rng.poisson(mean * pulse), dtype=np.float64)


def gauge(rng: Rng, times: Floats) -> Floats:
    """A level with daily shape, cycles and noise of any memory: CPU, memory, connections."""
    count, weights = len(times), rng.uniform(0, 1, 3) * (rng.random(3) < 0.6)
    noise = smooth_noise(rng, count, rng.choice([0.0, 0.5, 0.9, 0.99, 0.999]))
    wave = weights[0] * season(rng, times) + weights[1] * cycle(rng, count)
    return np.asarray(rng.uniform(0, 20) + wave + (weights[2] + 0.02) * rng.uniform(0.02, 1) * noise)


def ramp(rng: Rng, times: Floats) -> Floats:
    """A filling disk or a leak: uneven growth, now and then cleaned up; the used share of the volume."""
    count = len(times)
    growth = rng.exponential(1, count) * (rng.random(count) < rng.uniform(0.1, 1))
    total = np.cumsum(growth) / growth.sum() * rng.uniform(0.01, 0.8)
    cleaned = np.zeros(count)
    for at in rng.integers(1, count, rng.integers(0, 6)):
        cleaned[at:] += rng.uniform(0.1, 1) * max(total[at] - cleaned[at], 0)
    return np.asarray(rng.uniform(0.05, 0.5) + total - cleaned)


def walk(rng: Rng, times: Floats) -> Floats:
    """A random walk around a level that it never forgets."""
    return np.asarray(rng.uniform(-5, 50) + np.cumsum(rng.normal(size=len(times))) * rng.uniform(0.001, 0.2))


def binary(rng: Rng, times: Floats) -> Floats:
    """Up or down: 1 with episodes of 0 (or the reverse), rare to frequent."""
    out = np.ones(len(times))
    for at in rng.integers(0, len(times), rng.integers(0, 40)):
        out[at : at + int(rng.exponential(6)) + 1] = 0
    return out if rng.random() < 0.7 else 1 - out


def sparse(rng: Rng, times: Floats) -> Floats:
    """Errors per sample: mostly 0."""
    quiet = rng.random(len(times)) > rng.uniform(0.002, 0.3)
    return np.where(quiet, 0.0, 1 + rng.poisson(rng.exponential(2), len(times)))


def constant(rng: Rng, times: Floats) -> Floats:
    """One value, or one with rounding noise."""
    noise = rng.choice([0.0, 1e-9, 1e-4]) * rng.normal(size=len(times))
    return np.asarray(rng.choice([0.0, 1.0, float(rng.lognormal(0, 3))]) * (1 + noise))


KINDS: tuple[tuple[Callable[[Rng, Floats], Floats], float], ...] = (
    (latency, 0.24), (rate, 0.18), (gauge, 0.24), (ramp, 0.1), (walk, 0.06), (binary, 0.06), (sparse, 0.06),
    (constant, 0.06),
)  # fmt: skip


def disturb(rng: Rng, values: Floats) -> Floats:
    """Deploy shifts, bursts, short leaks and single spikes, in units of the series' own spread [T]."""
    out, count = values.copy(), len(values)
    size = float(np.std(values)) or abs(float(values[0])) * 0.1
    for at in rng.integers(0, count, rng.poisson(1.5)):
        out[at:] += size * rng.normal() * 3
    for at in rng.integers(0, count, rng.poisson(3)):
        length = int(rng.exponential(30)) + 2
        shape = np.linspace(0, 1, length) if rng.random() < 0.4 else np.ones(length)
        part = out[at : at + length]
        part += size * rng.exponential(4) * shape[: len(part)]
    spikes = rng.random(count) < rng.choice([0.0, 0.0005, 0.003])
    return np.asarray(np.where(spikes, out + size * rng.normal(size=count) * 8, out))


def one(rng: Rng, count: int) -> tuple[Floats, Floats]:
    """One series of `count` samples: a kind, disturbed or not, with jitter, gaps, rounding and a unit."""
    step = float(rng.choice(STEPS, p=STEP_WEIGHTS))
    skipped = rng.random(count) < rng.choice([0.0, 0.0, 0.01, 0.1])
    pauses = np.where(rng.random(count) < rng.choice([0.0, 0.001]), rng.integers(2, 200, count), 0)
    jitter = rng.uniform(0, 0.1, count) * rng.choice([0.0, 1.0])
    start = 1.7e9 + rng.uniform(0, 14 * DAY)
    times = start + step * (np.cumsum(1 + skipped + pauses) + jitter)
    kind = KINDS[int(rng.choice(len(KINDS), p=[weight for _, weight in KINDS]))][0]
    values = kind(rng, times)
    if kind not in (binary, constant, sparse) and rng.random() < 0.6:
        values = disturb(rng, values)
    if kind in (gauge, latency) and rng.random() < 0.15:
        grain = max(float(np.std(values)), 1e-9) * rng.uniform(0.2, 1)
        values = np.round(values / grain) * grain
    return times, values * 10.0 ** rng.uniform(-3, 6)


def many(seed: int, series: int, count: int) -> tuple[Floats, Floats]:
    """(times, values), each [count, series]."""
    pairs = [one(rng, count) for rng in np.random.default_rng(seed).spawn(series)]
    return np.stack([t for t, _ in pairs], axis=1), np.stack([v for _, v in pairs], axis=1)
