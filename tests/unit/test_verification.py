"""Was it recovering before we acted, and did the repair help: rows and signals over a real store."""

import pytest

from seawall.core.actions import Verification
from seawall.core.signals import Sample, labels
from seawall.core.slos import Indicator
from seawall.stores.memory import MemorySamples
from seawall.verification import control, counted, rounds_before, signal_measure
from tests.fakes import T

QUEUE = "seawall_queue_depth"


def rounds(*values: float, good: bool = False) -> list[Indicator]:
    return [Indicator(good, "", value, good, T + n) for n, value in enumerate(values)]


@pytest.mark.parametrize(
    ("found", "better", "recovering", "words"),
    [
        ([], "<", None, "nothing was measured"),
        (rounds(0.9, 0.9, 0.9), "<", False, "not getting better"),
        (rounds(0.99, 0.95, 0.9), "<", True, "getting better before the run (0.99, 0.95, 0.9)"),
        (rounds(0.99, 0.95, 0.9), ">", False, "not getting better"),
        (rounds(1.0, 2.0, 3.0), ">", True, "getting better"),
        (rounds(0.99, 0.9), "<", False, "not getting better"),
        ([*rounds(0.0, 0.0), *rounds(1.0, good=True)], ">", True, "good already"),
    ],
)
def test_the_control_tells_whether_it_was_recovering(found, better, recovering, words):
    said = control(found, better)
    assert said[0] is recovering and words in said[1]


def proof(**changes) -> Verification:
    return Verification("storage_capacity", T + 600, signal=QUEUE, op="<=", value=10.0, **changes)


def keep(samples: MemorySamples, at: float, **queues: float) -> None:
    samples.append([Sample("main", QUEUE, at, value, labels(queue=name)) for name, value in queues.items()])


def test_a_signal_is_good_when_each_of_its_series_holds():
    samples = MemorySamples()
    measure = signal_measure(samples, "main", proof())
    assert measure(T, T - 10).ok is None
    keep(samples, T, a=3, b=11)
    found = measure(T + 1, T - 10)
    assert (found.ok, found.value, found.at) == (False, 11, T)
    assert found.reason == f"{QUEUE} is 11, wanted <= 10"
    keep(samples, T + 2, a=3, b=10)
    assert measure(T + 3, T - 10).ok is True


def test_a_sample_of_the_moment_of_the_end_or_before_proves_nothing():
    samples = MemorySamples()
    keep(samples, T, a=1)
    measure = signal_measure(samples, "main", proof())
    assert measure(T + 5, T).ok is None
    keep(samples, T + 1, a=1)
    assert measure(T + 5, T).ok is True


def test_each_round_counts_once_and_a_bad_one_starts_again():
    samples, state = MemorySamples(), proof()
    measure = signal_measure(samples, "main", state)
    for number, value in enumerate([5, 5, 20, 5, 5, 5]):
        keep(samples, T + 10 * number, a=value)
        for _ in range(2):
            state = counted(state, measure(T + 10 * number + 1, T - 1))
        if number == 2:
            assert state.good_rounds == 0
    assert state.good_rounds == 3


def test_the_rounds_before_are_those_before_the_run_the_oldest_first():
    samples = MemorySamples()
    for number, value in enumerate([40, 30, 20, 5, 5]):
        keep(samples, T + 10 * number, a=value)
    found = rounds_before(signal_measure(samples, "main", proof()), T + 25)
    assert [it.value for it in found] == [40, 30, 20]
    assert control(found, "<")[0] is True
