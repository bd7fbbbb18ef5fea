"""Alerts: what the channels say, made comparable, added up, and told once per event within a budget.

models.channels says in which ways a sample is unusual, models.tails makes that comparable, models.events
tells it once. Here they are weighed against one another.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models import channels, events, tails
from models.bank import Bank, Index
from models.channels import CHANNELS, COUNT, FOLLOWED, SINCE, Flags
from models.normaliser import ONE, Floats, constant
from models.streaming import MAX_SERIES, Silence, Step

THRESHOLD = 0.5  # of the alert score
QUIET = constant(60.0)  # samples of a series before it may alert
NOVEL = constant(0.01)  # share of the range at which a value never seen has evidence 1,
UNSEEN = constant(
    3 * 86400.0
)  # or half of it after so many seconds of history (by the square of their share)
DUE = 0.8  # evidence at which an alert is due
WEIGHTS = {
    "surprise": 0.03, "surprise_5": 0.0, "surprise_20": 0.1, "level": 0.0, "variance": 0.1, "flat": 0.2,
    "gap": 0.4, "context": 4.0,
}  # fmt: skip
"""Evidence of one mean excess in a channel's tail."""
LOUD, CALM = 0.9, 0.5  # evidence of the context is at most LOUD (-log2(1 - score) - CALM)
DOUBTED, CERTAIN = 0.5, 0.65  # means of the word at which its evidence is 0, and WORD;
WORD, MOST = constant(2.0), 2.0  # bars, and at most so often
CONFIRMS = constant(0.8)  # segment score that confirms other channels wholly; a lower one by the third power
CONFIRMED = slice(CHANNELS.index("flat"))  # of the channels: what the segment score can confirm
BLOCK = 2048  # series in one go: their arrays stay in the cache
_LEAST = np.array([[0.02], [0.02], [0.02], [0.02], [0.02], [6.0], [1.0], [0.3]], dtype=np.float32)


class Alerts(NamedTuple):
    """Arrays [n]: `alert_score` 0..1, above 0 only where an event begins or grows; `anomaly` where it reaches
    THRESHOLD; `channel` is the index in CHANNELS of the channel with most evidence."""

    alert_score: Floats
    anomaly: Flags
    channel: NDArray[np.int8]


class Alerting:
    """Alerts of the series of one detector; its columns are theirs. Without `forecast`, what only the
    forecaster knows counts for nothing (the ablation)."""

    def __init__(self, forecast: bool = True, max_series: int = MAX_SERIES) -> None:
        weights = [WEIGHTS[name] * (forecast or name not in channels.OF_FORECAST) for name in FOLLOWED]
        self._weights, self._forecast = np.array(weights)[:, None] / DUE, forecast
        self._kind = {"alerting": "forecast" if forecast else "without forecast"}
        shapes: dict[str, tuple[tuple[int, ...], type]] = {
            "own": ((len(channels.COLUMNS),), np.float64),
            "remembered": ((channels.REMEMBERED,), np.float64),
            "tails": ((tails.ROWS * len(FOLLOWED),), np.float32),
            "events": ((events.ROWS,), np.float64),
        }
        self._bank = Bank(shapes, max_series, "alerting")

    def update(self, columns: NDArray[np.intp], at: Floats, values: Floats, step: Step) -> Alerts:
        """One step of the series in `columns` [n]; late and missing samples change nothing."""
        self._admit(columns)
        score, channel = np.zeros(len(columns)), np.zeros(len(columns), dtype=np.int8)
        heard = (step.silent != Silence.LATE) & (step.silent != Silence.MISSING)
        for some in _blocks(heard):
            part = Step._make(array[some] for array in step)
            score[some], channel[some] = self._update(_index(columns[some]), at[some], values[some], part)
        return Alerts(score, score >= THRESHOLD, channel)

    def state(self) -> bytes:
        """Everything learnt, as checksummed safetensors."""
        return self._bank.save(self._kind)

    def restore(self, state: bytes) -> None:
        """Continue exactly from `state`; InputError, with nothing changed, if it is none of these."""
        self._bank.load(state, self._kind)

    def _admit(self, columns: NDArray[np.intp]) -> None:
        """Make room for columns not seen before."""
        have, wanted = len(self._bank.names), int(columns.max(initial=-1)) + 1
        if wanted > have:
            self._bank.join([str(i) for i in range(have, wanted)])
            index = np.arange(have, wanted)
            own, remembered = channels.joined(len(index))
            self._bank.put("own", index, own)
            self._bank.put("remembered", index, remembered)

    def _update(
        self, index: Index, at: Floats, values: Floats, step: Step
    ) -> tuple[Floats, NDArray[np.intp]]:
        """(alert scores [n], loudest channels [n]) of series that were heard."""
        names = ("own", "remembered", "tails", "events")
        own, remembered, tail, event = blocks = [self._bank.take(name, index) for name in names]
        novelty, followed = channels.step(at, values, step, own, remembered)
        evidence = np.empty((len(CHANNELS), len(values)))
        evidence[0] = np.log2(novelty / NOVEL + ONE) * _seen(own, at) / DUE
        np.multiply(self._weights, tails.beyond(tail, followed, own[COUNT], _LEAST), out=evidence[1:])
        if self._forecast:
            _confirm(evidence, step.alone)
            np.maximum(evidence[-1], _word(own), out=evidence[-1])
        evidence *= own[COUNT] > QUIET
        heights = events.told(event, evidence[0], np.add.reduce(evidence[1:], axis=0))
        for name, block in zip(names, blocks, strict=True):
            self._bank.put(name, index, block)
        return events.score(heights), evidence.argmax(axis=0)


def _blocks(heard: Flags) -> Iterator[slice | NDArray[np.intp]]:
    """The places of those that were heard, BLOCK at a time."""
    everything = np.count_nonzero(heard) == len(heard)
    places = np.arange(0) if everything else np.flatnonzero(heard)
    for begin in range(0, len(heard) if everything else len(places), BLOCK):
        yield slice(begin, begin + BLOCK) if everything else places[begin : begin + BLOCK]


def _index(columns: NDArray[np.intp]) -> Index:
    """The same columns as a slice, which copies nothing, where they are consecutive."""
    first, count = int(columns[0]), len(columns)
    if count == 1 or np.count_nonzero(np.diff(columns) == 1) == count - 1:
        return slice(first, first + count)
    return columns


def _seen(own: Floats, at: Floats) -> Floats:
    """How much a value never seen means [n]: little before a day has been seen, 1 in the end."""
    share = np.square((at - own[SINCE]) / UNSEEN)
    return np.asarray(share / (share + ONE))


def _word(own: Floats) -> Floats:
    """Evidence [n] of the forecaster's own word, which it gives where it knows the series well."""
    sure = (own[channels.WORD] - DOUBTED) / (CERTAIN - DOUBTED)
    return np.asarray(np.minimum(np.maximum(sure, 0), MOST) * WORD)


def _confirm(evidence: Floats, score: Floats) -> None:
    """Weigh evidence [9, n], in place, by what the forecaster makes of the sample in its context: what it
    takes for ordinary counts little, and the context speaks no louder than the score is high."""
    share = np.minimum(score / CONFIRMS, ONE)
    evidence[CONFIRMED] *= share * share * share
    loud = -np.log2(np.maximum(ONE - score, 1e-6)) - CALM
    np.minimum(evidence[-1], np.maximum(loud, 0) * (LOUD / DUE), out=evidence[-1])
