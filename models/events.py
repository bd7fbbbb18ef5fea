"""Events: evidence is gathered and told once, within a budget.

Evidence adds up and fades within a few samples. When it reaches the bar, that is an alert: it is used up, and
the bar is raised for what follows, steeply for the length of an event and slightly for a long time, so that a
series that cries often has to cry louder. Whatever is severe enough still gets through.
"""

import numpy as np

from models.normaliser import Floats, constant

ROWS = 4  # of state: evidence gathered, alerts of late, alerts of a long time, what was told lately
FADES = 8.0  # samples over which evidence fades
EVENT, STEEP = 30.0, constant(10.0)  # an alert raises the bar by ten, which fades over so many samples,
BUDGET, COST = 2000.0, constant(0.3)  # and by three tenths, which fade over so many
_FADING = np.exp(-1 / np.array([[FADES], [EVENT], [BUDGET], [EVENT]]))


def told(events: Floats, evidence: Floats) -> Floats:
    """How high [n] the gathered evidence stands, in bars, where there is something to tell, else 0.

    1 and more is an alert; what is less is told only where it exceeds what was told lately. `evidence` [n] is
    in bars, 1 being enough for an alert of a series that was calm; `events` [4, n] is learnt in place.
    """
    events *= _FADING
    gathered, recent, spent, lately = events
    gathered += evidence
    height = gathered / (1 + STEEP * recent + COST * spent)
    alert = height >= 1
    heard = np.where(alert | (height > lately), height, 0)
    if np.count_nonzero(alert):
        events[1:3] += alert
        gathered[alert] = 0
    np.maximum(lately, heard, out=lately)
    return heard


def score(heights: Floats) -> Floats:
    """Alert scores 0..1 of what was told: 0.5 at the bar."""
    return np.asarray(1 - np.exp2(-heights))
