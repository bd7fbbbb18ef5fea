"""Watches the serving model itself: does its band hold what it should, does it alert too much?"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

BAND = 0.9  # share of values that lie between the 5 % and the 95 % quantile of a calibrated model
LEAST_INSIDE, MOST_ALERTS = 0.75, 5 / 5000
INSIDE_RATE, ALERT_RATE = 1 / 2000, 1 / 20000
MINIMUM = 1000  # samples before a model is found at fault


@dataclass(frozen=True, slots=True)
class Record:
    """Of one signal: samples seen, running share of values inside the band, running share of alerts."""

    samples: int = 0
    inside: float = BAND
    alerts: float = 0.0

    def after(self, inside: bool, alert: bool) -> "Record":
        """With one more sample."""
        return Record(
            self.samples + 1,
            self.inside + INSIDE_RATE * (inside - self.inside),
            self.alerts + ALERT_RATE * (alert - self.alerts),
        )

    def fault(self) -> str:
        """What is wrong with the model for this signal, "" if nothing is."""
        if self.samples < MINIMUM:
            return ""
        if self.inside < LEAST_INSIDE:
            return f"only {self.inside:.0%} of the values lie in a band meant for {BAND:.0%}"
        if self.alerts > MOST_ALERTS:
            return f"{self.alerts * 5000:.1f} alerts in 5,000 samples"
        return ""


class Calibration:
    """The records of every signal that a model serves."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}

    def learn(self, name: str, inside: bool, alert: bool) -> str:
        """One sample of a signal; returns the fault, "" if there is none."""
        self._records[name] = record = self._records.get(name, Record()).after(inside, alert)
        return record.fault()

    def forget(self, name: str) -> None:
        """Another model serves the signal from now on."""
        self._records.pop(name, None)

    def record(self, name: str) -> Record:
        """How the signal's model has done so far."""
        return self._records.get(name, Record())

    def state(self) -> dict[str, Any]:
        """For JSON."""
        return {name: asdict(record) for name, record in self._records.items()}

    def restore(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Continue from `state`; TypeError if it is none."""
        self._records = {name: replace(Record(), **record) for name, record in state.items()}
