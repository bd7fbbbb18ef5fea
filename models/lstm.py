"""The LSTM detector: one shared network forecasts the next value of every series, in numpy.

The equations are those of models.network (torch), which trained the weights; serving never imports torch.
A score tells where a value falls against the quantiles that were forecast one sample before.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from models import features, normaliser
from models.bank import Index
from models.normaliser import LEAST, MEAN, REACH, SPREAD, Floats, constant
from models.streaming import MAX_SERIES, TAIL, Streaming, tail_score
from seawall.core.errors import InputError

WEIGHTS = Path(__file__).parent / "weights" / "lstm-1.safetensors"
LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
MEDIAN = 3

Singles = NDArray[np.float32]

_SIGN = constant(-1.0, 1.0)  # below, above
_TAILS = _SIGN / TAIL
# In normalised units; keeps a series without noise from crying at rounding errors.
_NARROWEST_TAIL = constant(0.03)
_HALF, _NOTHING = np.array([0.5], dtype=np.float32), np.array([0], dtype=np.float32)


def _cumulation() -> Singles:
    """[7, 7]: quantile k = the median, plus the steps up to k or minus the steps down to k."""
    matrix = np.zeros((len(LEVELS), len(LEVELS)), dtype=np.float32)
    for k in range(len(LEVELS)):
        matrix[k, k:MEDIAN] = -1
        matrix[k, MEDIAN : max(k, MEDIAN) + 1] = 1
    return matrix


class Network:
    """The shared weights and the recurrent step; float32, arrays [features, series]."""

    def __init__(self, tensors: dict[str, Singles]) -> None:
        hidden = tensors["lstm.weight_hh_l0"].shape[1]
        bias = tensors["lstm.bias_ih_l0"] + tensors["lstm.bias_hh_l0"]
        parts = (tensors["lstm.weight_ih_l0"], tensors["lstm.weight_hh_l0"])
        # sigmoid(x) = tanh(x / 2) / 2 + 1 / 2: with i, f and o halved, one tanh serves all four gates.
        halves = np.repeat(np.array([0.5, 0.5, 1.0, 0.5], dtype=np.float32), hidden)[:, None]
        self.hidden, self._cumulation = hidden, _cumulation()
        self._gates: Singles = np.ascontiguousarray(np.concatenate(parts, axis=1) * halves)
        self._gates_bias: Singles = bias[:, None] * halves
        self._head, self._head_bias = tensors["head.weight"], tensors["head.bias"][:, None]

    def step(self, inputs: Singles, carried: Singles) -> tuple[Singles, Singles]:
        """(inputs [13, n], carried [2 H, n] = h over c) -> (quantiles [7, n], carried)."""
        h, c = carried[: self.hidden], carried[self.hidden :]
        gates = np.tanh(self._gates @ np.concatenate((inputs, h)) + self._gates_bias)
        i, f, _, o = (gates * _HALF + _HALF).reshape(4, self.hidden, -1)
        c = f * c + i * gates[2 * self.hidden : 3 * self.hidden]
        h = o * np.tanh(c)
        return self._quantiles(self._head @ h + self._head_bias, inputs), np.concatenate((h, c))

    def _quantiles(self, out: Singles, inputs: Singles) -> Singles:
        """Median = a mixture of the anchors (value, short mean, next slot, mean) plus an offset; the other
        quantiles are positive steps away from it, so they never cross."""
        weights = np.exp(out[len(LEVELS) :])
        anchor = np.add.reduce(weights[:-1] * inputs[: features.ANCHORS]) / np.add.reduce(weights)
        steps = np.logaddexp(out[: len(LEVELS)], _NOTHING)
        np.add(out[MEDIAN], anchor, out=steps[MEDIAN])
        return np.asarray(self._cumulation @ steps)


class Lstm(Streaming):
    """The shipped forecaster as a streaming detector.

    `weights` is a safetensors file with its card (same name, .json) beside it; InputError, naming the
    file, if they do not belong together or are not for this code.
    """

    name = "lstm"

    def __init__(self, weights: Path = WEIGHTS, max_series: int = MAX_SERIES) -> None:
        self.card, tensors = read_weights(weights)
        self._network = Network(tensors)
        shapes: dict[str, tuple[tuple[int, ...], type]] = {
            "own": ((len(features.COLUMNS),), np.float64),
            "slots": ((features.SLOTS,), np.float64),
            "carried": ((2 * self._network.hidden,), np.float32),
            "forecast": ((len(LEVELS),), np.float64),
        }
        super().__init__(shapes, max_series)

    def _kind(self) -> dict[str, str]:
        return {"detector": self.name, "weights": self.card["weights"]["sha256"]}

    def _start(self, at: Floats, index: Index, values: Floats) -> None:
        self._bank.put("own", index, features.joined(at, values))
        self._bank.put("slots", index, np.full((features.SLOTS, len(values)), np.nan))
        self._bank.put("carried", index, np.zeros((2 * self._network.hidden, len(values)), np.float32))
        self._bank.put("forecast", index, np.zeros((len(LEVELS), len(values))))

    def _step(self, at: Floats, index: Index, levels: Floats, values: Floats) -> Floats:
        block = _judged(self._bank.take("forecast", index), levels, values)
        own, slots, carried = (self._bank.take(name, index) for name in ("own", "slots", "carried"))
        inputs = features.step(at, values, levels, own, slots)
        forecast, carried = self._network.step(inputs.astype(np.float32), carried)
        for name, part in (("own", own), ("slots", slots), ("carried", carried), ("forecast", forecast)):
            self._bank.put(name, index, part)
        return block


def _judged(forecast: Floats, levels: Floats, values: Floats) -> Floats:
    """[4, n] of lower, expected, upper (signal's unit) and score of `values` against the forecast [7, n]."""
    mean, spread = levels[MEAN], levels[SPREAD]
    found = normaliser.normalised(values - mean, spread)
    edges, ends = forecast[1::4], forecast[::6]  # 5 % and 95 %, 1 % and 99 %
    beyond = (found - edges) * _SIGN / np.maximum((ends - edges) * _TAILS, _NARROWEST_TAIL)
    band = np.minimum(np.maximum(forecast[1::2], LEAST), REACH)  # 5 %, 50 %, 95 %
    return np.concatenate((np.sinh(band) * spread + mean, tail_score(beyond)))


def read_weights(path: Path) -> tuple[dict[str, Any], dict[str, Singles]]:
    """(card, tensors) of a weight file; InputError names the file, the finding and the remedy."""
    remedy = "install the package again, or train with `python -m models.pretrain`"
    try:
        content, card = path.read_bytes(), json.loads(path.with_suffix(".json").read_text("utf-8"))
        found, wanted = hashlib.sha256(content).hexdigest(), card["weights"]["sha256"]
        if found != wanted:
            raise InputError(str(path), f"its SHA-256 is {found}, the card says {wanted}", remedy)
        tensors: dict[str, Singles] = load(content)
        _check_fit(path, card, tensors)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(str(path), f"cannot be read with its card: {error!r}", remedy) from error
    return card, tensors


def _check_fit(path: Path, card: dict[str, Any], tensors: dict[str, Singles]) -> None:
    """The weights must have been trained for these inputs and quantiles."""
    if tuple(card["inputs"]) != features.INPUTS or tuple(card["quantiles"]) != LEVELS:
        raise InputError(
            str(path), "it was trained for other inputs or quantiles", "train it with this version"
        )
    hidden = tensors["lstm.weight_hh_l0"].shape[1]
    wanted = {
        "lstm.weight_ih_l0": (4 * hidden, len(features.INPUTS)), "lstm.weight_hh_l0": (4 * hidden, hidden),
        "lstm.bias_ih_l0": (4 * hidden,), "lstm.bias_hh_l0": (4 * hidden,),
        "head.weight": (len(LEVELS) + features.ANCHORS + 1, hidden),
        "head.bias": (len(LEVELS) + features.ANCHORS + 1,),
    }  # fmt: skip
    if {name: tensor.shape for name, tensor in tensors.items()} != wanted:
        raise InputError(str(path), "its tensors have other shapes", "train it with this version")
