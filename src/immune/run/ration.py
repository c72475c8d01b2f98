"""Who must not write while the room on a full disk is kept for decisions: all that intake writes.

A vital or a span that is refused comes again; an order that is refused keeps a person waiting. So
once the workflow has begun to take from its reserve (see `stores.reserve`), telemetry and the
journal of spans answer that they are down, until the reserve is whole again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from immune.clock import Clock
from immune.columns import Rows, VitalColumns
from immune.errors import StoreDown
from immune.ports import AgentRow, Rollup, TelemetryStore
from immune.stores.reserve import Reserve
from immune.vitals import Kind, Vital
from immune.web.ports import Journal

LOOK_S = 1.0
"""Seconds between two looks whether there is room again."""


class Refill:
    """Makes the reserve whole when there is room; for a supervisor, which calls it for ever."""

    def __init__(self, reserve: Reserve, clock: Clock) -> None:
        self._reserve = reserve
        self._clock = clock
        self._said = ""

    async def __call__(self) -> None:
        """Return once it is whole. Raises StoreDown, in words for people, where it is short and
        that is news: when the first slice of it is gone, and with each further one."""
        while True:
            await self._clock.sleep(LOOK_S)
            reserve = self._reserve
            if not reserve.short or await asyncio.to_thread(reserve.fill):
                self._said = ""
                return
            if reserve.words != self._said:
                self._said = reserve.words
                raise StoreDown(self._said)


def ration(
    telemetry: TelemetryStore, journal: Journal, reserve: Reserve | None, folder: Path
) -> tuple[TelemetryStore, Journal]:
    """Both, kept in `folder`, so that they leave the reserve alone where it is on the same disk."""
    if reserve is None or not reserve.shares_disk(folder):
        return telemetry, journal
    return RationedTelemetry(telemetry, reserve), RationedJournal(journal, reserve)


def _refuse(reserve: Reserve) -> None:
    if reserve.short:
        raise StoreDown(reserve.words)


class RationedTelemetry:
    """A `TelemetryStore` that leaves the reserve alone."""

    def __init__(self, store: TelemetryStore, reserve: Reserve) -> None:
        self._store = store
        self._reserve = reserve

    async def open(self) -> None:
        await self._store.open()

    async def close(self) -> None:
        await self._store.close()

    async def append(self, columns: VitalColumns) -> Rows | None:
        _refuse(self._reserve)
        return await self._store.append(columns)

    async def read(
        self,
        agent_id: str,
        *,
        kind: Kind | None = None,
        since: float = 0.0,
        until: float | None = None,
        limit: int | None = None,
    ) -> list[Vital]:
        return await self._store.read(agent_id, kind=kind, since=since, until=until, limit=limit)

    async def rollups(
        self,
        agent_id: str,
        *,
        kind: Kind | None = None,
        since: float = 0.0,
        until: float | None = None,
    ) -> list[Rollup]:
        return await self._store.rollups(agent_id, kind=kind, since=since, until=until)

    async def lately(self, seconds: float) -> list[AgentRow]:
        return await self._store.lately(seconds)

    async def count(self) -> int:
        return await self._store.count()

    async def sweep(self, now: float) -> bool:
        # what it removes makes room, and may be all that ever does; yet it writes first
        return not self._reserve.low and await self._store.sweep(now)


class RationedJournal:
    """A journal of spans that leaves the reserve alone."""

    def __init__(self, journal: Journal, reserve: Reserve) -> None:
        self._journal = journal
        self._reserve = reserve

    @property
    def bloated(self) -> bool:
        return self._journal.bloated

    @property
    def full(self) -> bool:
        return self._journal.full

    def taken(self, spans: Sequence[Any]) -> bytes:
        return self._journal.taken(spans)

    def frame(self, entries: Sequence[Any]) -> bytes:
        return self._journal.frame(entries)

    def append(self, frames: Sequence[bytes]) -> None:
        _refuse(self._reserve)
        self._journal.append(frames)

    def rewrite(self, frames: Sequence[bytes]) -> None:
        _refuse(self._reserve)
        self._journal.rewrite(frames)
