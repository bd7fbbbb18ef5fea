"""Many collections in few transactions: all is kept once, a bad one harms no other, nothing runs ahead."""

import asyncio

import pytest

from seawall.core.errors import StoreUnavailable
from seawall.core.signals import Event, Sample
from seawall.keeping import Keeper
from seawall.stores.duckdb import DuckDatabase, DuckEvents, DuckSamples
from seawall.stores.memory import MemoryEvents, MemorySamples
from seawall.turning import MOST, Turns

T = 1_790_000_000.0


def sample(number: int) -> Sample:
    return Sample(f"r{number}", "seawall_probe_success", T + number, 1.0)


def event(number: int) -> Event:
    return Event(f"e{number}", T + number, f"r{number}", {"@timestamp": "2026-09-21T14:13:20Z"})


class Counting(MemoryEvents):
    """Remembers how many events came at once; refuses a batch that holds the bad one."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def append(self, events, checkpoints):
        self.sizes.append(len(events))
        if any(it.id == "bad" for it in events):
            raise StoreUnavailable("this one cannot be kept")
        return super().append(events, checkpoints)


async def test_collections_of_a_moment_share_a_transaction(tmp_path):
    database, kept = DuckDatabase(tmp_path), []
    events = DuckEvents(database)
    keeper = Keeper(DuckSamples(database), events, lambda samples, more: kept.append(len(samples)))

    async def one(number: int) -> int:
        found = await keeper.keep([sample(number)], [event(number)], {f"s{number}": str(number)})
        assert events.checkpoint(f"s{number}") == str(number), "it goes on only when it is durable"
        return found

    assert await asyncio.gather(*(one(number) for number in range(500))) == [1] * 500
    assert sum(kept) == 500 and len(kept) <= 3
    assert await one(7) == 0, "a repeat is not new"
    assert database.query("SELECT count(*), count(DISTINCT registry) FROM samples_all") == [(500, 500)]
    assert database.query("SELECT count(*), count(DISTINCT id) FROM events_all") == [(500, 500)]
    database.close()


async def test_one_bad_batch_harms_no_other(caplog):
    events = Counting()
    keeper = Keeper(MemorySamples(), events, lambda samples, more: None)
    bad = Event("bad", T, "main", {})
    tasks = [keeper.keep([], [bad if n == 5 else event(n)], {f"s{n}": "1"}) for n in range(10)]
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(it) for it in found] == [StoreUnavailable if n == 5 else int for n in range(10)]
    kept = [n for n in range(10) if events.checkpoint(f"s{n}") == "1"]
    assert kept == [0, 1, 2, 3, 4, 6, 7, 8, 9] and max(events.sizes) > 1
    assert keeper.failing == "" and "nothing is kept" not in caplog.text


async def test_a_store_that_keeps_nothing_is_told_once_until_it_keeps_again(caplog):
    class Full(MemorySamples):
        full = True

        def append(self, samples):
            if self.full:
                raise StoreUnavailable("samples: the disk is full")
            super().append(samples)

    store = Full()
    keeper = Keeper(store, Counting(), lambda samples, more: None)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await keeper.keep([sample(1)], [], {})
    assert keeper.failing == "samples: the disk is full" and caplog.text.count("nothing is kept") == 1
    store.full = False
    await keeper.keep([sample(1)], [], {})
    assert keeper.failing == "" and caplog.text.count("is kept again") == 1


async def test_who_gave_up_waiting_harms_no_other():
    events = Counting()
    keeper = Keeper(MemorySamples(), events, lambda samples, more: None)
    first, second = (asyncio.create_task(keeper.keep([], [event(n)], {f"s{n}": "1"})) for n in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == 1
    with pytest.raises(asyncio.CancelledError):
        await first
    await keeper.finish()
    assert events.checkpoint("s0") == "1", "what was handed over is kept; a repeat of it is dropped"


async def test_registries_that_are_due_are_judged_together_and_none_is_forgotten():
    seen, sizes = list[str](), list[int]()

    def turn(names):
        sizes.append(len(names))
        seen.extend(names)

    turns = Turns(turn, moment=0.05)
    for number in range(100):
        turns.due(f"r{number % 50}")
    async with asyncio.timeout(20):
        while not seen:
            await asyncio.sleep(0.001)
        turns.due("late")
        while "late" not in seen:
            await asyncio.sleep(0.001)
    assert seen == [*(f"r{number}" for number in range(50)), "late"]
    assert max(sizes) == MOST
    await turns.stop()
    turns.due("never")
    await asyncio.sleep(0)
    assert "never" not in seen
