"""Several columns as one series: how far all of them together are from what was forecast.

Chosen on the six ASD servers (mean VUS-PR 0.55; the loudest columns' mean score alone 0.39; the excess alone
0.50), where an incident moves many metrics a little.
"""

import numpy as np

from models.normaliser import Floats
from models.streaming import Step

HELD = 0.95  # share of the excess that is still there a row later
HALFWAY = 1.0  # mean excess over the band, in units of the forecast's tail, that scores 1/2


def one(said: Step) -> tuple[Floats, Step]:
    """(values [n], step [n]) of columns [k, n]: the mean size of their surprise stands for the value.

    The score is a noisy-or of the mean score of the loudest columns (the root of their number) and of the
    mean excess of the surprise beyond the band, held. It has no band of its own.
    """
    size = np.abs(said.surprise)
    excess = np.maximum(size - 1, 0).mean(axis=0)
    held = _held(excess)
    score, alone = (1 - (1 - _loudest(it)) * HALFWAY / (held + HALFWAY) for it in (said.score, said.alone))
    nothing = np.full_like(score, np.nan)
    silent = said.silent.min(axis=0)  # it speaks as soon as one column does
    wrong = said.wrong.max(axis=0)
    known = said.known.min(axis=0)
    score, alone = (np.where(silent == 0, it, 0) for it in (score, alone))
    step = Step(nothing, nothing, nothing, score, 1 + excess, silent, wrong, known, alone)
    return size.mean(axis=0), step


def _loudest(scores: Floats) -> Floats:
    """Mean [n] of the loudest of the scores [k, n]: the root of their number."""
    return np.asarray(np.sort(scores, axis=0)[-max(1, round(len(scores) ** 0.5)) :].mean(axis=0))


def _held(excess: Floats) -> Floats:
    """The largest so far, less a share for each row since."""
    found, held = np.empty_like(excess), 0.0
    for i, now in enumerate(excess.tolist()):
        held = max(now, HELD * held)
        found[i] = held
    return found
