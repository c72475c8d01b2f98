"""One way to run SQL, whatever is behind the URL.

Callers hand in a synchronous function of a SQLAlchemy connection. A database in memory runs it at
once, on the caller's thread: it costs a tenth of a millisecond and no task switch, which is what
virtual time needs. Any other goes through the URL's asyncio driver (aiosqlite, asyncpg).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
)
from sqlalchemy.exc import (
    TimeoutError as PoolTimeout,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from immune.errors import StoreDown
from immune.stores import dialect

T = TypeVar("T")
Work = Callable[[sa.Connection], T]

_OURS = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
"""Driver errors that blame the statement; all others blame the database."""


@contextmanager
def store_down() -> Generator[None]:
    """Turn the database's own failures into StoreDown."""
    try:
        yield
    except _OURS:
        raise
    except (DBAPIError, PoolTimeout, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise StoreDown(f"the workflow store does not answer: {cause}") from error


class Database:
    """An engine and its two verbs; `read` and `write` raise StoreDown."""

    def __init__(self, url: sa.URL, busy_timeout_ms: int) -> None:
        self._memory: sa.Engine | None = None
        self._engine: AsyncEngine | None = None
        if dialect.in_memory(url):
            self._memory = engine = dialect.memory_engine()
        else:
            self._engine = create_async_engine(url)
            engine = self._engine.sync_engine
        dialect.set_pragmas(engine, url, busy_timeout_ms)
        self.dialect = engine.dialect.name
        self._leased: AsyncConnection | None = None
        self._writing = asyncio.Lock()

    async def read(self, work: Work[T]) -> T:
        """Run `work`, which only reads."""
        with store_down():
            if self._memory is not None:
                with self._memory.connect() as connection:
                    return work(connection)
            assert self._engine is not None
            async with self._engine.connect() as held:
                return await held.run_sync(work)

    async def write(self, work: Work[T]) -> T:
        """Run `work` as one transaction: all of it is there afterwards, or none.

        Writers wait for one another here and not in the database, so that SQLite never answers
        one of them that it is busy with another.
        """
        with store_down():
            if self._memory is not None:
                with self._memory.begin() as connection:
                    return work(connection)
            assert self._engine is not None
            async with self._writing, self._engine.begin() as held:
                return await held.run_sync(work)

    async def lease(self) -> bool:
        """Have a server keep others away while we are connected; False where one is there."""
        statement = dialect.lease(self.dialect)
        if statement is None or self._engine is None:
            return True
        with store_down():
            self._leased = await self._engine.connect()
            # no transaction: it would stay open as long as we run
            await self._leased.execution_options(isolation_level="AUTOCOMMIT")
            return bool(await self._leased.scalar(statement))

    async def close(self) -> None:
        if self._leased is not None:
            await self._leased.close()
        if self._memory is not None:
            self._memory.dispose()
        if self._engine is not None:
            await self._engine.dispose()
