"""How much a counter rose."""

from hypothesis import given
from hypothesis import strategies as st

from seawall.core.counters import increase

COUNTS = st.lists(st.integers(0, 10**9), max_size=20)


def test_a_restart_counts_from_zero():
    assert increase([100, 150, 20, 30]) == 50 + 20 + 10


def test_one_reading_rises_by_nothing():
    assert increase([]) == increase([7]) == 0


@given(COUNTS)
def test_without_a_restart_it_is_the_difference(steps):
    readings = [sum(steps[:n]) for n in range(len(steps) + 1)]
    assert increase(readings) == readings[-1]


@given(COUNTS, COUNTS)
def test_it_never_falls_and_adds_up_over_a_cut(before, after):
    whole = increase([*before, *after])
    assert whole >= 0
    if before:
        assert whole == increase(before) + increase([before[-1], *after])
