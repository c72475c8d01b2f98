"""Units that wait together are written together: one commit, one wait for the disk, for all.

A commit costs milliseconds, and a thousand cases may move in the same instant. So whatever arrives
while one commit is under way goes into the next, in order of arrival, each unit whole or not at
all; a unit that must be refused is refused alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from immune.clock import Clock
from immune.errors import StoreDown
from immune.stores.database import CommitInDoubt, Database
from immune.stores.group import Group
from immune.stores.unit import SqlUnit, Statements

log = structlog.get_logger(__name__)

UNITS = 256
"""Units in one commit at the most: a longer one would hold up who comes next."""

ASK_AGAIN_S = 0.5
"""Seconds between two questions to a server whether a commit was made."""

IN_DOUBT = "the workflow store did not answer to a commit, and is asked about it"


class Commits:
    """The queue of units before a database, and the task that writes them."""

    def __init__(self, database: Database, run_id: str, clock: Clock) -> None:
        self._database = database
        self._run_id = run_id
        self._clock = clock
        self._statements = Statements(database.dialect)
        self._waiting: list[tuple[SqlUnit, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._in_doubt = False

    def unit(self, next_number: Callable[[], int]) -> SqlUnit:
        """A new unit, to be given to `write`."""
        return SqlUnit(self._run_id, self._statements, next_number)

    async def write(self, unit: SqlUnit) -> None:
        """Return when the unit is written; raises what it is refused for, and StoreDown.

        A commit under way is waited for: who is cancelled meanwhile learns of it afterwards, so
        that nobody takes for not written what was.
        """
        if unit.empty:
            return
        if self._database.immediate:
            (refusal,) = await self._written([unit])
            if refusal is not None:
                raise refusal
            return
        if self._in_doubt:
            raise StoreDown(IN_DOUBT)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((unit, done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all(), name="workflow commit")
        await self._wait(done)

    async def _wait(self, done: asyncio.Future[None]) -> None:
        cancelled = False
        while not done.done():
            try:
                await asyncio.wait([done], timeout=ASK_AGAIN_S if cancelled else None)
            except asyncio.CancelledError:
                cancelled = True
            if cancelled and self._in_doubt:
                raise asyncio.CancelledError
        task = asyncio.current_task()
        if cancelled and task is not None:
            task.uncancel()
            task.cancel()
        done.result()

    async def close(self) -> None:
        """Write what waits; an answer that doesn't come is given up."""
        if self._writing is not None:
            if self._in_doubt:
                self._writing.cancel()
            await asyncio.wait([self._writing])

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting[:UNITS], self._waiting[UNITS:]
                await self._write_some(waiting)
        finally:
            self._writing = None

    async def _write_some(self, waiting: list[tuple[SqlUnit, asyncio.Future[None]]]) -> None:
        stopped = StoreDown("the workflow store was closed while writing")
        outcomes: list[Exception | None] = [stopped] * len(waiting)
        try:
            outcomes = [*await self._written([unit for unit, _ in waiting])]
        except Exception as error:  # noqa: BLE001 - it is raised where each unit waits
            outcomes = [error] * len(waiting)
        finally:
            for (_, done), outcome in zip(waiting, outcomes, strict=True):
                if outcome is None:
                    done.set_result(None)
                else:
                    done.set_exception(outcome)
                    done.exception()  # whoever waited may have left

    async def _written(self, units: list[SqlUnit]) -> list[Exception | None]:
        """Write units in one transaction; return what each was refused for."""
        group = Group(self._run_id, self._statements, units)
        try:
            await self._database.write(group.flush)
        except CommitInDoubt as doubt:
            log.error("commit in doubt", units=len(units), reason=str(doubt))
            if not await self._made(group):
                raise
        return [*group.refusals]

    async def _made(self, group: Group) -> bool:
        """Ask until the store answers whether a group's commit was made.

        By then the session that made it has ended, see `Database.write`.
        """
        self._in_doubt = True
        waiting, self._waiting = self._waiting, []
        for _, done in waiting:  # of these it is known: they were not begun
            done.set_exception(StoreDown(IN_DOUBT))
            done.exception()
        try:
            while True:
                try:
                    return await self._database.write(group.made)
                except StoreDown:
                    await self._clock.sleep(ASK_AGAIN_S)
        finally:
            self._in_doubt = False
