"""Reads the SLO matrix and the burn windows; every fault names file, line, key and remedy."""

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from seawall.core.errors import InputError
from seawall.core.slos import Objective, SloRow, SloType
from seawall.core.times import parse_duration
from seawall.yamlfile import Document, read_yaml, validate

SHIPPED = Path(__file__).parent / "slos.yaml"
WINDOWS = Path(__file__).parent / "windows.yaml"
CALENDAR_MONTH = "calendar-month"
DAY = 86400.0
_HORIZONS = {SloType.LATENCY: 3600.0, SloType.LEVEL: DAY, SloType.COUNT: DAY, SloType.TIME_SLICES: DAY}
_UNITS = {SloType.LATENCY: "s", SloType.LEVEL: "ratio", SloType.COUNT: "pulls", SloType.TIME_SLICES: "s"}


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Objective(_Model):
    op: Literal["<", "<=", ">", ">="]
    value: float


class _Row(_Model):
    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    title: str | None = None
    type: SloType
    signal: str
    window: str
    indicator: str = "1m"
    quantile: float = Field(default=0.99, gt=0, lt=1)
    minimum_samples: int = Field(default=1000, ge=1)
    horizon: str | None = None
    at_risk: float = Field(default=0.5, gt=0, le=1)
    at_risk_opens: Literal["none", "ticket", "page"] = "none"
    objective: _Objective
    alert: str | None = Field(default=None, pattern=r"^[A-Z][A-Za-z0-9]+$")

    @field_validator("window", "indicator")
    @classmethod
    def _duration(cls, value: str) -> str:
        if value != CALENDAR_MONTH:
            parse_duration(value)
        return value

    @field_validator("horizon")
    @classmethod
    def _ahead(cls, value: str | None) -> str | None:
        if value is not None and parse_duration(value) <= 0:
            raise ValueError("must lie ahead")
        return value


class _Matrix(_Model):
    slos: tuple[_Row, ...] = Field(min_length=1)


class BurnWindow(_Model):
    """One line of windows.yaml; durations in seconds after parsing."""

    severity: Literal["page", "ticket"]
    long: str
    short: str
    factor: float = Field(gt=0)

    @property
    def spans(self) -> tuple[float, float]:
        """(long, short) in seconds."""
        return parse_duration(self.long), parse_duration(self.short)


class _Windows(_Model):
    windows: tuple[BurnWindow, ...]


def load_rows(path: Path = SHIPPED) -> tuple[SloRow, ...]:
    """The rows in the file's order."""
    return _rows(read_yaml(path))


def rows_of(data: Any, path: Path) -> tuple[SloRow, ...]:
    """Rows of plain data that stands in `path` in another form (OpenSLO, Sloth). InputError."""
    return _rows(Document(path, data, {}))


def _rows(document: Document) -> tuple[SloRow, ...]:
    matrix = validate(_Matrix, document)
    names = [row.name for row in matrix.slos]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise _fault(document, index, "name", f"slo {name!r} stands twice", "give each row its own name")
    return tuple(_row(document, index, row) for index, row in enumerate(matrix.slos))


def load_windows(path: Path = WINDOWS) -> tuple[BurnWindow, ...]:
    """The burn-rate windows."""
    return validate(_Windows, read_yaml(path)).windows


def _row(document: Document, index: int, row: _Row) -> SloRow:
    if row.window == CALENDAR_MONTH and row.type is not SloType.TIME_SLICES:
        finding = f"slo {row.name!r}: window calendar-month is for time_slices only"
        raise _fault(document, index, "window", finding, "use a duration such as 1h")
    if row.type is SloType.TIME_SLICES and row.objective.value <= 0:
        finding = f"slo {row.name!r}: objective {row.objective.value:g} leaves no error budget"
        raise _fault(document, index, "objective", finding, "allow some seconds of unavailability")
    return SloRow(
        name=row.name,
        title=row.title or row.name.replace("_", " ").capitalize(),
        type=row.type,
        signal=row.signal,
        objective=Objective(row.objective.op, row.objective.value),
        unit=_UNITS[row.type],
        alert=row.alert or "Seawall" + re.sub(r"(^|_)(.)", lambda m: m[2].upper(), row.name),
        window=None if row.window == CALENDAR_MONTH else parse_duration(row.window),
        indicator=parse_duration(row.indicator),
        quantile=row.quantile,
        minimum_samples=row.minimum_samples,
        horizon=parse_duration(row.horizon) if row.horizon else _HORIZONS[row.type],
        at_risk=row.at_risk,
        at_risk_opens="" if row.at_risk_opens == "none" else row.at_risk_opens,
    )


def _fault(document: Document, index: int, key: str, finding: str, remedy: str) -> InputError:
    return InputError(f"{document.path}:{document.line(('slos', index, key))}", finding, remedy)
