"""What differs between SQLite and PostgreSQL: the only place that knows.

Everything else in the workflow store is SQLAlchemy Core that both understand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.pool import StaticPool

MEMORY_NAMES = (None, "", ":memory:")


def in_memory(url: sa.URL) -> bool:
    """Whether `url` is an SQLite database that ends with its connection."""
    return is_sqlite(url) and url.database in MEMORY_NAMES


def is_sqlite(url: sa.URL) -> bool:
    return url.get_backend_name() == "sqlite"


def file_of(url: sa.URL) -> Path | None:
    """The SQLite file behind `url`, if there is one."""
    if not is_sqlite(url) or in_memory(url):
        return None
    assert url.database is not None
    return Path(url.database)


def memory_engine() -> sa.Engine:
    """A synchronous engine on one connection to a new database in memory."""
    return sa.create_engine("sqlite://", poolclass=StaticPool)


def set_pragmas(engine: sa.Engine, url: sa.URL, busy_timeout_ms: int) -> None:
    """Have each new SQLite connection of `engine` write safely; nothing for others."""
    if not is_sqlite(url):
        return
    pragmas = [f"busy_timeout={busy_timeout_ms}", "foreign_keys=ON"]
    if not in_memory(url):
        # FULL: a commit that returned is on the disk, also after a power cut
        pragmas += ["journal_mode=WAL", "synchronous=FULL"]

    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()


def begin_exclusive(connection: sa.Connection) -> None:
    """Make what follows one transaction, DDL included, with nobody else writing."""
    if connection.dialect.name == "sqlite":
        # the driver begins before the first INSERT only, and a migration starts with CREATE
        connection.exec_driver_sql("BEGIN IMMEDIATE")


LEASE_KEY = 0x1AA0_0001
"""Of the advisory lock that an instance holds; advisory locks are counted by database."""


def lease(dialect: str) -> sa.Select[tuple[bool]] | None:
    """Take the database for this session, where that isn't done by a lock on its file."""
    if dialect != "postgresql":
        return None
    return sa.select(sa.func.pg_try_advisory_lock(LEASE_KEY))


def put(table: sa.Table, dialect: str) -> sa.Insert:
    """INSERT of whole rows that replaces those whose primary key is there already."""
    statement = _insert(table, dialect)
    rest = {c.name: statement.excluded[c.name] for c in table.c if not c.primary_key}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=rest)


def add(table: sa.Table, dialect: str) -> sa.Insert:
    """INSERT that leaves out those whose primary key is there already."""
    return _insert(table, dialect).on_conflict_do_nothing(index_elements=list(table.primary_key))


def _insert(table: sa.Table, dialect: str) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
