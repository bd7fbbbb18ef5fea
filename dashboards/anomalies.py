"""Board `Anomalies`: what was measured, what the models expected, how odd it was, what they foresee."""

from collections.abc import Sequence

from dashboards.sdk import Board, DynamicConfigValue, timeseries
from dashboards.shared import HALF, HEIGHT, REGISTRY, SOURCE, WHOLE, choice, frame, lines, placed, query
from seawall.core.slos import SloRow

UID = "seawall-anomalies"
CHOSEN = f'{REGISTRY}, signal=~"$signal"'
SIGNALS = f"label_values(seawall_anomaly_score{{{REGISTRY}}}, signal)"


def board(rows: Sequence[SloRow], console: str) -> Board:
    """A panel for each chosen signal, then scores and forecasts; incidents and runs are marked."""
    about = "What was measured, what the models expected, how odd it was, and what they foresee."
    made = frame(UID, "Anomalies", about, console, "now-6h", several=False)
    made = made.with_variable(choice("signal", "Signal", SIGNALS))
    score = (f"seawall_anomaly_score{{{CHOSEN}}}", "{{registry}} {{signal}}")
    chance = (f"seawall_forecast_breach_probability{{{REGISTRY}}}", "{{registry}} {{slo}}")
    at_risk = max((row.at_risk for row in rows), default=0.5)
    about = f"A row is at risk from {at_risk:.0%} on, held for five minutes."
    made = placed(
        made,
        "All signals",
        lines("Score", score, unit="percentunit", span=HALF, about="0 to 1, of the model that serves."),
        lines("Chance of a breach within the row's horizon", chance, unit="percentunit", about=about),
    )
    return placed(made, "Observed and expected", _band())


def _band() -> timeseries.Panel:
    """One panel a signal, in the signal's own unit; the band is what the model holds for usual."""
    panel = timeseries.Panel().title("$signal").datasource(SOURCE).height(HEIGHT).span(WHOLE).repeat("signal")
    panel = panel.description("While a model learns it expects nothing: then there is no band.")
    expected = "seawall_anomaly_expected"
    series = {
        "observed": f"seawall_anomaly_observed{{{CHOSEN}}}",
        "expected": f'{expected}{{{CHOSEN}, bound="likely"}}',
        "low": f'{expected}{{{CHOSEN}, bound="low"}}',
        "high": f'{expected}{{{CHOSEN}, bound="high"}}',
    }
    for ref, (legend, expr) in zip("ABCD", series.items(), strict=True):
        panel = panel.with_target(query(expr, legend).ref_id(ref))
    thin = DynamicConfigValue(id_val="custom.lineWidth", value=0)
    dashed = DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [8, 6]})
    band = [
        thin,
        DynamicConfigValue(id_val="custom.fillBelowTo", value="low"),
        DynamicConfigValue(id_val="custom.fillOpacity", value=15),
    ]
    panel = panel.override_by_query("B", [dashed]).override_by_query("C", [thin])
    return panel.override_by_query("D", band)
