"""How long before the promise breaks is somebody told? On telemetry of the real registry under faults.

`benchmarks/telemetry` was recorded by benchmarks.faults: one round of real requests stands for ten seconds.
Alerts are those of the shipped detector at its shipped threshold, each signal for itself, as in serving. The
forecast is that of the row (models.promise), with the model that serves until the LSTM has passed its gate
and with the LSTM.
"""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alerts.slos import load_rows
from benchmarks.faults import CALM, FAULTS, ROUND, START
from benchmarks.figure import Figure
from models.backtest import Series, backtest
from models.files import Recording, read
from models.gate import ROWS_PER_ALERT
from models.lstm import Lstm
from models.normaliser import Floats
from models.promise import Promise
from models.seasonal import Seasonal
from models.streaming import Silence
from seawall.core.slos import Objective, SloRow, SloStatus, Status
from seawall.core.times import format_duration

TELEMETRY = Path(__file__).parent / "telemetry"
BEGAN = START + CALM * ROUND
ROWS = {row.name: row for row in load_rows()}
FORECAST = {"manifest_p99_seconds": ROWS["pull_latency"], "used_ratio": ROWS["storage_capacity"]}
PROMISES = {
    **{signal: row.objective for signal, row in FORECAST.items()},
    "probe_success": Objective(">=", 1.0),
}


def measure() -> list[Figure]:
    """Of each fault: which share of the time from its beginning to the breach had passed when the first
    alert, and the first lasting forecast of the breach, came. Alerts of a normal day."""
    figures = []
    for name in FAULTS:
        recording = read(TELEMETRY / f"{name}.csv.gz")
        series = backtest([recording], {"lstm": Lstm})
        figures += _calm(series) if name == "normal" else told(name, recording, series)
    return figures


def _calm(series: list[Series]) -> list[Figure]:
    """A day without a fault: one alert a signal and 5,000 rows are within the budget."""
    alerts = sum(one.figures["lstm"].alerts for one in series)
    allowed = sum(one.figures["lstm"].judged for one in series) // ROWS_PER_ALERT
    return [Figure(f"a normal day of {len(series)} signals: alerts", alerts, allowed, "")]


def told(name: str, recording: Recording, series: list[Series]) -> list[Figure]:
    """When the first alert and, where there is one, the forecast came; alerts before the fault."""
    signal, breach = _broken(recording)
    alerts = {one.name.rpartition(" ")[2]: one.at[one.runs["lstm"].alerts] for one in series}
    first = {c: float(at[at >= BEGAN].min(initial=math.inf)) for c, at in alerts.items()}
    spoke = min(first, key=lambda column: first[column])
    before = sum(int((at < BEGAN).sum()) for at in alerts.values())
    words = f"lead time, {name.replace('_', ' ')}"
    return [
        _figure(f"{words}: alert of {spoke}", first[spoke], breach, 100),
        *_forecast(words, recording, signal, breach),
        Figure(f"{words}: alerts in the six calm hours", before, _budget(series), ""),
    ]


def _forecast(words: str, recording: Recording, signal: str, breach: float) -> list[Figure]:
    """Since when the row was at risk without a break until it broke; nothing is promised of that yet."""
    if signal not in FORECAST:
        return []
    values, figures = recording.values[recording.columns.index(signal)], []
    for name, detector in (("baseline", Seasonal()), ("LSTM", Lstm())):
        risks = _risks(recording.at, values, FORECAST[signal], detector)
        before = np.flatnonzero(recording.at < breach)
        calm = before[~risks[before]]
        since = recording.at[calm[-1] + 1] if len(calm) else recording.at[0]
        figures.append(_figure(f"{words}: row at risk, by the {name}", float(since), breach, math.inf))
    return figures


def _risks(at: Floats, values: Floats, row: SloRow, detector: Seasonal | Lstm) -> NDArray[np.bool_]:
    """Whether the row is at risk after each sample, as the service would say."""
    promise = Promise([row])
    column, limit = detector.columns(["x"]), row.objective.value
    risks = np.zeros(len(at), dtype=np.bool_)
    for i, (moment, value) in enumerate(zip(at.tolist(), values.tolist(), strict=True)):
        step = detector.advance(column, at[i : i + 1], values[i : i + 1])
        speaks = step.silent[0] == Silence.SPEAKS
        ahead = {h: block[:, 0] for h, block in detector.ahead(column).items()} if speaks else None
        window = (moment - (row.window or 0), moment)
        status = SloStatus(
            row.name, "main", Status.OK, True, value, row.unit, limit, window, 1, None, None, None, "", moment
        )
        forecast = promise.forecast(status, ahead, detector.name)
        risks[i] = forecast is not None and forecast.at_risk
    return risks


def _budget(series: list[Series]) -> int:
    return 1 + CALM * len(series) // ROWS_PER_ALERT


def _broken(recording: Recording) -> tuple[str, float]:
    """(signal, Unix seconds) of the first breach after the fault's beginning."""
    after = np.flatnonzero(recording.at >= BEGAN)
    found = {
        signal: next(
            (float(recording.at[i]) for i in after.tolist() if not objective.holds(float(values[i]))),
            math.inf,
        )
        for signal, objective in PROMISES.items()
        for values in [recording.values[recording.columns.index(signal)]]
    }
    signal = min(found, key=lambda name: found[name])
    assert math.isfinite(found[signal]), f"{recording.path}: no promise breaks"
    return signal, found[signal]


def _figure(words: str, at: float, breach: float, limit: float) -> Figure:
    """The share of the way to the breach, in %, that had passed."""
    if not at < breach:
        return Figure(f"{words}, not before the breach", math.inf, limit, "%")
    lead = format_duration(breach - at)
    return Figure(f"{words}, {lead} ahead", 100 * (at - BEGAN) / (breach - BEGAN), limit, "%")
