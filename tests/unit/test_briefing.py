"""What came of a playbook before: told of an action's past, the same whenever its page is read."""

from dataclasses import replace

import pytest

from remediation.briefing import briefing, words
from seawall.core.actions import ActionState as S
from tests.unit.test_aftermath import Mending


@pytest.mark.parametrize(
    ("runs", "rate", "told"),
    [
        (0, None, "it has not run yet"),
        (1, 1.0, "100% of 1 run helped"),
        (4, 0.5, "50% of 4 runs helped"),
    ],
)
def test_the_statistics_are_said_with_their_plural(runs, rate, told):
    assert words(runs, rate, None, 0) == told


def test_neither_its_own_run_nor_a_later_one_counts(tmp_path):
    world = Mending(tmp_path)
    first = world.records.action(world.run())
    world.bench.until(first.id, S.VERIFYING)
    world.rounds("+++")
    ended = world.records.action(first.id)
    assert ended.state is S.SUCCEEDED

    def runs(action):
        return briefing(action, None, world.records)["statistics"]["runs"]

    earlier = replace(ended, created_at=ended.created_at - 1)
    later = replace(ended, id="act-9", created_at=ended.created_at + 1)
    assert (runs(earlier), runs(ended), runs(later)) == (0, 0, 1)
