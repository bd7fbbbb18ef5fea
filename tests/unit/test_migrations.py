"""The records' revisions: a new database and one that was brought up from the first are the same."""

import sqlite3

import pytest
import sqlalchemy as sa

from seawall.core.errors import InputError, StoreUnavailable
from seawall.stores import sql_migrations
from seawall.stores.sql import SqlRecords
from seawall.stores.sql_engine import open_engine
from tests.postgres import WITH_POSTGRES

T = 1_790_000_000.0


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=WITH_POSTGRES)])
def urls(request, tmp_path):
    """Two new databases."""
    if request.param == "sqlite":
        return [f"sqlite:{tmp_path / name}" for name in ("old", "new")]
    server = request.getfixturevalue("postgres")
    return [server.database(f"{name}{abs(hash(tmp_path))}") for name in ("old", "new")]


def tables(url):
    """Each table's columns (name, nullable, in the key), indexes and unique constraints."""
    engine = open_engine(url)
    look, found = sa.inspect(engine), {}
    for name in look.get_table_names():
        columns = sorted((c["name"], str(c["type"]), bool(c["nullable"])) for c in look.get_columns(name))
        key = look.get_pk_constraint(name)["constrained_columns"]
        indexes = sorted(
            (str(i["name"]), i["column_names"], bool(i["unique"])) for i in look.get_indexes(name)
        )
        unique = sorted(it["column_names"] for it in look.get_unique_constraints(name))
        found[name] = (columns, key, indexes, unique)
    engine.dispose()
    return found


def first(url):
    """A database of before there were revisions, with something in it."""
    engine = open_engine(url)
    with engine.execution_options(seawall_write=True).connect() as db, db.begin():
        sql_migrations.run(db, "0001")
        db.exec_driver_sql("DROP TABLE alembic_version")
        db.exec_driver_sql("INSERT INTO flags VALUES ('frozen', 'by ada')")
    engine.dispose()


def test_an_upgraded_database_is_a_new_one_and_keeps_its_rows(urls):
    old, new = urls
    first(old)
    assert "leadership" not in tables(old)
    records = SqlRecords(old)
    assert records.frozen() == (True, "by ada")
    records.close()
    SqlRecords(new).close()
    assert tables(old) == tables(new)
    SqlRecords(old).close()  # a second time there is nothing to do
    assert tables(old) == tables(new)


def test_the_newest_revision_is_the_one_that_new_databases_get():
    assert sql_migrations.known()[-1] == sql_migrations.HEAD


def test_a_database_of_a_newer_seawall_is_refused(tmp_path):
    path = tmp_path / "r.sqlite"
    SqlRecords(f"sqlite:{path}").close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    db.close()
    with pytest.raises(InputError, match="revision 9999, newer than this Seawall's"):
        SqlRecords(f"sqlite:{path}")


def test_an_upgrade_that_fails_leaves_the_database_as_it_was(urls):
    old = urls[0]
    first(old)
    before = tables(old)
    engine = open_engine(old)
    with engine.begin() as db:
        db.exec_driver_sql("CREATE TABLE leadership (x INTEGER)")
    with pytest.raises((StoreUnavailable, sa.exc.ProgrammingError), match="already exists"):
        SqlRecords(old)
    with engine.begin() as db:
        db.exec_driver_sql("DROP TABLE leadership")
    engine.dispose()
    assert tables(old) == before
