"""The forecast of the promise: how likely each row of the matrix is breached within its horizon, and when.

A level or a latency is forecast from the quantiles ahead of the model that serves its signal, and from the
paths that its own past changes give (models.paths); minutes from the budget (models.budget). A level fills:
each forecast bounds the chance from below, and the larger one counts. A latency comes and goes: its forecasts
are pooled (linear opinion pool, Stone 1961), the model's with the weight of all paths together.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from models import budget
from models.normaliser import Floats
from models.paths import FURTHEST, GRIDS, INTERVAL, SIGHT, Crossing, Rings, crossing
from models.recurrent import LEVELS
from models.streaming import TAIL
from seawall.core.errors import InputError
from seawall.core.foresight import Forecast
from seawall.core.slos import Objective, SloRow, SloStatus, SloType, Status
from seawall.core.times import format_duration

HOLD, RELEASE = 300.0, 300.0  # seconds for which the chance must be high, or low, to begin or end a risk
CALM = 0.5  # of the row's `at_risk`: below it a risk may end
MEASURED = "measured"
PAST = "past changes"
SPANS = (
    60,
    240,
)  # minutes of a latency's past whose changes give paths: a trend that began lately, or long ago
Ahead = Mapping[float, Floats]  # horizon in seconds -> quantiles [7] at LEVELS


@runtime_checkable
class Foresees(Protocol):
    """A model that forecasts further than the next sample."""

    def columns(self, names: Sequence[str]) -> NDArray[np.intp]:
        """The columns of the named series."""
        ...

    def ahead(self, columns: NDArray[np.intp]) -> dict[float, Floats]:
        """Horizon in seconds -> quantiles [7, n] at LEVELS, in the signals' units."""
        ...


@dataclass(frozen=True, slots=True)
class Risk:
    """The memory of a row: since when the chance has been high, and low; since when it is at risk."""

    high: float | None = None
    low: float | None = None
    since: float | None = None


@dataclass(frozen=True, slots=True)
class Chance:
    """Of a breach within a horizon, with the moments (seconds from now) at which 10, 50 and 90 % are
    reached; None where they are not in sight."""

    probability: float
    times: tuple[float | None, float | None, float | None] = (None, None, None)
    model: str = ""


def exceedance(quantiles: Floats, threshold: float) -> float:
    """P(value > threshold) from quantiles [7] at LEVELS, with exponential tails beyond the outer ones."""
    low, high = quantiles[0], quantiles[-1]
    if threshold >= high:
        width = max(float(high - quantiles[-2]) / TAIL, 1e-12)
        return (1 - LEVELS[-1]) * math.exp(-float(threshold - high) / width)
    if threshold < low:
        width = max(float(quantiles[1] - low) / TAIL, 1e-12)
        return 1 - LEVELS[0] * math.exp(-float(low - threshold) / width)
    return 1 - float(np.interp(threshold, quantiles, LEVELS))


def breach(quantiles: Floats, objective: Objective) -> float:
    """P(the objective does not hold) from quantiles [7]."""
    above = exceedance(quantiles, objective.value)
    return above if objective.op in ("<", "<=") else 1 - above


def from_ahead(ahead: Ahead, objective: Objective, horizon: float, model: str) -> Chance:
    """The largest chance at any of the horizons that lie within the row's (or at the nearest one)."""
    within = [h for h in sorted(ahead) if 0 < h <= horizon] or sorted(ahead)[:1]
    chances, worst = [], 0.0
    for h in within:
        worst = max(worst, breach(ahead[h], objective))
        chances.append((h, worst))
    times = [
        next((h for h, p in chances if p >= level), None) for level in (*INTERVAL[:1], 0.5, *INTERVAL[1:])
    ]
    return Chance(worst, (times[0], times[1], times[2]), model)


