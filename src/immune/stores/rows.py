"""Rows from one database into another, page by page, and counted in the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial

import sqlalchemy as sa

from immune.errors import Fatal
from immune.stores.database import Run
from immune.stores.unit import Row

PAGE = 1000
"""Rows held in memory at a time; a baseline is about 2 KB."""


async def copy_rows(read: Run, write: Run, tables: Sequence[sa.Table]) -> dict[str, int]:
    """Copy every row of these tables, in their order; return how many each has.

    Raises Fatal where the counts differ in the end.
    """
    counts = {}
    for table in tables:
        async for page in _pages(read, table):
            await write(partial(_insert, table=table, rows=page))
        there, here = [await run(partial(_count, table=table)) for run in (read, write)]
        if there != here:
            raise Fatal(f"{table.name}: {there} rows in the source, {here} arrived")
        counts[table.name] = here
    return counts


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
