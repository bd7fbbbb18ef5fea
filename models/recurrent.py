"""The network in numpy: the equations of models.network (torch), which trained the weights.

Arrays are float32, [features, series]; serving never imports torch.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from models.features import INPUTS
from seawall.core.errors import InputError

LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
MEDIAN = 3
HORIZONS = (0.0, 900.0, 3600.0, 86400.0)  # seconds ahead; 0 is the next sample, however far that is
ANCHORS = 4  # levels that a value may return to: the last, the short mean, the profile with two offsets

Singles = NDArray[np.float32]

_HALF = np.float32(0.5)


def _cumulation() -> Singles:
    """[7, 7]: quantile k = the median, plus the steps up to k or minus the steps down to k."""
    matrix = np.zeros((len(LEVELS), len(LEVELS)), dtype=np.float32)
    for k in range(len(LEVELS)):
        matrix[k, k:MEDIAN] = -1
        matrix[k, MEDIAN : max(k, MEDIAN) + 1] = 1
    return matrix


class Network:
    """The shared weights, the recurrent step and the heads."""

    def __init__(self, tensors: dict[str, Singles]) -> None:
        hidden = tensors["lstm.weight_hh_l0"].shape[1]
        bias = tensors["lstm.bias_ih_l0"] + tensors["lstm.bias_hh_l0"]
        # h comes before the inputs, as in `seen`, so that one array serves both products.
        weights = np.concatenate((tensors["lstm.weight_hh_l0"], tensors["lstm.weight_ih_l0"]), axis=1)
        # sigmoid(x) = tanh(x / 2) / 2 + 1 / 2: with i, f and o halved, one tanh serves all four gates. The
        # order is i, f, o, g (torch: i, f, g, o), so that those three are one block.
        places = np.arange(4 * hidden).reshape(4, hidden)[[0, 1, 3, 2]].ravel()
        halves = np.repeat(np.array([0.5, 0.5, 0.5, 1.0], dtype=np.float32), hidden)[:, None]
        self.hidden, self._cumulation = hidden, _cumulation()
        self._gates = np.ascontiguousarray(weights[places] * halves)
        self._gates_bias = bias[places, None] * halves
        heads = np.concatenate((tensors["near.weight"], tensors["far.weight"]))
        biases = np.concatenate((tensors["near.bias"], tensors["far.bias"]))
        self._quantiles = heads.reshape(len(HORIZONS), -1, hidden)
        self._quantiles_bias = biases.reshape(len(HORIZONS), -1, 1)
        self._seen, self._seen_bias = tensors["seen.weight"], tensors["seen.bias"][:, None]
        self._anomaly, self._anomaly_bias = tensors["anomaly.weight"], tensors["anomaly.bias"]

    def step(self, inputs: Singles, carried: Singles) -> tuple[Singles, Singles]:
        """(inputs [37, n], carried [2 H, n] = h over c, replaced in place) -> (quantiles [7, n] of the next
        sample, probability [n] that this one is anomalous)."""
        h, c = carried[: self.hidden], carried[self.hidden :]
        gates = self._gates @ np.concatenate((h, inputs))
        gates += self._gates_bias
        np.tanh(gates, out=gates)
        open_gates = gates[: 3 * self.hidden]
        open_gates *= _HALF
        open_gates += _HALF
        i, f, o, g = gates.reshape(4, self.hidden, -1)
        c *= f
        i *= g
        c += i
        np.tanh(c, out=f)
        np.multiply(o, f, out=h)
        seen = self._seen @ np.concatenate((h, inputs))
        seen += self._seen_bias
        np.maximum(seen, 0, out=seen)
        logit = (self._anomaly @ seen)[0] + self._anomaly_bias
        return self.quantiles(0, h, inputs[:ANCHORS]), _HALF + _HALF * np.tanh(_HALF * logit)

    def quantiles(self, horizon: int, h: Singles, anchors: Singles) -> Singles:
        """[7, n] at HORIZONS[horizon], from h [H, n] and that horizon's anchors [4, n]."""
        out = self._quantiles[horizon] @ h
        out += self._quantiles_bias[horizon]
        weights = np.exp(out[len(LEVELS) :])
        anchor = np.add.reduce(weights * anchors) / np.add.reduce(weights)
        steps = np.logaddexp(out[: len(LEVELS)], np.float32(0))
        np.add(out[MEDIAN], anchor, out=steps[MEDIAN])
        return np.asarray(self._cumulation @ steps)


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
    if tuple(card["inputs"]) != INPUTS or tuple(card["quantiles"]) != LEVELS:
        raise InputError(
            str(path), "it was trained for other inputs or quantiles", "train it with this version"
        )
    hidden, extra = tensors["lstm.weight_hh_l0"].shape[1], len(tensors["seen.bias"])
    head = len(LEVELS) + ANCHORS
    far = (len(HORIZONS) - 1) * head
    wanted = {
        "lstm.weight_ih_l0": (4 * hidden, len(INPUTS)), "lstm.weight_hh_l0": (4 * hidden, hidden),
        "lstm.bias_ih_l0": (4 * hidden,), "lstm.bias_hh_l0": (4 * hidden,),
        "near.weight": (head, hidden), "near.bias": (head,), "far.weight": (far, hidden), "far.bias": (far,),
        "seen.weight": (extra, hidden + len(INPUTS)), "seen.bias": (extra,),
        "anomaly.weight": (1, extra), "anomaly.bias": (1,),
    }  # fmt: skip
    if {name: tensor.shape for name, tensor in tensors.items()} != wanted:
        raise InputError(str(path), "its tensors have other shapes", "train it with this version")
