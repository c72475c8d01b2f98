"""Bring a workflow store to the present schema, at start, and only forward.

A store is copied to an SQLite file before its schema changes: a file beside itself, one on a server
row by row into the data folder, at the schema that it has. A store that a newer release has written
to is refused: going on could lose what that release keeps in it.
"""

from __future__ import annotations

import asyncio
import tempfile
from functools import partial
from pathlib import Path

import sqlalchemy as sa
import structlog
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from immune.errors import Fatal
from immune.stores import dialect
from immune.stores.database import FileDatabase, MemoryDatabase, Outlasting
from immune.stores.rows import copy_rows

log = structlog.get_logger(__name__)

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


async def bring_up(database: Outlasting | MemoryDatabase, copies: Path | None) -> None:
    """Bring an open database to the present schema, after a copy of what would change.

    `copies` is the folder for the copy of a server's store. Raises Fatal, having changed nothing,
    where such a copy is called for and there is no folder for it.
    """
    revision = await database.read(present)
    if revision == head():
        return
    if revision is not None and not isinstance(database, MemoryDatabase):
        copy = await _copy(database, revision, copies)
        log.info("store copied before its schema changes", file=str(copy), revision=revision)
    async with database.transaction() as run:
        await run(upgrade)


def upgrade(connection: sa.Connection, to: str = "head") -> None:
    """Run the revisions that are missing up to `to`, within the connection's transaction."""
    command.upgrade(_config(connection), to)


async def _copy(database: Outlasting, revision: str, copies: Path | None) -> Path:
    """Copy the store as it is to an SQLite file; return the file."""
    suffix = f".before-{head()}-was-{revision}"
    if database.path is not None:
        copy = database.path.with_name(database.path.name + suffix)
        await asyncio.to_thread(dialect.copy_file, database.path, copy)
        return copy
    if copies is None:
        raise Fatal(
            f"the store's schema is at revision {revision}, and there is no folder to copy the "
            f"store to before it becomes {head()}: start `immune serve --data DIR` on it once"
        )
    copy = copies / f"workflow.db{suffix}"
    await _copy_rows(database, revision, copy)
    return copy


async def _copy_rows(server: Outlasting, revision: str, to: Path) -> None:
    """Copy a server's store row by row into an SQLite file: whole, or not there at all."""
    try:
        with tempfile.TemporaryDirectory(dir=to.parent, prefix=f".{to.name}.") as folder:
            made = Path(folder) / to.name
            file = FileDatabase(made, busy_timeout_ms=5000)
            try:
                async with server.snapshot() as read, file.transaction() as write:
                    await write(partial(upgrade, to=revision))
                    await copy_rows(read, write, await write(_tables))
            finally:
                await file.close()
            made.replace(to)
    except OSError as fault:
        raise Fatal(
            f"the store cannot be copied to {to} before its schema changes: {fault.strerror}"
        ) from fault


def _tables(connection: sa.Connection) -> list[sa.Table]:
    """The tables of a store as they are, whatever this release knows of them."""
    found = sa.MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]
