"""Prometheus rules from the SLO matrix: recording, alerting, absent data, forecasts, and the watchdog.

Metric names are those of docs/signals.md. Each row records two series that carry the label `slo`:
`seawall:slo_value:window` (what the state judges) and `seawall:slo_value:now` (the indicator). Burn rates:
The Site Reliability Workbook, chapter 5. Valid for Prometheus 2.42 and 3.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from alerts.promql import LEAST_EVENTS, by_registry, by_series, duration, events, share
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


def rules(book: Rulebook) -> dict[str, Any]:
    """The rule file's content: one group a row, one for what all share."""
    groups = [group for row in book.rows for group in _groups(book, row)]
    return {"groups": [*groups, {"name": "seawall", "rules": _common(book)}]}


def _groups(book: Rulebook, row: SloRow) -> list[Rule]:
    """What is counted by the minute has a group of its own: the alert on what hurts now must not wait."""
    recorded, alert = _KINDS[row.type](book, row)
    quick = [*recorded, *alert, _missing(book, row), _forecast(book, row)]
    if row.type not in (SloType.TIME_SLICES, SloType.RATIO):
        return [{"name": f"seawall-{row.name}", "rules": quick}]
    minutes = [*recorded[:-1], *_burn_rates(book, row)]
    minutes += [_burn(book, row, window) for window in book.windows]
    return [
        {"name": f"seawall-{row.name}-minutes", "interval": "1m", "rules": minutes},
        {"name": f"seawall-{row.name}", "rules": quick[len(recorded) - 1 :]},
    ]


def _record(name: str, row: SloRow, expr: str, **labels: str) -> Rule:
    return {"record": name, "expr": expr, "labels": {"slo": row.name} | labels}


def _alert(book: Rulebook, row: SloRow, expr: str, wait: str, says: str) -> Rule:
    rule: Rule = {"alert": row.alert, "expr": expr}
    if wait:
        rule["for"] = wait
    rule["labels"] = {"severity": "page", "slo": row.name}
    summary = f"{{{{ $labels.registry }}}}: {row.title} breaks its promise"
    return rule | {"annotations": book.annotations(row.alert, summary, says)}


def _beyond(row: SloRow, side: str) -> str:
    """The recorded value where it breaks the promise that holds for its registry."""
    series, contrary = f'seawall:slo_value:{side}{{slo="{row.name}"', _CONTRARY[row.objective.op]
    return by_registry(row, lambda matchers, value: f"{series}{matchers}}} {contrary} {value:g}")


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
    ], [_alert(book, row, _beyond(row, "now"), "", "P99 is {{ $value | humanizeDuration }}.")]


