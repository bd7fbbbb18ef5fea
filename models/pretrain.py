"""Pretrain the shared network on generated series: `python -m models.pretrain --out DIR --seed 1`.

Everything follows from the seed; the weights and their card (data, inputs, backtest, versions) are written
to DIR as lstm-1.safetensors and lstm-1.json.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save

import seawall
from models import features, normaliser, operations
from models.lstm import LEVELS
from models.network import Forecaster, pinball
from models.normaliser import MEAN, SPREAD, Floats

NAME = "lstm-1"
CHUNK = 512  # series generated at a time
BURN_IN = 32  # samples of a window in which the state is found; not judged
CLAMP = 4.0  # loss of one sample above which it teaches nothing
HELD_OUT = 1_000_003  # added to the seed for the series of the backtest


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is generated and trained. `samples` a series, of which a window of `window` is learnt."""

    series: int = 5120
    held_out: int = 512
    samples: int = 4096
    window: int = 288
    batch: int = 128
    epochs: int = 16
    rate: float = 4e-3


@dataclass(frozen=True, slots=True)
class Windows:
    """inputs [T, N, 13], what came next [T, N] (normalised as the inputs were)."""

    inputs: NDArray[np.float32]
    found: NDArray[np.float32]


def windows(seed: int, series: int, plan: Plan) -> Windows:
    """One window of each of `series` generated series; a quarter of the windows are cold starts."""
    chunks = []
    for number, first in enumerate(range(0, series, CHUNK)):
        width = min(CHUNK, series - first)
        times, values = operations.many(seed * 1000 + number, width, plan.samples)
        rng = np.random.default_rng((seed, number))
        start = rng.integers(0, plan.samples - plan.window - 1, width) * (rng.random(width) < 0.75)
        chunks.append(windows_of(times, values, start, plan.window))
    inputs, found = (np.concatenate([getattr(c, part) for c in chunks], 1) for part in ("inputs", "found"))
    return Windows(inputs, found)


def windows_of(times: Floats, values: Floats, start: NDArray[np.intp], window: int) -> Windows:
    """`window` steps of each series [T, n] from its `start` [n] on, by the serving code over the whole."""
    series = values.shape[1]
    inputs = np.zeros((window, series, len(features.INPUTS)), dtype=np.float32)
    found = np.zeros((window, series), dtype=np.float32)
    levels, own = normaliser.joined(times[0], values[0]), features.joined(times[0], values[0])
    slots = np.full((features.SLOTS, series), np.nan)
    for t in range(len(times) - 1):
        step = features.step(times[t], values[t], levels, own, slots)
        here = np.flatnonzero((start <= t) & (t < start + window))
        inputs[t - start[here], here] = step[:, here].T
        deviation = values[t + 1, here] - levels[MEAN, here]
        found[t - start[here], here] = normaliser.normalised(deviation, levels[SPREAD, here])
    return Windows(inputs, found)


def train(seed: int, data: Windows, plan: Plan) -> Forecaster:
    """Minimise the clamped pinball loss with Adam and one learning-rate cycle; one thread, reproducible."""
    torch.manual_seed(seed)
    model, order = Forecaster(), np.random.default_rng(seed)
    inputs, found = torch.from_numpy(data.inputs), torch.from_numpy(data.found)
    batches = -(-found.shape[1] // plan.batch)
    optimizer = torch.optim.Adam(model.parameters(), lr=plan.rate)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.rate, total_steps=plan.epochs * batches)
    for epoch in range(plan.epochs):
        total = 0.0
        for chosen in np.array_split(order.permutation(found.shape[1]), batches):
            optimizer.zero_grad()
            loss = _loss(model, inputs[:, chosen], found[:, chosen])
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            cycle.step()
            total += loss.item()
        sys.stderr.write(f"epoch {epoch + 1}/{plan.epochs}: clamped pinball loss {total / batches:.4f}\n")
    return model


