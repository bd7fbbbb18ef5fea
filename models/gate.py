"""The gate: the LSTM leaves the shadow for a signal when it has beaten the baselines on its own history.

Judged on the last fifth, each model having seen all that came before: lower mean pinball loss than the
seasonal baseline and than the running mean (paired circular block bootstrap, Politis and Romano 1992, at
95 %), and alerts within the budget.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.alerting import Alerting
from models.normaliser import Floats
from models.streaming import Silence, Step
from seawall.core.foresight import Verdict

LEVELS = (0.05, 0.5, 0.95)  # of Step.lower, expected, upper
MINIMUM = 2000  # samples of a history below which there is no verdict
JUDGED = 5  # the last of this many parts
BLOCKS, RESAMPLES, CONFIDENCE = 20, 2000, 0.95
ROWS_PER_ALERT = 5000  # the budget: one alert, and one more for each that many samples
LSTM, BASELINES = "lstm", ("seasonal", "running_mean")


@dataclass(frozen=True, slots=True)
class History:
    """One signal as it was observed: Unix seconds and values, both [T], the oldest first."""

    signal: str
    at: Floats
    values: Floats


@dataclass(frozen=True, slots=True)
class Words:
    """What a model said of a whole history, arrays [T]; `alerts` is true where an alert begins."""

    expected: Floats
    lower: Floats
    upper: Floats
    score: Floats
    silent: NDArray[np.int8]
    alerts: NDArray[np.bool_]


class Model(Protocol):
    """What is judged: models.streaming.Streaming, and every detector that is one."""

    def columns(self, names: Sequence[str]) -> NDArray[np.intp]:
        """The columns of the named series."""
        ...

    def advance(self, columns: NDArray[np.intp], at: Floats, values: Floats) -> Step:
        """One causal step."""
        ...


def replay(model: Model, histories: Sequence[History], alerting: Alerting | None = None) -> dict[str, Words]:
    """Run a model over whole histories, side by side, as if they happened now; `alerting` is its own."""
    columns = model.columns([history.signal for history in histories])
    lengths = np.array([len(history.at) for history in histories])
    longest = int(lengths.max(initial=0))
    at, values = (np.full((longest, len(histories)), np.nan) for _ in range(2))
    for k, history in enumerate(histories):
        at[: lengths[k], k], values[: lengths[k], k] = history.at, history.values
    said = np.full((5, longest, len(histories)), np.nan)
    alerts = np.zeros((longest, len(histories)), dtype=bool)
    for t in range(longest):
        here = lengths > t
        step = model.advance(columns[here], at[t, here], values[t, here])
        said[:, t, here] = (step.expected, step.lower, step.upper, step.score, step.silent)
        if alerting is not None:
            alerts[t, here] = alerting.update(columns[here], at[t, here], values[t, here], step).anomaly
    alerts[1:] &= ~alerts[:-1]
    return {
        history.signal: _words(said[:, : lengths[k], k], alerts[: lengths[k], k])
        for k, history in enumerate(histories)
    }


def _words(said: Floats, alerts: NDArray[np.bool_]) -> Words:
    expected, lower, upper, score, silent = said
    return Words(expected, lower, upper, score, silent.astype(np.int8), alerts)


def pinball(words: Words, found: Floats) -> Floats:
    """Mean quantile loss over LEVELS of each sample [T], in the signal's unit; NaN where nothing was said."""
    quantiles = np.stack((words.lower, words.expected, words.upper))
    levels = np.array(LEVELS)[:, None]
    error = found - quantiles
    loss = np.maximum(levels * error, (levels - 1) * error).mean(axis=0)
    return np.where(words.silent == Silence.SPEAKS, loss, np.nan)


def upper_bound(differences: Floats, seed: int = 1) -> float:
    """Upper bound (CONFIDENCE, one-sided) of the mean of a dependent series [T], by resampling circular
    blocks of a twentieth of it, so that what depends on each other stays together."""
    count = len(differences)
    length = max(1, count // BLOCKS)
    total = np.concatenate(([0.0], np.cumsum(np.concatenate((differences, differences[:length])))))
    starts = np.random.default_rng(seed).integers(0, count, (RESAMPLES, -(-count // length)))
    means = ((total[starts + length] - total[starts]) / length).mean(axis=1)
    return float(np.quantile(means, CONFIDENCE))


def judge(history: History, words: Mapping[str, Words], version: str, at: float) -> Verdict:
    """The verdict on one signal from what lstm, seasonal and running_mean said of its whole history."""
    if len(history.at) < MINIMUM:
        reason = f"too short a history: {len(history.at)} of {MINIMUM} samples"
        return Verdict(history.signal, at, version, False, reason)
    last = slice(len(history.at) - len(history.at) // JUDGED, None)
    losses = {name: pinball(said, history.values)[last] for name, said in words.items()}
    shared = ~np.isnan(np.stack(list(losses.values()))).any(axis=0)
    if shared.sum() < MINIMUM // JUDGED:
        reason = f"only {shared.sum()} samples of the last fifth could be judged"
        return Verdict(history.signal, at, version, False, reason)
    means = {name: float(loss[shared].mean()) for name, loss in losses.items()}
    bounds = {name: upper_bound((losses[LSTM] - losses[name])[shared]) for name in BASELINES}
    alerts, allowed = int(words[LSTM].alerts[last].sum()), 1 + int(shared.sum()) // ROWS_PER_ALERT
    faults = [_not_beaten(name, means, bounds[name]) for name in BASELINES if bounds[name] >= 0]
    faults += [f"{alerts} alerts, {allowed} are allowed"] if alerts > allowed else []
    return Verdict(
        signal=history.signal,
        at=at,
        version=version,
        passed=not faults,
        reason="; ".join(faults) or _beaten(means),
        samples=int(shared.sum()),
        until=float(history.at[-1]),
        losses=means,
        bounds=bounds,
        alerts=alerts,
        allowed=allowed,
    )


def _beaten(means: Mapping[str, float]) -> str:
    rest = " and ".join(f"{name.replace('_', ' ')} {means[name]:.4g}" for name in BASELINES)
    return f"mean pinball loss {means[LSTM]:.4g} against {rest}, surely lower"


def _not_beaten(name: str, means: Mapping[str, float], bound: float) -> str:
    surely = "not lower" if means[LSTM] >= means[name] else "not surely lower"
    return f"loss {means[LSTM]:.4g} is {surely} than {name.replace('_', ' ')}'s {means[name]:.4g}"
