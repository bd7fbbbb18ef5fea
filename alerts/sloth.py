"""Sloth's spec (sloth.dev, `version: prometheus/v1`) read as rows of type ratio.

What is read: SLOs by events, whose two queries are `sum(rate(METRIC{labels}[{{.window}}]))` (`increase`
and `by (registry)` are taken too) of one counter, the error query with more labels than the total one. What
has another form is refused with file and SLO: a query that Seawall cannot judge must not become a promise.
"""

import re
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from alerts.slos import rows_of
from seawall.core.errors import InputError
from seawall.core.slos import SloRow
from seawall.yamlfile import Document, validate

VERSION = "prometheus/v1"
WINDOW = "30d"  # Sloth's default period
# Label of Prometheus' scrape, which Seawall's own samples do not carry.
SCRAPE_LABELS = ("job", "instance")
_QUERY = re.compile(
    r"sum\s*(?:by\s*\(\s*registry\s*\)\s*)?\(\s*(?:rate|increase)\s*\(\s*"
    r"(?P<metric>[a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{(?P<labels>[^}]*)\})?\s*\[\s*\{\{\s*\.window\s*\}\}\s*\]"
    r"\s*\)\s*\)\s*(?:by\s*\(\s*registry\s*\))?"
)
_MATCHER = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!=|!~|=)\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')


class _Lax(BaseModel):
    """Sloth has keys that mean nothing here (labels, annotations of its alerts): they are left."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Events(_Lax):
    error_query: str
    total_query: str


class _Sli(_Lax):
    events: _Events | None = None


class _Alerting(_Lax):
    name: str = ""


class _Slo(_Lax):
    name: str
    objective: float = Field(gt=0, lt=100)
    description: str = ""
    sli: _Sli
    alerting: _Alerting = _Alerting()


class _Spec(_Lax):
    version: str
    service: str
    slos: tuple[_Slo, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Selection:
    """A counter and its matchers, label -> regular expression of the whole value."""

    metric: str
    labels: dict[str, str]


def is_sloth(document: Document) -> bool:
    """Does it say so?"""
    return isinstance(document.data, dict) and str(document.data.get("version", "")).startswith("prometheus/")


def rows(document: Document) -> tuple[SloRow, ...]:
    """The rows of a spec, over 30 days as Sloth has it. InputError names file, line, SLO and remedy."""
    spec = validate(_Spec, document)
    if spec.version != VERSION:
        raise InputError(document.place(("version",)), f"version is {spec.version!r}", f"write {VERSION}")
    return rows_of({"slos": [_row(document, at, slo) for at, slo in enumerate(spec.slos)]}, document.path)


def _row(document: Document, at: int, slo: _Slo) -> dict[str, Any]:
    if slo.sli.events is None:
        raise InputError(
            document.place(("slos", at, "sli")),
            f"slo {slo.name!r} has no sli.events: raw and plugin queries cannot be judged here",
            "write events with error_query and total_query",
        )
    wrong = selection(document, at, slo.name, "error_query", slo.sli.events.error_query)
    every = selection(document, at, slo.name, "total_query", slo.sli.events.total_query)
    more = {key: value for key, value in wrong.labels.items() if every.labels.get(key) != value}
    fewer = every.labels.keys() <= wrong.labels.keys() and all(
        _may_be(value, every.labels[key]) for key, value in more.items() if key in every.labels
    )
    if wrong.metric != every.metric or not more or not fewer:
        raise InputError(
            document.place(("slos", at, "sli", "events", "error_query")),
            f"slo {slo.name!r}: the error query does not choose some of the events of the total query",
            "count one metric in both, with further labels in the error query",
        )
    named = re.sub(r"[^a-z0-9]+", "_", slo.name.lower()).strip("_")
    return {
        "name": named,
        "title": slo.description.strip() or slo.name,
        "type": "ratio",
        "signal": every.metric,
        "window": WINDOW,
        "among": every.labels,
        "bad": more,
        "objective": {"op": "<=", "value": round(1 - slo.objective / 100, 12)},
    } | ({"alert": slo.alerting.name} if slo.alerting.name else {})


def _may_be(narrow: str, wide: str) -> bool:
    """Can a label that matches `narrow` match `wide`? Told for plain values only."""
    plain = re.sub(r"\\(.)", r"\1", narrow)
    return re.escape(plain) != narrow or re.fullmatch(wide, plain) is not None


def selection(document: Document, at: int, name: str, key: str, query: str) -> Selection:
    """What a query counts. InputError for a form that has no meaning here."""

    def refuse(finding: str, remedy: str) -> InputError:
        place = document.place(("slos", at, "sli", "events", key))
        return InputError(place, f"slo {name!r}: {key} {finding}", remedy)

    found = _QUERY.fullmatch(query.strip())
    if found is None:
        raise refuse(
            f"{query.strip()!r} is not a sum of one counter", "write sum(rate(METRIC{...}[{{.window}}]))"
        )
    text, labels, done = found["labels"] or "", {}, 0
    for pair in _MATCHER.finditer(text):
        label, operator, value = pair.groups()
        if pair.start() != done:
            break
        if operator in ("!=", "!~"):
            raise refuse(f"excludes with {label}{operator}", "choose with = or =~")
        if label in SCRAPE_LABELS:
            raise refuse(f"asks for {label}, which Seawall's samples do not have", f"take {label} out")
        plain = re.sub(r"\\(.)", r"\1", value)
        labels[label], done = (re.escape(plain) if operator == "=" else plain), pair.end()
    if text[done:].strip():
        raise refuse(f"has matchers that cannot be read: {text[done:].strip()!r}", 'write label="value"')
    return Selection(found["metric"], labels)
