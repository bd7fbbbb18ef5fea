"""Events: what is unusual is told once, within a budget.

Impulses (a value never seen) are gathered and fade within a few samples. A level (a forecast that keeps
failing) counts by what it exceeds the height at which it was told already, which holds until the level is
half of that: what lasts is one event. When both together reach the bar, that is an alert: it uses up what was
gathered, and raises the bar for what follows, steeply for the length of an event and slightly for long, so
that a series that cries often has to cry louder. Whatever is severe enough still gets through.
"""

import numpy as np

from models.normaliser import ONE, ZERO, Floats, constant

ROWS = 5  # of state: impulses gathered, alerts of late, alerts of long, what was told lately, level held
FADES = 12.0  # samples over which impulses fade
EVENT, STEEP = 30.0, constant(10.0)  # an alert raises the bar by ten of its heights, fading over so many,
MOST = constant(10.0)  # (heights that count in this)
BUDGET, COST = 2000.0, constant(0.5)  # and by a half, fading over so many
CALM = constant(0.5)  # share of the height held under which an event is over
FORGETS = constant(np.exp(-1 / 100))  # what is then left of it a sample later
_FADING = np.exp(-1 / np.array([[FADES], [EVENT], [BUDGET], [EVENT]]))


def told(events: Floats, impulse: Floats, level: Floats) -> Floats:
    """How high [n] the evidence stands, in bars, where there is something to tell, else 0.

    1 and more is an alert; what is less is told only where it exceeds what was told lately. `impulse` and
    `level` [n] are in bars, 1 being enough for an alert of a series that was calm; `events` [5, n] is learnt
    in place.
    """
    events[:4] *= _FADING
    gathered, recent, spent, lately, held = events
    gathered += impulse
    held *= np.where(level < CALM * held, FORGETS, ONE)
    height = (gathered + np.maximum(level - held, ZERO)) / (ONE + STEEP * recent + COST * spent)
    alert = height >= 1
    heard = np.where(alert | (height > lately), height, ZERO)
    if np.count_nonzero(alert):
        recent += alert * np.minimum(height, MOST)
        spent += alert
        gathered[alert] = 0
        held[alert] = np.maximum(held, level)[alert]
    np.maximum(lately, heard, out=lately)
    return heard


def score(heights: Floats) -> Floats:
    """Alert scores 0..1 of what was told: 0.5 at the bar."""
    return np.asarray(1 - np.exp2(-heights))
