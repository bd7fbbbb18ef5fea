"""A detector over whole recordings: every column of every file in one batched step after the other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.alerting import THRESHOLD, Alerting, Alerts
from models.files import Recording, Verdict
from models.normaliser import Floats
from models.streaming import Step, Streaming

TOGETHER = 100  # rows within which the columns of one recording alert once


@dataclass(frozen=True, slots=True)
class Stepped:
    """One step of n series: `rows` [n] are their places in the values of all recordings, one recording after
    the other and in each column by column; `columns` [n] are the detector's."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    step: Step
    alerts: Alerts


def steps(recordings: Sequence[Recording], detector: Streaming, alerting: Alerting) -> Iterator[Stepped]:
    """Row 0 of every series, row 1 of every series that has one, ...; both must be new."""
    shapes = [one.values.shape for one in recordings]
    lengths = np.array([rows for columns, rows in shapes for _ in range(columns)], dtype=np.intp)
    at = np.concatenate([np.tile(one.at, len(one.columns)) for one in recordings])
    values = np.concatenate([one.values.ravel() for one in recordings])
    series = np.repeat(np.arange(len(lengths)), lengths)
    row = np.arange(len(values)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    order = np.argsort(row, kind="stable")
    series, at, values = series[order], at[order], values[order]
    columns = detector.columns([str(i) for i in range(len(lengths))])[series]
    begin = 0
    for end in np.cumsum(np.bincount(row)).tolist():
        now = slice(begin, end)
        step = detector.advance(columns[now], at[now], values[now])
        alerts = alerting.update(columns[now], at[now], values[now], step)
        yield Stepped(order[now], columns[now], step, alerts)
        begin = end


def detect(
    recordings: Sequence[Recording],
    detector: Streaming,
    alerting: Alerting,
    threshold: float = THRESHOLD,
    advanced: Callable[[int], None] = lambda done: None,
) -> list[Verdict]:
    """What `detector` and `alerting`, which must be new, say of each row, in the order of the file.

    An alert is a row whose alert score reaches `threshold`. A recording of several columns has the band of
    its first and one score for all. `advanced` hears how many values are done.
    """
    said = np.empty((5, sum(one.values.size for one in recordings)))
    done = 0
    for now in steps(recordings, detector, alerting):
        said[:4, now.rows] = now.step[:4]
        said[4, now.rows] = now.alerts.alert_score
        done += len(now.rows)
        advanced(done)
    return [_verdict(block, threshold) for block in per_recording(said, recordings)]


def per_recording(said: Floats, recordings: Sequence[Recording]) -> Iterator[Floats]:
    """[m, total] of the values of all recordings -> [m, k, n] of each."""
    begin = 0
    for one in recordings:
        end = begin + one.values.size
        yield said[:, begin:end].reshape(len(said), *one.values.shape)
        begin = end


def _verdict(said: Floats, threshold: float) -> Verdict:
    """Of [5, k, n]: the first column's band, the mean score of the loudest columns, one alert for all."""
    expected, lower, upper = said[:3, 0]
    scores, alerts = np.sort(said[3], axis=0)[::-1], said[4]
    loudest = scores[: max(1, round(len(scores) ** 0.5))].mean(axis=0)
    alert = alerts[0] if len(alerts) == 1 else _once(alerts.max(axis=0))
    return Verdict(expected, lower, upper, loudest, alert >= threshold, alert)


def _once(alert: Floats) -> Floats:
    """[n] without what is no louder than anything in the TOGETHER rows before it: columns that notice one
    event one after the other alert once."""
    told = np.zeros_like(alert)
    for i in np.flatnonzero(alert).tolist():
        if alert[i] > alert[max(0, i - TOGETHER) : i].max(initial=0):
            told[i] = alert[i]
    return told