def _level(book: Rulebook, row: SloRow) -> tuple[list[Rule], list[Rule]]:
    """With targets for labels the worst is one that breaks its own promise, else the worst of all."""
    worst = "max" if row.objective.op in ("<=", "<") else "min"
    labelled = any(target.labels for target in row.targets)

    def broken(span: str) -> str:
        each = by_series(
            row, lambda braces: f"last_over_time({row.signal}{braces}[{span}])", _CONTRARY[row.objective.op]
        )
        return f"{worst} by (registry) ({each})"

    def newest(span: str) -> str:
        every = f"{worst} by (registry) (last_over_time({row.signal}[{span}]))"
        return f"{broken(span)} or {every}" if labelled else every

    return [
        _record("seawall:slo_value:window", row, newest(duration(row.window or MONTH))),
        _record("seawall:slo_value:now", row, newest(book.fresh(row))),
    ], [
        _alert(
            book,
            row,
            broken(book.fresh(row)) if labelled else _beyond(row, "now"),
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
    ], [_alert(book, row, _beyond(row, "window"), "", says)]


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
    # Over a span, so that a restart of Seawall, which stops the series, does not end the alert.
    failing = f"1 - avg by (registry) (last_over_time({row.signal}[{book.fresh(row)}]))"
    down = _alert(
        book,
        row,
        f"{failing} >= 0.5",
        "20s",
        "{{ $value | humanizePercentage }} of the probing sites fail.",
    )
    return [
        _record("seawall:bad_minute", row, f"{minute} * on () group_left (month) {month}"),
        _record("seawall:slo_value:window", row, f"60 * {total}"),
        _record("seawall:slo_value:now", row, failing),
    ], [down]


def _ratio(book: Rulebook, row: SloRow) -> tuple[list[Rule], list[Rule]]:
    """A calendar month is summed from minutes that carry the label `month`."""
    fresh, minutes = book.fresh(row), []
    if row.window is None:
        month = 'count_values("month", month())'
        span = MINUTE + book.scrape  # a scrape more than the minute: no rise falls between two ranges
        pairs = list(zip(("bad", "all"), events(row, duration(span)), strict=True))
        minutes = [
            _record(
                "seawall:slo_events",
                row,
                f"{counted} * {MINUTE / span:g} * on () group_left (month) {month}",
                kind=kind,
            )
            for kind, counted in pairs
        ]
        kept = [
            f'sum by (registry) (sum_over_time(seawall:slo_events{{slo="{row.name}", kind="{kind}"}}[31d])'
            f" * on (month) group_left {month})"
            for kind, _ in pairs
        ]
        window = f"{kept[0]} / ({kept[1]} > 0)"
    else:
        window = share(row, duration(row.window))
    says = "{{ $value | humanizePercentage }} of the events are bad."
    return [
        *minutes,
        _record("seawall:slo_value:window", row, window),
        _record("seawall:slo_value:now", row, share(row, fresh, LEAST_EVENTS)),
    ], [_alert(book, row, _beyond(row, "now"), "", says)]


_KINDS: dict[SloType, Callable[[Rulebook, SloRow], tuple[list[Rule], list[Rule]]]] = {
    SloType.LATENCY: _latency,
    SloType.LEVEL: _level,
    SloType.COUNT: _count,
    SloType.TIME_SLICES: _slices,
    SloType.RATIO: _ratio,
}

# burn rates ------------------------------------------------------------------------------------


def _burn_rates(book: Rulebook, row: SloRow) -> list[Rule]:
    spans = sorted({span for window in book.windows for span in window.spans})
    bad, length = f'seawall:bad_minute{{slo="{row.name}"', row.window or MONTH

    def rate(span: float) -> str:
        if row.type is SloType.RATIO:
            return by_registry(
                row, lambda matchers, value: f"{share(row, duration(span), 0, matchers)} / {value:.9g}"
            )
        return by_registry(
            row,
            lambda matchers, value: (
                f"sum by (registry) (sum_over_time({bad}{matchers}}}[{duration(span)}]))"
                f" * 60 / {span:g} / {value / length:.9g}"
            ),
        )

    return [
        _record("seawall:error_budget_burn_rate", row, rate(span), window=duration(span)) for span in spans
    ]


def _burn(book: Rulebook, row: SloRow, window: BurnWindow) -> Rule:
    """Both spans burn faster than the factor. Where the budget is so small that one bad minute would do, two
    are asked for: a lost packet must not page. A ratio asks for 20 events in the short span."""
    long, short = window.spans

    def rate(span: float, matchers: str = "") -> str:
        name = f'slo="{row.name}", window="{duration(span)}"'
        return f"seawall:error_budget_burn_rate{{{name}{matchers}}}"

    if row.type is SloType.RATIO:
        enough = f"{events(row, duration(short))[1]} >= {LEAST_EVENTS}"
        expr = f"{rate(long)} >= {window.factor:g} and on (registry) {rate(short)} >= {window.factor:g}"
        expr += f" and on (registry) {enough}"
    else:
        length = row.window or MONTH
        expr = by_registry(
            row,
            lambda matchers, value: (
                f"{rate(long, matchers)} >= {max(window.factor, GUARD / long / (value / length)):.9g}"
                f" and on (registry) {rate(short)} >= {window.factor:g}"
            ),
        )
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
