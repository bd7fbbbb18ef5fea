"""The dashboard `SLO matrix`, built from the rows with the Grafana SDK: every query is one on Seawall's
own metrics (docs/signals.md), so that it works wherever /metrics is scraped."""

import json
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from seawall.core.slos import SloRow, SloType

with warnings.catch_warnings():
    # The SDK would rather have its second model, which provisioning of Grafana 10 to 12 cannot read.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.dashboard import (
        DashboardCursorSync,
        DataSourceRef,
        Threshold,
        ThresholdsMode,
        ValueMap,
        ValueMappingResult,
    )

NAME = "seawall-slo-matrix"
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
UNITS = {"s": "s", "ratio": "percentunit", "pulls": "short"}
REGISTRY = 'registry=~"$registry"'
STATES = {
    "0": ("unknown", "text"),
    "1": ("ok", "green"),
    "2": ("at risk", "orange"),
    "3": ("breached", "red"),
}
EIGHT, SIX = 8, 6


def build(rows: Sequence[SloRow]) -> dict[str, str]:
    """File name -> JSON of each dashboard."""
    board = (
        dashboard.Dashboard("Seawall: SLO matrix")
        .uid(NAME)
        .tags(["seawall", "slo"])
        .refresh("30s")
        .time("now-24h", "now")
        .timezone("utc")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(
            dashboard.QueryVariable("registry")
            .label("Registry")
            .datasource(SOURCE)
            .query("label_values(seawall_slo_status, registry)")
            .multi(True)
            .include_all(True)
        )
    )
    for row in rows:
        board = board.with_row(dashboard.Row(row.title))
        for panel in _panels(row):
            board = board.with_panel(panel)
    return {f"{NAME}.json": json.dumps(board.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"}


def queries(text: str) -> Iterator[tuple[str, str]]:
    """(panel's title, PromQL) of every query in a dashboard's JSON."""
    waiting: list[Any] = list(json.loads(text)["panels"])
    while waiting:
        panel = waiting.pop(0)
        waiting += panel.get("panels", [])
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def _query(expr: str, legend: str = "{{registry}}") -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expr).legend_format(legend)


def _panels(row: SloRow) -> Iterator[stat.Panel | timeseries.Panel]:
    chosen = f'{REGISTRY}, slo="{row.name}"'
    yield _state(chosen)
    yield _value(row, chosen)
    if row.type in (SloType.TIME_SLICES, SloType.RATIO):
        yield _lines("Budget left", f"seawall_error_budget_remaining_ratio{{{chosen}}}", "percentunit")
    else:
        yield _lines("Chance of a breach", f"seawall_forecast_breach_probability{{{chosen}}}", "percentunit")


def _state(chosen: str) -> stat.Panel:
    """One number a registry: 3 breached, 2 at risk, 1 ok, 0 unknown."""
    weights = {"breached": 3, "at_risk": 2, "ok": 1}
    known = " + ".join(
        f'{weight} * sum by (registry) (seawall_slo_status{{{chosen}, status="{status}"}})'
        for status, weight in weights.items()
    )
    mapping = ValueMap(
        {
            key: ValueMappingResult(text=text, color=color, index=int(key))
            for key, (text, color) in STATES.items()
        }
    )
    return (
        stat.Panel().title("State").datasource(SOURCE).height(EIGHT).span(SIX).mappings([mapping])
        .with_target(_query(known))
    )  # fmt: skip


def _value(row: SloRow, chosen: str) -> timeseries.Panel:
    """The value over the window, and the promise as a line."""
    steps = [Threshold(value=None, color="green"), Threshold(value=row.objective.value, color="red")]
    if row.objective.op in (">", ">="):
        steps = [Threshold(value=None, color="red"), Threshold(value=row.objective.value, color="green")]
    panel = _lines(row.title, f"seawall_slo_value{{{chosen}}}", UNITS.get(row.unit, "short")).span(12)
    limits = dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
    return panel.thresholds(limits)


def _lines(title: str, expr: str, unit: str) -> timeseries.Panel:
    panel = timeseries.Panel().title(title).datasource(SOURCE).height(EIGHT).span(SIX).unit(unit)
    return panel.with_target(_query(expr))
