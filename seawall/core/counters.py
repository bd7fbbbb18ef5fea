"""Counters over time: they only rise, and fall to 0 when whatever counts is restarted."""

from collections.abc import Iterable


def increase(values: Iterable[float]) -> float:
    """How much a counter rose over its readings, oldest first.

    A reading below the one before it is a restart: all of it was counted since then, as Prometheus's
    `increase` has it, without its extrapolation. What was counted between the last reading and the restart
    is lost. Fewer than two readings rise by 0.

    >>> increase([5, 8, 2, 3])
    6
    """
    total: float = 0
    before: float | None = None
    for value in values:
        if before is not None:
            total += value - before if value >= before else value
        before = value
    return total
