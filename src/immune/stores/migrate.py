"""Bring a workflow store to the present schema, at start, and only forward.

An SQLite file is copied beside itself before its schema changes. A store that a newer release has
written to is refused: going on could lose what that release keeps in it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from immune.errors import Fatal
from immune.stores import dialect
from immune.stores.database import Database

_LOCATION = "immune.stores:migrations"
VERSIONS = ("immune.stores:migrations/versions",)
"""Where the revisions are."""


def _config(connection: sa.Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", _LOCATION)
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(VERSIONS))
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


async def bring_up(database: Database) -> None:
    """Bring an open database to the present schema, after a copy of what would change."""
    revision = await database.read(present)
    if revision == head():
        return
    if database.path is not None and revision is not None:
        await asyncio.to_thread(back_up, database.path, revision)
    async with database.transaction() as run:
        await run(upgrade)


def upgrade(connection: sa.Connection) -> None:
    """Run the revisions that are missing, within the connection's transaction."""
    command.upgrade(_config(connection), "head")


def back_up(path: Path, revision: str) -> Path:
    """Copy the SQLite file at `path` as it is; return the copy's path."""
    copy = path.with_name(f"{path.name}.before-{head()}-was-{revision}")
    dialect.copy_file(path, copy)
    return copy
