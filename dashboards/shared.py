"""What every board is made of: the frame with its variables and links, panels, queries, thresholds of rows.

A board is one file of this folder with `board(rows, console)`; build.py lists them. The SDK's first model is
used, which file provisioning of Grafana 10 to 13 reads. Panels ask Prometheus for Seawall's own metrics
(docs/signals.md), or Elasticsearch for its events (data streams logs-seawall.*).
"""

from collections.abc import Sequence

from dashboards.sdk import (
    Board,
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    HeatmapColorMode,
    PromQueryFormat,
    Shown,
    StackingMode,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    timeseries,
)
from seawall.core.slos import SloRow, SloType

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
EVENTS = DataSourceRef(type_val="elasticsearch", uid="${elasticsearch}")
UNITS = {"s": "s", "ratio": "percentunit", "pulls": "short", "bytes": "bytes"}
REGISTRY = 'registry=~"$registry"'
REGISTRIES = "label_values(seawall_slo_status, registry)"
RATE = "[$__rate_interval]"
HEIGHT, WHOLE, HALF, THIRD, QUARTER = 8, 24, 12, 8, 6
TAG = "seawall"
Query = tuple[str, str]  # PromQL, legend
# A run is marked when its counter is there for the first time, too, which increase() would not see.
RUNS = "sum by (playbook, outcome) (seawall_runs_total)"
BEFORE = "sum by (playbook, outcome) (seawall_runs_total offset 1m)"
MARKS = (
    ("Incidents", 'sum by (severity) (seawall_incidents{state="open"}) > 0', "open: {{severity}}", "red"),
    ("Runs", f"{RUNS} > ({BEFORE} or 0 * {RUNS})", "{{playbook}}: {{outcome}}", "blue"),
)


def frame(
    uid: str, title: str, about: str, console: str, span: str = "now-24h", several: bool = True
) -> Board:
    """An empty board: variables, links to the others and into the console, marks of incidents and runs.
    `several`: more than one registry may be chosen."""
    board = (
        dashboard.Dashboard(f"Seawall: {title}")
        .uid(uid)
        .description(about)
        .tags([TAG])
        .refresh("30s")
        .time(span, "now")
        .timezone("utc")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(choice("registry", "Registry", REGISTRIES, several))
        .with_variable(dashboard.ConstantVariable("console").label("Console").value(console))
        .link(_others())
        .link(_to_console())
    )
    for name, expr, text, color in MARKS:
        board = board.annotation(
            dashboard.AnnotationQuery()
            .name(name).datasource(SOURCE).expr(expr).title_format(text).icon_color(color).enable(True)
        )  # fmt: skip
    return board


def choice(name: str, label: str, query: str, several: bool = True) -> dashboard.QueryVariable:
    """A variable over what Prometheus knows: one value, or several, or all of it."""
    made = dashboard.QueryVariable(name).label(label).datasource(SOURCE).query(query)
    made = made.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).multi(several).include_all(several)
    return made.current(VariableOption(selected=True, text="All", value="$__all")) if several else made


def _others() -> dashboard.DashboardLink:
    link = dashboard.DashboardLink("Boards").type(DashboardLinkType.DASHBOARDS)
    return link.tags([TAG]).as_dropdown(True).include_vars(True).keep_time(True)


def _to_console() -> dashboard.DashboardLink:
    link = dashboard.DashboardLink("Console").type(DashboardLinkType.LINK).url("${console}/")
    return link.icon("external link").target_blank(True)


def registry_page() -> dashboard.DashboardLink:
    """A series' way to its registry's page in the console."""
    url = "${console}/registries/${__field.labels.registry}"
    return dashboard.DashboardLink("Registry in the console").url(url).target_blank(True)


def query(expr: str, legend: str = "{{registry}}") -> prometheus.Dataquery:
    """A query over the board's span."""
    return prometheus.Dataquery().expr(expr).legend_format(legend).range()


def lines(
    title: str, *queries: Query, unit: str = "short", span: int = HALF, row: SloRow | None = None,
    about: str = "", stacked: bool = False,
) -> timeseries.Panel:  # fmt: skip
    """Series over time; `row` draws its promise as a line."""
    panel = timeseries.Panel().title(title).datasource(SOURCE).height(HEIGHT).span(span).unit(unit)
    panel = panel.description(about)
    if any(REGISTRY in expr for expr, _ in queries):
        panel = panel.data_links([registry_page()])
    for number, (expr, legend) in enumerate(queries):
        panel = panel.with_target(query(expr, legend).ref_id(chr(ord("A") + number)))
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL)).fill_opacity(30)
    return panel.thresholds(limits(row)) if row else panel


def number(
    title: str, expr: str, legend: str = "{{registry}}", unit: str = "short", span: int = QUARTER,
    about: str = "", steps: Sequence[tuple[float | None, str]] = (), row: SloRow | None = None,
) -> stat.Panel:  # fmt: skip
    """The newest value of each series, large. `steps` are (from value, colour), the first from None; `row`
    colours by its promise."""
    panel = stat.Panel().title(title).datasource(SOURCE).height(HEIGHT).span(span).unit(unit)
    panel = panel.description(about).with_target(query(expr, legend))
    if row:
        return panel.thresholds(limits(row))
    return panel.thresholds(colours(steps)) if steps else panel


def heat(title: str, metric: str, chosen: str, span: int = HALF, about: str = "") -> heatmap.Panel:
    """A histogram's buckets over time; seconds on the axis."""
    expr = f"sum by (le) (increase({metric}_bucket{{{chosen}}}{RATE}))"
    target = query(expr, "{{le}}").format(PromQueryFormat.HEATMAP)
    color = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64)
    panel = heatmap.Panel().title(title).datasource(SOURCE).height(HEIGHT).span(span).description(about)
    return panel.with_target(target).calculate(False).color(color).y_axis(heatmap.YAxisConfig().unit("s"))


def quantile(metric: str, chosen: str, share: float, by: str = "registry") -> str:
    """PromQL of a quantile over a histogram's buckets."""
    return f"histogram_quantile({share}, sum by ({by}, le) (rate({metric}_bucket{{{chosen}}}{RATE})))"


def rate(metric: str, chosen: str, by: str) -> str:
    """PromQL of a counter's rate per second."""
    return f"sum by ({by}) (rate({metric}{{{chosen}}}{RATE}))"


def mean(metric: str, chosen: str, by: str) -> str:
    """PromQL of the mean of a histogram or summary."""
    return f"{rate(f'{metric}_sum', chosen, by)} / {rate(f'{metric}_count', chosen, by)}"


def limits(row: SloRow) -> dashboard.ThresholdsConfig:
    """The promise of a row: green on its side, red beyond. Of `<= 0` of a count, 1 is the first beyond."""
    good, bad = ("red", "green") if row.objective.op in (">", ">=") else ("green", "red")
    whole = row.type is SloType.COUNT and row.objective.op == "<="
    return colours([(None, good), (row.objective.value + (1 if whole else 0), bad)])


def colours(steps: Sequence[tuple[float | None, str]]) -> dashboard.ThresholdsConfig:
    """Absolute thresholds."""
    found = [Threshold(value=value, color=color) for value, color in steps]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(found)


def row_on(rows: Sequence[SloRow], signal: str) -> SloRow | None:
    """The first row on a signal, None where the matrix has none."""
    return next((row for row in rows if row.signal == signal), None)


def placed(board: Board, title: str, *panels: Shown) -> Board:
    """The board with a titled row of panels."""
    board = board.with_row(dashboard.Row(title))
    for panel in panels:
        board = board.with_panel(panel)
    return board
