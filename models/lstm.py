"""The LSTM detector: one shared network forecasts every series and says how likely each sample is anomalous.

Two scores become one (noisy-or): the network's probability, which knows the context, and the residual in the
signal's own unit, held with decay, which knows that far is far. With `network=False` the same features speak
without the network: the ablation.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models import features, profile
from models.bank import Index
from models.features import (
    DAYS,
    DISTANCE,
    HELD,
    LAST,
    LAST_AT,
    LASTING,
    MEAN,
    MEMORY,
    RESIDUAL_SCALE,
    SHORT,
    SPREAD,
    WORD,
)
from models.normaliser import Floats, constant
from models.recurrent import HORIZONS, LEVELS, MEDIAN, Network, Singles, read_weights
from models.streaming import MAX_SERIES, TAIL, Streaming, surprise

WEIGHTS = Path(__file__).parent / "weights" / "lstm-1.safetensors"
FAR = 10.0  # usual residuals from the profile that score 1/2 without the network
# Distances that score 1/2, in the raw scale of the first day: of a segment, and own[HELD] of a sample alone.
_HALFWAY = np.array([[1.75], [3.0]], dtype=np.float32)
_HALF, _NEWS = np.float32(0.5), np.float32(1 - MEMORY)

WEEK_DAYS = 7
CLEAR, VAGUE = 0.4, 0.7  # residual scale over scale: below, context counts whole; above, half
RESIDUAL_Z = features.INPUTS.index("residual_z")
_SIGN = constant(-1.0, 1.0)  # below, above
_TAILS = _SIGN / TAIL
# In normalised units; keeps a series without noise from crying at rounding errors.
_NARROWEST_TAIL = constant(0.01)
# Without the network: quantiles of a normal distribution in its mean absolute deviations.
_NORMAL = np.array([[-2.916], [-2.062], [-0.845], [0], [0.845], [2.062], [2.916]], dtype=np.float32)


class Lstm(Streaming):
    """The shipped forecaster as a streaming detector.

    `weights` is a safetensors file with its card (same name, .json) beside it; InputError, naming the
    file, if they do not belong together or are not for this code.
    """

    name = "lstm"

    def __init__(self, weights: Path = WEIGHTS, max_series: int = MAX_SERIES, network: bool = True) -> None:
        self.card, tensors = read_weights(weights)
        self._network = Network(tensors)
        self._speaks = network
        shapes: dict[str, tuple[tuple[int, ...], type]] = {
            "levels": ((len(features.CLOCK),), np.float64),
            "own": ((len(features.OWN),), np.float32),
            "carried": ((2 * self._network.hidden,), np.float32),
            "forecast": ((len(LEVELS),), np.float32),
            **{name: ((rows,), np.float32) for name, rows in profile.ROWS.items()},
        }
        super().__init__(shapes, max_series)

    def ahead(self, columns: NDArray[np.intp]) -> dict[float, Floats]:
        """Horizon in seconds (0: the next sample) -> quantiles [7, n] at LEVELS, in the signals' units."""
        clock, own, h = (self._bank.take(name, columns) for name in ("levels", "own", "carried"))
        tables, found = (
            self._tables(columns),
            {0.0: features.back(clock, own, self._bank.take("forecast", columns))},
        )
        levels = (own[[LAST, SHORT]] - own[MEAN]) / own[SPREAD]
        levels = features.within(np.arcsinh(levels), -features.REACH, features.REACH)
        for k, seconds in enumerate(HORIZONS[1:], 1):
            anchors = np.concatenate((levels, features.ahead(own, tables, clock[LAST_AT], seconds)))
            found[seconds] = features.back(
                clock, own, self._network.quantiles(k, h[: self._network.hidden], anchors)
            )
        return found

    def _kind(self) -> dict[str, str]:
        network = {} if self._speaks else {"network": "off"}
        return {"detector": self.name, "weights": self.card["weights"]["sha256"], **network}

    def _tables(self, columns: NDArray[np.intp]) -> profile.Tables:
        levels, week, days = (self._bank.arrays[name] for name in profile.ROWS)
        return profile.Tables(levels, week, days, columns)

    def _joined(self, at: Floats, values: Floats) -> Floats:
        return features.joined(at, values)[0]

    def _start(self, at: Floats, index: Index, values: Floats) -> None:
        own, count = features.joined(at, values)[1], len(values)
        self._bank.put("own", index, own)
        self._bank.put("carried", index, np.zeros((2 * self._network.hidden, count), np.float32))
        self._bank.put("forecast", index, np.zeros((len(LEVELS), count), np.float32))
        for name, rows in profile.ROWS.items():
            blank = 0 if name == "days" else np.nan
            self._bank.put(name, index, np.full((rows, count), blank, np.float32))

    def _step(self, at: Floats, index: Index, levels: Floats, values: Floats) -> Floats:
        own, carried, forecast = (self._bank.take(name, index) for name in ("own", "carried", "forecast"))
        block = _judged(forecast, levels, own, values)
        columns = np.arange(index.start, index.stop) if isinstance(index, slice) else index
        inputs = features.step(levels, own, self._tables(columns), at, values)
        if self._speaks:
            forecast[:], probability = self._network.step(inputs, carried)
            block[5] = probability
        else:
            forecast[:], probability = _plain(inputs, own)
        block[3], block[7] = _scores(probability, own)
        block[6] = _known(own)
        for name, part in (("own", own), ("carried", carried), ("forecast", forecast)):
            self._bank.put(name, index, part)
        return block


