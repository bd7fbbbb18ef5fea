"""Pretrain the shared network on generated series: `python -m models.pretrain --out DIR --seed 1`.

Everything follows from the seed; the weights and their card (data, inputs, backtest, versions) are written
to DIR as lstm-1.safetensors and lstm-1.json.
"""

import argparse
import hashlib
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

import seawall
from models import incidents, operations
from models.features import INPUTS
from models.lessons import Batch, Lessons, lessons
from models.network import Forecaster, State, forecast_loss, pinball
from models.normaliser import Floats
from models.recurrent import HORIZONS, LEVELS

NAME = "lstm-1"
BURN_IN = 20  # first samples of a series, which teach nothing
HELD_OUT = 1_000_003  # added to the seed for the series of the backtest
WARM_UP = 100  # batches over which the learning rate rises
LEAST_RATE = 2e-5


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is generated and trained: long series (weeks of minutes), short ones (a month of hours)."""

    long: int = 896
    long_rows: int = 8000
    short: int = 4096
    short_rows: int = 1200
    held_out: int = 160  # of each
    batch: int = 128  # series
    window: int = 160  # rows between which gradients flow; the state is carried on
    every: int = 4  # rows between those at which the far horizons are learnt
    steps: int = 10_000
    rate: float = 4e-3


class Taught(NamedTuple):
    """Lessons and the labels [T, N] that go with them."""

    lessons: Lessons
    labels: NDArray[np.int8]


def taught(seed: int, series: int, rows: int, short: bool) -> Taught:
    """Lessons of generated series."""
    times, values, labels = incidents.many(seed, series, rows, short)
    return Taught(lessons(times, values), labels)


def parts(
    data: Taught, plan: Plan, columns: NDArray[np.intp], first: int
) -> Iterator[tuple[Batch, Tensor, Tensor]]:
    """(batch, labels, samples that teach) of some series, one window after the other; `first` rows long, then
    `plan.window`."""
    rows = len(data.labels)
    edges = [0, *range(first, rows, plan.window), rows]
    for begin, end in pairwise(edges):
        batch = data.lessons.batch(columns, slice(begin, end))
        teaches = torch.from_numpy(batch.came)
        if begin == 0:
            teaches[:BURN_IN] = False
        yield batch, torch.from_numpy(data.labels[begin:end, columns]).float(), teaches


def groups(
    data: list[Taught], size: int, order: np.random.Generator
) -> Iterator[tuple[Taught, NDArray[np.intp]]]:
    """For ever: every series of every set, in new groups of `size` each time."""
    while True:
        work = []
        for some in data:
            columns = order.permutation(some.labels.shape[1])
            count = max(1, len(columns) // size)
            work += [(some, np.sort(part)) for part in np.array_split(columns, count)]
        for place in order.permutation(len(work)).tolist():
            yield work[place]


def train(seed: int, data: list[Taught], plan: Plan) -> Forecaster:
    """Minimise pinball loss and cross-entropy with Adam, the rate rising and falling once; reproducible."""
    torch.manual_seed(seed)
    model, order = Forecaster(), np.random.default_rng(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=plan.rate)
    cycle = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, plan))
    step, losses, begun = 0, list[float](), time.monotonic()
    for some, columns in groups(data, plan.batch, order):
        carried: State | None = None
        for batch, labels, teaches in parts(some, plan, columns, int(order.integers(BURN_IN, plan.window))):
            loss, carried = _loss(model, batch, labels, teaches, carried, plan.every)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            cycle.step()
            losses.append(loss.item())
            step += 1
            if step % 250 == 0 or step == plan.steps:
                mean, spent = float(np.mean(losses[-250:])), time.monotonic() - begun
                sys.stderr.write(f"step {step}/{plan.steps}: loss {mean:.4f}, {spent:.0f} s\n")
            if step == plan.steps:
                return model
    raise AssertionError("groups never end")


def _rate(step: int, plan: Plan) -> float:
    """Factor on the learning rate."""
    falling = 0.5 + 0.5 * math.cos(math.pi * step / plan.steps)
    return min(1.0, (step + 1) / WARM_UP) * falling + LEAST_RATE / plan.rate


def _loss(
    model: Forecaster, batch: Batch, labels: Tensor, teaches: Tensor, carried: State | None, every: int
) -> tuple[Tensor, State]:
    """Loss of a window, and the state after it, which carries no gradient."""
    near, far, logits, after = model(*map(torch.from_numpy, batch[:2]), carried, every)
    forecast = forecast_loss(near, far, torch.from_numpy(batch.found), teaches & (labels == 0), every)
    entropy = binary_cross_entropy_with_logits(logits, labels, reduction="none")
    anomaly = (entropy * teaches).sum() / teaches.sum().clamp(min=1)
    return forecast + anomaly, (after[0].detach(), after[1].detach())


class Said(NamedTuple):
    """What a model says of held-out series after the burn-in: quantiles `near` [S, 7] and `far` [S, 3, 7],
    `found` [S, 4] and inputs [S, 37] of S samples that are not labelled; logits and labels of all samples."""

    near: Floats
    far: Floats
    found: Floats
    inputs: Floats
    logits: Floats
    labels: Floats


def said(model: Forecaster, data: Taught, plan: Plan) -> Said:
    """Run a model over held-out series."""
    columns, carried, found = np.arange(data.labels.shape[1]), None, list[list[NDArray[Any]]]()
    with torch.no_grad():
        for batch, labels, teaches in parts(data, plan, columns, plan.window):
            near, far, logits, carried = model(*map(torch.from_numpy, batch[:2]), carried)
            calm = (teaches & (labels == 0)).numpy()
            rows = [near.numpy()[calm], far.numpy()[calm], batch.found[calm], batch.inputs[calm]]
            found.append([*rows, logits[teaches].numpy(), labels[teaches].numpy()])
    return Said(*(np.concatenate(part).astype(np.float64) for part in zip(*found, strict=True)))


def backtest(words: Said) -> dict[str, float]:
    """Mean pinball loss (normalised units) at each horizon, and of simple forecasts of the next sample, each
    with the quantiles of its own errors, which it is lent from the held-out series themselves."""
    known, next_level = words.found[:, 0], words.inputs[:, INPUTS.index("next_level")]
    simple = {
        "running_mean": np.zeros_like(known),
        "last_value": words.inputs[:, INPUTS.index("value")],
        "seasonal": next_level,
    }
    there = np.isfinite(known)
    losses = {"lstm": mean_pinball(words.near, known)}
    for name, forecast in simple.items():
        band = np.quantile((known - forecast)[there], LEVELS)
        losses[name] = mean_pinball(forecast[:, None] + band, known)
    for k, seconds in enumerate(HORIZONS[1:]):
        losses[f"lstm {seconds:.0f} s ahead"] = mean_pinball(words.far[:, k], words.found[:, k + 1])
    return {name: round(loss, 5) for name, loss in losses.items()}


def mean_pinball(quantiles: Floats, found: Floats) -> float:
    """Mean over the samples that were found, and LEVELS, of quantiles [S, 7]."""
    known = np.isfinite(found)
    return float(pinball(torch.from_numpy(quantiles[known]), torch.from_numpy(found[known])).mean())


def average_precision(logits: Floats, labels: Floats) -> float:
    """Area under the precision-recall steps of the anomaly head over all held-out samples."""
    hits = labels[np.argsort(-logits, kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float((precision * hits).sum() / max(hits.sum(), 1))


def coverage(words: Said) -> dict[str, float]:
    """The share of held-out values at or below each forecast quantile of the next sample."""
    known = np.isfinite(words.found[:, 0])
    below = (words.found[known, :1] <= words.near[known]).mean(axis=0)
    return {str(level): round(float(share), 4) for level, share in zip(LEVELS, below, strict=True)}


def ship(model: Forecaster, out: Path, facts: Mapping[str, Any]) -> None:
    """Write the weights and the card that names their SHA-256."""
    content: bytes = save({name: tensor.numpy() for name, tensor in model.state_dict().items()})
    card = {
        "name": NAME,
        "weights": {"file": f"{NAME}.safetensors", "sha256": hashlib.sha256(content).hexdigest()},
        "inputs": INPUTS,
        "quantiles": LEVELS,
        "horizons": HORIZONS,
        **facts,
        "versions": {"seawall": seawall.__version__, "torch": torch.__version__, "numpy": np.__version__},
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{NAME}.safetensors").write_bytes(content)
    (out / f"{NAME}.json").write_text(json.dumps(card, indent=1) + "\n", "utf-8")


def pretrain(out: Path, seed: int, plan: Plan) -> None:
    """Generate, train, backtest on held-out series, ship."""
    torch.set_num_threads(1)
    long, short = (plan.long_rows, False), (plan.short_rows, True)
    model = train(seed, [taught(seed, plan.long, *long), taught(seed + 1, plan.short, *short)], plan)
    held = [taught(seed + HELD_OUT + k, plan.held_out, *kind) for k, kind in enumerate((long, short))]
    words = Said(*map(np.concatenate, zip(*(said(model, some, plan) for some in held), strict=True)))
    facts = {
        "data": {
            "source": "generated by models.operations and models.incidents; no recorded series",
            "sampling_seconds": operations.STEPS,
            "kinds": list(operations.KINDS),
            "incidents": list(incidents.TYPES),
        },
        "training": {"seed": seed, **asdict(plan)},
        "backtest": {
            "what": "mean pinball loss, normalised units, held-out generated series; lower is better",
            **backtest(words),
            "anomaly average precision": round(average_precision(words.logits, words.labels), 4),
            "labelled share": round(float(words.labels.mean()), 4),
        },
        "coverage": coverage(words),
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
