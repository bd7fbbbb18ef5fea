"""A backtest in figures: each series, and all of them together, for machines and for people."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from models.backtest import BINS, Bin, Figures, Series
from models.gate import ROWS_PER_ALERT
from seawall.core.times import format_duration

Total = dict[str, Any]
AGAINST = "seasonal"  # whose pinball loss is 1


def shape(series: Sequence[Series]) -> Total:
    """JSON of a whole backtest."""
    items = [
        {"name": it.name, "samples": len(it.at), "models": {n: asdict(f) for n, f in it.figures.items()}}
        for it in series
    ]
    return {"items": items, "summary": {name: together(series, name) for name in _models(series)}}


def together(series: Sequence[Series], name: str) -> Total:
    """One model over all series: shares weighted by rows, losses relative to the seasonal baseline's."""
    figures = [it.figures[name] for it in series]
    judged, forecasts = sum(f.judged for f in figures), sum(f.forecasts for f in figures)
    breaches = [b for f in figures for b in f.breaches]
    alerts = sum(f.alerts for f in figures)
    return {
        "judged": judged,
        "coverage": _weighted([(f.coverage, f.judged) for f in figures]),
        "relative_pinball": _mean([r for it in series if (r := _relative(it.figures, name)) is not None]),
        "alerts": alerts,
        "alerts_per_budget": alerts * ROWS_PER_ALERT / max(judged, 1),
        **{key: sum(getattr(f, key) for f in figures) for key in ("windows", "windows_hit", "false_alerts")},
        "forecasts": forecasts,
        "brier": _weighted([(f.brier, f.forecasts) for f in figures]),
        "climatology": _climatology(figures),
        "reliability": [asdict(it) for it in merged(figures)],
        "breaches": len(breaches),
        "alert_lead": _leads([b.alert_lead for b in breaches]),
        "forecast_lead": _leads([b.forecast_lead for b in breaches]),
    }


def merged(figures: Sequence[Figures]) -> list[Bin]:
    """The reliability of all forecasts together."""
    found = []
    for place in range(BINS):
        bins = [
            b for f in figures for b in f.reliability if min(int(b.probability * BINS), BINS - 1) == place
        ]
        count = sum(b.count for b in bins)
        if count:
            chance, truth = (
                sum(getattr(b, key) * b.count for b in bins) / count for key in ("probability", "observed")
            )
            found.append(Bin(chance, truth, count))
    return found


def _climatology(figures: Sequence[Figures]) -> float | None:
    """The Brier score of always saying how often it happens over all series."""
    bins = merged(figures)
    count = sum(b.count for b in bins)
    if not count:
        return None
    share = sum(b.observed * b.count for b in bins) / count
    return share * (1 - share)


def _models(series: Sequence[Series]) -> list[str]:
    return list(series[0].figures) if series else []


def _relative(figures: Mapping[str, Figures], name: str) -> float | None:
    """A model's loss in units of the baseline's; None where there is none."""
    own, other = figures[name].pinball, figures[AGAINST].pinball if AGAINST in figures else None
    return None if own is None or not other else own / other


def _mean(numbers: Sequence[float]) -> float | None:
    return sum(numbers) / len(numbers) if numbers else None


def _weighted(pairs: Sequence[tuple[float | None, int]]) -> float | None:
    known = [(number, weight) for number, weight in pairs if number is not None and weight]
    total = sum(weight for _, weight in known)
    return sum(number * weight for number, weight in known) / total if total else None


def _leads(leads: Sequence[float | None]) -> Total:
    """How many breaches were foretold, and the median seconds before."""
    known = [lead for lead in leads if lead is not None]
    return {"foretold": len(known), "median": median(known) if known else None}


def rows(series: Sequence[Series]) -> tuple[list[str], list[list[str]]]:
    """(columns, rows) of a table for people, a column a model; what was not measured has no row."""
    sums = {name: together(series, name) for name in _models(series)}
    lines = _lines(series, sums)
    return ["", *sums], [[words, *map(write, sums.values())] for words, write in lines.items()]


def _lines(series: Sequence[Series], sums: Mapping[str, Total]) -> dict[str, Callable[[Total], str]]:
    """What a line is about -> how to write it."""
    lines: dict[str, Callable[[Total], str]] = {
        "rows judged": lambda s: f"{s['judged']:,}",
        "values in the 90 % band": lambda s: "-" if s["coverage"] is None else f"{s['coverage']:.1%}",
        f"pinball loss ({AGAINST} = 1)": lambda s: _number(s["relative_pinball"]),
        "alerts": lambda s: str(s["alerts"]),
        f"alerts in {ROWS_PER_ALERT:,} rows": lambda s: f"{s['alerts_per_budget']:.2f}",
    }
    if any(it.known is not None for it in series):
        lines["labelled windows hit"] = lambda s: f"{s['windows_hit']} of {s['windows']}"
        lines["alerts outside them"] = lambda s: str(s["false_alerts"])
    if any(s["forecasts"] for s in sums.values()):
        lines["Brier score of breaches"] = lambda s: _number(s["brier"])
        lines["... of their mean rate"] = lambda s: _number(s["climatology"])
    if any(s["breaches"] for s in sums.values()):
        lines["breaches"] = lambda s: str(s["breaches"])
        lines["told by an alert"] = lambda s: _told(s["alert_lead"])
        lines["told by the forecast"] = lambda s: _told(s["forecast_lead"]) if s["forecasts"] else "-"
    return lines


def _number(number: float | None) -> str:
    return "-" if number is None else f"{number:.4f}"


def _told(lead: Total) -> str:
    if lead["median"] is None:
        return str(lead["foretold"])
    before = f"{format_duration(lead['median'])} before" if lead["median"] else "as it began"
    return f"{lead['foretold']}, median {before}"
