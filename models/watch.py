"""The models at work: the LSTM and the seasonal baseline run side by side, and for each signal one serves.

The baseline serves until the gate has let the LSTM out of the shadow for that signal; a model that loses its
calibration is taken back. Both learn all the time, so that a change of the serving model costs no grace.
"""

import json
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.numpy import load, save

from models.alerting import Alerting
from models.calibration import Calibration
from models.channels import CHANNELS
from models.episodes import Episodes, Moment
from models.lstm import Lstm
from models.normaliser import Floats
from models.promise import Ahead, Foresees, Promise
from models.seasonal import Seasonal
from models.streaming import LARGEST, Silence, Step
from seawall.core.errors import InputError
from seawall.core.foresight import Anomaly, Forecast, Sight, Verdict
from seawall.core.ports import Score
from seawall.core.slos import SloRow, SloStatus

LSTM, SEASONAL = "lstm", "seasonal"
WORDS = {
    Silence.SPEAKS: "",
    Silence.GRACE: "learning",
    Silence.LATE: "late: not newer than the last sample",
    Silence.MISSING: "missing",
    Silence.PAUSED: "after a pause the forecast does not apply",
}
_VERDICTS = TypeAdapter(dict[str, Verdict])


class Watch:
    """The port Watcher. `rows` are the matrix."""

    PARTS = ("detector-lstm", "detector-baseline", "forecasts", "anomalies", "verdicts")

    def __init__(self, rows: Sequence[SloRow], lstm: Lstm) -> None:
        self._lock = threading.Lock()
        self._lstm, self._seasonal, self._alerting = lstm, Seasonal(), Alerting()
        self._promise, self._episodes, self._calibration = Promise(rows), Episodes(rows), Calibration()
        self._verdicts: dict[str, Verdict] = {}

    def look(
        self, registry: str, at: float, values: Mapping[str, float], statuses: Sequence[SloStatus]
    ) -> Sight:
        """See the port."""
        with self._lock:
            return self._look(registry, at, values, statuses)

    def _look(
        self, registry: str, at: float, values: Mapping[str, float], statuses: Sequence[SloStatus]
    ) -> Sight:
        known = {name: float(value) for name, value in values.items() if abs(value) <= LARGEST}
        names = [f"{registry} {name}" for name in known]
        served = np.array([self._serves(name) for name in names], dtype=bool)
        own, base = self._steps(names, at, np.array(list(known.values())))
        step = _chosen(own, base, served)
        alerts = self._alerts(names, known, at, step)
        scores = _scores(known, step, served)
        self._calibrate(names, known, step, served, alerts)
        shadows = {name: score for (name, score), out in zip(_scores(known, own).items(), served, strict=True)
                   if not out}  # fmt: skip
        forecasts = self._forecasts(registry, statuses)
        moment = Moment(registry, at, known, scores, statuses, forecasts)
        return Sight(scores, shadows, forecasts, self._episodes.see(moment, alerts))

    def anomalies(self) -> Sequence[Anomaly]:
        """See the port."""
        return self._episodes.all()

    def verdicts(self) -> Mapping[str, Verdict]:
        """See the port."""
        return dict(self._verdicts)

    def adopt(self, verdicts: Sequence[Verdict], lstm: Lstm | None = None) -> None:
        """Follow the gate's verdicts on the present LSTM, or on another one that serves from now on.

        A verdict that is not newer than the one that is known changes nothing: what was rolled back since
        stays so.
        """
        with self._lock:
            if lstm is not None:
                self._lstm, self._verdicts, self._calibration = lstm, {}, Calibration()
            for verdict in verdicts:
                known = self._verdicts.get(verdict.signal)
                if verdict.version == self.version and (known is None or verdict.at > known.at):
                    self._calibration.forget(verdict.signal)
                    self._verdicts[verdict.signal] = verdict

    @property
    def version(self) -> str:
        """The name of the LSTM's weights."""
        return str(self._lstm.card["name"])

    def states(self) -> dict[str, bytes]:
        """Everything learnt, by the name of its part."""
        with self._lock:
            words: dict[str, Any] = {
                "verdicts": _VERDICTS.dump_python(self._verdicts, mode="json"),
                "calibration": self._calibration.state(),
            }
            contents = (
                self._lstm.state(),
                save({name: np.frombuffer(part.state(), np.uint8) for name, part in self._base().items()}),
                self._promise.state(),
                self._episodes.state(),
                json.dumps(words).encode(),
            )
        return dict(zip(self.PARTS, contents, strict=True))

    def restore(self, part: str, state: bytes) -> None:
        """Continue one of PARTS; InputError, with nothing changed, if `state` is not its."""
        restorers = (
            self._lstm.restore,
            self._restore_base,
            self._promise.restore,
            self._episodes.restore,
            self._restore_verdicts,
        )
        dict(zip(self.PARTS, restorers, strict=True))[part](state)

    def _base(self) -> dict[str, Seasonal | Alerting]:
        """The baseline, and the alerts, whose columns are its."""
        return {"seasonal": self._seasonal, "alerting": self._alerting}

    def _restore_base(self, state: bytes) -> None:
        seasonal, alerting = Seasonal(), Alerting()
        try:
            parts = load(state)
            seasonal.restore(parts["seasonal"].tobytes())
            alerting.restore(parts["alerting"].tobytes())
        except (SafetensorError, KeyError) as error:
            raise InputError("baseline state", f"cannot be read: {error!r}", "start without it") from error
        self._seasonal, self._alerting = seasonal, alerting

    def _restore_verdicts(self, state: bytes) -> None:
        try:
            words = json.loads(state)
            verdicts = _VERDICTS.validate_python(words["verdicts"])
            self._calibration.restore(words["calibration"])
        except (ValueError, TypeError, KeyError) as error:
            raise InputError("verdicts", f"cannot be read: {error!r}", "start without them") from error
        # A verdict on other weights says nothing of these.
        self._verdicts = {name: v for name, v in verdicts.items() if v.version == self.version}

    def _serves(self, name: str) -> bool:
        """Does the LSTM serve this series?"""
        verdict = self._verdicts.get(name)
        return verdict is not None and verdict.passed

    def _steps(self, names: list[str], at: float, values: Floats) -> tuple[Step, Step]:
        """What the LSTM and the baseline say."""
        moments = np.full(len(names), at)
        own = self._lstm.advance(self._lstm.columns(names), moments, values)
        return own, self._seasonal.advance(self._seasonal.columns(names), moments, values)

    def _alerts(self, names: list[str], known: Mapping[str, float], at: float, step: Step) -> dict[str, str]:
        """The signals whose alert begins now, and the channel that spoke loudest."""
        values, columns = np.array(list(known.values())), self._seasonal.columns(names)
        found = self._alerting.update(columns, np.full(len(names), at), values, step)
        return {
            name: CHANNELS[channel]
            for name, alert, channel in zip(known, found.anomaly, found.channel, strict=True)
            if alert
        }

    def _calibrate(
        self,
        names: list[str],
        known: Mapping[str, float],
        step: Step,
        served: NDArray[np.bool_],
        alerts: Collection[str],
    ) -> None:
        """Watch the LSTM where it serves, and take it back where it has lost its calibration."""
        for k, (name, signal) in enumerate(zip(names, known, strict=True)):
            if not served[k] or step.silent[k] != Silence.SPEAKS:
                continue
            inside = bool(step.lower[k] <= known[signal] <= step.upper[k])
            fault = self._calibration.learn(name, inside, signal in alerts)
            if fault:
                self._calibration.forget(name)
                reason = f"rolled back: {fault}"
                self._verdicts[name] = replace(self._verdicts[name], passed=False, reason=reason)

    def _forecasts(self, registry: str, statuses: Sequence[SloStatus]) -> list[Forecast]:
        """What is ahead of each row that is known."""
        ahead = self._ahead([f"{registry} slo:{status.name}" for status in statuses])
        made = (
            self._promise.forecast(status, *ahead.get(f"{registry} slo:{status.name}", (None, SEASONAL)))
            for status in statuses
        )
        return [forecast for forecast in made if forecast is not None]

    def _ahead(self, names: Sequence[str]) -> dict[str, tuple[Ahead, str]]:
        """Quantiles of the series at each horizon, and whose they are, where enough is known. Horizons that
        the LSTM does not forecast stay the baseline's."""
        known = [name for name in names if self._seasonal.speaks(name)]
        found = {name: (ahead, SEASONAL) for name, ahead in _quantiles(self._seasonal, known).items()}
        served = [name for name in known if self._serves(name)]
        if isinstance(self._lstm, Foresees):
            for name, ahead in _quantiles(self._lstm, served).items():
                found[name] = ({**found[name][0], **ahead}, LSTM)
        return found


