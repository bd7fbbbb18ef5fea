"""Samples and events in DuckDB, the embedded default. Scheme: duckdb.

The open day lives in one database file; a closed day becomes a Parquet file beside it, so that
retention deletes files and a backup copies them. One process owns the folder. Memory and threads
are bounded. Rows are deduplicated by an anti-join over the batch's own time span instead of an
index: an index over millions of rows would not fit the memory bound.
"""

import contextlib
import copy
import json
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from seawall.core.errors import StoreUnavailable
from seawall.core.ports import Quantile, Slice
from seawall.core.signals import Event, Labels, Sample
from seawall.stores.duckdb_looks import DuckLooks
from seawall.stores.duckdb_pulls import DuckPulls
from seawall.stores.event_columns import COLUMNS as EVENT_COLUMNS
from seawall.stores.event_columns import columns_of
from seawall.stores.newest import NEWEST, Newest

SCHEMES = ("duckdb",)
DAY = 86400
BLOCK = 1 << 20  # positions of one insertion
_SAMPLE_COLUMNS = {
    "registry": "VARCHAR", "signal": "VARCHAR", "labels": "VARCHAR", "ts": "DOUBLE", "value": "DOUBLE",
}  # fmt: skip
_ARRIVED = {"arrived": "DOUBLE"}  # when the row was kept, Unix seconds; rows of an older Seawall lack it
_TABLES = {"samples": _SAMPLE_COLUMNS | _ARRIVED, "events": EVENT_COLUMNS | _ARRIVED}
_ORDER = {"samples": "registry, signal, ts", "events": "ts"}  # of a closed day: few row groups a question
_GROUP = {"samples": 12_288, "events": 122_880}  # rows
_SAME = {
    "samples": "o.registry = i.registry AND o.signal = i.signal AND o.labels = i.labels AND o.ts = i.ts",
    "events": "o.id = i.id",
}

_REMEDIES = {
    "set lock on": "stop the Seawall that owns this folder, or give --state another one",
    "Permission denied": "let this user read and write it",
}
_RESTORE = "it is damaged: put a backup into an empty folder (`seawall restore DIR --state FOLDER`)"


