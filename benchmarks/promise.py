"""Is the forecast of the promise calibrated? Breaches within an hour, on generated series; disks that fill.

A row's value is smooth (a P99 over an hour), so each series is averaged over half an hour. Thresholds are
taken from what was seen before: its 80 % and 97 % quantiles, and above its maximum. Each is forecast by the
model alone, and pooled with its past changes as a latency's row is. The disks grow unevenly by day and week,
half of them are cleaned up now and then.
"""

import argparse
import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from benchmarks.figure import Figure
from models import operations
from models.lstm import Lstm
from models.normaliser import Floats
from models.paths import GRIDS, INTERVAL, SIGHT, crossing
from models.promise import SPANS, Chance, from_ahead, from_paths, pooled
from models.seasonal import Seasonal
from seawall.core.slos import Objective

SEEDS = (92, 93)  # no figure of theirs was looked at before
SERIES, SAMPLES, EVERY = 60, 4000, 60
SMOOTH, HORIZON = 1800.0, 3600.0
BINS = 10
DISKS = range(1000, 1400)
MODELS: Mapping[str, Callable[[], Seasonal | Lstm]] = {"seasonal baseline": Seasonal, "LSTM": Lstm}


def smoothed(times: Floats, values: Floats) -> Floats:
    """The mean of the last half hour at each sample [T, N]."""
    out, total = np.empty_like(values), np.cumsum(np.vstack((np.zeros(values.shape[1]), values)), axis=0)
    row = np.arange(1, len(values) + 1)
    for k in range(values.shape[1]):
        first = np.searchsorted(times[:, k], times[:, k] - SMOOTH)
        out[:, k] = (total[row, k] - total[first, k]) / (row - first)
    return out


def thresholds(seen: Floats) -> list[float]:
    """What might be promised of a series, from what was seen of it."""
    return [*np.quantile(seen, (0.8, 0.97)).tolist(), float(seen.max() + 0.3 * seen.std())]


def by_past(times: Floats, seen: Floats, threshold: float) -> list[Chance]:
    """As models.promise of a latency; a series whose samples are rarer than the grid has their distance."""
    grid = max(GRIDS[0], float(np.median(np.diff(times[-20:]))))
    places = np.floor(times / grid).astype(int)
    values = np.full(places[-1] - places[0] + 1, np.nan)
    values[places - places[0]] = seen
    views = (values[-round(span * GRIDS[0] / grid) :] for span in SPANS)
    found = [crossing(view, grid, threshold, rising=True, furthest=SIGHT * HORIZON) for view in views]
    return [from_paths(it, HORIZON) for it in found if it is not None]


def forecasts(seed: int, model: Seasonal | Lstm) -> tuple[Floats, Floats]:
    """(probabilities [2, n] by a fresh `model` alone and pooled, what came [n]: 0 or 1) of many breaches that
    might have been."""
    times, raw = operations.many(seed, SERIES, SAMPLES)
    values = smoothed(times, raw)
    columns = model.columns([str(k) for k in range(SERIES)])
    said, came = list[tuple[float, float]](), list[bool]()
    for t in range(SAMPLES):
        model.advance(columns, times[t], values[t])
        if t < SAMPLES // 4 or t % EVERY:
            continue
        ahead = model.ahead(columns)
        for k in range(SERIES):
            end = int(np.searchsorted(times[:, k], times[t, k] + HORIZON))
            seen = values[: t + 1, k]
            if end >= SAMPLES - 1 or seen.std() < 1e-6 * abs(seen.mean()):
                continue
            begin = int(np.searchsorted(times[:, k], times[t, k] - SPANS[-1] * GRIDS[0]))
            quantiles = {horizon: found[:, k] for horizon, found in ahead.items()}
            for threshold in thresholds(seen):
                if seen[-1] < threshold:
                    chance = from_ahead(quantiles, Objective("<=", threshold), HORIZON, model.name)
                    both = pooled(
                        chance, by_past(times[begin : t + 1, k], values[begin : t + 1, k], threshold)
                    )
                    assert both is not None
                    said.append((chance.probability, both.probability))
                    came.append(bool(values[t + 1 : end + 1, k].max() > threshold))
    return np.array(said).T, np.array(came, dtype=float)


def disk(rng: np.random.Generator, count: int) -> Floats:
    """Used share of a volume, one value a quarter of an hour [count]."""
    day = np.arange(count) / 96
    busy = (0.2 + np.clip(np.sin(2 * np.pi * day), 0, 1)) * np.where(
        day // 1 % 7 >= 5, rng.uniform(0.2, 1), 1
    )
    growth = rng.exponential(1, count) * busy * (rng.random(count) < rng.uniform(0.1, 1))
    used = np.cumsum(growth) / growth.sum() * rng.uniform(0.3, 1.2)
    every, share = int(rng.integers(96, 96 * 7)), rng.uniform(0.05, 0.35) * (rng.random() < 0.5)
    for at in range(every, count, every):
        used[at:] -= share * used[at]
    return np.asarray(0.3 + used)


def disks(seeds: Sequence[int] = DISKS) -> tuple[float, int]:
    """(share of crossings outside their 80 % interval, how many disks had one)."""
    outside = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        used = disk(rng, 96 * 40)
        now = int(rng.integers(96 * 3, 96 * 25))
        seen = used[max(0, now - 671) : now + 1]
        threshold = float(seen.max() + rng.uniform(0.02, 0.2))
        found = crossing(seen, 900.0, threshold, rising=True)
        if found is None or found.quantile(0.5) is None:
            continue
        after = np.flatnonzero(used[now + 1 :] > threshold)
        real = (after[0] + 1) * 900.0 if len(after) else np.inf
        early, late = (found.quantile(level) or np.inf for level in INTERVAL)
        outside.append(not early <= real <= late)
    return float(np.mean(outside)), len(outside)


def measure(seeds: Sequence[int] = SEEDS) -> list[Figure]:
    """Brier scores as shares of climatology's; below 1 is skill."""
    figures = []
    for seed, (model, fresh) in itertools.product(seeds, MODELS.items()):
        said, came = forecasts(seed, fresh())
        climatology = np.mean((came.mean() - came) ** 2)
        for who, chances in zip((model, f"{model} and past changes"), said, strict=True):
            name = f"breach within an hour, {who}, seed {seed}: Brier, share of climatology"
            figures.append(Figure(name, float(np.mean((chances - came) ** 2) / climatology), 1.0, ""))
    share, count = disks()
    figures.append(Figure(f"{count} disks: outside the 80 % interval of the time to full", share, 0.35, ""))
    return figures


def main() -> None:
    """The reliability diagram as a table, one for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    seeds = parser.parse_args().seeds
    for name, fresh in MODELS.items():
        found = [forecasts(seed, fresh()) for seed in seeds]
        for row, who in enumerate((name, f"{name} and past changes")):
            print(who)
            _diagram([(said[row], came) for said, came in found])


def _diagram(pairs: Sequence[tuple[Floats, Floats]]) -> None:
    said, came = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    brier, climatology = np.mean((said - came) ** 2), np.mean((came.mean() - came) ** 2)
    print(f"{len(said)} forecasts, Brier {brier:.4f}, climatology {climatology:.4f}")
    place = np.minimum((said * BINS).astype(int), BINS - 1)
    for k in range(BINS):
        here = place == k
        if here.any():
            print(f"said {said[here].mean():.2f}  came {came[here].mean():.2f}  {here.sum()} forecasts")


if __name__ == "__main__":
    main()
