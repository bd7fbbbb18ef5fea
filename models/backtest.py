"""How good would the models have been here? The LSTM and its baselines over whole recordings, causally.

Nothing is fitted: each model starts new, and each row is judged by what came before it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from models.alerting import THRESHOLD, Alerting
from models.detection import Stepped, steps
from models.files import Recording, labels
from models.gate import ROWS_PER_ALERT
from models.normaliser import Floats
from models.promise import from_ahead
from models.streaming import Silence, Streaming
from seawall.core.slos import Objective

LEVELS = (0.05, 0.5, 0.95)  # of lower, expected and upper
FORECASTS = 1000  # per series: one every so many rows that there are no more
LIKELY = 0.5  # probability from which a breach counts as foretold
BINS = 10  # of the reliability diagram
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Promise:
    """A threshold, and how many seconds ahead its breach is forecast."""

    objective: Objective
    horizon: float


@runtime_checkable
class Foresees(Protocol):
    """A detector that forecasts further than the next sample."""

    def ahead(self, columns: NDArray[np.intp]) -> dict[float, Floats]:
        """Horizon in seconds -> quantiles [7, n]."""
        ...


@dataclass(frozen=True, slots=True)
class Breach:
    """A breach that began at `at` (Unix seconds), and how many seconds before it an alert came and the
    forecast was likely; None where neither was within the horizon."""

    at: float
    alert_lead: float | None
    forecast_lead: float | None


@dataclass(frozen=True, slots=True)
class Bin:
    """Forecasts of about one probability: their mean, the share that came true, how many."""

    probability: float
    observed: float
    count: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What one model did on one series. `coverage` is the share of values within the 90 % band, `pinball` the
    mean quantile loss (0.05, 0.5, 0.95) in the signal's unit, over the `judged` rows. `brier` is of the
    breach probabilities, `climatology` of always saying their mean."""

    judged: int
    coverage: float | None
    pinball: float | None
    alerts: int
    alerts_per_budget: float
    windows: int = 0
    windows_hit: int = 0
    false_alerts: int = 0
    forecasts: int = 0
    brier: float | None = None
    climatology: float | None = None
    reliability: tuple[Bin, ...] = ()
    breaches: tuple[Breach, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """What one model said of one series, arrays [n], NaN where it said nothing; forecast probabilities at
    the rows `asked` [m]."""

    expected: Floats
    lower: Floats
    upper: Floats
    alerts: Flags
    asked: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))
    probability: Floats = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True, slots=True)
class Series:
    """One column of a recording with what each model said and came to; `known` are labelled rows."""

    name: str
    at: Floats
    values: Floats
    known: Flags | None
    runs: Mapping[str, Run]
    figures: Mapping[str, Figures]


def backtest(
    recordings: Sequence[Recording],
    makers: Mapping[str, Callable[[], Streaming]],
    promise: Promise | None = None,
    advanced: Callable[[int], None] = lambda done: None,
) -> list[Series]:
    """Every column of every recording through every model; `advanced` hears how many values are done."""
    size = sum(one.values.size for one in recordings)
    runs: list[dict[str, Run]] = [{} for one in recordings for _ in one.columns]
    for turn, (name, make) in enumerate(makers.items()):
        for series, run in zip(runs, _runs(recordings, make(), promise, advanced, turn * size), strict=True):
            series[name] = run
    shown = [(one, k) for one in recordings for k in range(len(one.columns))]
    return [_series(one, k, said, promise) for (one, k), said in zip(shown, runs, strict=True)]


def _runs(
    recordings: Sequence[Recording],
    detector: Streaming,
    promise: Promise | None,
    advanced: Callable[[int], None],
    done: int,
) -> list[Run]:
    """One model over everything, by series."""
    lengths = np.array([len(one.rows) for one in recordings for _ in one.columns], dtype=np.intp)
    total = int(lengths.sum())
    said, probability = np.full((4, total), np.nan), np.full(total, np.nan)
    asked = _asked(lengths)
    for now in steps(recordings, detector, Alerting()):
        said[:3, now.rows] = (now.step.expected, now.step.lower, now.step.upper)
        said[:3, now.rows[now.step.silent != Silence.SPEAKS]] = np.nan
        said[3, now.rows] = now.alerts.alert_score >= THRESHOLD
        if promise is not None and isinstance(detector, Foresees):
            _foretell(now, asked, detector, promise, probability)
        done += len(now.rows)
        advanced(done)
    ends = np.cumsum(lengths)[:-1]
    parts = zip(np.split(said, ends, axis=1), np.split(probability, ends), strict=True)
    return [_run(block, chance) for block, chance in parts]


