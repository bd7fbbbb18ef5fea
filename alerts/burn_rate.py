"""Burn rates of an error budget of minutes (The Site Reliability Workbook, chapter 5)."""

from collections.abc import Sequence

from alerts.minutes import Minutes
from alerts.slos import BurnWindow


def burn_rate(minutes: Minutes, end: float, span: float, budget_share: float) -> float:
    """How many times faster than allowed the budget burns over the last `span` seconds before `end`.

    `budget_share` is the share of all minutes that may be bad, e.g. 300 s of a 30-day month = 1.16e-4.
    """
    bad = minutes.bad_since(int((end - span) // 60))
    return bad * 60.0 / span / budget_share


def exhausted_in(remaining: float, rate: float, budget_share: float) -> float | None:
    """Seconds until `remaining` seconds of budget are spent at this burn rate; 0 once they are, None while
    nothing burns."""
    if remaining <= 0:
        return 0.0
    return remaining / (rate * budget_share) if rate > 0 else None


def burning(
    minutes: Minutes, end: float, windows: Sequence[BurnWindow], budget_share: float
) -> BurnWindow | None:
    """The first window pair over whose both spans the budget burns faster than its factor."""
    for window in windows:
        if all(burn_rate(minutes, end, span, budget_share) >= window.factor for span in window.spans):
            return window
    return None
