"""The SLO matrix as OpenSLO v1 (openslo.com), written and read.

What OpenSLO has no word for stands in annotations under `seawall/`, so that a row survives the way there and
back unchanged. A document without them is read where its meaning is clear: time slices of a ratio metric, and
thresholds. Sloth's spec (`version: prometheus/v1`) is not an OpenSLO document: see alerts/sloth.py.
"""

from pathlib import Path
from typing import Any

from alerts.prometheus_rules import duration
from alerts.slos import rows_of
from seawall.core.errors import InputError
from seawall.core.slos import SloRow, SloType
from seawall.yamlfile import read_yaml

VERSION = "openslo/v1"
PREFIX = "seawall/"
_OPS = {"<=": "lte", "<": "lt", ">=": "gte", ">": "gt"}
_BACK = {word: op for op, word in _OPS.items()}
MONTH = 30 * 86400.0


def write(row: SloRow) -> dict[str, Any]:
    """One SLO document."""
    return {
        "apiVersion": VERSION,
        "kind": "SLO",
        "metadata": {
            "name": row.name.replace("_", "-"),
            "displayName": row.title,
            "annotations": {PREFIX + key: value for key, value in _kept(row).items()},
        },
        "spec": {
            "service": "registry",
            "description": f"{row.title} {row.objective.op} {row.objective.value:g} {row.unit}",
            "indicator": {
                "metadata": {"name": f"{row.name.replace('_', '-')}-indicator"},
                "spec": {
                    "thresholdMetric": {
                        "metricSource": {"type": "Prometheus", "spec": {"query": _query(row)}}
                    }
                },
            },
            "timeWindow": [_window(row)],
            "budgetingMethod": "Timeslices",
            "objectives": [_objective(row)],
        },
    }


def _query(row: SloRow) -> str:
    return f'seawall:slo_value:now{{slo="{row.name}"}}'


def _window(row: SloRow) -> dict[str, Any]:
    if row.window is not None:
        return {"duration": duration(row.window), "isRolling": True}
    calendar = {"startTime": "2026-01-01 00:00:00", "timeZone": "UTC"}
    return {"duration": "1M", "isRolling": False, "calendar": calendar}


def _objective(row: SloRow) -> dict[str, Any]:
    found = {"displayName": row.title, "timeSliceWindow": "1m"}
    if row.type is SloType.TIME_SLICES:
        share = 1 - row.objective.value / (row.window or MONTH)
        return found | {"op": "lt", "value": 0.5, "target": round(share, 9), "timeSliceTarget": 1.0}
    bound = {"op": _OPS[row.objective.op], "value": row.objective.value}
    return found | bound | {"target": 0.999, "timeSliceTarget": 1.0}


def _kept(row: SloRow) -> dict[str, str]:
    return {
        "name": row.name,
        "type": row.type.value,
        "signal": row.signal,
        "window": "calendar-month" if row.window is None else duration(row.window),
        "indicator": duration(row.indicator),
        "quantile": f"{row.quantile:g}",
        "minimum_samples": str(row.minimum_samples),
        "horizon": duration(row.horizon),
        "at_risk": f"{row.at_risk:g}",
        "at_risk_opens": row.at_risk_opens or "none",
        "alert": row.alert,
        "op": row.objective.op,
        "value": repr(row.objective.value),
    }


def read(path: Path) -> SloRow:
    """A document of ours, or one that says in its annotations what OpenSLO cannot. InputError."""
    document = read_yaml(path)
    data = document.data if isinstance(document.data, dict) else {}
    if data.get("apiVersion") != VERSION or data.get("kind") != "SLO":
        finding = f"is {data.get('apiVersion')!r} {data.get('kind')!r}, not {VERSION!r} 'SLO'"
        raise InputError(f"{path}:1", finding, f"write apiVersion: {VERSION} and kind: SLO")
    meta = data.get("metadata") or {}
    notes = meta.get("annotations") or {}
    said: dict[str, Any] = {
        key.removeprefix(PREFIX): value for key, value in notes.items() if key.startswith(PREFIX)
    }
    if missing := [key for key in ("type", "signal", "window", "op", "value") if key not in said]:
        place = document.place(("metadata", "annotations"))
        remedy = f"add annotations {', '.join(PREFIX + key for key in missing)}"
        raise InputError(place, "does not say how the row is judged", remedy)
    said.setdefault("name", str(meta.get("name", "")).replace("-", "_"))
    if meta.get("displayName"):
        said["title"] = meta["displayName"]
    said["objective"] = {"op": said.pop("op"), "value": said.pop("value")}
    return rows_of({"slos": [said]}, path)[0]
