"""Slow adaptation of the LSTM to the installation's own history; of learning here, the part that is torch.

Only the heads that forecast are moved: the state of the network, and with it the head that tells anomalies,
stays as pretrained. They learn from the first four fifths of each signal, with unusual samples masked and the
loss of one sample clamped, and are pulled to where they started (L2-SP, Li et al. 2018). Everything follows
from the seed. What is made serves only if it passes the gate.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save
from safetensors.torch import load_file
from torch import Tensor

import seawall
from models.gate import JUDGED, MINIMUM, History, replay
from models.lessons import Lessons, lessons
from models.lstm import Lstm
from models.network import Forecaster, State, forecast_loss
from models.normaliser import Floats
from models.recurrent import read_weights
from models.streaming import Silence
from seawall.core.times import rfc3339

HEADS = ("near", "far")
UNUSUAL = 0.5  # a score from which a sample teaches nothing
LONGEST = 20_000  # samples of a signal that are learnt from, the newest
TOGETHER = 16  # signals whose lessons are made side by side
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How gently. `window` rows are learnt at a time; `pull` weighs the squared distance from the start."""

    window: int = 160
    every: int = 4
    epochs: int = 4
    rate: float = 3e-3
    pull: float = 0.003


@dataclass(frozen=True, slots=True)
class Course:
    """Lessons of some signals, and the samples [T, N] that teach."""

    lessons: Lessons
    teaches: "np.ndarray[Any, np.dtype[np.bool_]]"


def adaptation(
    seed: int, progress: Progress, plan: Plan | None = None
) -> Callable[[Sequence[History], Path], tuple[bytes, dict[str, Any]] | None]:
    """For models.training.learn: (histories, weights to start from) -> (weights, card), None if there is
    too little to learn from."""

    def adapt(histories: Sequence[History], start: Path) -> tuple[bytes, dict[str, Any]] | None:
        past = [_past(history) for history in histories if len(history.at) >= MINIMUM]
        return _adapt(past, start, seed, plan or Plan(), progress) if past else None

    return adapt


def _adapt(
    past: Sequence[History], start: Path, seed: int, plan: Plan, progress: Progress
) -> tuple[bytes, dict[str, Any]]:
    torch.set_num_threads(1)
    courses = [_course(past[k : k + TOGETHER], start) for k in range(0, len(past), TOGETHER)]
    model, losses = _train(courses, start, seed, plan, progress)
    card, _ = read_weights(start)
    taught = sum(int(course.teaches.sum()) for course in courses)
    facts = {
        "adapted_from": {"name": card["name"], "sha256": card["weights"]["sha256"]},
        "data": {**_span(past), "taught": taught},
        "training": {"seed": seed, **asdict(plan), "heads": HEADS, "loss": losses},
        "versions": {"seawall": seawall.__version__, "torch": torch.__version__, "numpy": np.__version__},
    }
    weights: bytes = save({name: tensor.numpy() for name, tensor in model.state_dict().items()})
    return weights, {**card, **facts}


def _past(history: History) -> History:
    """All but the last fifth, which is for the gate; the newest of it."""
    until = len(history.at) - len(history.at) // JUDGED
    part = slice(max(0, until - LONGEST), until)
    return History(history.signal, history.at[part], history.values[part])


def _span(past: Sequence[History]) -> dict[str, Any]:
    return {
        "source": "this installation",
        "signals": len(past),
        "samples": sum(len(it.at) for it in past),
        "from": rfc3339(min(float(it.at[0]) for it in past)),
        "until": rfc3339(max(float(it.at[-1]) for it in past)),
    }


def _course(some: Sequence[History], start: Path) -> Course:
    """Side by side, the shorter ones filled up with missing samples."""
    words = replay(Lstm(start), some)
    calm = [(words[it.signal].score < UNUSUAL) & (words[it.signal].silent == Silence.SPEAKS) for it in some]
    longest = max(len(it.at) for it in some)
    times, values = (_filled([getattr(it, part) for it in some], longest) for part in ("at", "values"))
    teaches = _filled(calm, longest) == 1
    return Course(lessons(times, values, teaches), teaches)


def _filled(columns: Sequence["np.ndarray[Any, Any]"], longest: int) -> Floats:
    """[longest, N], NaN after the end of each."""
    out = np.full((longest, len(columns)), np.nan)
    for k, column in enumerate(columns):
        out[: len(column), k] = column
    return out


def _train(
    courses: Sequence[Course], start: Path, seed: int, plan: Plan, progress: Progress
) -> tuple[Forecaster, list[float]]:
    """The model after some gentle epochs, and the mean loss of each."""
    torch.manual_seed(seed)
    model, order = Forecaster(), np.random.default_rng(seed)
    model.load_state_dict(load_file(start))
    for name, tensor in model.named_parameters():
        tensor.requires_grad_(name.startswith(HEADS))
    moving = {name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad}
    anchor = {name: tensor.detach().clone() for name, tensor in moving.items()}
    optimizer, losses = torch.optim.Adam(moving.values(), lr=plan.rate), list[float]()
    for epoch in range(plan.epochs):
        found = []
        for number in order.permutation(len(courses)).tolist():
            for loss in _windows(model, courses[number], plan):
                apart = torch.stack([(moving[name] - anchor[name]).square().sum() for name in moving]).sum()
                optimizer.zero_grad()
                (loss + plan.pull * apart).backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(moving.values(), 1.0)
                optimizer.step()
                found.append(loss.item())
        losses.append(round(float(np.mean(found)), 5))
        progress(f"adapting, pass {epoch + 1} of {plan.epochs}: loss {losses[-1]}")
    return model, losses


def _windows(model: Forecaster, course: Course, plan: Plan) -> Iterator[Tensor]:
    """The loss of one window after the other; the state is carried on."""
    rows, series = course.teaches.shape
    carried: State | None = None
    for begin in range(0, rows, plan.window):
        part = slice(begin, begin + plan.window)
        batch = course.lessons.batch(np.arange(series), part)
        near, far, _, carried = model(*map(torch.from_numpy, batch[:2]), carried, plan.every)
        teaches = torch.from_numpy(course.teaches[part])
        yield forecast_loss(near, far, torch.from_numpy(batch.found), teaches, plan.every)
