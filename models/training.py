"""One round of learning from the installation's own history: adapt, judge, promote. Run in a process apart.

The history is cut in five. What is learnt comes from the first four parts, what is judged from the last;
each version must pass the same gate.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.numpy import load, save

from models.alerting import Alerting
from models.gate import (
    BASELINES,
    JUDGED,
    LSTM,
    MINIMUM,
    History,
    Words,
    judge,
    pinball,
    replay,
    upper_bound,
)
from models.lstm import Lstm
from models.normaliser import Floats
from models.registry import ModelRegistry, version_name
from models.running_mean import RunningMean
from models.seasonal import Seasonal
from seawall.core.errors import InputError
from seawall.core.foresight import Verdict

TOGETHER = 16  # series that are replayed side by side: what is kept of them stays below 100 MB
Progress = Callable[[str], None]
Adapt = Callable[[Sequence[History], Path], tuple[bytes, dict[str, Any]] | None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a round came to: the version that serves now, the verdicts on it, and in words what was done."""

    version: str
    at: float
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]


_OUTCOME = TypeAdapter(Outcome)


def write_outcome(path: Path, outcome: Outcome) -> None:
    """Keep what a round came to, replacing the one before."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(_OUTCOME.dump_json(outcome, indent=1))
    temporary.replace(path)


def read_outcome(path: Path) -> Outcome:
    """What write_outcome kept; InputError names the file."""
    try:
        return _OUTCOME.validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(str(path), f"is no outcome of a round: {error}", "run `seawall train`") from error


def write_histories(path: Path, histories: Sequence[History]) -> None:
    """Keep histories in one file (safetensors: names, then times and values of each)."""
    arrays: dict[str, NDArray[Any]] = {
        "names": np.frombuffer(json.dumps([it.signal for it in histories]).encode(), dtype=np.uint8)
    }
    for k, history in enumerate(histories):
        arrays[f"at {k}"], arrays[f"values {k}"] = history.at, history.values
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(save(arrays))
    temporary.replace(path)


def read_histories(path: Path) -> list[History]:
    """What write_histories kept; InputError names the file."""
    try:
        arrays = load(path.read_bytes())
        names = json.loads(arrays["names"].tobytes())
        return [History(name, arrays[f"at {k}"], arrays[f"values {k}"]) for k, name in enumerate(names)]
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        remedy = "let a running Seawall write it, or give CSV files"
        raise InputError(str(path), f"is no history: {error}", remedy) from error


def learn(
    histories: Sequence[History],
    versions: ModelRegistry,
    at: float,
    adapt: Adapt | None = None,
    progress: Progress = lambda text: None,
) -> Outcome:
    """One round. `adapt` makes a candidate from the serving version's name, None where there is nothing to
    learn from; it serves if it is surely better and passes for at least as many signals."""
    known = [history for history in histories if len(history.at) >= MINIMUM]
    current = versions.current()
    if not known:
        return Outcome(current, at, (), (f"no signal has {MINIMUM} samples yet: nothing to judge",))
    lstm = versions.load(current)
    verdicts, losses = gate(known, lstm, at, progress)
    made = adapt(known, versions.path(current)) if adapt else None
    if made is None:
        return Outcome(current, at, tuple(verdicts), ("nothing was adapted",))
    name = version_name(at)
    versions.add(name, *made)
    candidate = versions.load(name)
    others, found = gate(known, candidate, at, progress)
    better, figures = surely_better(found, losses)
    passed, before = (sum(it.passed for it in some) for some in (others, verdicts))
    note = f"{name}: {figures}; it passes for {passed} signals, {current} for {before}"
    if not better or passed < before:
        return Outcome(current, at, tuple(verdicts), (f"{note}: not promoted",))
    versions.keep_state(name, candidate.state())
    versions.promote(name, "seawall", at, figures)
    return Outcome(name, at, tuple(others), (f"{note}: promoted",))


def gate(
    histories: Sequence[History], lstm: Lstm, at: float, progress: Progress
) -> tuple[list[Verdict], dict[str, Floats]]:
    """(verdicts on one version, its pinball losses on the last fifth of each signal in units of the
    seasonal baseline's mean loss there). `lstm` is new; it has seen all of the histories afterwards."""
    verdicts, losses, alerting = list[Verdict](), dict[str, Floats](), Alerting()
    version = str(lstm.card["name"])
    for first in range(0, len(histories), TOGETHER):
        some = histories[first : first + TOGETHER]
        progress(f"judging {version} on signals {first + 1} to {first + len(some)} of {len(histories)}")
        words: dict[str, dict[str, Words]] = {
            LSTM: replay(lstm, some, alerting),
            "seasonal": replay(Seasonal(), some),
            "running_mean": replay(RunningMean(), some),
        }
        for history in some:
            said = {name: found[history.signal] for name, found in words.items()}
            verdicts.append(judge(history, said, version, at))
            losses[history.signal] = _relative(history, said)
    return verdicts, losses


def _relative(history: History, said: Mapping[str, Words]) -> Floats:
    last = slice(len(history.at) - len(history.at) // JUDGED, None)
    base = pinball(said[BASELINES[0]], history.values)[last]
    scale = np.nanmean(base) if np.isfinite(base).any() else np.nan
    return np.asarray(pinball(said[LSTM], history.values)[last] / max(scale, 1e-300))


def surely_better(candidate: Mapping[str, Floats], current: Mapping[str, Floats]) -> tuple[bool, str]:
    """Is the candidate's mean relative loss, over all signals, lower at 95 %? With the figures in words."""
    differences = [
        (candidate[name] - current[name])[~np.isnan(candidate[name] - current[name])] for name in candidate
    ]
    kept = [part for part in differences if len(part) >= MINIMUM // JUDGED]
    if not kept:
        return False, "no signal has history enough to compare versions"
    # Each signal counts the same: its differences are weighted by how many there are.
    mean = float(np.mean([part.mean() for part in kept]))
    bound = float(np.mean([upper_bound(part) for part in kept]))
    return bound < 0, f"relative loss {mean:+.4f} against the serving version, at most {bound:+.4f} (95 %)"
