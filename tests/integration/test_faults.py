"""The faults of the lead-time benchmark really happen to a real registry."""

import math

import pytest

from benchmarks.faults import AFTER, Fault, recorded

pytestmark = pytest.mark.integration


def test_a_delay_is_what_clients_and_probe_see() -> None:
    fault = Fault(delay=lambda seconds, chance: 0.2 if seconds else 0.0, calm=5, rounds=10)
    rows = list(recorded(fault))
    assert len(rows) == 10
    assert all(row["probe_success"] == 1 and row["error_ratio"] == 0 for row in rows)
    assert min(row["manifest_p99_seconds"] for row in rows[6:]) > 0.2
    assert min(row["probe_seconds"] for row in rows[6:]) > 0.2
    assert min(row["probe_seconds"] for row in rows[:6]) < 0.2


def test_a_dead_registry_is_recorded_as_one_and_ends_the_recording() -> None:
    fault = Fault(
        dead=lambda seconds: seconds > 20, breached=lambda row: row["probe_success"] == 0, calm=2, rounds=500
    )
    rows = list(recorded(fault))
    assert [row["probe_success"] for row in rows] == [1.0] * 5 + [0.0] * (len(rows) - 5)
    assert len(rows) == 5 + 1 + AFTER
    assert math.isnan(rows[-1]["probe_seconds"])
    assert (rows[-1]["error_ratio"], rows[-1]["request_rate"]) == (1, 0)


def test_pushes_fill_the_volume_and_fewer_clients_ask_less() -> None:
    fault = Fault(
        pushed=lambda seconds: 1 << 20, share=lambda seconds: 0.2 if seconds else 1.0, calm=3, rounds=13
    )
    rows = list(recorded(fault))
    used = [row["used_ratio"] for row in rows]
    assert used == sorted(used)
    assert used[-1] - used[0] == pytest.approx(2 * (1 << 20) / (64 << 20), rel=0.05)
    assert max(row["request_rate"] for row in rows[4:]) < min(row["request_rate"] for row in rows[:4])
