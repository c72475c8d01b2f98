"""All rows of one workflow store into another that is empty: from a file to a server, or back.

It is one transaction of the target: either everything is there in the end, counted, or nothing is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import sqlalchemy as sa

from immune.errors import Fatal, InvalidInput
from immune.stores import dialect, migrate
from immune.stores.database import MemoryDatabase, Outlasting, Run
from immune.stores.schema import metadata, runs
from immune.stores.sql import database_of
from immune.stores.unit import Row

PAGE = 1000
"""Rows held in memory at a time; a baseline is about 2 KB."""


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
        counts = {}
        for table in metadata.sorted_tables:
            async for page in _pages(read, table):
                await write(partial(_insert, table=table, rows=page))
            there, here = [await run(partial(_count, table=table)) for run in (read, write)]
            if there != here:
                raise Fatal(f"{table.name}: {there} rows in the source, {here} arrived")
            counts[table.name] = here
    return counts


def _prepare(connection: sa.Connection) -> None:
    """Make the schema of an empty database."""
    if migrate.present(connection) != migrate.head():
        migrate.upgrade(connection)
    if run_id := connection.scalar(sa.select(runs.c.run_id).limit(1)):
        raise Fatal(f"the target is not empty: it holds the run {run_id}")


async def _pages(read: Run, table: sa.Table) -> AsyncIterator[list[Row]]:
    """All rows of a table, in order of its primary key."""
    key = list(table.primary_key)
    page = sa.select(table).order_by(*key).limit(PAGE)
    query = page
    while rows := await read(partial(_fetch, query=query)):
        yield rows
        last = [rows[-1][column.name] for column in key]
        query = page.where(sa.tuple_(*key) > sa.tuple_(*map(sa.literal, last)))


def _fetch(connection: sa.Connection, query: sa.Select[tuple[object, ...]]) -> list[Row]:
    return [dict(row) for row in connection.execute(query).mappings()]


def _insert(connection: sa.Connection, table: sa.Table, rows: list[Row]) -> None:
    connection.execute(sa.insert(table), rows)


def _count(connection: sa.Connection, table: sa.Table) -> int:
    return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0


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
