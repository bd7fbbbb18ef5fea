"""Back-filling history from CSV: samples, probe rounds and events of days before Seawall watched.

A row counts as having arrived when it was measured, unless its column `arrived` says otherwise. Ids are
deterministic, so that a second import of the same file changes nothing. A row that cannot be read is named
with file and line; the rest goes on.
"""

import csv
import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seawall.core.errors import InputError
from seawall.core.pulls import DATASET
from seawall.core.signals import PROBE_SUCCESS, Event, Sample, labels
from seawall.core.times import parse_time
from seawall.stores.duckdb import DuckDatabase, DuckEvents, DuckSamples

KINDS: Mapping[str, tuple[str, ...]] = {
    "samples": ("timestamp", "registry", "signal", "value"),
    "probe": ("timestamp", "registry", "success"),
    "events": ("timestamp", "registry"),
}
BATCH = 50_000
_TRUE, _FALSE = ("1", "true", "ok", "1.0"), ("0", "false", "failed", "0.0")
_NUMBERS = {"event.duration", "http.response.status_code", "http.response.body.bytes"}
Row = Mapping[str, str]


@dataclass
class Imported:
    """What an import did: rows read, rows that were new, and one line for each that was refused."""

    read: int = 0
    new: int = 0
    refused: list[str] = field(default_factory=list)


def run(kind: str, path: Path, state: Path) -> Imported:
    """Import a CSV file into the embedded store of a state folder. InputError for the file as a whole."""
    if kind not in KINDS:
        raise InputError("KIND", f"{kind!r} is unknown", f"use one of {', '.join(KINDS)}")
    done = Imported()
    database = DuckDatabase(state / "data")
    try:
        batch: list[tuple[Any, float]] = []
        for item in _items(kind, path, done):
            batch.append(item)
            if len(batch) >= BATCH:
                done.new += _keep(kind, database, batch)
                batch = []
        done.new += _keep(kind, database, batch) if batch else 0
    finally:
        database.close()
    return done


def _keep(kind: str, database: DuckDatabase, batch: list[tuple[Any, float]]) -> int:
    items, arrived = [item for item, _ in batch], [at for _, at in batch]
    if kind == "events":
        return DuckEvents(database).backfill(items, arrived)
    return DuckSamples(database).backfill(items, arrived)


def _items(kind: str, path: Path, done: Imported) -> Iterator[tuple[Any, float]]:
    read = {"samples": _sample, "probe": _probe, "events": _event}[kind]
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            missing = [name for name in KINDS[kind] if name not in (rows.fieldnames or ())]
            if missing:
                raise InputError(
                    f"{path}:1",
                    f"column {missing[0]!r} is missing",
                    f"{kind} needs the columns {', '.join(KINDS[kind])}",
                )
            for row in rows:
                done.read += 1
                try:
                    if None in row or None in row.values():
                        raise ValueError("it has another number of fields than the head")
                    at = _time(row["timestamp"])
                    yield read(row, at), _time(row["arrived"]) if row.get("arrived") else at
                except ValueError as error:
                    done.refused.append(f"{path}:{rows.line_num}: {error}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(str(path), f"cannot be read ({error})", "give a UTF-8 CSV file") from error


def _time(text: str) -> float:
    """RFC 3339, or Unix seconds."""
    try:
        found = float(text)
    except ValueError:
        try:
            return parse_time(text)
        except ValueError:
            raise ValueError(f"{text!r} is no RFC 3339 time and no Unix seconds") from None
    if not math.isfinite(found):
        raise ValueError(f"{text!r} is no time")
    return found


def _name(row: Row, column: str) -> str:
    if not row[column].strip():
        raise ValueError(f"{column} is empty")
    return row[column].strip()


def _sample(row: Row, at: float) -> Sample:
    """`labels` is written site=a,volume=/data; it may be empty or missing."""
    try:
        value = float(row["value"])
    except ValueError:
        raise ValueError(f"value {row['value']!r} is no number") from None
    if not math.isfinite(value):
        raise ValueError(f"value {row['value']!r} is not finite")
    pairs = {}
    for pair in filter(None, (row.get("labels") or "").split(",")):
        name, equals, content = pair.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"label {pair!r} is not written name=value")
        pairs[name.strip()] = content.strip()
    return Sample(_name(row, "registry"), _name(row, "signal"), at, value, labels(**pairs))


def _probe(row: Row, at: float) -> Sample:
    said = row["success"].strip().lower()
    if said not in _TRUE + _FALSE:
        raise ValueError(f"success {row['success']!r} is neither 1 nor 0")
    site = (row.get("site") or "").strip() or "local"
    return Sample(_name(row, "registry"), PROBE_SUCCESS, at, float(said in _TRUE), labels(site=site))


def _event(row: Row, at: float) -> Event:
    """Other columns are flat ECS keys (docs/events.md); an empty cell is a field that is not there."""
    fields: dict[str, Any] = {}
    for name, text in row.items():
        if name in ("timestamp", "registry", "arrived", "event.id") or text == "":
            continue
        if name in _NUMBERS:
            if not text.strip().isdigit():
                raise ValueError(f"{name} {text!r} is no whole number")
            fields[name] = int(text)
        else:
            fields[name] = text
    if fields.get("event.dataset") == DATASET and "event.created" not in fields:
        raise ValueError("event.created is empty; a verdict on a pull tells when it was reached")
    registry = _name(row, "registry")
    named = row.get("event.id")
    said = repr((registry, at, sorted(fields.items()))).encode()
    return Event(named or f"import-{hashlib.sha256(said).hexdigest()[:32]}", at, registry, fields)
