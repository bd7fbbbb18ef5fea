"""`seawall migrate`: the embedded stores' content to the servers that another configuration names.

Samples go by registry, signal and day, events by registry and hour, positions and records at the end,
so that an interrupted migration leaves the embedded stores valid. Each piece is read back and compared
by count and checksum before it is noted in STATE/migration.jsonl; what is noted is not sent again. Nothing is
deleted. When a row arrived is not known to the servers, and so not migrated.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from seawall.config import Config
from seawall.core.errors import InputError, SeawallError
from seawall.core.ports import EventStore
from seawall.core.signals import Event, Sample
from seawall.statefolder import StateFolder
from seawall.stores import scaled, sql_copy
from seawall.stores.duckdb import DuckDatabase, DuckSamples

DAY, HOUR = 86400.0, 3600.0
BATCH = 2000
JOURNAL = "migration.jsonl"
Say = Callable[[str], None]
T = TypeVar("T")


@dataclass
class Migrated:
    """What is at the destination and was found there equal; `short` names each piece that is not."""

    samples: int = 0
    events: int = 0
    positions: int = 0
    records: int = 0
    short: list[str] = field(default_factory=list)


class Journal:
    """The pieces that are done, each durable once noted; one for another destination is begun anew."""

    def __init__(self, path: Path, to: Mapping[str, str]) -> None:
        self._path, head = path, json.dumps({"to": dict(to)})
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        if not lines or lines[0] != head:
            path.write_text(head + "\n", encoding="utf-8")
            lines = []
        self._done: dict[str, int] = {}
        for line in lines[1:]:
            try:
                noted = json.loads(line)
            except ValueError:  # cut in the middle of a line: that piece is done again
                continue
            self._done[noted["piece"]] = noted["count"]

    def has(self, piece: str, count: int) -> bool:
        """Is this piece done, as large as it is now?"""
        return self._done.get(piece) == count

    def note(self, piece: str, count: int, checksum: str) -> None:
        """It is at the destination, compared."""
        self._done[piece] = count
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"piece": piece, "count": count, "sha256": checksum}) + "\n")


def migrate(config: Config, to: Config, state: Path, say: Say) -> Migrated:
    """From the embedded stores of `state` to those of `to`; a kind that is the same in both stays. No Seawall
    may work in the folder. InputError, StoreUnavailable (go on by calling again)."""
    kinds = [it for it in ("samples", "events", "records") if _url(to, it) != _url(config, it)]
    for kind in kinds:
        if _url(config, kind) not in ("duckdb:", "sqlite:"):
            finding = f"{_url(config, kind)!r} is no embedded store"
            raise InputError(
                f"stores.{kind}", finding, "migrate from duckdb: and sqlite: of the state folder"
            )
        known = {"samples": scaled.SAMPLES, "events": scaled.EVENTS, "records": scaled.RECORDS}[kind]
        if _url(to, kind).partition(":")[0] not in known:
            finding = f"{_url(to, kind)!r} is no store at scale"
            raise InputError(f"--to, stores.{kind}", finding, f"name one of {', '.join(known)}")
    if not kinds:
        raise InputError("--to", "both configurations name the same stores", "name others in the second")
    with StateFolder(state).owned():
        return _Migration(to, state, say).run(kinds)


def _url(config: Config, kind: str) -> str:
    return str(getattr(config.stores, kind))


class _Migration:
    def __init__(self, to: Config, state: Path, say: Say) -> None:
        self._to, self._state, self._say, self.done = to, state, say, Migrated()
        urls = {kind: _url(to, kind) for kind in ("samples", "events", "records")}
        self._journal = Journal(state / JOURNAL, urls)

    def run(self, kinds: Sequence[str]) -> Migrated:
        if "samples" in kinds or "events" in kinds:
            database = DuckDatabase(self._state / "data")
            try:
                if "samples" in kinds:
                    self._samples(database)
                if "events" in kinds:
                    self._events(database)
            finally:
                database.close()
        if "records" in kinds and not self.done.short:
            self._records()
        return self.done

    def _samples(self, database: DuckDatabase) -> None:
        at, source = self._to.stores, DuckSamples(database)
        target = scaled.open_samples(at.samples, at.prometheus, self._state, time.time)
        assert target is not None  # noqa: S101 - `migrate` has looked at the scheme
        try:
            sql = (
                "SELECT CAST(floor(ts / 86400) AS BIGINT) AS day, registry, signal, count(*) FROM samples_all"
                " GROUP BY ALL ORDER BY ALL"
            )
            pieces = database.query(sql)
            for number, (day, registry, signal, count) in enumerate(pieces, 1):
                name = f"samples {registry} {signal} {day}"
                if not self._journal.has(name, count):
                    rows = source.range(registry, signal, day * DAY, (day + 1) * DAY)
                    for batch in _batches(rows):
                        target.append(batch)
                    found = target.range(registry, signal, day * DAY - 0.001, (day + 1) * DAY + 0.001)
                    self._compared(name, count, _sample_lines(rows), _sample_lines(found))
                self.done.samples += count if self._journal.has(name, count) else 0
                self._say(f"{number}/{len(pieces)} {name}: {count}")
        finally:
            target.close()

    def _events(self, database: DuckDatabase) -> None:
        at = self._to.stores
        target = scaled.open_events(at.events, at.elasticsearch, self._state, time.time)
        assert target is not None  # noqa: S101 - as above
        try:
            sql = (
                "SELECT CAST(floor(ts / 3600) AS BIGINT) AS hour, registry, count(*) FROM events_all"
                " GROUP BY ALL ORDER BY ALL"
            )
            pieces = database.query(sql)
            for number, (hour, registry, count) in enumerate(pieces, 1):
                name = f"events {registry} {hour}"
                if not self._journal.has(name, count):
                    rows = _events_of(database, registry, hour * HOUR)
                    for batch in _batches(rows):
                        target.append(batch, {})
                    found = target.recent(registry, hour * HOUR - 1, (hour + 1) * HOUR + 1, 2 * count + BATCH)
                    self._compared(name, count, _event_lines(rows), _event_lines(found))
                self.done.events += count if self._journal.has(name, count) else 0
                self._say(f"{number}/{len(pieces)} {name}: {count}")
            self._positions(database, target)
        finally:
            target.close()

    def _positions(self, database: DuckDatabase, target: EventStore) -> None:
        positions = dict(database.query("SELECT source, position FROM checkpoints ORDER BY source"))
        if self.done.short:
            return
        target.append([], positions)
        for source, position in positions.items():
            if target.checkpoint(source) != position:
                self.done.short.append(f"position of {source}")
        self.done.positions = len(positions)
        self._say(f"positions: {len(positions)}")

    def _compared(self, name: str, count: int, wanted: set[str], found: set[str]) -> None:
        """The journal has it if all of it is there; more may be."""
        missing = wanted - found
        if missing:
            self.done.short.append(f"{name}: {len(missing)} of {len(wanted)} are not there")
            return
        self._journal.note(name, count, hashlib.sha256("\n".join(sorted(wanted)).encode()).hexdigest())

    def _records(self) -> None:
        at = self._to.stores
        source = scaled.open_records("sqlite:", at.postgresql, self._state)
        target = scaled.open_records(at.records, at.postgresql, self._state)
        try:
            with sql_copy.moment(source) as db:
                wanted = {table.name: sql_copy.digest(db, table) for table in sql_copy.TABLES}
                rows = {table.name: sql_copy.rows(db, table) for table in sql_copy.TABLES}
                sql_copy.fill(target, rows, wanted)
            _, fault = target.audit_verify()
            if fault:
                raise SeawallError(f"the audit log at the destination does not hold: {fault}")
        finally:
            source.close()
            target.close()
        self.done.records = sum(count for count, _ in wanted.values())
        self._say(f"records: {self.done.records}, every table's checksum holds")


def _batches(rows: Iterable[T]) -> Iterator[list[T]]:
    source = iter(rows)
    while batch := list(islice(source, BATCH)):
        yield batch


def _events_of(database: DuckDatabase, registry: str, start: float) -> list[Event]:
    rows = database.query(
        "SELECT id, ts, registry, body FROM events_all"
        " WHERE registry = ? AND ts >= ? AND ts < ? ORDER BY seq, ts",
        [registry, start, start + HOUR],
        (start, start + HOUR),
    )
    return [Event(id, ts, name, json.loads(body)) for id, ts, name, body in rows]


def _sample_lines(samples: Iterable[Sample]) -> set[str]:
    """As Prometheus keeps them: to the millisecond, without empty labels, the first of two stands."""
    first: dict[Any, float] = {}
    for it in samples:
        key = (tuple(sorted(pair for pair in it.labels if pair[1])), round(it.at * 1000))
        first.setdefault(key, it.value)
    return {json.dumps([key, value]) for key, value in first.items()}


def _event_lines(events: Iterable[Event]) -> set[str]:
    return {json.dumps([it.id, dict(it.fields)], sort_keys=True, ensure_ascii=False) for it in events}
