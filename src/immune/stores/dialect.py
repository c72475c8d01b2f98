"""What differs between SQLite and PostgreSQL in the SQL that we write, and how a URL names them.

Everything else in the workflow store is SQLAlchemy Core that both understand.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError

from immune.errors import InvalidInput, StoreDown

MEMORY_NAMES = (None, "", ":memory:")

_DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}
"""Our driver for each database, whatever driver a URL names."""


def url_of(text: str, field: str = "store.workflow_url") -> sa.URL:
    """The URL of a workflow store, with our driver. Raises InvalidInput that names `field`."""
    try:
        url = sa.make_url(text)
    except (ArgumentError, ValueError) as error:
        raise InvalidInput(
            field, "is no database URL, such as postgresql://user@host/immune"
        ) from error
    driver = _DRIVERS.get(url.drivername.partition("+")[0])
    if driver is None:
        raise InvalidInput(field, f"must begin with sqlite or postgresql, not {url.drivername}")
    return url.set(drivername=driver)


def url_of_file(path: Path) -> sa.URL:
    """The URL of a workflow store in an SQLite file."""
    return sa.URL.create("sqlite", database=str(path))


def is_sqlite(url: sa.URL) -> bool:
    return url.get_backend_name() == "sqlite"


def file_of(url: sa.URL) -> Path | None:
    """The SQLite file behind `url`, if there is one."""
    if not is_sqlite(url) or url.database in MEMORY_NAMES:
        return None
    assert url.database is not None
    return Path(url.database)


def sqlite_begins(engine: sa.Engine, begin: str, *pragmas: str) -> None:
    """Have each new SQLite connection of `engine` set `pragmas`, each transaction begin so.

    The driver would begin before the first INSERT only: no DDL and no SELECT would be within.
    """

    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begins(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)


def copy_file(path: Path, to: Path) -> None:
    """Copy an SQLite file as of one moment, whoever writes to it meanwhile; raises StoreDown."""
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(to)) as target:
            source.backup(target)  # in one go: between two, a writer would make it begin anew
    except sqlite3.Error as error:
        raise StoreDown(f"{path} cannot be copied to {to}: {error}") from error


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
