"""Vitals in a file of their own, so that they never lock the workflow.

`SqliteTelemetry` is the asynchronous side of `telemetry_file`: one thread that writes, one that
reads. Appends that arrive while a commit is under way are written together by the next one.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from immune.clock import Clock, SystemClock
from immune.columns import Int32, Interner, Names, Rows, VitalColumns
from immune.errors import Fatal, StoreDown
from immune.ports import AgentRow, Rollup
from immune.stores.lease import Lease
from immune.stores.telemetry_blocks import Block, to_block
from immune.stores.telemetry_file import (
    NewName,
    TelemetryReader,
    TelemetryWriter,
    connect,
    open_run,
)
from immune.stores.telemetry_room import TelemetryRetention, far_past, make_room
from immune.stores.telemetry_sweep import sweep_slice
from immune.vitals import Kind, Vital

__all__ = ["SqliteTelemetry", "TelemetryRetention"]

T = TypeVar("T")
_Append = tuple[Block, asyncio.Future[Rows | None]]
"""What is to be written, and who waits to hear which rows of it were new."""


class _AgentCodes:
    """From the running system's codes to the file's, and which of those aren't written yet.

    Nothing is kept of an agent whose code went to another: should it come back, its code in the
    file is looked up there.
    """

    def __init__(self, live: Interner, highest: int) -> None:
        self._live = live
        self._highest = highest
        self._unwritten: dict[str, int] = {}
        self.map: Int32 = np.zeros(1, np.int32)
        """The file's code for each of the system's; 0 where it must be looked up."""

    def strangers(self, agents: Int32) -> dict[str, int]:
        """The system's codes of those of `agents` whose code in the file must be looked up."""
        self.map[[code for code in self._live.take_reused() if code < len(self.map)]] = 0
        if len(self._live) > len(self.map):
            more = max(len(self._live) - len(self.map), len(self.map) // 8)
            self.map = np.append(self.map, np.zeros(more, np.int32))
        codes = np.unique(agents[(self.map[agents] == 0) & (agents != 0)])
        return {self._live.text(code): code for code in codes.tolist()}

    def introduce(self, strangers: dict[str, int], found: dict[str, int]) -> None:
        """Note what was looked up; who wasn't `found` gets a code, unless somebody was quicker."""
        for agent_id, code in strangers.items():
            if self.map[code]:
                continue
            stored = found.get(agent_id) or self._unwritten.get(agent_id)
            if stored is None:
                self._highest += 1
                stored = self._unwritten[agent_id] = self._highest
            self.map[code] = stored

    def new(self) -> list[NewName]:
        """Names to write with the next batch."""
        return [("agent", code, agent_id) for agent_id, code in self._unwritten.items()]

    def wrote(self, names: list[NewName]) -> None:
        for _, _, agent_id in names:
            del self._unwritten[agent_id]


class _FactCodes:
    """The same for facts, which never go: all of them are kept."""

    def __init__(self, live: Interner, stored: Interner) -> None:
        self._live = live
        self._stored = stored
        self._written = len(stored)
        self._map: Int32 = np.zeros(0, np.int32)

    def map(self) -> Int32:
        """The file's code for each of the system's."""
        known = len(self._map)
        if known < len(self._live):
            fresh = [self._stored.code(self._live.text(c)) for c in range(known, len(self._live))]
            self._map = np.append(self._map, np.array(fresh, np.int32))
        return self._map

    def new(self) -> list[NewName]:
        """Names to write with the next batch."""
        codes = range(self._written, len(self._stored))
        return [("fact", code, self._stored.text(code)) for code in codes]

    def wrote(self, names: list[NewName]) -> None:
        self._written += len(names)


class SqliteTelemetry:
    """The `TelemetryStore` on one SQLite file, for one run.

    `names` are the ones that the columns' codes refer to. A vital with a step id counts once for
    its agent.
    """

    def __init__(
        self,
        path: Path | str,
        run_id: str,
        names: Names,
        retention: TelemetryRetention | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        self._path = Path(path)
        self._run_id = run_id
        self._names = names
        self._retention = retention or TelemetryRetention()
        self._clock = clock or SystemClock()
        self._lease = Lease(self._path)
        self._open: _Open | None = None
        self._waiting: list[_Append] = []
        self._committing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Raises Fatal for a newer file, one that isn't ours, or one in use by another instance."""
        self._lease.take(self._clock.time())
        try:
            self._open = await asyncio.to_thread(_Open, self._path, self._run_id, self._names)
        except BaseException as error:
            self._lease.give_back()
            if isinstance(error, sqlite3.OperationalError):
                raise StoreDown(f"the telemetry store does not answer: {error}") from error
            if isinstance(error, sqlite3.DatabaseError):
                raise Fatal(f"{self._path} is not a telemetry file: {error}") from error
            raise

    async def close(self) -> None:
        """Write what was appended, then let go of the file."""
        held, self._open = self._open, None
        if self._committing is not None:
            await asyncio.wait([self._committing])
        if held is not None:
            await asyncio.to_thread(held.close)
        self._lease.give_back()

    async def append(self, columns: VitalColumns) -> Rows | None:
        held = self._held()
        if not len(columns):
            return None
        if strangers := held.agents.strangers(columns.agent):
            look_up = partial(held.reader.codes_of, list(strangers))
            found = await _on(held.read_thread, look_up)
            if self._open is not held:
                raise StoreDown("the telemetry store was closed meanwhile")
            held.agents.introduce(strangers, found)
        # packed here and now: the columns and the names belong to the caller's thread
        block = to_block(columns, held.agents.map, held.facts.map())
        written: asyncio.Future[Rows | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((block, written))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit(held), name="telemetry commit")
        return await written

    async def _commit(self, held: _Open) -> None:
        """Write all that waits, again and again until nothing does."""
        try:
            while self._waiting:
                group, self._waiting = self._waiting, []
                await self._commit_group(held, group)
        finally:
            self._committing = None

    async def _commit_group(self, held: _Open, group: list[_Append]) -> None:
        agents, facts = held.agents.new(), held.facts.new()
        blocks = [block for block, _ in group]
        new: list[Rows | None] = [None] * len(group)
        fault: Exception | None = StoreDown("the telemetry store was stopped while writing")

        def work() -> list[Rows | None]:
            if far_past(held.write, self._retention):
                held.writer.note_steps()  # what goes may be among those not noted yet
                make_room(held.write, self._retention, 2 * held.writer.last_bytes)
            return held.writer.write(blocks, agents + facts)

        try:
            new = await _on(held.write_thread, work)
            held.agents.wrote(agents)
            held.facts.wrote(facts)
            fault = None
        except Exception as error:  # noqa: BLE001 - it is raised where each append waits
            fault = error
        finally:
            for (_, written), rows in zip(group, new, strict=True):
                if written.done():
                    continue  # its caller was cancelled
                if fault is None:
                    written.set_result(rows)
                else:
                    written.set_exception(fault)

    async def read(
        self,
        agent_id: str,
        *,
        kind: Kind | None = None,
        since: float = 0.0,
        until: float | None = None,
        limit: int | None = None,
    ) -> list[Vital]:
        held = self._held()
        last = math.inf if until is None else until
        work = partial(held.reader.read, agent_id, kind, since, last, limit)
        return await _on(held.read_thread, work)

    async def rollups(
        self,
        agent_id: str,
        *,
        kind: Kind | None = None,
        since: float = 0.0,
        until: float | None = None,
    ) -> list[Rollup]:
        held = self._held()
        last = math.inf if until is None else until
        work = partial(held.reader.rollups, agent_id, kind, since, last)
        return await _on(held.read_thread, work)

    async def lately(self, seconds: float) -> list[AgentRow]:
        held = self._held()
        return await _on(held.read_thread, partial(held.reader.lately, seconds))

    async def count(self) -> int:
        held = self._held()
        return await _on(held.read_thread, held.reader.count)

    async def sweep(self, now: float) -> bool:
        held = self._held()

        def work() -> bool:
            held.writer.note_steps()  # with nothing written in between that could be sorted, too
            return sweep_slice(held.write, self._retention, now)

        return await _on(held.write_thread, work)

    def _held(self) -> _Open:
        if self._open is None:
            raise StoreDown("the telemetry store is not open")
        return self._open


class _Open:
    """The two connections, their threads, and the names; made and closed off the event loop."""

    def __init__(self, path: Path, run_id: str, live: Names) -> None:
        with ExitStack() as undo:
            self.write = undo.enter_context(closing(connect(path)))
            run, names = open_run(self.write, run_id)
            self.read = undo.enter_context(closing(connect(path)))
            self.writer = TelemetryWriter(self.write, run)
            self.reader = TelemetryReader(self.read, run, names.facts)
            self.agents = _AgentCodes(live.agents, names.agents)
            self.facts = _FactCodes(live.facts, names.facts)
            self.write_thread = ThreadPoolExecutor(1, "telemetry-write")
            self.read_thread = ThreadPoolExecutor(1, "telemetry-read")
            undo.pop_all()

    def close(self) -> None:
        for thread, connection in ((self.read_thread, self.read), (self.write_thread, self.write)):
            thread.shutdown(wait=True)
            connection.close()


async def _on(thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    try:
        return await asyncio.get_running_loop().run_in_executor(thread, work)
    except sqlite3.DatabaseError as error:
        raise StoreDown(f"the telemetry store does not answer: {error}") from error
