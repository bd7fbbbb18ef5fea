"""A detector over whole recordings: every column of every file in one batched step after the other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models import together
from models.alerting import THRESHOLD, Alerting, Alerts
from models.files import Recording, Verdict
from models.normaliser import Floats
from models.streaming import Step, Streaming

Places = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Stepped:
    """One step of n series: `rows` [n] are their places in the values of all recordings, one recording after
    the other and in each column by column; `columns` [n] are the detector's."""

    rows: Places
    columns: Places
    step: Step
    alerts: Alerts


def steps(recordings: Sequence[Recording], detector: Streaming, alerting: Alerting) -> Iterator[Stepped]:
    """Each column by itself, as live signals are: row 0 of every series, row 1 of every series that has one,
    ...; both must be new."""
    at, values = _flat(recordings)
    lengths = [len(one.at) for one in recordings for _ in one.columns]
    columns = detector.columns([str(i) for i in range(len(lengths))])
    for rows, series in _turns(lengths):
        now, found = columns[series], values[rows]
        step = detector.advance(now, at[rows], found)
        yield Stepped(rows, now, step, alerting.update(now, at[rows], found, step))


def detect(
    recordings: Sequence[Recording],
    detector: Streaming,
    alerting: Alerting,
    threshold: float = THRESHOLD,
    advanced: Callable[[int], None] = lambda done: None,
) -> list[Verdict]:
    """What `detector` and `alerting`, which must be new, say of each row, in the order of the file.

    An alert is a row whose alert score reaches `threshold`. A recording of several columns has the band of
    its first, and one score and one alert for all (models.together). `advanced` hears how many values are
    done.
    """
    said = [
        _whole(one, step) for one, step in zip(recordings, _said(recordings, detector, advanced), strict=True)
    ]
    alerts = _alerts(recordings, said, alerting)
    return [
        Verdict(first.expected, first.lower, first.upper, whole.score, alert >= threshold, alert)
        for (first, _, whole), alert in zip(said, alerts, strict=True)
    ]


def _said(
    recordings: Sequence[Recording], detector: Streaming, advanced: Callable[[int], None]
) -> list[Step]:
    """The detector's word on every column of each recording, arrays [k, n]."""
    at, values = _flat(recordings)
    said = np.empty((len(Step._fields), len(values)))
    lengths = [len(one.at) for one in recordings for _ in one.columns]
    columns, done = detector.columns([str(i) for i in range(len(lengths))]), 0
    for rows, series in _turns(lengths):
        said[:, rows] = detector.advance(columns[series], at[rows], values[rows])
        done += len(rows)
        advanced(done)
    ends = np.cumsum([one.values.size for one in recordings])[:-1]
    blocks = zip(np.split(said, ends, axis=1), recordings, strict=True)
    return [Step._make(block.reshape(len(block), *one.values.shape)) for block, one in blocks]


def _whole(one: Recording, step: Step) -> tuple[Step, Floats, Step]:
    """(the first column's step, values and step of the recording as one series), arrays [n]."""
    first = Step._make(array[0] for array in step)
    if len(one.columns) == 1:
        return first, one.values[0], first
    return first, *together.one(step)


def _alerts(
    recordings: Sequence[Recording], said: Sequence[tuple[Step, Floats, Step]], alerting: Alerting
) -> list[Floats]:
    """Alert scores [n] of each recording as one series."""
    if not recordings:
        return []
    at = np.concatenate([one.at for one in recordings])
    values = np.concatenate([values for _, values, _ in said])
    whole = np.concatenate([np.stack(step) for _, _, step in said], axis=1)
    alert = np.empty(len(at))
    for rows, series in _turns([len(one.at) for one in recordings]):
        alert[rows] = alerting.update(series, at[rows], values[rows], Step._make(whole[:, rows])).alert_score
    return np.split(alert, np.cumsum([len(one.at) for one in recordings])[:-1])


def _flat(recordings: Sequence[Recording]) -> tuple[Floats, Floats]:
    """(times, values) of all recordings, column after column."""
    at = np.concatenate([np.tile(one.at, len(one.columns)) for one in recordings])
    return at, np.concatenate([one.values.ravel() for one in recordings])


def _turns(lengths: Sequence[int]) -> Iterator[tuple[Places, Places]]:
    """(rows, series), arrays [n], of each step over series that lie one after the other."""
    counts = np.array(lengths, dtype=np.intp)
    series = np.repeat(np.arange(len(counts)), counts)
    row = np.arange(len(series)) - np.repeat(np.cumsum(counts) - counts, counts)
    order = np.argsort(row, kind="stable")
    series, begin = series[order], 0
    for end in np.cumsum(np.bincount(row)).tolist():
        yield order[begin:end], series[begin:end]
        begin = end