class DuckDatabase:
    """One database file with its Parquet days. `lock` serialises what writes; reads have a connection of
    their own, so that neither waits for the other. Who needs both locks takes `lock` first."""

    def __init__(self, folder: Path, memory: str = "128MB", clock: Callable[[], float] | None = None) -> None:
        """`clock` says when a row arrives; without one, it arrived when it was measured."""
        self.folder, self._clock, self._as_of = folder, clock, math.inf
        self._days: dict[str, list[tuple[int, str]]] = {table: [] for table in _TABLES}
        self.lock, self._reading = threading.RLock(), threading.RLock()
        folder.mkdir(parents=True, exist_ok=True)
        config: dict[str, str | bool | int | float | list[str]] = {
            "threads": 1,
            "memory_limit": memory,
            "temp_directory": str(folder / "tmp"),
        }
        try:
            self.connection = duckdb.connect(str(folder / "open.duckdb"), config=config)
        except duckdb.Error as error:
            said = " ".join(str(error).split())
            remedy = next((it for word, it in _REMEDIES.items() if word in said), _RESTORE)
            raise StoreUnavailable(f"{folder}: {said.rstrip('!')}; {remedy}") from error
        # It would be drawn on standard output. In a notebook without ipywidgets it is off, and cannot be set.
        with contextlib.suppress(duckdb.InvalidInputException):
            self.connection.execute("SET enable_progress_bar = false")
        for table, columns in _TABLES.items():
            listed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
            self.connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({listed})")
            for name, kind in columns.items():
                self.connection.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {name} {kind}")
        self.connection.execute("CREATE SEQUENCE IF NOT EXISTS arrivals")
        self.connection.execute(
            "CREATE TABLE IF NOT EXISTS checkpoints (source VARCHAR PRIMARY KEY, position VARCHAR)"
        )
        self.connection.execute("CREATE TABLE IF NOT EXISTS days (kind VARCHAR, day BIGINT, file VARCHAR)")
        self._reader = self.connection.cursor()
        self.newest = Newest(lambda: self.query(NEWEST))
        self._drop_unlisted()
        self._views()
        self.closed_upto = self._newest("events_all")  # no closed day holds a later position

    def past(self, at: float) -> "DuckDatabase":
        """The same database, to be read as if it were `at`: only rows that had arrived by then."""
        then = copy.copy(self)
        then._as_of = at
        return then

    def source(self, table: str, start: float = -math.inf, end: float = math.inf) -> str:
        """What to read `table` from, of rows in [start, end): no file of another day is opened."""
        files = [
            str(self.folder / name)
            for day, name in self._days[table]
            if day * DAY < end and (day + 1) * DAY > start
        ]
        closed = (
            f" UNION ALL BY NAME SELECT * FROM read_parquet({files!r}, union_by_name = true)" if files else ""
        )
        if self._as_of < math.inf:
            found = f"SELECT * FROM {table}{closed}"
            return f"(SELECT * FROM ({found}) WHERE coalesce(arrived, ts) <= {self._as_of!r})"
        return f"(SELECT * FROM {table}{closed})" if closed else table

    def query(
        self, sql: str, parameters: Sequence[Any] = (), span: tuple[float, float] = (-math.inf, math.inf)
    ) -> list[tuple[Any, ...]]:
        """All rows of a read; `samples_all` and `events_all` in it are read over `span` alone."""
        with self._reading:
            for table in _TABLES:
                if f"{table}_all" in sql:
                    sql = sql.replace(f"{table}_all", self.source(table, *span))
            try:
                return self._reader.execute(sql, list(parameters)).fetchall()
            except duckdb.Error as error:
                raise StoreUnavailable(f"{self.folder}: {error}") from error

    def insert(
        self, table: str, columns: Mapping[str, Sequence[Any]], checkpoints: Mapping[str, str] | None = None
    ) -> int:
        """Append rows that are not there yet, with checkpoints, in one transaction; how many were new."""
        arrays = {
            name: np.array(columns[name], dtype=_dtype(kind))
            for name, kind in _TABLES[table].items()
            if name not in ("seq", "arrived")
        }
        arrived = columns.get("arrived") or (
            arrays["ts"] if self._clock is None else np.full(len(arrays["ts"]), self._clock())
        )
        arrays["arrived"] = np.array(arrived, dtype=np.float64)
        with self.lock:
            try:
                self.connection.begin()
                new = self._insert_new(table, arrays) if len(arrays["ts"]) else 0
                for item in (checkpoints or {}).items():
                    self.connection.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?)", list(item))
                self.connection.commit()
            except duckdb.Error as error:
                self._rollback()
                raise StoreUnavailable(f"{self.folder}: {error}") from error
        if new and table == "events":
            self.newest.add(arrays["registry"], arrays["ts"], arrays["client_request"])
        return new

    def _insert_new(self, table: str, arrays: Mapping[str, Any]) -> int:
        if table == "events":
            arrays = {**arrays, "seq": self._positions(len(arrays["ts"]))}
        self.connection.register("incoming", dict(arrays))
        try:
            first, last = float(arrays["ts"].min()), float(arrays["ts"].max())
            names = ", ".join(arrays)
            keys = "id" if table == "events" else "registry, signal, labels, ts"
            done = self.connection.execute(
                f"INSERT INTO {table} ({names}) SELECT DISTINCT ON ({keys}) {names} FROM incoming i"
                f" WHERE NOT EXISTS (SELECT 1 FROM {table}_all o"
                f" WHERE o.ts BETWEEN ? AND ? AND {_SAME[table]})",
                [first, last],
            ).fetchone()
            return int(done[0]) if done else 0
        finally:
            self.connection.unregister("incoming")

    def _positions(self, count: int) -> Any:
        """Numbers above all that were given before, in the order of the rows."""
        sql = "SELECT min(nextval('arrivals')) FROM range(?)"
        [(first,)] = self.connection.execute(sql, [count // BLOCK + 1]).fetchall()
        return first * BLOCK + np.arange(count)

    def _rollback(self) -> None:
        try:
            self.connection.rollback()
        except duckdb.Error as error:
            if "no transaction" not in str(error):
                raise StoreUnavailable(f"{self.folder}: {error}") from error

    def registries(self) -> list[str]:
        """Names of all registries that samples or events tell of."""
        names = "SELECT registry FROM samples_all UNION SELECT registry FROM events_all"
        return sorted(name for (name,) in self.query(names))

    def close_days(self, now: float) -> list[str]:
        """Move every day before today's (UTC) into Parquet files; returns their names."""
        today, made = int(now // DAY), []
        for table in _TABLES:
            days = self.query(
                f"SELECT DISTINCT CAST(floor(ts / {DAY}) AS BIGINT) FROM {table} WHERE ts < ?",
                [today * DAY],
            )
            made += [self._close_day(table, int(day)) for (day,) in sorted(days)]
        return made

    def _close_day(self, table: str, day: int) -> str:
        with self.lock, self._reading:
            number = self.query("SELECT count(*) FROM days WHERE kind = ? AND day = ?", [table, day])[0][0]
            name = f"{table}-{day}-{number}.parquet"
            span = f"ts >= {day * DAY} AND ts < {(day + 1) * DAY}"
            self.closed_upto = max(self.closed_upto, self._newest("events"))
            rows = f"SELECT * FROM {table} WHERE {span} ORDER BY {_ORDER[table]}"
            options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_GROUP[table]}"
            self.connection.execute(f"COPY ({rows}) TO '{self.folder / name}' ({options})")
            self.connection.begin()
            self.connection.execute("INSERT INTO days VALUES (?, ?, ?)", [table, day, name])
            self.connection.execute(f"DELETE FROM {table} WHERE {span}")
            self.connection.commit()
            self._views()
        return name

    def _newest(self, table: str) -> int:
        """The newest position in a table of events, 0 if there is none."""
        found: int = self.query(f"SELECT coalesce(max(seq), 0) FROM {table}")[0][0]
        return found

    def expire(self, before: float) -> list[str]:
        """Retention: delete the closed days that ended before `before`; returns the files' names."""
        old = [name for (name,) in self.query("SELECT file FROM days WHERE (day + 1) * 86400 <= ?", [before])]
        with self.lock, self._reading:
            self.connection.execute("DELETE FROM days WHERE (day + 1) * 86400 <= ?", [before])
            self._views()
            for name in old:
                (self.folder / name).unlink(missing_ok=True)
        return old

    def _drop_unlisted(self) -> None:
        # A file that no row lists was being written when the process died: its rows are still in the table.
        listed = {name for (name,) in self.query("SELECT file FROM days")}
        for path in self.folder.glob("*.parquet"):
            if path.name not in listed:
                path.unlink()

    def _views(self) -> None:
        for table in _TABLES:
            self._days[table] = [
                (day, name)
                for day, name in self.query(
                    "SELECT day, file FROM days WHERE kind = ? ORDER BY file", [table]
                )
            ]
            rows = self.source(table)
            self.connection.execute(f"CREATE OR REPLACE VIEW {table}_all AS SELECT * FROM {rows}")

    def close(self) -> None:
        """Checkpoint and release the file."""
        with self.lock, self._reading:
            self._reader.close()
            self.connection.close()


def _dtype(kind: str) -> Any:
    return {
        "VARCHAR": object,
        "DOUBLE": np.float64,
        "BOOLEAN": np.bool_,
        "INTEGER": np.int32,
        "BIGINT": np.int64,
    }[kind]


class DuckSamples:
    """The sample store over a DuckDatabase."""

    def __init__(self, database: DuckDatabase) -> None:
        self.database = database

    def append(self, samples: Sequence[Sample]) -> None:
        """See the port."""
        self.backfill(samples, None)

    def backfill(self, samples: Sequence[Sample], arrived: Sequence[float] | None) -> int:
        """Keep samples that arrived at these times (Unix seconds; None: now). Returns how many were new."""
        columns: dict[str, Sequence[Any]] = {
            "registry": [s.registry for s in samples],
            "signal": [s.signal for s in samples],
            "labels": [_text(s.labels) for s in samples],
            "ts": [s.at for s in samples],
            "value": [s.value for s in samples],
        }
        return self.database.insert("samples", columns | ({"arrived": arrived} if arrived else {}))

    def past(self, at: float) -> "DuckSamples":
        """The same store, as if it were `at`: only what had arrived by then."""
        return DuckSamples(self.database.past(at))

    def range(
        self, registry: str, signal: str, start: float, end: float, labels: Labels | None = None
    ) -> list[Sample]:
        """See the port."""
        rows = self.database.query(
            "SELECT labels, ts, value FROM samples_all"
            " WHERE registry = ? AND signal = ? AND ts >= ? AND ts < ?"
            " AND (? IS NULL OR labels = ?) ORDER BY ts",
            [registry, signal, start, end, *([_text(labels)] * 2 if labels is not None else [None, None])],
            (start, end),
        )
        return [Sample(registry, signal, ts, value, _labels(text)) for text, ts, value in rows]

    def latest(self, registry: str, signal: str, since: float, until: float) -> list[Sample]:
        """See the port."""
        rows = self.database.query(
            "SELECT labels, max(ts), arg_max(value, ts) FROM samples_all"
            " WHERE registry = ? AND signal = ? AND ts >= ? AND ts <= ? GROUP BY labels ORDER BY labels",
            [registry, signal, since, until],
            (since, math.nextafter(until, math.inf)),
        )
        return [Sample(registry, signal, ts, value, _labels(text)) for text, ts, value in rows]

    def slices(self, registry: str, signal: str, start: float, end: float) -> list[Slice]:
        """See the port."""
        rows = self.database.query(
            "SELECT CAST(floor(ts / 60) AS BIGINT) AS minute, labels, count(*) FILTER (value >= 0.5),"
            " count(*) FILTER (value < 0.5) FROM samples_all"
            " WHERE registry = ? AND signal = ? AND ts >= ? AND ts < ?"
            " GROUP BY minute, labels ORDER BY minute",
            [registry, signal, start, end],
            (start, end),
        )
        sites = {text: dict(_labels(text)).get("site", "") for text in {row[1] for row in rows}}
        return [Slice(minute, sites[text], good, failed) for minute, text, good, failed in rows]

    def close(self) -> None:
        """See the port."""
        self.database.close()


class DuckEvents(DuckPulls, DuckLooks):
    """The event store over a DuckDatabase."""

    def __init__(self, database: DuckDatabase) -> None:
        self.database = database

    def append(self, events: Sequence[Event], checkpoints: Mapping[str, str]) -> int:
        """See the port."""
        return self.database.insert("events", columns_of(events), checkpoints)

    def backfill(self, events: Sequence[Event], arrived: Sequence[float]) -> int:
        """Keep events that arrived at these times (Unix seconds). Returns how many were new."""
        return self.database.insert("events", columns_of(events) | {"arrived": list(arrived)})

    def past(self, at: float) -> "DuckEvents":
        """The same store, as if it were `at`: only what had arrived by then."""
        return DuckEvents(self.database.past(at))

    def checkpoint(self, source: str) -> str | None:
        """See the port."""
        rows = self.database.query("SELECT position FROM checkpoints WHERE source = ?", [source])
        return rows[0][0] if rows else None

    def manifest_latency(self, registry: str, start: float, end: float, quantile: float) -> Quantile:
        """See the port. Nearest rank: at most 0.5 s exactly when the share within 0.5 s is >= quantile."""
        if self.database.newest.none_since(registry, start):
            return Quantile(0, None)
        count, value = self.database.query(
            "SELECT count(*), quantile_disc(duration, ?) FROM events_all"
            " WHERE registry = ? AND ts >= ? AND ts < ? AND client_manifest",
            [quantile, registry, start, end],
            (start, end),
        )[0]
        return Quantile(count, value)

    def manifest_latency_of_last(
        self, registry: str, end: float, count: int, quantile: float
    ) -> tuple[Quantile, float | None]:
        """See the port."""
        if self.database.newest.none_since(registry, -math.inf):
            return Quantile(0, None), None
        found, value, oldest = self.database.query(
            "SELECT count(*), quantile_disc(duration, ?), min(ts) FROM (SELECT duration, ts FROM events_all"
            " WHERE registry = ? AND ts < ? AND client_manifest ORDER BY ts DESC LIMIT ?)",
            [quantile, registry, end, count],
        )[0]
        return Quantile(found, value), oldest

    def impact(self, registry: str, start: float, end: float) -> tuple[int, int, int]:
        """See the port."""
        if self.database.newest.none_since(registry, start):
            return 0, 0, 0
        failed, repositories, clients = self.database.query(
            "SELECT count(*) FILTER (status >= 500), count(DISTINCT repository), count(DISTINCT client)"
            " FROM events_all WHERE registry = ? AND ts >= ? AND ts < ? AND client_request",
            [registry, start, end],
            (start, end),
        )[0]
        return failed, repositories, clients

    def errors_by_minute(self, registry: str, start: float, end: float) -> list[tuple[int, int, int]]:
        """See the port."""
        if self.database.newest.none_since(registry, start):
            return []
        return [
            (minute, requests, errors)
            for minute, requests, errors in self.database.query(
                "SELECT CAST(floor(ts / 60) AS BIGINT) AS minute, count(*), count(*) FILTER (status >= 500)"
                " FROM events_all WHERE registry = ? AND ts >= ? AND ts < ? AND client_request"
                " GROUP BY minute ORDER BY minute",
                [registry, start, end],
                (start, end),
            )
        ]

    def close(self) -> None:
        """See the port."""
        self.database.close()


def _text(labels: Labels | None) -> str:
    return json.dumps(dict(labels or ()), sort_keys=True, ensure_ascii=False)


@lru_cache(maxsize=10_000)
def _labels(text: str) -> Labels:
    return tuple(sorted(json.loads(text).items()))
