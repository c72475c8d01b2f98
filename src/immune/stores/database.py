"""One way to run SQL, whatever is behind the URL: a synchronous function of a connection, awaited.

`write` runs it as one transaction, `read` runs what only reads. A database in memory runs it at
once, on the caller's thread: it costs a tenth of a millisecond and no task switch, which is what
virtual time needs. A file has threads of its own (`FileDatabase`), a server is in
`database_server`. All raise StoreDown where the database fails, and not the statement.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InvalidRequestError,
    NotSupportedError,
    ProgrammingError,
)
from sqlalchemy.exc import (
    TimeoutError as PoolTimeout,
)
from sqlalchemy.pool import StaticPool

from immune.errors import StoreDown
from immune.stores import dialect
from immune.stores.lease import Lease
from immune.stores.reserve import Reserve, for_want_of_room

T = TypeVar("T")
Work = Callable[[sa.Connection], T]

_OURS = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
"""Driver errors that blame the statement; all others blame the database."""

READERS = 4
"""Threads that read a file, beside the one that writes: a slow page of one must not hold up all."""
READER_CACHE_KB = 500
"""Pages that each of them keeps."""


class CommitInDoubt(StoreDown):
    """The answer to a COMMIT was lost: the transaction was made, or it was not."""


@contextmanager
def store_down() -> Generator[None]:
    """Turn the database's own failures into StoreDown."""
    try:
        yield
    except _OURS:
        raise
    except (DBAPIError, PoolTimeout, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        said = str(cause) or type(cause).__name__
        raise StoreDown(f"the workflow store does not answer: {said}") from error
    except InvalidRequestError as error:  # the connection broke under us
        raise StoreDown(f"the workflow store's connection broke: {error}") from error


class Run(Protocol):
    """Runs one piece of work after the other on one connection, within one transaction."""

    def __call__(self, work: Work[T]) -> Awaitable[T]: ...


class Database(Protocol):
    """What a workflow store is kept in."""

    @property
    def dialect(self) -> str:
        """SQLAlchemy's name of it: sqlite or postgresql."""

    @property
    def immediate(self) -> bool:
        """Whether `write` never waits for anything."""

    @property
    def path(self) -> Path | None:
        """The file, where it is one."""

    async def open(self, now: float) -> None:
        """Keep other instances away until `close`; raises Fatal that names the one that is there.

        `now` is epoch seconds: since when we hold it, as others are told.
        """

    async def close(self) -> None:
        """Let go of everything; harmless if it isn't open."""

    async def read(self, work: Work[T]) -> T:
        """Run `work`, which only reads."""

    async def write(self, work: Work[T]) -> T:
        """Run `work` as one transaction: all of it is there afterwards, or none.

        Raises CommitInDoubt where it isn't known which; the next `write` finds that settled.
        """

    def transaction(self) -> AbstractAsyncContextManager[Run]:
        """Write in several steps, all of them or none; nobody else may write meanwhile.

        A step may take as long as it takes, such as a change of schema on a large table.
        """


class Outlasting(Database, Protocol):
    """A database that outlives its process, so that its rows can be brought elsewhere."""

    async def look(self) -> None:
        """Open it for reading alone, whoever holds it."""

    def snapshot(self) -> AbstractAsyncContextManager[Run]:
        """Read in several steps, as of one moment, however long they take."""


class MemoryDatabase:
    """An SQLite database that ends with this object."""

    dialect = "sqlite"
    immediate = True
    path = None

    def __init__(self) -> None:
        self._engine = sa.create_engine("sqlite://", poolclass=StaticPool)
        dialect.sqlite_begins(self._engine, "BEGIN", "foreign_keys=ON")

    async def open(self, now: float) -> None:
        """Nobody else can have it."""

    async def close(self) -> None:
        self._engine.dispose()

    async def read(self, work: Work[T]) -> T:
        with store_down(), self._engine.connect() as connection:
            return work(connection)

    async def write(self, work: Work[T]) -> T:
        with store_down(), self._engine.begin() as connection:
            return work(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Run]:
        with store_down(), self._engine.begin() as connection:

            async def run(work: Work[T]) -> T:
                return work(connection)

            yield run


class FileDatabase:
    """An SQLite file: one thread writes it, a few read it.

    `busy_timeout_ms` is how long it waits for somebody else in the file, such as a backup;
    `reserve` is what it takes from on a full disk.
    """

    dialect = "sqlite"
    immediate = False

    def __init__(self, path: Path, busy_timeout_ms: int, reserve: Reserve | None = None) -> None:
        self.path = path
        self._reserve = reserve
        self._lease = Lease(path)
        pragmas = (
            f"busy_timeout={busy_timeout_ms}",
            "foreign_keys=ON",
            "journal_mode=WAL",
            # a commit that returned is on the disk, also after a power cut
            "synchronous=FULL",
        )
        self._writing = sa.create_engine(dialect.url_of_file(path))
        dialect.sqlite_begins(self._writing, "BEGIN IMMEDIATE", *pragmas)
        self._reading = sa.create_engine(dialect.url_of_file(path))
        # what was read stays in the system's cache; a large one for each reader would be a second
        dialect.sqlite_begins(self._reading, "BEGIN", *pragmas, f"cache_size=-{READER_CACHE_KB}")
        self._writer = ThreadPoolExecutor(1, "workflow-write")
        self._readers = ThreadPoolExecutor(READERS, "workflow-read")

    async def open(self, now: float) -> None:
        self._lease.take(now)
        if self._reserve is not None:
            await asyncio.to_thread(self._reserve.open)

    async def look(self) -> None:
        """Nothing to do: readers keep nobody out."""

    async def close(self) -> None:
        def end() -> None:
            self._writer.shutdown()
            self._readers.shutdown()
            self._writing.dispose()
            self._reading.dispose()

        await asyncio.to_thread(end)
        self._lease.give_back()

    async def read(self, work: Work[T]) -> T:
        return await _on(self._readers, lambda: self._run(self._reading, work))

    async def write(self, work: Work[T]) -> T:
        return await _on(self._writer, lambda: self._run(self._writing, work))

    def _run(self, engine: sa.Engine, work: Work[T]) -> T:
        while True:
            try:
                with store_down(), engine.begin() as connection:
                    return work(connection)
            except StoreDown as fault:
                if self._reserve is None or not for_want_of_room(fault, self.path.parent):
                    raise
                if not self._reserve.give_up():
                    raise

    def snapshot(self) -> AbstractAsyncContextManager[Run]:
        return _steps(self._reading, self._writer)

    def transaction(self) -> AbstractAsyncContextManager[Run]:
        return _steps(self._writing, self._writer)


@asynccontextmanager
async def _steps(engine: sa.Engine, thread: ThreadPoolExecutor) -> AsyncIterator[Run]:
    with store_down():
        connection = await _on(thread, engine.connect)
        transaction = await _on(thread, connection.begin)

        async def run(work: Work[T]) -> T:
            return await _on(thread, lambda: work(connection))

        try:
            yield run
            await _on(thread, transaction.commit)
        finally:  # what was not committed is rolled back
            await _on(thread, connection.close)


async def _on(thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(thread, work)
