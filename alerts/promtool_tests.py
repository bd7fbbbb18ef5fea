"""promtool unit tests for the generated rules: for every row a breach, none, and data that goes away."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from alerts.prometheus_rules import DOWN, FORECAST, MISSING, WATCHDOG, Rulebook
from alerts.promql import quoted
from seawall.core.slos import SloRow, SloType

REGISTRY = "main"
RULE_FILE = "seawall.rules.yml"
STEP = 15  # seconds between the samples
HOUR = 240  # samples
Series = list[dict[str, str]]


def tests(book: Rulebook) -> dict[str, Any]:
    """The test file's content."""
    cases = [case for row in book.rows for case in _of_row(row)]
    return {"rule_files": [RULE_FILE], "evaluation_interval": "1m", "tests": [*cases, _shared()]}


def _of_row(row: SloRow) -> list[dict[str, Any]]:
    """The row's cases, and a broken and a kept one for each of its targets, in a registry that it names."""
    found = _cases(row, row.name, REGISTRY, {})
    for place, target in enumerate(row.targets):
        registry = REGISTRY if target.names(REGISTRY) else target.registry.replace("*", "x")
        found += _cases(row, f"{row.name}, targets[{place}]", registry, dict(target.labels))[:2]
    return found


def _cases(row: SloRow, title: str, registry: str, labels: dict[str, str]) -> list[dict[str, Any]]:
    labels = {"volume": "/data"} | labels if row.type is SloType.LEVEL else {}
    row = replace(row, objective=row.of(registry).limit(registry, labels))
    good, bad = (_moved(_DATA[row.type](row, breach), registry, labels) for breach in (False, True))
    likely, unlikely = _chance(row, row.at_risk), _chance(row, row.at_risk / 2)
    asked = (
        (f"{title}: broken", bad + likely, (True, False, True)),
        (f"{title}: kept", good + unlikely, (False, False, False)),
        (f"{title}: absent", _cut(good), (False, True, False)),
    )
    names = (row.alert, MISSING, FORECAST)
    return [
        _case(name, series, [_firing(*pair, row) for pair in zip(names, fires, strict=True)])
        for name, series, fires in asked
    ]


def _moved(series: Series, registry: str, labels: dict[str, str]) -> Series:
    """The same series in another registry, with more labels."""
    more = "".join(f', {key}="{quoted(value)}"' for key, value in labels.items())
    own = f'registry="{REGISTRY}"'
    return [it | {"series": it["series"].replace(own, f'registry="{registry}"{more}')} for it in series]


def _case(name: str, series: Series, questions: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "interval": f"{STEP}s", "input_series": series, "promql_expr_test": questions}


def _firing(alert: str, expected: bool, row: SloRow | None = None) -> dict[str, Any]:
    slo = f', slo="{row.name}", burn=""' if row else ""
    question: dict[str, Any] = {
        "expr": f'count by (alertname) (ALERTS{{alertname="{alert}", alertstate="firing"{slo}}})',
        "eval_time": "40m",
    }
    samples = [{"labels": f'{{alertname="{alert}"}}', "value": 1}] if expected else []
    return question | {"exp_samples": samples}


def _shared() -> dict[str, Any]:
    """Nothing is scraped: the watchdog fires, and so does the alert on Seawall itself."""
    return _case("nothing is scraped", [], [_firing(WATCHDOG, True), _firing(DOWN, True)])


def _series(name: str, values: str, **labels: str) -> dict[str, str]:
    pairs = ", ".join(f'{key}="{value}"' for key, value in ({"registry": REGISTRY} | labels).items())
    return {"series": f"{name}{{{pairs}}}", "values": values}


def _cut(series: Series) -> Series:
    """The same, gone after a third of the hour."""
    return [one | {"values": one["values"].replace(f"x{HOUR}", f"x{HOUR // 3} stale")} for one in series]


def _chance(row: SloRow, value: float) -> Series:
    return [_series("seawall_forecast_breach_probability", f"{value:g}+0x{HOUR}", slo=row.name)]


def _latency(row: SloRow, breach: bool) -> Series:
    name, edge = row.signal, f"{row.objective.value:g}"
    fast = 0 if breach else 1000
    return [
        _series(f"{name}_bucket", f"0+{fast}x{HOUR}", le=edge),
        _series(f"{name}_bucket", f"0+1000x{HOUR}", le="60"),
        _series(f"{name}_bucket", f"0+1000x{HOUR}", le="+Inf"),
        _series(f"{name}_count", f"0+1000x{HOUR}"),
    ]


def _level(row: SloRow, breach: bool) -> Series:
    up = row.objective.op in ("<=", "<")
    value = row.objective.value * (1.1 if breach is up else 0.9)
    return [_series(row.signal, f"{value:g}+0x{HOUR}")]


def _count(row: SloRow, breach: bool) -> Series:
    """Of a breach the counter is born late, with all of it in its first value."""
    labels = {"signature": "unsigned"} if row.signal == "seawall_pulls_total" else {}
    over = int(row.objective.value) + 1
    values = f"_x100 {over}+0x{HOUR}" if breach else f"0+0x{HOUR}"
    return [_series(row.signal, values, **labels)]


def _slices(row: SloRow, breach: bool) -> Series:
    """Three sites: two fail in a breach, else one does."""
    failing = 2 if breach else 1
    return [_series(row.signal, f"{int(site >= failing)}+0x{HOUR}", site=f"site{site}") for site in range(3)]


def _ratio(row: SloRow, breach: bool) -> Series:
    """A tenth too many bad events among 100,000 in a step, or a tenth too few."""
    bad = 100_000 * row.objective.value * (1.1 if breach else 0.9)
    every, worse = dict(row.among), dict(row.among) | dict(row.bad)
    return [
        _series(row.signal, f"0+{bad:g}x{HOUR}", **{key: _value(it) for key, it in worse.items()}),
        _series(row.signal, f"0+{100_000 - bad:g}x{HOUR}", **every, **_other(row)),
    ]


def _value(pattern: str) -> str:
    """A label's value that a simple pattern takes: `5..` -> `500`, `(a|b)` -> `a`."""
    found = pattern.strip("()").split("|")[0].replace(".*", "0").replace(".+", "0").replace("[.]", ".")
    return re.sub(r"\\(.)", r"\1", found.replace(".", "0") if "\\" not in found else found)


def _other(row: SloRow) -> dict[str, str]:
    return {key: "other" for key, _ in row.bad if key not in dict(row.among)}


_DATA: dict[SloType, Callable[[SloRow, bool], Series]] = {
    SloType.LATENCY: _latency,
    SloType.LEVEL: _level,
    SloType.COUNT: _count,
    SloType.TIME_SLICES: _slices,
    SloType.RATIO: _ratio,
}