def from_paths(found: Crossing, horizon: float) -> Chance:
    """The share of the paths that cross within the horizon."""
    times = tuple(found.quantile(level) for level in (INTERVAL[0], 0.5, INTERVAL[1]))
    return Chance(found.probability(horizon), (times[0], times[1], times[2]), PAST)


def pooled(model: Chance | None, past: Sequence[Chance]) -> Chance | None:
    """The mean of the model's chance and of the mean of those by `past` changes, with the times of the
    likeliest that has a median; None where nobody says anything."""
    if model is None or not past:
        return model or (_mean(past) if past else None)
    both = _mean([model, _mean(past)])
    return replace(both, model=f"{model.model} and {PAST}")


def _mean(chances: Sequence[Chance]) -> Chance:
    likeliest = max(chances, key=lambda it: (it.times[1] is not None, it.probability))
    return replace(likeliest, probability=sum(it.probability for it in chances) / len(chances))


class Promise:
    """Forecasts every row; what it remembers is saved and restored exactly."""

    def __init__(self, rows: Sequence[SloRow]) -> None:
        self._rows = {row.name: row for row in rows}
        self._rings = Rings()
        self._risks: dict[str, Risk] = {}
        self._seen: dict[str, tuple[int, Crossing | None]] = {}

    def forecast(self, status: SloStatus, ahead: Ahead | None, model: str) -> Forecast | None:
        """One row's forecast at `status.at`; None where the row is unknown or nothing can be said yet.

        `ahead` are the quantiles of its value by the model that serves it, None while there are none.
        """
        row = self._rows.get(status.name)
        if row is None or status.value is None or status.status is Status.UNKNOWN:
            return None
        row = replace(row, objective=Objective(row.objective.op, status.threshold))  # of this registry
        name = f"{status.registry} {status.name}"
        if row.type in (SloType.LEVEL, SloType.LATENCY):
            self._rings.learn(name, status.at, status.value)
        if not row.objective.holds(status.value):
            chance: Chance | None = Chance(1.0, (0.0, 0.0, 0.0), MEASURED)
        elif row.type is SloType.TIME_SLICES:
            chance = _of_budget(row, status)
        else:
            chance = self._of_value(row, status, name, ahead, model)
        if chance is None:
            return None
        risk = self._remember(name, row, chance, status.at)
        return _told(row, status, chance, risk)

    def _of_value(
        self, row: SloRow, status: SloStatus, name: str, ahead: Ahead | None, model: str
    ) -> Chance | None:
        by_model = from_ahead(ahead, row.objective, row.horizon, model) if ahead else None
        if row.type is SloType.LATENCY:
            return pooled(by_model, self._past(row, name, [(GRIDS[0], span) for span in SPANS], status.at))
        chances = [by_model] if by_model else []
        if row.type is SloType.LEVEL:
            chances += self._past(row, name, [(grid, None) for grid in GRIDS], status.at)
        if not chances:
            return None
        likeliest = max(chances, key=lambda it: (it.probability, it.times[1] is not None))
        timed = next((it.times for it in reversed(chances) if it.times[1] is not None), likeliest.times)
        return likeliest if likeliest.times[1] is not None else replace(likeliest, times=timed)

    def _past(
        self, row: SloRow, name: str, views: Sequence[tuple[float, int | None]], at: float
    ) -> list[Chance]:
        """By the paths of each view (grid in seconds, how many of its newest places; None: all)."""
        found = [self._crossing(row, name, grid, span, at) for grid, span in views]
        return [from_paths(it, row.horizon) for it in found if it is not None]

    def _crossing(self, row: SloRow, name: str, grid: float, span: int | None, at: float) -> Crossing | None:
        """The paths, drawn anew when a place of the grid is complete."""
        key, place = f"{name} {grid:g} {span}", int(at // grid)
        if self._seen.get(key, (None,))[0] != place:
            rising = row.objective.op in ("<", "<=")
            values = self._rings.values(name, grid)[-(span or 0) :]
            furthest = FURTHEST if span is None else SIGHT * row.horizon
            found = crossing(values, grid, row.objective.value, rising, furthest=furthest)
            self._seen[key] = (place, found)
        return self._seen[key][1]

    def _remember(self, name: str, row: SloRow, chance: Chance, at: float) -> Risk:
        """Begin a risk when the chance has been high for HOLD, end it when it has been low for RELEASE; a
        breach ends it too, since what comes after one is forecast afresh."""
        if chance.model == MEASURED:
            self._risks[name] = Risk()
            return Risk()
        return self._reckoned(name, row, chance.probability, at)

    def _reckoned(self, name: str, row: SloRow, chance: float, at: float) -> Risk:
        risk = self._risks.get(name, Risk())
        high = None if chance < row.at_risk else at if risk.high is None else min(risk.high, at)
        low = None if chance >= CALM * row.at_risk else at if risk.low is None else min(risk.low, at)
        since = risk.since
        if since is None and high is not None and at - high >= HOLD:
            since = high
        if low is not None and at - low >= RELEASE:
            since = None
        self._risks[name] = risk = Risk(high, low, since)
        return risk

    def state(self) -> bytes:
        """Everything remembered."""
        risks = json.dumps({name: asdict(risk) for name, risk in self._risks.items()}).encode()
        rings = np.frombuffer(self._rings.state(), dtype=np.uint8)
        body: bytes = save({"risks": np.frombuffer(risks, dtype=np.uint8), "rings": rings})
        return body

    def restore(self, state: bytes) -> None:
        """Continue from `state`; InputError if it is none."""
        try:
            parts = load(state)
            risks = json.loads(parts["risks"].tobytes())
            found = {name: Risk(**risk) for name, risk in risks.items()}
            self._rings.restore(parts["rings"].tobytes())
        except (KeyError, ValueError, TypeError, SafetensorError) as error:
            raise InputError("forecast state", f"cannot be read: {error!r}", "start without it") from error
        self._risks = found


def _of_budget(row: SloRow, status: SloStatus) -> Chance:
    """The chance that a budget of minutes is overspent, and when at the present rate."""
    bad, share = status.value or 0.0, row.objective.value / (status.window[1] - status.window[0])
    end = status.window[1] if row.window is None else status.at + row.horizon
    horizon = min(row.horizon, end - status.at)
    down = status.indicator_ok is False
    chance = budget.probability(bad, status.samples * 60.0, row.objective.value, share, horizon, down)
    burn = 1 / share if down else status.burn_rate or 0.0
    at = budget.spent_at(status.at, bad, row.objective.value, burn, share, end)
    spent = None if at is None else at - status.at
    return Chance(chance, (None, spent, None), "budget")


def _told(row: SloRow, status: SloStatus, chance: Chance, risk: Risk) -> Forecast:
    """The forecast with its reason in words."""
    early, middle, late = (None if it is None else status.at + it for it in chance.times)
    return Forecast(
        slo=row.name,
        registry=status.registry,
        at=status.at,
        horizon=row.horizon,
        probability=round(chance.probability, 4),
        model=chance.model,
        reason=_reason(row, chance),
        at_risk=risk.since is not None,
        since=risk.since,
        crossing=middle,
        interval=(early, late),
    )


def _reason(row: SloRow, chance: Chance) -> str:
    if chance.model == MEASURED:
        return "breached now"
    text = f"{chance.probability:.0%} within {format_duration(row.horizon)}"
    early, middle, late = chance.times
    if row.type is SloType.TIME_SLICES:
        spent = (
            ""
            if middle is None
            else f"; at the present rate the budget is spent in {format_duration(middle)}"
        )
        return text + spent
    if middle is None:
        return text + "; no crossing in sight"
    between = f" (80 %: {_span(early)} to {_span(late)})" if early is not None or late is not None else ""
    return f"{text}; expected in {format_duration(middle)}{between}"


def _span(seconds: float | None) -> str:
    return "beyond sight" if seconds is None else format_duration(seconds)
