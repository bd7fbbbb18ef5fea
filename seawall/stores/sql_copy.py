"""The records as rows, the same for every engine: read from one moment, written in one transaction, compared.

A table's checksum is the SHA-256 of its rows as JSON lines in the order of its key. Who leads is not copied.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

import sqlalchemy as sa

from seawall.core.errors import InputError
from seawall.stores.schema_accounts import metadata
from seawall.stores.sql import SqlRecords
from seawall.stores.sql_engine import told

TABLES = tuple(table for table in metadata.sorted_tables if table.name != "leadership")
BATCH = 1000
Row = Mapping[str, Any]


class Digest:
    """Counts rows and sums them up, as they pass."""

    def __init__(self) -> None:
        self.rows, self._sum = 0, hashlib.sha256()

    def passing(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The same rows."""
        for row in rows:
            self.rows += 1
            self._sum.update(line(row).encode())
            yield row

    @property
    def found(self) -> tuple[int, str]:
        """(rows, hex SHA-256)."""
        return self.rows, self._sum.hexdigest()


def line(row: Row) -> str:
    """One row as a JSON line."""
    return json.dumps(dict(row), sort_keys=True, ensure_ascii=False, separators=(",", ":")) + "\n"


@contextmanager
def moment(records: SqlRecords) -> Iterator[sa.Connection]:
    """A transaction that sees one state of all tables, whoever writes meanwhile. StoreUnavailable."""
    with told(), records.engine.connect() as db:
        if db.dialect.name == "postgresql":
            db = db.execution_options(isolation_level="REPEATABLE READ")  # noqa: PLW2901 - the same connection
        with db.begin():
            yield db


def rows(db: sa.Connection, table: sa.Table) -> Iterator[Row]:
    """All rows, by the table's key, a batch in memory at a time."""
    key, last = list(table.primary_key.columns), None
    order = [sa.collate(it, _bytewise(db)) if isinstance(it.type, sa.String) else it for it in key]
    while True:
        query = sa.select(table).order_by(*order).limit(BATCH)
        if last is not None:
            query = query.where(sa.tuple_(*order) > sa.tuple_(*(sa.literal(value) for value in last)))
        found = [dict(row) for row in db.execute(query).mappings()]
        yield from found
        if len(found) < BATCH:
            return
        last = [found[-1][column.name] for column in key]


def _bytewise(db: sa.Connection) -> str:
    return "BINARY" if db.dialect.name == "sqlite" else "C"


def digest(db: sa.Connection, table: sa.Table) -> tuple[int, str]:
    """(rows, hex SHA-256) of a table."""
    summed = Digest()
    for _ in summed.passing(rows(db, table)):
        pass
    return summed.found


def digests(records: SqlRecords) -> dict[str, tuple[int, str]]:
    """The same of every table, of one moment."""
    with moment(records) as db:
        return {table.name: digest(db, table) for table in TABLES}


def fill(
    records: SqlRecords, tables: Mapping[str, Iterable[Row]], wanted: Mapping[str, tuple[int, str]]
) -> bool:
    """Write all tables in one transaction; False if they are there already. InputError if the destination
    holds other records, or does not hold `wanted` then: nothing was written in either case."""
    present = digests(records)
    if all(present[name] == it for name, it in wanted.items()):
        return False
    if any(count for count, _ in present.values()):
        remedy = "name an empty database; nothing was written"
        raise InputError("stores.records", "the destination holds other records already", remedy)
    with told(), records.engine.execution_options(seawall_write=True).connect() as db, db.begin():
        for table in TABLES:
            source = iter(tables.get(table.name, ()))
            while batch := list(islice(source, BATCH)):
                db.execute(table.insert(), [dict(row) for row in batch])
            _count_on(db, table)
            if table.name in wanted and digest(db, table) != tuple(wanted[table.name]):
                finding = "what was written is not what was read"
                raise InputError(f"records, {table.name}", finding, "nothing was kept; try again")
    return True


def _count_on(db: sa.Connection, table: sa.Table) -> None:
    """PostgreSQL's own counter goes on after the highest number that was copied."""
    if db.dialect.name != "postgresql":
        return
    for column in table.primary_key.columns:
        if isinstance(column.type, sa.Integer):
            serial = f"pg_get_serial_sequence('{table.name}', '{column.name}')"
            highest = f"(SELECT coalesce(max({column.name}), 0) + 1 FROM {table.name})"  # noqa: S608 - names are ours
            db.exec_driver_sql(f"SELECT setval({serial}, {highest}, false)")
