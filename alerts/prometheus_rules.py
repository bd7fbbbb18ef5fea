"""Prometheus rules from the SLO matrix: recording, alerting, absent data, forecasts, and the watchdog.

Metric names are those of docs/signals.md. Each row records two series that carry the label `slo`:
`seawall:slo_value:window` (what the state judges) and `seawall:slo_value:now` (the indicator). Burn rates:
The Site Reliability Workbook, chapter 5. Valid for Prometheus 2.42 and 3.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from alerts.slos import BurnWindow
from seawall.core.slos import SloRow, SloType

WATCHDOG = "SeawallWatchdog"
DOWN = "SeawallNotScraped"
MISSING = "SeawallDataMissing"
FORECAST = "SeawallBreachForecast"
COMMON = (WATCHDOG, DOWN, MISSING, FORECAST)
MONTH = 30 * 86400.0
MINUTE = 60.0
GUARD = 120.0  # seconds: a budget line of windows.yaml needs at least two bad minutes
LOST = "1d"
_CONTRARY = {"<=": ">", "<": ">=", ">=": "<", ">": "<="}
Rule = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rulebook:
    """What the rules are made of. `scrape` is Prometheus' scrape interval in seconds: no range is shorter
    than four of them. `runbooks` is put before `NAME.md`; `console` is Seawall's public URL, or ""."""

    rows: Sequence[SloRow]
    windows: Sequence[BurnWindow]
    scrape: float = 15.0
    runbooks: str = "docs/runbooks/"
    console: str = ""

    def fresh(self, row: SloRow) -> str:
        """The range of the indicator."""
        return duration(max(row.indicator, 4 * self.scrape))

    def annotations(self, alert: str, summary: str, description: str) -> dict[str, str]:
        """What people read, with the links."""
        found = {"summary": summary, "description": description, "runbook_url": f"{self.runbooks}{alert}.md"}
        return found | ({"console_url": self.console} if self.console else {})


