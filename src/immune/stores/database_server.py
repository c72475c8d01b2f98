"""A PostgreSQL server as `Database`: one session writes and holds the lease, a pool reads.

The lease is an advisory lock of the very session that writes, so nothing is ever written without
it. A session that broke is replaced by one that must take the lease again; the server grants it
only when the old session has ended, and with it what that had begun. A server that doesn't answer
is given up after `answer_s`. (A connection pooler in between must keep sessions apart.)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NoReturn

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from immune.errors import StoreDown
from immune.stores.database import CommitInDoubt, Run, T, Work, store_down
from immune.stores.lease import Holder, in_use

LEASE_KEY = 0x1AA0_0001
"""Of the advisory lock; advisory locks are counted by database."""

_KEEPALIVE = {
    "tcp_keepalives_idle": "4",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "2",
}
"""The server notices within 8 s that our machine is gone, so that another may take over."""

_HOLDER = sa.text(
    "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
    " WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 0 AND l.objid = :key"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class ServerDatabase:
    """A database on a PostgreSQL server."""

    dialect = "postgresql"
    immediate = False
    path = None

    def __init__(self, url: sa.URL, answer_s: float) -> None:
        self._url = url
        self._answer_s = answer_s
        self._us: Holder | None = None
        self._reading: AsyncEngine | None = None
        self._writing: AsyncEngine | None = None
        self._session: AsyncConnection | None = None
        self._held = False
        self._turn = asyncio.Lock()

    async def open(self, now: float) -> None:
        self._us = Holder.ourselves(now)
        self._reading = self._engine(self._us.text, pool_timeout=self._answer_s)
        self._writing = self._engine(self._us.text, poolclass=NullPool)
        with store_down():
            await self._leased()

    async def look(self) -> None:
        self._reading = self._engine("immune looks", pool_timeout=self._answer_s)

    def _engine(self, name: str, **options: Any) -> AsyncEngine:
        settings = {"application_name": name, **_KEEPALIVE}
        connect = {"timeout": self._answer_s, "server_settings": settings}
        return create_async_engine(self._url, connect_args=connect, **options)

    async def close(self) -> None:
        async with self._turn:
            await self._drop()
        for engine in (self._reading, self._writing):
            if engine is not None:
                await engine.dispose()
        self._reading = self._writing = None

    async def read(self, work: Work[T]) -> T:
        with store_down():
            assert self._reading is not None
            async with self._reading.connect() as connection, self._answering(connection):
                return await connection.run_sync(work)

    async def write(self, work: Work[T]) -> T:
        async with self._turn:
            with store_down():
                session = await self._leased()
                try:
                    async with self._answering(session):
                        transaction = await session.begin()
                        try:
                            result = await session.run_sync(work)
                        except BaseException:
                            await transaction.rollback()
                            raise
                        await _commit(session, transaction.commit())
                        return result
                except BaseException:
                    if session.invalidated:
                        await self._drop()
                    raise

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Run]:
        with store_down():
            assert self._reading is not None
            async with self._reading.connect() as connection:
                await connection.execution_options(isolation_level="REPEATABLE READ")
                yield partial(_step, connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Run]:
        async with self._turn:
            with store_down():
                session = await self._leased()
                async with session.begin():
                    yield partial(_step, session)

    @asynccontextmanager
    async def _answering(self, connection: AsyncConnection) -> AsyncIterator[None]:
        """Break the connection off where the block takes longer than an answer may."""
        driver: Any = (await connection.get_raw_connection()).driver_connection
        loop = asyncio.get_running_loop()
        watch = loop.call_later(self._answer_s, driver.terminate)
        try:
            yield
        finally:
            watch.cancel()

    async def _leased(self) -> AsyncConnection:
        """The session that writes; a new one where there is none.

        Raises Fatal where another instance has the lease, and StoreDown while the server still
        keeps a broken session of ours.
        """
        if self._session is not None:
            return self._session
        assert self._writing is not None
        session = await self._writing.connect()
        try:
            async with self._answering(session):
                taken = await session.scalar(sa.select(sa.func.pg_try_advisory_lock(LEASE_KEY)))
                name = "" if taken else await session.scalar(_HOLDER, {"key": LEASE_KEY})
                await session.rollback()  # the lock is the session's, not the transaction's
            if not taken:
                self._refuse(name)
        except BaseException:
            await session.close()
            raise
        self._session = session
        self._held = True
        return session

    def _refuse(self, name: str | None) -> NoReturn:
        """Say who has the lease: the session of this name, which has ended where it's None."""
        holder = Holder.of_text(name or "")
        if name is None or (self._held and holder == self._us):
            raise StoreDown("the workflow store has not yet ended a session that broke")
        raise in_use(f"the database {self._url.database or self._url.username}", holder)

    async def _drop(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        if session.invalidated:  # there is nobody left to ask
            await session.close()
            return
        async with self._answering(session):
            await session.close()


async def _step(connection: AsyncConnection, work: Work[T]) -> T:
    return await connection.run_sync(work)


async def _commit(session: AsyncConnection, commit: Any) -> None:
    try:
        await commit
    except sa.exc.DBAPIError as error:
        if not session.invalidated:
            raise  # the server said no
        raise CommitInDoubt(f"the workflow store did not answer to a commit: {error}") from error