def _asked(lengths: NDArray[np.intp]) -> Flags:
    """The rows [total] at which a forecast is asked for."""
    return np.concatenate([np.arange(n) % max(1, -(-n // FORECASTS)) == 0 for n in lengths.tolist()])


def _foretell(now: Stepped, asked: Flags, detector: Foresees, promise: Promise, probability: Floats) -> None:
    """Ask for the breach probability where it is due and the series speaks."""
    due = np.flatnonzero(asked[now.rows] & (now.step.silent == Silence.SPEAKS))
    if not len(due):
        return
    ahead = detector.ahead(now.columns[due])
    for i, place in enumerate(due.tolist()):
        quantiles = {horizon: block[:, i] for horizon, block in ahead.items()}
        chance = from_ahead(quantiles, promise.objective, promise.horizon, "")
        probability[now.rows[place]] = chance.probability


def _run(said: Floats, probability: Floats) -> Run:
    asked = np.flatnonzero(~np.isnan(probability))
    return Run(said[0], said[1], said[2], said[3] > 0, asked, probability[asked])


def _series(one: Recording, k: int, runs: Mapping[str, Run], promise: Promise | None) -> Series:
    name = one.path.name if len(one.columns) == 1 else f"{one.path.name}: {one.columns[k]}"
    known, values = labels(one), one.values[k]
    figures = {model: figures_of(one.at, values, known, run, promise) for model, run in runs.items()}
    return Series(name, one.at, values, known, runs, figures)


def figures_of(
    at: Floats, values: Floats, known: Flags | None, run: Run, promise: Promise | None = None
) -> Figures:
    """What a run came to: `at` (Unix seconds), `values` and labelled rows `known`, all [n]."""
    judged = np.isfinite(values) & np.isfinite(run.lower) & np.isfinite(run.upper)
    found, low, middle, high = (it[judged] for it in (values, run.lower, run.expected, run.upper))
    count, alerts = int(judged.sum()), int(run.alerts.sum())
    coverage = float(((found >= low) & (found <= high)).mean()) if count else None
    loss = float(pinball(np.stack((low, middle, high)), found).mean()) if count else None
    figures: dict[str, Any] = {} if known is None else _against(known, run.alerts)
    if promise is not None:
        figures |= _foretold(at, values, run, promise)
    per_budget = alerts * ROWS_PER_ALERT / max(count, 1)
    return Figures(count, coverage, loss, alerts, per_budget, **figures)


def pinball(quantiles: Floats, found: Floats) -> Floats:
    """Quantile loss [n] of quantiles [3, n] at LEVELS, their mean."""
    levels, error = np.array(LEVELS)[:, None], found - quantiles
    return np.asarray(np.maximum(levels * error, (levels - 1) * error).mean(axis=0))


def _against(known: Flags, alerts: Flags) -> dict[str, Any]:
    """Labelled windows with an alert in them, and alerts outside all of them."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], known.astype(np.int8), [0]))))
    hit = [bool(alerts[first:after].any()) for first, after in zip(edges[::2], edges[1::2], strict=True)]
    return {"windows": len(hit), "windows_hit": sum(hit), "false_alerts": int((alerts & ~known).sum())}


def _foretold(at: Floats, values: Floats, run: Run, promise: Promise) -> dict[str, Any]:
    """Brier score, reliability and lead times. A forecast counts where the promise holds at that moment and
    the recording goes on for the whole horizon."""
    broken = np.array([np.isfinite(v) and not promise.objective.holds(v) for v in values.tolist()])
    moments = np.unique(at[broken])
    when = at[run.asked]
    counted = ~broken[run.asked] & (when + promise.horizon <= at.max(initial=-np.inf))
    after = np.append(moments, np.inf)[np.searchsorted(moments, when, side="right")]
    truth, chance = (after - when <= promise.horizon)[counted], run.probability[counted]
    figures: dict[str, Any] = {"breaches": _breaches(moments, at, run, promise.horizon)}
    if len(truth):
        figures |= {
            "forecasts": len(truth),
            "brier": float(np.mean((chance - truth) ** 2)),
            "climatology": float(truth.mean() * (1 - truth.mean())),
            "reliability": tuple(reliability(chance, truth)),
        }
    return figures


def reliability(chance: Floats, truth: Flags) -> list[Bin]:
    """Forecasts grouped by probability: what is said against what came (Murphy and Winkler 1977)."""
    place = np.minimum((chance * BINS).astype(int), BINS - 1)
    groups = (place == b for b in np.unique(place).tolist())
    return [Bin(float(chance[g].mean()), float(truth[g].mean()), int(g.sum())) for g in groups]


def _breaches(moments: Floats, at: Floats, run: Run, horizon: float) -> tuple[Breach, ...]:
    """Each breach that begins after at least a horizon without one."""
    begun = moments[np.diff(moments, prepend=-np.inf) > horizon]
    alerts, when = np.sort(at[run.alerts]), at[run.asked]
    found = []
    for start in begun.tolist():
        told = alerts[(alerts >= start - horizon) & (alerts <= start)]
        before = (when >= start - horizon) & (when < start)
        lead = start - told[0] if len(told) else None
        found.append(Breach(start, lead, _unbroken(start, when[before], run.probability[before])))
    return tuple(found)


def _unbroken(start: float, when: Floats, probability: Floats) -> float | None:
    """Seconds from the first of the likely forecasts that last until the breach."""
    unlikely = np.flatnonzero(probability < LIKELY)
    since = when[unlikely[-1] + 1 :] if len(unlikely) else when
    return float(start - since[0]) if len(since) else None
