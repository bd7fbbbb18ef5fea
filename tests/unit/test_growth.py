"""How fast a volume fills: steady, bursty, with clean-ups, and not at all."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.growth import FORESEEN, LEAST_POINTS, StorageGrowth, growth
from seawall.core.signals import STORAGE_BYTES, STORAGE_FULL, STORAGE_GROWTH, Sample, labels
from seawall.stores.memory import MemorySamples

SIZE = 100e9
STEP = 600.0
RATE = 2000.0  # bytes a second


def readings(count, rate=RATE, start=20e9):
    return [(n * STEP, start + n * STEP * rate) for n in range(count)]


def test_steady_growth_is_found_exactly():
    found = growth(readings(36))
    assert found.likely == pytest.approx(RATE)
    assert found.low == pytest.approx(RATE) and found.high == pytest.approx(RATE)
    assert found.full_in(72e9) == pytest.approx(dict.fromkeys(("early", "likely", "late"), 36e6))


def test_one_wild_reading_does_not_move_the_rate():
    points = readings(60)
    points[30] = (points[30][0], points[30][1] + 0.005 * SIZE)
    assert growth(points).likely == pytest.approx(RATE, rel=0.01)


def test_garbage_collection_does_not_count_as_negative_growth():
    points, level = [], 20e9
    for n in range(144):
        level += STEP * RATE
        if n % 20 == 19:
            level -= 20 * STEP * RATE  # each clean-up frees all that came in
        points.append((n * STEP, level))
    found = growth(points)
    assert found.low <= RATE <= found.high and found.likely == pytest.approx(RATE, rel=0.01)


def test_small_falls_are_growth_backwards():
    found = growth(readings(36, rate=-50.0))
    assert found.likely == pytest.approx(-50) and found.full_in(1e9) == {}


def test_a_volume_that_stands_still_is_never_full():
    assert growth(readings(36, rate=0.0)).full_in(1e9) == {}


def test_slower_than_ten_years_is_not_foreseen():
    found = growth(readings(36, rate=1.0))
    assert found.full_in(FORESEEN * 2) == {} and "likely" in found.full_in(FORESEEN / 2)


def test_an_uncertain_end_has_no_late_bound():
    points, level = [], 0.0
    for n in range(40):
        level += STEP * RATE * (3 if n % 20 < 10 else -1.5)
        points.append((n * STEP, level))
    found = growth(points)
    times = found.full_in(10e9)
    assert found.low < 0 < found.likely and set(times) == {"early", "likely"}
    assert times["early"] < times["likely"]


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_the_interval_holds_the_true_rate_of_bursty_pushes(share):
    chance, held = random.Random(1), 0
    for _ in range(100):
        level, points = 0.0, []
        for n in range(144):
            if chance.random() < share:
                level += STEP * RATE / share * chance.expovariate(1)
            points.append((n * STEP, level))
        found = growth(points)
        held += found.low <= RATE <= found.high
    assert held >= 80


@pytest.mark.parametrize("points", [[], readings(1), readings(LEAST_POINTS - 1), [(n, n) for n in range(99)]])
def test_a_short_history_says_nothing(points):
    assert growth(points) is None


@given(
    st.lists(st.tuples(st.floats(1, 9000), st.floats(0, 1e13)), max_size=60),
    st.floats(0, 1e15),
)
def test_any_history_gives_an_ordered_interval_or_nothing(steps, room):
    at, points = 0.0, []
    for gap, level in steps:
        at += gap
        points.append((at, level))
    found = growth(points)
    if found is not None:
        assert found.low <= found.likely <= found.high
        times = found.full_in(room)
        assert times.get("early", 0) <= times.get("likely", 0)
        assert "late" not in times or times["likely"] <= times["late"]


async def test_the_collector_reads_what_is_stored():
    store, now = MemorySamples(), 144 * STEP
    for at, used in readings(144):
        for state, value in (("used", used), ("available", SIZE - used), ("reserved", 0.0)):
            store.append([Sample("reg", STORAGE_BYTES, at, value, labels(volume="/srv", state=state))])
    store.append([Sample("reg", STORAGE_BYTES, now - 60, 5.0, labels(volume="/new", state="used"))])
    batch = await StorageGrowth("reg", store).collect(now)
    rates = {s.labels: s.value for s in batch.samples if s.signal == STORAGE_GROWTH}
    times = {s.labels: s.value for s in batch.samples if s.signal == STORAGE_FULL}
    assert rates[labels(volume="/srv", bound="likely")] == pytest.approx(RATE)
    left = SIZE - readings(144)[-1][1]
    assert times[labels(volume="/srv", bound="likely")] == pytest.approx(left / RATE)
    assert not [pairs for pairs in rates if ("volume", "/new") in pairs]
    told = sorted(batch.asides)
    assert told[0] == "/new: growth is unknown until it was measured for 1h"
    assert told[1].startswith("/srv: full in about 461d") and "if nothing is cleaned up" in told[1]


def test_noise_around_a_level_is_no_growth():
    chance = random.Random(5)
    found = growth([(n * STEP, 5e9 + chance.gauss(0, 5e6)) for n in range(144)])
    assert found.low <= 0 <= found.high and abs(found.likely) < 100