def _loss(model: Forecaster, inputs: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    """Mean pinball loss after the burn-in, each sample's share clamped."""
    return pinball(model(inputs), found)[BURN_IN:].clamp(max=CLAMP).mean()


def naive(data: Windows) -> dict[str, Floats]:
    """What simple forecasts expect, normalised, [T, N]: the running mean, the last value, the same slot of
    earlier days (the last value where no earlier day is known)."""
    rows = {name: i for i, name in enumerate(features.INPUTS)}
    slot, value = data.inputs[..., rows["next_slot"]], data.inputs[..., rows["value"]]
    known = data.inputs[..., rows["next_slot_known"]] > 0
    means = np.zeros_like(value)
    found = {"running_mean": means, "last_value": value, "seasonal_naive": np.where(known, slot, value)}
    return {name: forecast.astype(np.float64) for name, forecast in found.items()}


def running_error(forecast: Floats, found: Floats) -> Floats:
    """The exponential mean (64 samples) of the absolute error before each sample, at least 0.001, [T, N]."""
    mean, out = np.zeros(found.shape[1]), np.zeros_like(found)
    for t, error in enumerate(np.abs(found - forecast)):
        out[t] = np.maximum(mean, 1e-3)
        mean += max(1 / (t + 1), 1 / 64) * (error - mean)
    return out


def backtest(model: Forecaster, trained: Windows, held: Windows) -> dict[str, float]:
    """Mean pinball loss (normalised units, not clamped) on held-out series.

    A simple forecast gets the band that suits it best: its running mean absolute error times the quantiles
    of its standardised errors on the training series.
    """
    found = held.found.astype(np.float64)
    with torch.no_grad():
        own = model(torch.from_numpy(held.inputs)).numpy().astype(np.float64)
    losses = {"lstm": mean_pinball(own, found)}
    for name, forecast in naive(held).items():
        band = _factors(naive(trained)[name], trained.found.astype(np.float64))
        spread = running_error(forecast, found)[..., None] * band
        losses[name] = mean_pinball(forecast[..., None] + spread, found)
    return {name: round(loss, 5) for name, loss in losses.items()}


def _factors(forecast: Floats, found: Floats) -> Floats:
    """Quantiles [7] of the errors in running mean absolute errors."""
    ratio = (found - forecast) / running_error(forecast, found)
    return np.asarray(np.quantile(ratio[BURN_IN:], LEVELS))


def mean_pinball(quantiles: Floats, found: Floats) -> float:
    """Mean over samples after the burn-in, series and LEVELS of quantiles [T, N, 7]."""
    return float(pinball(torch.from_numpy(quantiles), torch.from_numpy(found))[BURN_IN:].mean())


def coverage(model: Forecaster, held: Windows) -> dict[str, float]:
    """The share of held-out values at or below each forecast quantile."""
    with torch.no_grad():
        below = held.found[..., None] <= model(torch.from_numpy(held.inputs)).numpy()
    return {
        str(level): round(float(b), 4) for level, b in zip(LEVELS, below[BURN_IN:].mean((0, 1)), strict=True)
    }


def ship(model: Forecaster, out: Path, facts: Mapping[str, Any]) -> None:
    """Write the weights and the card that names their SHA-256."""
    content: bytes = save({name: tensor.numpy() for name, tensor in model.state_dict().items()})
    card = {
        "name": NAME,
        "weights": {"file": f"{NAME}.safetensors", "sha256": hashlib.sha256(content).hexdigest()},
        "inputs": features.INPUTS,
        "quantiles": LEVELS,
        **facts,
        "versions": {"seawall": seawall.__version__, "torch": torch.__version__, "numpy": np.__version__},
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{NAME}.safetensors").write_bytes(content)
    (out / f"{NAME}.json").write_text(json.dumps(card, indent=1) + "\n", "utf-8")


def pretrain(out: Path, seed: int, plan: Plan) -> None:
    """Generate, train, backtest on held-out series, ship."""
    torch.set_num_threads(1)
    data = windows(seed, plan.series, plan)
    held = windows(seed + HELD_OUT, plan.held_out, plan)
    model = train(seed, data, plan)
    facts = {
        "data": {
            "source": "generated by models.operations; no recorded series",
            "sampling_seconds": operations.STEPS,
            "kinds": [kind.__name__ for kind, _ in operations.KINDS],
        },
        "training": {"seed": seed, **asdict(plan)},
        "backtest": {
            "what": "mean pinball loss, normalised units, held-out generated series; lower is better",
            **backtest(model, data, held),
        },
        "coverage": coverage(model, held),
    }
    ship(model, out, facts)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m models.pretrain", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the weights and their card")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    pretrain(arguments.out, arguments.seed, Plan())


if __name__ == "__main__":
    main()
