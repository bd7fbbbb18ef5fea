"""Reads the SLO matrix and the burn windows; every fault names file, line, key and remedy."""

import re
from collections.abc import Callable, Collection
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, field_validator

from seawall.core.errors import InputError
from seawall.core.slos import Objective, SloRow, SloType, Target
from seawall.core.times import parse_duration
from seawall.yamlfile import Document, read_yaml, validate

SHIPPED = Path(__file__).parent / "slos.yaml"
WINDOWS = Path(__file__).parent / "windows.yaml"
CALENDAR_MONTH = "calendar-month"
DAY = 86400.0
_HORIZONS = {SloType.LATENCY: 3600.0, SloType.LEVEL: DAY, SloType.COUNT: DAY, SloType.TIME_SLICES: DAY}
_UNITS = {SloType.LATENCY: "s", SloType.LEVEL: "ratio", SloType.COUNT: "pulls", SloType.TIME_SLICES: "s"}
_HORIZONS[SloType.RATIO], _UNITS[SloType.RATIO] = DAY, "ratio"
_BUDGETS = (SloType.TIME_SLICES, SloType.RATIO)
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Objective(_Model):
    op: Literal["<", "<=", ">", ">="]
    value: float


class _Target(_Model):
    registry: str = Field(default="*", pattern=r"^[A-Za-z0-9_.*-]{1,63}$")
    labels: dict[str, str] = Field(default_factory=dict)
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
    targets: tuple[_Target, ...] = ()
    among: dict[str, str] = Field(default_factory=dict)
    bad: dict[str, str] = Field(default_factory=dict)

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


def load_rows(path: Path = SHIPPED, registries: Collection[str] = ()) -> tuple[SloRow, ...]:
    """The rows of a file, or of the *.yaml of a folder by name, in their order: `slos.yaml`, OpenSLO v1 or
    Sloth's spec. `registries`, where given, are all there are: a target that means none of them is a fault.
    """
    found: list[SloRow] = []
    for file in _files(path):
        for row in _read(file, registries):
            if any(row.name == other.name for other in found):
                raise InputError(str(file), f"slo {row.name!r} stands twice", "give each row its own name")
            found.append(row)
    return tuple(found)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    if files := sorted(it for it in path.iterdir() if it.suffix in (".yaml", ".yml")):
        return files
    raise InputError(str(path), "the folder has no *.yaml", "put slos.yaml, OpenSLO or Sloth files there")


def _read(path: Path, registries: Collection[str]) -> tuple[SloRow, ...]:
    from alerts import openslo, sloth  # these read by means of this module

    document = read_yaml(path)
    if sloth.is_sloth(document):
        return sloth.rows(document)
    if openslo.is_openslo(document):
        return (openslo.row(document),)
    return _rows(document, registries)


def rows_of(data: Any, path: Path) -> tuple[SloRow, ...]:
    """Rows of plain data that stands in `path` in another form (OpenSLO, Sloth). InputError."""
    return _rows(Document(path, data, {}))


def _rows(document: Document, registries: Collection[str] = ()) -> tuple[SloRow, ...]:
    matrix = validate(_Matrix, document)
    names = [row.name for row in matrix.slos]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise _fault(document, index, "name", f"slo {name!r} stands twice", "give each row its own name")
    for index, row in enumerate(matrix.slos):
        check(document, index, row)
        _known(document, index, row, registries)
    return tuple(_row(row) for row in matrix.slos)


def load_windows(path: Path = WINDOWS) -> tuple[BurnWindow, ...]:
    """The burn-rate windows."""
    return validate(_Windows, read_yaml(path)).windows


def check(document: Document, index: int, row: _Row) -> None:
    """What one key alone does not tell. InputError."""

    def refuse(key: str, finding: str, remedy: str) -> NoReturn:
        raise _fault(document, index, key, f"slo {row.name!r}: {finding}", remedy)

    if row.window == CALENDAR_MONTH and row.type not in _BUDGETS:
        refuse(
            "window", "window calendar-month is for time_slices and ratio only", "use a duration such as 1h"
        )
    if row.type is not SloType.RATIO and (row.bad or row.among):
        refuse(
            "bad" if row.bad else "among",
            f"type {row.type} chooses no events",
            "take it out, or use type: ratio",
        )
    for key, patterns in (("bad", row.bad), ("among", row.among)):
        for label, pattern in patterns.items():
            if not _LABEL.fullmatch(label) or not _compiles(pattern):
                refuse(key, f"{label}={pattern!r} is no label with a regular expression", 'write code: "5.."')
    for place, target in enumerate(row.targets):
        if target.labels and row.type is not SloType.LEVEL:
            refuse(
                "targets", f"targets[{place}] asks for labels", "labels are for type level; name a registry"
            )
        if not all(_LABEL.fullmatch(label) for label in target.labels):
            refuse("targets", f"targets[{place}] has a label that is none", "use letters, digits and _")
        if target.registry == "*" and not target.labels and place + 1 < len(row.targets):
            refuse(
                "targets", f"targets[{place}] takes all, so that none after it holds", "move it to the end"
            )
    for key, value in [("objective", row.objective.value), *(("targets", it.value) for it in row.targets)]:
        _budget(row, key, value, refuse)


def _budget(row: _Row, key: str, value: float, refuse: Callable[[str, str, str], NoReturn]) -> None:
    if row.type in _BUDGETS and value <= 0:
        refuse(key, f"objective {value:g} leaves no error budget", "allow some seconds of unavailability"
               if row.type is SloType.TIME_SLICES else "allow some bad events, such as 0.001")  # fmt: skip
    if row.type is SloType.RATIO:
        if value >= 1:
            refuse(key, f"objective {value:g} is no share", "write the share of bad events, such as 0.001")
        if not row.bad:
            refuse("type", "nothing says which events are bad", 'add bad: {code: "5.."}')
        if not row.objective.op.startswith("<"):
            refuse("objective", f"op {row.objective.op!r} promises bad events", 'write op: "<="')


def _known(document: Document, index: int, row: _Row, registries: Collection[str]) -> None:
    for place, target in enumerate(row.targets):
        if registries and not any(fnmatchcase(name, target.registry) for name in registries):
            raise _fault(
                document, index, "targets",
                f"slo {row.name!r}: targets[{place}]: no registry is named {target.registry!r}",
                f"known: {', '.join(registries)}",
            )  # fmt: skip


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def _row(row: _Row) -> SloRow:
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
        targets=tuple(Target(it.registry, it.value, tuple(it.labels.items())) for it in row.targets),
        among=tuple(row.among.items()),
        bad=tuple(row.bad.items()),
    )


def _fault(document: Document, index: int, key: str, finding: str, remedy: str) -> InputError:
    return InputError(f"{document.path}:{document.line(('slos', index, key))}", finding, remedy)
