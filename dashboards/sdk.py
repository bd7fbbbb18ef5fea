"""The Grafana SDK's first model, all of it that the boards use.

The SDK would rather have its second model, and says so on import; file provisioning of Grafana 10 to 12
cannot read that one.
"""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.builders import (
        common,
        dashboard,
        elasticsearch,
        heatmap,
        prometheus,
        stat,
        statetimeline,
        table,
        timeseries,
    )
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.common import GraphDrawStyle, StackingMode, TableAutoCellOptions
    from grafana_foundation_sdk.models.dashboard import (
        DashboardCursorSync,
        DashboardLinkType,
        DataSourceRef,
        DataTransformerConfig,
        DynamicConfigValue,
        Panel,
        Threshold,
        ThresholdsMode,
        ValueMap,
        ValueMappingResult,
        VariableOption,
        VariableRefresh,
    )
    from grafana_foundation_sdk.models.elasticsearch import BucketAggregation, TermsOrder
    from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
    from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Board = dashboard.Dashboard
Shown = Builder[Panel]

__all__ = [
    "Board",
    "BucketAggregation",
    "Builder",
    "DashboardCursorSync",
    "DashboardLinkType",
    "DataSourceRef",
    "DataTransformerConfig",
    "DynamicConfigValue",
    "GraphDrawStyle",
    "HeatmapColorMode",
    "JSONEncoder",
    "PromQueryFormat",
    "Shown",
    "StackingMode",
    "TableAutoCellOptions",
    "TermsOrder",
    "Threshold",
    "ThresholdsMode",
    "ValueMap",
    "ValueMappingResult",
    "VariableOption",
    "VariableRefresh",
    "common",
    "dashboard",
    "elasticsearch",
    "heatmap",
    "prometheus",
    "stat",
    "statetimeline",
    "table",
    "timeseries",
]