def duration(seconds: float) -> str:
    """Seconds -> Prometheus' notation in one unit: 5400 -> `90m`."""
    whole = round(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if whole and whole % size == 0:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def rules(book: Rulebook) -> dict[str, Any]:
    """The rule file's content: one group a row, one for what all share."""
    groups = [group for row in book.rows for group in _groups(book, row)]
    return {"groups": [*groups, {"name": "seawall", "rules": _common(book)}]}


def _groups(book: Rulebook, row: SloRow) -> list[Rule]:
    """What is counted by the minute has a group of its own: the alert on what hurts now must not wait."""
    recorded, alert = _KINDS[row.type](book, row)
    quick = [*recorded, *alert, _missing(book, row), _forecast(book, row)]
    if row.type is not SloType.TIME_SLICES:
        return [{"name": f"seawall-{row.name}", "rules": quick}]
    minutes = [*recorded[:2], *_burn_rates(book, row)]
    minutes += [_burn(book, row, window) for window in book.windows]
    return [
        {"name": f"seawall-{row.name}-minutes", "interval": "1m", "rules": minutes},
        {"name": f"seawall-{row.name}", "rules": quick[2:]},
    ]


def _record(name: str, row: SloRow, expr: str, **labels: str) -> Rule:
    return {"record": name, "expr": expr, "labels": {"slo": row.name} | labels}


def _value(side: str, row: SloRow) -> str:
    return f'seawall:slo_value:{side}{{slo="{row.name}"}}'


def _alert(book: Rulebook, row: SloRow, expr: str, wait: str, says: str) -> Rule:
    rule: Rule = {"alert": row.alert, "expr": expr}
    if wait:
        rule["for"] = wait
    rule["labels"] = {"severity": "page", "slo": row.name}
    summary = f"{{{{ $labels.registry }}}}: {row.title} breaks its promise"
    return rule | {"annotations": book.annotations(row.alert, summary, says)}


def _beyond(row: SloRow) -> str:
    return f"{_CONTRARY[row.objective.op]} {row.objective.value:g}"


# the kinds of row ------------------------------------------------------------------------------


def _latency(book: Rulebook, row: SloRow) -> tuple[list[Rule], list[Rule]]:
    """Few requests in the fresh range lengthen it to the window, as Seawall's own judgement does."""
    now, window = book.fresh(row), duration(row.window or MONTH)

    def quantile(span: str) -> str:
        rate = f"sum by (registry, le) (rate({row.signal}_bucket[{span}]))"
        return f"histogram_quantile({row.quantile:g}, {rate})"

    many = f"sum by (registry) (increase({row.signal}_count[{now}])) >= {row.minimum_samples}"
    fresh = f"({quantile(now)} and on (registry) {many}) or {quantile(window)}"
    return [
        _record("seawall:slo_value:window", row, quantile(window)),
        _record("seawall:slo_value:now", row, fresh),
    ], [
        _alert(
            book, row, f"{_value('now', row)} {_beyond(row)}", "", "P99 is {{ $value | humanizeDuration }}."
        )
    ]


def _level(book: Rulebook, row: SloRow) -> tuple[list[Rule], list[Rule]]:
    worst = "max" if row.objective.op in ("<=", "<") else "min"

    def newest(span: str) -> str:
        return f"{worst} by (registry) (last_over_time({row.signal}[{span}]))"

    return [
        _record("seawall:slo_value:window", row, newest(duration(row.window or MONTH))),
        _record("seawall:slo_value:now", row, newest(book.fresh(row))),
    ], [
        _alert(
            book,
            row,
            f"{_value('now', row)} {_beyond(row)}",
            "",
            "It is at {{ $value | humanizePercentage }}.",
        )
    ]


def _count(book: Rulebook, row: SloRow) -> tuple[list[Rule], list[Rule]]:
    """A counter that is born inside the range counts from its first value: `increase` does not see that."""
    series = f'{row.signal}{{signature="unsigned"}}' if row.signal == "seawall_pulls_total" else row.signal

    def counted(span: str) -> str:
        born = f"(min_over_time({series}[{span}]) unless {series} offset {span})"
        rise = f"increase({series}[{span}])"
        return f"sum by (registry) (({rise} + {born}) or {rise} or {born})"

    says = "{{ $value | humanize }} in " + duration(row.window or MONTH) + "."
    return [
        _record("seawall:slo_value:window", row, counted(duration(row.window or MONTH))),
        _record("seawall:slo_value:now", row, counted(book.fresh(row))),
    ], [_alert(book, row, f"{_value('window', row)} {_beyond(row)}", "", says)]


def _slices(book: Rulebook, row: SloRow) -> tuple[list[Rule], list[Rule]]:
    """A site fails in a minute when at least half of its probes did, the minute is bad when at least half of
    the sites that reported fail (registries.md section 4). The label `month` keeps calendar months apart."""
    site = f"avg_over_time({row.signal}[1m]) <= bool 0.5"
    minute = f"(avg by (registry) ({site}) >= bool 0.5)"
    month = 'count_values("month", month())'
    bad = f'seawall:bad_minute{{slo="{row.name}"}}'
    if row.window is None:
        total = f"sum by (registry) (sum_over_time({bad}[31d]) * on (month) group_left {month})"
    else:
        total = f"sum by (registry) (sum_over_time({bad}[{duration(row.window)}]))"
    failing = f"1 - avg by (registry) ({row.signal})"
    down = _alert(
        book,
        row,
        f"1 - avg by (registry) ({row.signal}) >= 0.5",
        "20s",
        "{{ $value | humanizePercentage }} of the probing sites fail.",
    )
    return [
        _record("seawall:bad_minute", row, f"{minute} * on () group_left (month) {month}"),
        _record("seawall:slo_value:window", row, f"60 * {total}"),
        _record("seawall:slo_value:now", row, failing),
    ], [down]


_KINDS: dict[SloType, Callable[[Rulebook, SloRow], tuple[list[Rule], list[Rule]]]] = {
    SloType.LATENCY: _latency,
    SloType.LEVEL: _level,
    SloType.COUNT: _count,
    SloType.TIME_SLICES: _slices,
}

# burn rates ------------------------------------------------------------------------------------


def _share(row: SloRow) -> float:
    return row.objective.value / (row.window or MONTH)


def _burn_rates(book: Rulebook, row: SloRow) -> list[Rule]:
    spans = sorted({span for window in book.windows for span in window.spans})
    bad = f'seawall:bad_minute{{slo="{row.name}"}}'
    return [
        _record(
            "seawall:error_budget_burn_rate",
            row,
            f"sum by (registry) (sum_over_time({bad}[{duration(span)}])) * 60 / {span:g} / {_share(row):.9g}",
            window=duration(span),
        )
        for span in spans
    ]


def _burn(book: Rulebook, row: SloRow, window: BurnWindow) -> Rule:
    """Both spans burn faster than the factor. Where the budget is so small that one bad minute would do, two
    are asked for: a lost packet must not page."""
    long, short = window.spans

    def rate(span: float) -> str:
        return f'seawall:error_budget_burn_rate{{slo="{row.name}", window="{duration(span)}"}}'

    least = max(window.factor, GUARD / long / _share(row))
    expr = f"{rate(long)} >= {least:.9g} and on (registry) {rate(short)} >= {window.factor:g}"
    name = f"{duration(long)}/{duration(short)}"
    return {
        "alert": row.alert,
        "expr": expr,
        "labels": {"severity": window.severity, "slo": row.name, "burn": name},
        "annotations": book.annotations(
            row.alert,
            f"{{{{ $labels.registry }}}}: the error budget burns too fast ({name})",
            f"{row.title}: {{{{ $value | humanize }}}} times as fast as allowed over {duration(long)}.",
        ),
    }


# what all share --------------------------------------------------------------------------------


def _missing(book: Rulebook, row: SloRow) -> Rule:
    """Data that was there within a day and is not now; data that never was is no alert."""
    signal = f"{row.signal}_count" if row.type is SloType.LATENCY else row.signal
    gone = f"group by (registry) (last_over_time({signal}[{LOST}])) unless group by (registry) ({signal})"
    return {
        "alert": MISSING,
        "expr": gone,
        "for": "5m",
        "labels": {"severity": "ticket", "slo": row.name},
        "annotations": book.annotations(
            MISSING,
            f"{{{{ $labels.registry }}}}: no data for {row.title}",
            f"{row.signal} has gone: the row {row.name} is unknown, which is not ok.",
        ),
    }


def _forecast(book: Rulebook, row: SloRow) -> Rule:
    chance = f'seawall_forecast_breach_probability{{slo="{row.name}"}}'
    return {
        "alert": FORECAST,
        "expr": f"max by (registry) ({chance}) >= {row.at_risk:g}",
        "for": "15m",
        "labels": {"severity": row.at_risk_opens or "info", "slo": row.name},
        "annotations": book.annotations(
            FORECAST,
            f"{{{{ $labels.registry }}}}: {row.title} is about to break its promise",
            f"Chance {{{{ $value | humanizePercentage }}}} within {duration(row.horizon)}.",
        ),
    }


def _common(book: Rulebook) -> list[Rule]:
    return [
        {
            "alert": WATCHDOG,
            "expr": "vector(1)",
            "labels": {"severity": "none"},
            "annotations": book.annotations(
                WATCHDOG, "Alerting works", "This alert always fires: page when it does not arrive."
            ),
        },
        {
            "alert": DOWN,
            "expr": "absent(seawall_cycle_duration_seconds_count)",
            "for": "2m",
            "labels": {"severity": "page"},
            "annotations": book.annotations(
                DOWN, "Prometheus gets nothing from Seawall", "Seawall is down, or its scrape is broken."
            ),
        },
    ]
