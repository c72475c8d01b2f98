"""Bring a workflow store to the present schema, at start, and only forward.

An SQLite file is copied beside itself before its schema changes. A store that a newer release has
written to is refused: going on could lose what that release keeps in it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from immune.errors import Fatal
from immune.stores import dialect

_LOCATION = "immune.stores:migrations"


def _config(connection: sa.Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", _LOCATION)
    return config


def head() -> str:
    """The revision that this release works with."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


def present(connection: sa.Connection) -> str | None:
    """The store's revision, None for an empty database.

    Raises Fatal for one that a newer release has written, or that isn't ours at all.
    """
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None:
        if tables := sa.inspect(connection).get_table_names():
            raise Fatal(
                f"this database is not a workflow store of Immune: it holds {tables[0]!r} "
                "and no schema revision"
            )
        return None
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if revision not in known:
        raise Fatal(
            f"the store's schema is at revision {revision}, which this release (up to {head()}) "
            "does not know: run the newer release, or restore a backup made before it"
        )
    return revision


def upgrade(connection: sa.Connection) -> None:
    """Run the revisions that are missing, all in one transaction."""
    dialect.begin_exclusive(connection)
    command.upgrade(_config(connection), "head")


def back_up(path: Path, revision: str) -> Path:
    """Copy the SQLite file at `path` as it is; return the copy's path."""
    copy = path.with_name(f"{path.name}.before-{head()}-was-{revision}")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy
