"""The SLO matrix as OpenSLO v1 (openslo.com), written and read.

What OpenSLO has no word for stands in annotations under `seawall/`, so that a row survives the way there and
back unchanged. A document without them is refused with what is missing. Sloth's spec (prometheus/v1)
is not an OpenSLO document: see alerts/sloth.py.
"""

import json
from pathlib import Path
from typing import Any

from alerts.promql import duration, matching
from alerts.slos import rows_of
from seawall.core.errors import InputError
from seawall.core.slos import SloRow, SloType
from seawall.yamlfile import Document, read_yaml

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
                "spec": _indicator(row),
            },
            "timeWindow": [_window(row)],
            "budgetingMethod": "Occurrences" if row.type is SloType.RATIO else "Timeslices",
            "objectives": [_objective(row)],
        },
    }


def _indicator(row: SloRow) -> dict[str, Any]:
    if row.type is not SloType.RATIO:
        return {"thresholdMetric": _source(_query(row))}
    total = row.signal + matching(row.among)
    bad = row.signal + matching((*row.among, *(pair for pair in row.bad if pair not in row.among)))
    return {"ratioMetric": {"counter": True, "bad": _source(bad), "total": _source(total)}}


def _source(query: str) -> dict[str, Any]:
    return {"metricSource": {"type": "Prometheus", "spec": {"query": query}}}


def _query(row: SloRow) -> str:
    return f'seawall:slo_value:now{{slo="{row.name}"}}'


def _window(row: SloRow) -> dict[str, Any]:
    if row.window is not None:
        return {"duration": duration(row.window), "isRolling": True}
    calendar = {"startTime": "2026-01-01 00:00:00", "timeZone": "UTC"}
    return {"duration": "1M", "isRolling": False, "calendar": calendar}


def _objective(row: SloRow) -> dict[str, Any]:
    if row.type is SloType.RATIO:
        return {"displayName": row.title, "target": round(1 - row.objective.value, 12)}
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
    } | _packed(row)


def _packed(row: SloRow) -> dict[str, str]:
    """Annotations are texts: lists and maps stand in them as JSON."""
    kept: dict[str, Any] = {"among": dict(row.among), "bad": dict(row.bad)}
    kept["targets"] = [
        {"registry": it.registry, "labels": dict(it.labels), "value": it.value} for it in row.targets
    ]
    return {key: json.dumps(value) for key, value in kept.items() if value}


def _unpacked(document: Document, key: str, text: Any) -> Any:
    try:
        return json.loads(str(text))
    except ValueError as error:
        place = document.place(("metadata", "annotations", PREFIX + key))
        raise InputError(
            place, f"{PREFIX}{key} is no JSON", "write it as seawall export openslo does"
        ) from error


def is_openslo(document: Document) -> bool:
    """Does it say so?"""
    return isinstance(document.data, dict) and str(document.data.get("apiVersion", "")).startswith("openslo/")


def read(path: Path) -> SloRow:
    """A document of ours, or one that says in its annotations what OpenSLO cannot. InputError."""
    return row(read_yaml(path))


def row(document: Document) -> SloRow:
    """The same, read already."""
    data, path = (document.data if isinstance(document.data, dict) else {}), document.path
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
    for key in ("targets", "among", "bad"):
        if key in said:
            said[key] = _unpacked(document, key, said[key])
    return rows_of({"slos": [said]}, path)[0]
