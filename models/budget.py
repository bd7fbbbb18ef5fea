"""How long an error budget of minutes lasts: the chance that it is spent, and when at the present rate.

The rate of bad minutes has a gamma prior worth PRIOR_WATCH seconds of keeping the promise exactly, so that a
month that is young neither promises nor threatens; the number of bad minutes to come is then negative
binomial. An outage that lasts now goes on: its length is exponential with mean OUTAGE.
"""

import math

PRIOR_WATCH = 30 * 86400.0
PRIOR_SHARE = 0.25  # of the budget that a month is thought to cost, before anything was seen
OUTAGE = 600.0  # seconds that an outage lasts, on average


def probability(
    bad: float, watched: float, allowed: float, share: float, horizon: float, down: bool
) -> float:
    """That the budget is overspent within `horizon` seconds.

    `bad` and `allowed` are seconds, `watched` the seconds seen in the window; `share` = allowed / window.
    """
    left = math.floor((allowed - bad) / 60.0)
    if left < 0:
        return 1.0
    shape = PRIOR_SHARE * share * PRIOR_WATCH / 60.0 + bad / 60.0
    keep = (PRIOR_WATCH + watched) / (PRIOR_WATCH + watched + horizon)
    by_chance = 1.0 - _at_most(left, shape, keep)
    going_on = math.exp(-(left + 1) * 60.0 / OUTAGE) if down else 0.0
    return 1.0 - (1.0 - by_chance) * (1.0 - going_on)


def _at_most(count: int, shape: float, keep: float) -> float:
    """P(N <= count) of a negative binomial number with this shape and success probability."""
    term = float(keep**shape)
    total = term
    for k in range(count):
        term *= (shape + k) / (k + 1) * (1.0 - keep)
        total += term
    return min(1.0, total)


def spent_at(now: float, bad: float, allowed: float, burn: float, share: float, end: float) -> float | None:
    """When the budget is spent if it goes on burning `burn` times too fast; None if not before `end`."""
    speed = burn * share  # bad seconds a second
    if bad > allowed:
        return now
    if speed <= 0:
        return None
    at = now + (allowed - bad) / speed
    return at if at < end else None
