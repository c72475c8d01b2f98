"""All rows of one workflow store into another that is empty: from a file to a server, or back.

It is one transaction of the target: either everything is there in the end, counted, or nothing is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import sqlalchemy as sa

from immune.errors import Fatal, InvalidInput
from immune.stores import dialect, migrate
from immune.stores.database import MemoryDatabase, Outlasting
from immune.stores.rows import copy_rows
from immune.stores.schema import metadata, runs
from immune.stores.sql import database_of


async def copy(source: Outlasting, target: Outlasting) -> dict[str, int]:
    """Copy every row, the schema included; return how many each table has.

    Both are open. Raises Fatal where the source's schema is not of this release, where the target
    holds anything, and where the counts differ in the end; the target is as it was then.
    """
    async with source.snapshot() as read, target.transaction() as write:
        revision = await read(migrate.present)
        if revision != migrate.head():
            raise Fatal(
                f"the source's schema is at revision {revision}, not {migrate.head()}: "
                "start this release on it once, then try again"
            )
        await write(_prepare)
        return await copy_rows(read, write, metadata.sorted_tables)


def _prepare(connection: sa.Connection) -> None:
    """Make the schema of an empty database."""
    if migrate.present(connection) != migrate.head():
        migrate.upgrade(connection)
    if run_id := connection.scalar(sa.select(runs.c.run_id).limit(1)):
        raise Fatal(f"the target is not empty: it holds the run {run_id}")


async def migrate_store(source: str, target: str, now: float) -> dict[str, int]:
    """Copy a store that no instance runs on into an empty one; as `copy`.

    `source` and `target` are URLs. Raises InvalidInput for one that is none, and Fatal where the
    source does not exist or an instance runs on either.
    """
    async with _held(source, "--from", now) as known, _held(target, "--to", now) as new:
        return await copy(known, new)


@asynccontextmanager
async def _held(text: str, field: str, now: float) -> AsyncIterator[Outlasting]:
    url = dialect.url_of(text, field)
    path = dialect.file_of(url)
    database = database_of(url)
    if isinstance(database, MemoryDatabase):
        raise InvalidInput(field, "names no file and no server")
    if field == "--from" and path is not None and not path.exists():
        raise InvalidInput(field, f"{path} does not exist")
    try:
        await database.open(now)
        yield database
    finally:
        await database.close()
