"""Tails: what makes numbers of any unit comparable, each with its own past.

Of each row of [k, n] the running 95 % quantile and the mean excess over it are learnt (peaks over threshold;
Siffer et al., "Anomaly Detection in Streams with Extreme Value Theory", 2017), so that what lies beyond is
told in mean excesses.
"""

import numpy as np
from numpy.typing import NDArray

from models.normaliser import Floats

Singles = NDArray[np.float32]

ROWS = 2  # of state for each row of numbers: where its tail begins, mean excess
BEYOND = 0.05  # share of samples that lie in the tail
MEMORY = 3000.0  # samples over which it is learnt
MOST = 16.0  # mean excesses that count
_FIRST, _HASTE, _EXCESS_RATE = 3, 8.0, 5.0


def beyond(tails: Singles, numbers: Singles, count: Floats, least: Singles) -> Singles:
    """By how many mean excesses `numbers` [k, n] lie further in their tails than is usual there, 0..MOST.

    Learns `tails` [2 k, n] in place. `count` [n] is how many samples each series has had, this one included;
    `least` [k, 1] the smallest mean excess of a row, in its unit.
    """
    start, excess = tails.reshape(ROWS, len(numbers), -1)
    width, over = np.maximum(excess, least), numbers - start
    outside = over > 0
    far = np.minimum(np.maximum(over / width - 1, 0), MOST)
    rate = np.maximum(1 / count, 1 / MEMORY).astype(np.float32)
    young = count <= _FIRST
    if np.count_nonzero(young):
        start[:, young] += over[:, young] / 2
    start += np.minimum(_HASTE * rate, 0.5) * (outside - BEYOND) * width
    np.minimum(over, 6 * width, out=over)
    over -= excess
    over *= np.minimum(_EXCESS_RATE * rate, 1)
    over *= outside
    excess += over
    return np.asarray(far)
