"""Panels over Seawall's events in Elasticsearch: counts over time, the most frequent, the newest.

Queries are Lucene's, as Grafana sends them in a `query_string`. The index (logs-seawall.*) and the time field
(@timestamp) are those of the data source (provisioning/datasources).
"""

from dashboards.sdk import (
    BucketAggregation,
    Builder,
    DataTransformerConfig,
    GraphDrawStyle,
    StackingMode,
    TableAutoCellOptions,
    TermsOrder,
    common,
    elasticsearch,
    table,
    timeseries,
)
from dashboards.shared import EVENTS, HALF, HEIGHT

TIME = "@timestamp"
MOST, NEWEST = "10", "50"


def chosen(lucene: str) -> str:
    """Of the chosen registries only."""
    return f"registry.name:$registry AND {lucene}"


def _asked(lucene: str) -> elasticsearch.Dataquery:
    return elasticsearch.Dataquery().query(chosen(lucene)).time_field(TIME).ref_id("A")


def _terms(field: str, id: str, size: str = MOST) -> elasticsearch.Terms:
    order = elasticsearch.ElasticsearchTermsSettings().order(TermsOrder.DESC).order_by("_count")
    return elasticsearch.Terms().id(id).field(field).settings(order.size(size).min_doc_count("1"))


def over_time(title: str, lucene: str, by: str = "", span: int = HALF, about: str = "") -> timeseries.Panel:
    """Bars of events, stacked by the values of a field."""
    auto = elasticsearch.ElasticsearchDateHistogramSettings().interval("auto").min_doc_count("0")
    steps = elasticsearch.DateHistogram().id("2").field(TIME).settings(auto)
    groups: list[Builder[BucketAggregation]] = [steps]
    if by:
        groups.insert(0, _terms(by, "3"))
    target = _asked(lucene).bucket_aggs(groups).metrics([elasticsearch.Count().id("1")])
    panel = timeseries.Panel().title(title).datasource(EVENTS).height(HEIGHT).span(span).description(about)
    panel = panel.draw_style(GraphDrawStyle.BARS).fill_opacity(60).unit("short").with_target(target)
    return panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))


def _table(title: str, span: int, about: str) -> table.Panel:
    panel = table.Panel().title(title).datasource(EVENTS).height(HEIGHT).span(span).description(about)
    return panel.cell_options(TableAutoCellOptions())


def most(title: str, lucene: str, field: str, span: int = HALF, about: str = "") -> table.Panel:
    """The ten most frequent values of a field."""
    target = _asked(lucene).bucket_aggs([_terms(field, "2")]).metrics([elasticsearch.Count().id("1")])
    return _table(title, span, about).with_target(target)


def newest(title: str, lucene: str, fields: tuple[str, ...], span: int, about: str = "") -> table.Panel:
    """The newest fifty events, the named fields as columns."""
    size = elasticsearch.ElasticsearchRawDataSettings().size(NEWEST)
    target = _asked(lucene).bucket_aggs([]).metrics([elasticsearch.RawData().id("1").settings(size)])
    named = {"include": {"names": [TIME, *fields]}}
    ordered = {"indexByName": {name: number for number, name in enumerate((TIME, *fields))}}
    panel = _table(title, span, about).with_transformation(
        DataTransformerConfig(id_val="filterFieldsByName", options=named)
    )
    panel = panel.with_transformation(DataTransformerConfig(id_val="organize", options=ordered))
    return panel.with_target(target)
