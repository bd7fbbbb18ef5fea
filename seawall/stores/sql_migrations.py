"""The records' schema brought up to date when they are opened, in one transaction, by one Seawall at a time.

An empty database gets the present tables at once; one of before there were revisions (tables, no revision) is
adopted as the first; one that is newer than this Seawall is refused.
"""

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from seawall.core.errors import InputError
from seawall.stores import schema_accounts

HEAD = "0003"
FIRST = "0001"
metadata = schema_accounts.metadata
FOLDER = Path(__file__).parent / "migrations"
_KEPT = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True))


def revision(db: sa.Connection) -> str | None:
    """The revision of the tables that are there; None where there are none."""
    if sa.inspect(db).has_table(_KEPT.name):
        return db.execute(sa.select(_KEPT.c.version_num)).scalar()
    return FIRST if sa.inspect(db).has_table("incidents") else None


def upgrade(db: sa.Connection) -> str | None:
    """Inside the caller's writing transaction; the revision that was found. InputError for a newer one."""
    found = revision(db)
    if found == HEAD:
        return found
    if found is None:
        metadata.create_all(db)
        _note(db, HEAD)
        return None
    if found not in known():
        raise InputError(
            "records",
            f"they are of revision {found}, newer than this Seawall's {HEAD}",
            "use a newer Seawall",
        )
    if not sa.inspect(db).has_table(_KEPT.name):
        _note(db, found)
    run(db)
    return found


def _note(db: sa.Connection, at: str) -> None:
    _KEPT.create(db, checkfirst=True)
    db.execute(_KEPT.insert().values(version_num=at))


def _scripts() -> Any:
    from alembic.config import Config  # loaded only by who upgrades: it takes longer than the rest of a start
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    return config, ScriptDirectory.from_config(config)


def known() -> list[str]:
    """All revisions, the oldest first."""
    return [script.revision for script in _scripts()[1].walk_revisions()][::-1]


def run(db: sa.Connection, to: str = "head") -> None:
    """Every revision up to `to` that is not there yet, by Alembic, on an open transaction."""
    from alembic.runtime.environment import EnvironmentContext

    config, scripts = _scripts()

    def wanted(at: Any, _context: Any) -> Any:
        return scripts._upgrade_revs(to, at)  # what Alembic's own `upgrade` command calls

    with EnvironmentContext(config, scripts, fn=wanted) as environment:
        environment.configure(connection=db, target_metadata=metadata)
        with environment.begin_transaction():
            environment.run_migrations()
