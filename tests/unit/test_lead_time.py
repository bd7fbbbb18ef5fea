"""On recorded telemetry of a real registry somebody is told before the promise breaks."""

from functools import cache

import pytest

from benchmarks.faults import CALM, COLUMNS, DAY, FAULTS
from benchmarks.figure import Figure
from benchmarks.lead_time import TELEMETRY, told
from models.backtest import backtest
from models.files import read
from models.lstm import Lstm

BROKEN = sorted(set(FAULTS) - {"normal", "creeping_latency"})  # the creep is foretold, not alerted


def test_every_fault_is_recorded() -> None:
    assert {path.name for path in TELEMETRY.iterdir()} == {f"{name}.csv.gz" for name in FAULTS}
    for name in FAULTS:
        recording = read(TELEMETRY / f"{name}.csv.gz")
        assert recording.columns == COLUMNS
        assert (len(recording.at) == DAY) if name == "normal" else (len(recording.at) > CALM + 60)


@cache
def figures(name: str) -> list[Figure]:
    """Of one recording; it takes some seconds."""
    recording = read(TELEMETRY / f"{name}.csv.gz")
    return told(name, recording, backtest([recording], {"lstm": Lstm}))


@pytest.mark.parametrize("name", BROKEN)
def test_an_alert_comes_before_the_breach(name: str) -> None:
    alert = figures(name)[0]
    assert alert.kept, str(alert)


@pytest.mark.parametrize("name", ["filling_disk", "creeping_latency"])
def test_a_trend_is_foretold(name: str) -> None:
    for forecast in figures(name)[1:3]:
        assert "row at risk" in forecast.name and 0 < forecast.value < 100, str(forecast)
