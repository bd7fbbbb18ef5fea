"""Board `SLO matrix`: is every promise kept, how near is each to its limit, what of the budget is left?"""

from collections.abc import Iterator, Sequence

from dashboards.sdk import Board, Shown, stat
from dashboards.shared import HEIGHT, QUARTER, REGISTRY, SOURCE, UNITS, WHOLE, frame, lines, placed, query
from dashboards.states import mapping, over_time
from seawall.core.slos import SloRow, SloType

UID = "seawall-slo-matrix"


def board(rows: Sequence[SloRow], console: str) -> Board:
    """One row of panels for each row of the matrix, under their states over time."""
    about = "Is every promise kept, how near is each to its limit, what of the budget is left?"
    made = placed(frame(UID, "SLO matrix", about, console), "All rows", _history())
    for row in rows:
        made = placed(made, row.title, *_panels(row))
    return made


def _weight(chosen: str, by: str) -> str:
    """3 breached, 2 at risk, 1 ok, 0 unknown."""
    weights = {"breached": 3, "at_risk": 2, "ok": 1}
    return " + ".join(
        f'{weight} * sum by ({by}) (seawall_slo_status{{{chosen}, status="{status}"}})'
        for status, weight in weights.items()
    )


def _history() -> Shown:
    return over_time("State of each row", _weight(REGISTRY, "registry, slo"), "{{registry}} {{slo}}", WHOLE)


def _panels(row: SloRow) -> Iterator[Shown]:
    chosen = f'{REGISTRY}, slo="{row.name}"'
    yield _state(chosen)
    unit = UNITS.get(row.unit, "short")
    yield lines(row.title, (f"seawall_slo_value{{{chosen}}}", "{{registry}}"), unit=unit, row=row)
    if row.type in (SloType.TIME_SLICES, SloType.RATIO):
        title, metric = "Budget left", "seawall_error_budget_remaining_ratio"
    else:
        title, metric = "Chance of a breach", "seawall_forecast_breach_probability"
    yield lines(title, (f"{metric}{{{chosen}}}", "{{registry}}"), unit="percentunit", span=QUARTER)


def _state(chosen: str) -> stat.Panel:
    panel = stat.Panel().title("State").datasource(SOURCE).height(HEIGHT).span(QUARTER).mappings([mapping()])
    return panel.with_target(query(_weight(chosen, "registry")))
