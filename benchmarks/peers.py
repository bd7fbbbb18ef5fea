"""Light streaming detectors of others, for the scoreboard: functions (values [n], times [n]) -> scores [n].

All are causal. river, rrcf and stumpy are optional: `pip install -e '.[bench]'` in an environment of its own.
Settings are the packages' defaults but where said; none was tuned on the scoreboard's files.
"""

from collections import deque
from collections.abc import Callable

import numpy as np

from models.normaliser import Floats

Peer = Callable[[Floats, Floats], Floats]
DAY = 86400.0
START = 100  # samples that open a model
SHINGLE = 4  # values that make a point of a tree
TREES, POINTS = 10, 128  # of rrcf; its authors use 40 and 256, at eight times the cost
PATTERN = 32  # samples of a subsequence of stumpi


def half_space_trees(values: Floats, at: Floats) -> Floats:
    """river.anomaly.HalfSpaceTrees (Tan, Ting and Liu 2011) on shingles of running min-max scaled values."""
    from river.anomaly import HalfSpaceTrees
    from river.preprocessing import MinMaxScaler

    model, scaler, recent = HalfSpaceTrees(seed=1), MinMaxScaler(), deque([0.0] * SHINGLE, SHINGLE)
    out = np.zeros(len(values))
    for i, value in enumerate(values.tolist()):
        scaler.learn_one({"x": value})
        recent.append(scaler.transform_one({"x": value})["x"])
        point = dict(enumerate(recent))
        out[i] = model.score_one(point)
        model.learn_one(point)
    return out


def random_cut_forest(values: Floats, at: Floats) -> Floats:
    """rrcf (Guha et al. 2016): mean collusive displacement of shingles."""
    from rrcf import RCTree

    rng = np.random.default_rng(1)
    forest = [RCTree(random_state=int(seed)) for seed in rng.integers(0, 2**31, TREES)]
    out, padded = np.zeros(len(values)), np.concatenate((np.full(SHINGLE - 1, values[0]), values))
    for i in range(len(values)):
        point = padded[i : i + SHINGLE]
        for tree in forest:
            if len(tree.leaves) >= POINTS:
                tree.forget_point(i - POINTS)
            tree.insert_point(point, index=i)
            out[i] += tree.codisp(i) / TREES
    return out


def matrix_profile(values: Floats, at: Floats) -> Floats:
    """stumpy.stumpi: distance of the latest subsequence to its nearest neighbour among all before it."""
    from stumpy import stumpi

    out = np.zeros(len(values))
    stream = stumpi(values[:START], m=PATTERN, egress=False)
    for i in range(START, len(values)):
        stream.update(float(values[i]))
        out[i] = stream.left_P_[-1]
    return np.nan_to_num(out, posinf=0)


def seasonal_naive(values: Floats, at: Floats) -> Floats:
    """Distance to the value of a day before (the last one that is no younger), in running mean distances."""
    at = np.maximum.accumulate(at)
    before = np.searchsorted(at, at - DAY, side="right") - 1
    known = before >= 0
    distance = np.where(known, np.abs(values - values[np.maximum(before, 0)]), 0)
    usual = np.cumsum(distance) / np.maximum(np.cumsum(known), 1)
    earlier = np.concatenate(([0.0], usual[:-1]))
    return np.asarray(np.divide(distance, earlier, out=np.zeros(len(values)), where=earlier > 0))


PEERS: dict[str, Peer] = {
    "half_space_trees": half_space_trees,
    "random_cut_forest": random_cut_forest,
    "matrix_profile": matrix_profile,
    "seasonal_naive": seasonal_naive,
}