def _quantiles(model: Foresees, names: Sequence[str]) -> dict[str, Ahead]:
    """Horizon in seconds -> quantiles [7] of each series."""
    if not names:
        return {}
    ahead = model.ahead(model.columns(names))
    return {name: {h: found[:, k] for h, found in ahead.items()} for k, name in enumerate(names)}


def _chosen(own: Step, base: Step, served: NDArray[np.bool_]) -> Step:
    """The LSTM's step where it serves, else the baseline's."""
    return Step(
        np.where(served, own.expected, base.expected),
        np.where(served, own.lower, base.lower),
        np.where(served, own.upper, base.upper),
        np.where(served, own.score, base.score),
        np.where(served, own.surprise, base.surprise),
        np.where(served, own.silent, base.silent),
        np.where(served, own.wrong, base.wrong),
        np.where(served, own.known, base.known),
        np.where(served, own.alone, base.alone),
    )


def _scores(
    known: Mapping[str, float], step: Step, served: NDArray[np.bool_] | None = None
) -> dict[str, Score]:
    """A step as words by signal; where nothing was forecast, what was observed stands for it."""
    out = {}
    for k, (name, value) in enumerate(known.items()):
        said = not np.isnan(step.expected[k])
        expected, lower, upper = (float(it[k]) if said else value for it in step[:3])
        model = LSTM if served is None or served[k] else SEASONAL
        out[name] = Score(expected, lower, upper, float(step.score[k]), WORDS[Silence(step.silent[k])], model)
    return out
