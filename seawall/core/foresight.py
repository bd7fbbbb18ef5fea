"""What the models say: the gate's verdicts, anomalies that explain themselves, forecasts of the promise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from seawall.core.ports import Score
from seawall.core.slos import SloStatus


@dataclass(frozen=True, slots=True)
class Verdict:
    """May the LSTM serve this signal? Judged on the last fifth of the signal's own history.

    `losses` are mean pinball losses in the signal's unit by model; `bounds` are the upper 95 % bounds of the
    LSTM's loss less each baseline's: below 0 means beaten. `samples` were judged, ending at `until`.
    """

    signal: str
    at: float
    version: str
    passed: bool
    reason: str
    samples: int = 0
    until: float = 0.0
    losses: Mapping[str, float] = field(default_factory=dict)
    bounds: Mapping[str, float] = field(default_factory=dict)
    alerts: int = 0
    allowed: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """A signal that was unusual at the same time, and how much (0..1)."""

    signal: str
    score: float


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One unusual episode of a signal. The figures are those of its most unusual moment, `at`.

    `channel` gave the alert; `until` is None while it lasts; `promise` is within, at_risk or breached;
    `similar` are the beginnings of earlier episodes like it, the nearest first; `text` says all of it.
    """

    registry: str
    signal: str
    model: str
    since: float
    at: float
    until: float | None
    observed: float
    expected: float
    lower: float
    upper: float
    score: float
    channel: str = ""
    parts: tuple[Part, ...] = ()
    similar: tuple[float, ...] = ()
    promise: str = "within"
    text: str = ""


@dataclass(frozen=True, slots=True)
class Forecast:
    """How likely a row of one registry is breached within `horizon` seconds of `at`.

    `crossing` is when it is expected to be crossed (Unix seconds), `interval` holds 80 % of what may happen;
    None where that is not within sight. `model` names who forecast it. `at_risk` has a memory: it begins
    when the probability has been high for a while and ends when it has been low for a while.
    """

    slo: str
    registry: str
    at: float
    horizon: float
    probability: float
    model: str
    reason: str
    at_risk: bool = False
    since: float | None = None
    crossing: float | None = None
    interval: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look brought, by signal: the serving model's word, the LSTM's word where it is in shadow."""

    scores: Mapping[str, Score]
    shadows: Mapping[str, Score]
    forecasts: Sequence[Forecast] = ()
    anomalies: Sequence[Anomaly] = ()


class Watcher(Protocol):
    """The models as one turn of the cycle sees them."""

    def look(
        self, registry: str, at: float, values: Mapping[str, float], statuses: Sequence[SloStatus]
    ) -> Sight:
        """One causal step: `values` are what is new of the registry's signals at `at` (Unix seconds)."""
        ...

    def anomalies(self) -> Sequence[Anomaly]:
        """Those that last, then the past ones, the newest first."""
        ...

    def verdicts(self) -> Mapping[str, Verdict]:
        """`registry signal` -> the gate's last verdict."""
        ...
