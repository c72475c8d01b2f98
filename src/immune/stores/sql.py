"""The workflow in SQL: incidents, their events, fences, treatments, healings and the outbox.

`SqlStore` keeps rows and judges nothing. It is opened for one run and sees no other. Timelines are
numbered here and not in the database, which one instance per store (see `lease`) and commits in the
order of numbers (see `commits`) make safe: whoever has read up to some `seq` never misses an
earlier one that commits later.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from immune import keyed
from immune.clock import Clock, SystemClock
from immune.errors import Fatal, StoreDown
from immune.healing.actions import Healing, Treatment, TreatmentState
from immune.incidents.effects import AnyEffect
from immune.incidents.events import AnyEvent
from immune.incidents.incident import Incident
from immune.ports import AgentRow, BaselineRow, IncidentEvent, OrderKey, OutboxRow, Unit
from immune.quarantine import Fence
from immune.stores import dialect, migrate
from immune.stores import schema as s
from immune.stores.commits import Commits
from immune.stores.database import Database, FileDatabase, MemoryDatabase, Outlasting
from immune.stores.database_server import ServerDatabase
from immune.stores.reserve import Reserve
from immune.stores.runs import RunChoice, begin_run
from immune.stores.unit import SqlUnit
from immune.vitals import Kind

_incident = msgspec.json.Decoder(Incident)
_event = msgspec.json.Decoder(AnyEvent)
_effect = msgspec.json.Decoder(AnyEffect)
_fence = msgspec.json.Decoder(Fence)
_treatment = msgspec.json.Decoder(Treatment)
_healing = msgspec.json.Decoder(Healing)
_agent = msgspec.json.Decoder(AgentRow)

_NUL = "\0"
"""PostgreSQL holds no text with it in, and refuses to look for one."""
_DONE_TREATMENTS = (str(TreatmentState.LIFTED),)

DROPPED_AT_ONCE = 500
"""Agents named in one DELETE: databases bound the number of parameters."""


class SqlStore:
    """A `WorkflowStore` on SQLite (a file, or memory for virtual time) or PostgreSQL.

    `url` is SQLAlchemy's: ``sqlite:///immune.db``, ``postgresql://user@host/immune``. `run_id` says
    which run it is opened for: a new one, the last one (a new one where there is none), or one by
    its id (made where it doesn't exist). `clock` names a new run. `busy_timeout_ms` is how long
    SQLite waits for somebody else in the file, such as a backup; `answer_s` how long a server may
    take to answer. `reserve` is what a file takes from on a full disk. `copies` is the folder that
    a server's store is copied to before its schema changes; without one, such a change is refused.
    """

    def __init__(
        self,
        url: str | sa.URL,
        run_id: RunChoice | str = RunChoice.LAST,
        *,
        clock: Clock | None = None,
        busy_timeout_ms: int = 5000,
        answer_s: float = 5.0,
        reserve: Reserve | None = None,
        copies: Path | None = None,
    ) -> None:
        self._url = dialect.url_of(url) if isinstance(url, str) else url
        self._clock = clock or SystemClock()
        self._choice = run_id
        self._busy_timeout_ms = busy_timeout_ms
        self._answer_s = answer_s
        self._reserve = reserve
        self._copies = copies
        self._run_id = ""
        self._database: Database | None = None
        self._commits: Commits | None = None
        self._numbers: Iterator[int] = itertools.count(1)
        self._unit_lock = asyncio.Lock()
        self._unit_holder: asyncio.Task[Any] | None = None

    @property
    def run_id(self) -> str:
        return self._run_id

    async def open(self) -> None:
        if self._database is not None:
            return
        now = self._clock.time()
        database = database_of(self._url, self._busy_timeout_ms, self._answer_s, self._reserve)
        try:
            await database.open(now)
            await migrate.bring_up(database, self._copies)
            self._run_id = await database.write(lambda c: begin_run(c, self._choice, now))
            self._numbers = itertools.count(await database.read(self._last_number) + 1)
        except BaseException as error:
            await database.close()
            if type(error.__cause__) is sa.exc.DatabaseError:  # no subclass: the file itself
                raise Fatal(f"{database.path} is not a workflow store: {error}") from error
            raise
        self._database = database
        self._commits = Commits(database, self._run_id, self._clock)

    async def close(self) -> None:
        database, commits = self._database, self._commits
        self._database = self._commits = None
        if commits is not None:
            await commits.close()
        if database is not None:
            await database.close()

    def _last_number(self, connection: sa.Connection) -> int:
        e, o = s.incident_events, s.outbox
        seq = sa.select(sa.func.max(e.c.seq)).where(e.c.run_id == self._run_id)
        number = sa.select(sa.func.max(o.c.number)).where(o.c.run_id == self._run_id)
        return max(connection.scalar(seq) or 0, connection.scalar(number) or 0)

    def _db(self) -> Database:
        if self._database is None:
            raise StoreDown("the workflow store is not open")
        return self._database

    def _to_commit(self) -> Commits:
        if self._commits is None:
            raise StoreDown("the workflow store is not open")
        return self._commits

    # --- writing -----------------------------------------------------------------------------

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[Unit]:
        """Begin a unit; another one begins when its block has ended. Not to be nested.

        What the unit refuses (StaleVersion, IllegalEvent) is raised on leaving the block.
        """
        commits = self._to_commit()
        task = asyncio.current_task()
        if task is not None and self._unit_holder is task:
            raise RuntimeError("a unit within a unit would wait for itself")
        async with self._unit_lock:
            self._unit_holder = task
            try:
                unit = commits.unit(self._numbers.__next__)
                yield unit
            finally:
                self._unit_holder = None
        # nothing is awaited in between: it is in line before the next unit can take a number
        await _write(commits, unit)

    @asynccontextmanager
    async def _own(self) -> AsyncIterator[SqlUnit]:
        """A unit of what is no incident's, and numbers nothing."""
        commits = self._to_commit()
        unit = commits.unit(self._numbers.__next__)
        yield unit
        await _write(commits, unit)

    # --- reading -----------------------------------------------------------------------------

    async def _all(self, query: sa.Select[Any]) -> Sequence[Any]:
        return await self._db().read(lambda c: c.execute(query).all())

    async def incident(self, incident_id: str) -> Incident | None:
        if _NUL in incident_id:
            return None
        i = s.incidents
        rows = await self._all(
            sa.select(i.c.body).where(i.c.run_id == self._run_id, i.c.id == incident_id)
        )
        return _incident.decode(rows[0].body) if rows else None

    async def incidents(
        self,
        *,
        open_only: bool = False,
        states: Sequence[str] = (),
        subject: str | None = None,
        since: float = 0.0,
        limit: int | None = None,
    ) -> list[Incident]:
        if subject is not None and _NUL in subject:
            return []
        i = s.incidents
        query = sa.select(i.c.body).where(i.c.run_id == self._run_id)
        if open_only:
            query = query.where(i.c.is_open.is_(sa.true()))
        if states:
            query = query.where(i.c.state.in_([str(state) for state in states]))
        if subject is not None:
            query = query.where(i.c.subject_name == subject)
        if since:
            query = query.where(i.c.updated_at >= since)
        query = query.order_by(i.c.opened_at.desc(), i.c.number.desc(), i.c.id.desc())
        return [_incident.decode(row.body) for row in await self._all(query.limit(limit))]

    async def next_incident_number(self) -> int:
        i = s.incidents
        query = sa.select(sa.func.max(i.c.number)).where(i.c.run_id == self._run_id)
        return (await self._db().read(lambda c: c.scalar(query)) or 0) + 1

    async def events(
        self, *, incident_id: str | None = None, after_seq: int = 0, limit: int | None = None
    ) -> list[IncidentEvent]:
        e = s.incident_events
        query = sa.select(e.c.seq, e.c.incident_id, e.c.version, e.c.state, e.c.body).where(
            e.c.run_id == self._run_id, e.c.seq > after_seq
        )
        if incident_id is not None:
            query = query.where(e.c.incident_id == incident_id)
        return [
            IncidentEvent(row.seq, row.incident_id, row.version, row.state, _event.decode(row.body))
            for row in await self._all(query.order_by(e.c.seq).limit(limit))
        ]

    async def fences(self, *, standing_only: bool = True) -> list[Fence]:
        f = s.fences
        query = sa.select(f.c.body).where(f.c.run_id == self._run_id)
        if standing_only:
            query = query.where(f.c.lifted_at.is_(None))
        rows = await self._all(query.order_by(f.c.ordered_at, f.c.id))
        return [_fence.decode(row.body) for row in rows]

    async def treatments(self, *, open_only: bool = True) -> list[Treatment]:
        t = s.treatments
        query = sa.select(t.c.body).where(t.c.run_id == self._run_id)
        if open_only:
            query = query.where(t.c.state.not_in(_DONE_TREATMENTS))
        rows = await self._all(query.order_by(t.c.since, t.c.id))
        return [_treatment.decode(row.body) for row in rows]

    async def healings(
        self,
        *,
        incident_id: str | None = None,
        agent_id: str | None = None,
        since: float = 0.0,
        limit: int | None = None,
    ) -> list[Healing]:
        h = s.healings
        query = sa.select(h.c.body).where(h.c.run_id == self._run_id)
        if incident_id is not None:
            query = query.where(h.c.incident_id == incident_id)
        if agent_id is not None:
            query = query.where(h.c.agent_id == agent_id)
        if since:
            query = query.where(h.c.ordered_at >= since)
        rows = await self._all(query.order_by(h.c.ordered_at.desc(), h.c.key.desc()).limit(limit))
        return [_healing.decode(row.body) for row in rows]

    # --- the outbox --------------------------------------------------------------------------

    async def due_effects(self, now: float, limit: int = 100) -> list[OutboxRow]:
        o = s.outbox
        rows = await self._all(
            sa.select(o.c.body, o.c.due_at, o.c.attempts)
            .where(o.c.run_id == self._run_id, o.c.done_at.is_(None), o.c.due_at <= now)
            .order_by(o.c.due_at, o.c.number)
            .limit(limit)
        )
        return [OutboxRow(_effect.decode(row.body), row.due_at, row.attempts) for row in rows]

    async def effect_done(self, key: str, at: float) -> None:
        async with self._own() as unit:
            unit.effect_done(key, at)

    async def effect_later(self, key: str, due_at: float) -> None:
        async with self._own() as unit:
            unit.effect_later(key, due_at)

    # --- agents, baselines, settings ---------------------------------------------------------

    async def agents(self) -> list[AgentRow]:
        a = s.agents
        query = sa.select(a.c.body).where(a.c.run_id == self._run_id).order_by(a.c.agent_id)
        return [_agent.decode(row.body) for row in await self._all(query)]

    async def put_agents(self, rows: Sequence[AgentRow]) -> None:
        async with self._own() as unit:
            for row in rows:
                unit.put_agent(row)

    async def drop_agents(self, agent_ids: Sequence[str]) -> None:
        def drop(connection: sa.Connection) -> None:
            for start in range(0, len(agent_ids), DROPPED_AT_ONCE):
                part = agent_ids[start : start + DROPPED_AT_ONCE]
                for t in (s.agents, s.baselines):
                    mine = (t.c.run_id == self._run_id) & t.c.agent_id.in_(part)
                    connection.execute(sa.delete(t).where(mine))

        await self._db().write(drop)

    async def baselines(self) -> list[BaselineRow]:
        b = s.baselines
        rows = await self._all(
            sa.select(b).where(b.c.run_id == self._run_id).order_by(b.c.agent_id, b.c.kind)
        )
        return [BaselineRow(r.agent_id, Kind(r.kind), r.saved_at, r.blob) for r in rows]

    async def put_baselines(self, rows: Sequence[BaselineRow]) -> None:
        async with self._own() as unit:
            for row in rows:
                unit.put_baseline(row)

    async def setting(self, key: str) -> str | None:
        t = s.settings
        query = sa.select(t.c.value).where(t.c.run_id == self._run_id, t.c.key == key)
        return await self._db().read(lambda c: c.scalar(query))

    async def put_setting(self, key: str, value: str) -> None:
        async with self._own() as unit:
            unit.put_setting(key, value)

    # --- keys of orders ----------------------------------------------------------------------

    async def order_key(self, key: str) -> OrderKey | None:
        k = s.order_keys
        rows = await self._all(sa.select(k).where(k.c.run_id == self._run_id, k.c.key == key))
        return OrderKey(rows[0].key, rows[0].order, rows[0].at, rows[0].answer) if rows else None

    async def put_order_key(self, row: OrderKey) -> None:
        async with self._own() as unit:
            unit.put_order_key(row)

    async def drop_order_keys(self, before: float, limit: int) -> int:
        k = s.order_keys
        old = (k.c.run_id == self._run_id) & (k.c.at < before)
        oldest = sa.select(k.c.key).where(old).order_by(k.c.at).limit(limit)
        # `old` twice: on a server a key may be used anew between the two
        statement = sa.delete(k).where(old, k.c.key.in_(oldest))
        return await self._db().write(lambda c: c.execute(statement).rowcount)

    async def order_key_beyond(self, number: int) -> float | None:
        k = s.order_keys
        newest = sa.select(k.c.at).where(k.c.run_id == self._run_id).order_by(k.c.at.desc())
        rows = await self._all(newest.offset(number).limit(1))
        return rows[0].at if rows else None


async def _write(commits: Commits, unit: SqlUnit) -> None:
    """Write a unit, and with it the key of the order that it is part of."""
    key = keyed.waiting()
    if key is not None and not unit.empty:
        unit.put_order_key(key)
    await commits.write(unit)
    if key is not None and not unit.empty:
        keyed.written()


def database_of(
    url: sa.URL,
    busy_timeout_ms: int = 5000,
    answer_s: float = 5.0,
    reserve: Reserve | None = None,
) -> Outlasting | MemoryDatabase:
    """The database behind a URL, not open yet."""
    if not dialect.is_sqlite(url):
        return ServerDatabase(url, answer_s)
    path = dialect.file_of(url)
    return MemoryDatabase() if path is None else FileDatabase(path, busy_timeout_ms, reserve)
