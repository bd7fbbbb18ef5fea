"""The baseline: deviation from a winsorised running mean, in running scales. No learning beyond that."""

import numpy as np

from models import normaliser
from models.bank import Index
from models.normaliser import MEAN, SPREAD, Floats
from models.streaming import MAX_SERIES, TAIL, Streaming, surprise, tail_score

# Of a normal distribution, in mean absolute deviations (sigma = 1.2533 of them).
BAND = 1.2533 * 1.6449  # 5 % and 95 % quantiles
TAIL_WIDTH = 1.2533 * (2.3263 - 1.6449) / TAIL  # exponential tail through the 95 % and 99 % quantiles

_SIGN, _EDGES = normaliser.constant(-1.0, 1.0), normaliser.constant(-BAND, 0.0, BAND)


class RunningMean(Streaming):
    """expected = the running mean; band = where 90 % of a normal distribution of its scale lie."""

    name = "running_mean"

    def __init__(self, max_series: int = MAX_SERIES) -> None:
        super().__init__({}, max_series)

    def _start(self, at: Floats, index: Index, values: Floats) -> None:
        """It keeps nothing but the levels."""

    def _step(self, at: Floats, index: Index, levels: Floats, values: Floats) -> Floats:
        mean, spread = levels[MEAN].copy(), levels[SPREAD].copy()
        normaliser.learn(levels, at, values)
        found = (values - mean) / spread
        beyond = (found * _SIGN - BAND) / TAIL_WIDTH
        signed = surprise(beyond, found, np.zeros(1), _EDGES[::2])
        return np.concatenate((mean + spread * _EDGES, tail_score(beyond), signed[None]))