def _judged(forecast: Singles, clock: Floats, own: Singles, values: Floats) -> Floats:
    """[8, n] of lower, expected, upper (signal's unit), score (to be set), surprise, `wrong`, `known` and
    `alone` (to be set) of `values` against the forecast [7, n]."""
    found, levels = features.normalised(clock, own, values).astype(np.float64), forecast.astype(np.float64)
    edges, ends = levels[1::4], levels[::6]  # 5 % and 95 %, 1 % and 99 %
    beyond = (found - edges) * _SIGN / np.maximum((ends - edges) * _TAILS, _NARROWEST_TAIL)
    block = np.zeros((8, len(values)))
    block[:3] = features.back(clock, own, forecast[1::2])  # 5 %, 50 %, 95 %
    block[4] = surprise(beyond, found, levels[MEDIAN], edges)
    return block


def _plain(inputs: Singles, own: Singles) -> tuple[Singles, Singles]:
    """(quantiles [7, n], score [n]) of the same features without the network: the profile (the mean where
    none is known), a normal band of its usual residuals, and the residual in their units."""
    band = _NORMAL * (own[RESIDUAL_SCALE] / own[SPREAD])
    far = np.abs(np.sinh(inputs[RESIDUAL_Z]))
    return inputs[2] + band, far / (far + FAR)


def _predictable(own: Singles) -> Singles:
    """How well the profile explains the series [n]: 0 and less at VAGUE, 1 and more at CLEAR."""
    return np.asarray((VAGUE - own[RESIDUAL_SCALE] / own[SPREAD]) / (VAGUE - CLEAR))


def _known(own: Singles) -> Singles:
    """How much the network's word counts by itself [n]: wholly once a week is known and half explained."""
    explained = features.within(2 * _predictable(own), 0, 1)
    return np.asarray(explained * np.minimum(own[DAYS] / WEEK_DAYS, 1))


def _scores(probability: Singles, own: Singles) -> Singles:
    """[2, n] of the segment, over the last samples together, and of the sample alone. Each is a noisy-or:
    wrong in its context, as far as the profile makes the series predictable; or far. Learns own[WORD]."""
    own[WORD] += (probability - own[WORD]) * _NEWS
    wrong, far = np.empty((2, len(probability)), np.float32), np.empty((2, len(probability)), np.float32)
    wrong[0], wrong[1] = own[WORD], probability
    far[0], far[1] = own[DISTANCE] + _HALF * own[LASTING], own[HELD]
    weight = 0.5 + 0.5 * features.within(_predictable(own), 0, 1)
    return np.asarray(1 - (1 - wrong * weight) / (1 + (far / _HALFWAY) ** 2))
