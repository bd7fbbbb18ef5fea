"""The promise: a row of the SLO matrix and its judgement."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from seawall.core.incidents import Impact


class SloType(StrEnum):
    """How a row is computed from its signal."""

    LATENCY = "latency"  # quantile over pooled raw requests
    LEVEL = "level"  # latest value of a gauge
    COUNT = "count"  # events of a kind in the window
    TIME_SLICES = "time_slices"  # bad minutes in the window (OpenSLO Timeslices)
    RATIO = "ratio"  # the share of bad among all events that counters counted


class Status(StrEnum):
    """A row's state. Missing data is unknown, never ok."""

    OK = "ok"
    AT_RISK = "at_risk"
    BREACHED = "breached"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Objective:
    """The promise is kept while `value op threshold` holds; op is one of < <= > >=."""

    op: str
    value: float

    def holds(self, value: float) -> bool:
        """True if `value` keeps the promise."""
        match self.op:
            case "<=":
                return value <= self.value
            case "<":
                return value < self.value
            case ">=":
                return value >= self.value
            case ">":
                return value > self.value
            case _:
                raise ValueError(f"operator {self.op!r} is not one of < <= > >=")


@dataclass(frozen=True, slots=True)
class Target:
    """Another threshold `value` for registries whose name matches `registry` (`*` stands for any letters),
    and where `labels` are given only for series that have them."""

    registry: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()

    def covers(self, registry: str, labels: Mapping[str, str]) -> bool:
        """Is it meant for this series?"""
        return self.names(registry) and all(labels.get(key) == value for key, value in self.labels)

    def names(self, registry: str) -> bool:
        """Is it meant for this registry?"""
        return fnmatchcase(registry, self.registry)


@dataclass(frozen=True, slots=True)
class SloRow:
    """One row. `window` is seconds (rolling), or None for the calendar month (UTC).

    `indicator` is the span in seconds of the fresh samples that tell whether it hurts now. The row is at
    risk when a breach within `horizon` seconds has been forecast with probability `at_risk` for a while;
    that opens an incident of severity `at_risk_opens`, or none where it is "". The first of `targets` that
    matches gives the threshold, else `objective` does. Of a ratio, `among` and `bad` choose the series of all
    events and of the bad ones: labels with regular expressions of their whole values.
    """

    name: str
    title: str
    type: SloType
    signal: str
    objective: Objective
    unit: str
    alert: str
    window: float | None
    indicator: float
    quantile: float = 0.99
    minimum_samples: int = 1000
    horizon: float = 3600.0
    at_risk: float = 0.5
    at_risk_opens: str = ""
    targets: tuple[Target, ...] = ()
    among: tuple[tuple[str, str], ...] = ()
    bad: tuple[tuple[str, str], ...] = ()

    def of(self, registry: str) -> "SloRow":
        """The row as it holds for this registry; targets that ask for labels stay."""
        mine = [it for it in self.targets if it.names(registry)]
        plain = next((place for place, it in enumerate(mine) if not it.labels), len(mine))
        value = mine[plain].value if plain < len(mine) else self.objective.value
        return replace(self, objective=Objective(self.objective.op, value), targets=tuple(mine[:plain]))

    def limit(self, registry: str, labels: Mapping[str, str]) -> Objective:
        """The promise for one series."""
        for target in self.targets:
            if target.covers(registry, labels):
                return Objective(self.objective.op, target.value)
        return self.objective


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A span [start, end) in Unix seconds whose minutes spend no budget of `registry`, by a recorded choice:
    why, and whose."""

    registry: str
    start: float
    end: float
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class SloStatus:
    """A row judged for one registry at one moment.

    `status` judges the window; `indicator_ok` judges fresh samples (None = not known);
    `since` is the moment (Unix seconds) from which the indicator has been bad, `now_reason` says why;
    `risk_since` is from when a breach has been forecast, `risk_reason` in words. Of a count, `episode` is
    when the newest bad event was known, `impact` who did it, and `facts` tell of the newest one.
    `exhausted_in` is in how many seconds the budget is spent at the last hour's rate; `excluded` and
    `unknown` are seconds of the window so far that maintenance took out, and in which nothing was known.
    """

    name: str
    registry: str
    status: Status
    indicator_ok: bool | None
    value: float | None
    unit: str
    threshold: float
    window: tuple[float, float]
    samples: int
    budget_remaining_ratio: float | None
    burn_rate: float | None
    breach_probability: float | None
    reason: str
    at: float
    since: float | None = None
    now_reason: str = ""
    risk_since: float | None = None
    risk_reason: str = ""
    episode: float | None = None
    impact: Impact | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    exhausted_in: float | None = None
    excluded: float = 0.0
    unknown: float | None = None


@dataclass(frozen=True, slots=True)
class Indicator:
    """Fresh samples judged: `ok` None = not known; `good` is the newest round alone; `at` is when it
    was measured and `since` from when it has been bad (Unix seconds); `threshold` where the
    row's is not the one."""

    ok: bool | None
    reason: str
    value: float | None = None
    good: bool = False
    at: float | None = None
    since: float | None = None
    samples: int = 0
    threshold: float | None = None
