"""A `WorkflowStore` in memory: dictionaries of the frozen records themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, TypeVar

from immune import keyed
from immune.healing.actions import Healing, Treatment, TreatmentState
from immune.incidents.effects import AnyEffect
from immune.incidents.events import AnyEvent
from immune.incidents.incident import Incident
from immune.incidents.register import Register
from immune.ports import AgentRow, BaselineRow, IncidentEvent, OrderKey, OutboxRow, Unit
from immune.quarantine import Fence
from immune.vitals import Kind

T = TypeVar("T")


def _number(incident_id: str) -> int:
    digits = incident_id.rpartition("-")[2]
    return int(digits) if digits.isdecimal() else 0


class MemoryWorkflow:
    """Keeps one run until the object is gone; a closed one can be opened again, as after a restart.

    As with the real one, what a unit refuses is raised at the end of its block.
    """

    def __init__(self, run_id: str = "run") -> None:
        self._run_id = run_id
        self._unit_lock = asyncio.Lock()
        self._unit_holder: asyncio.Task[Any] | None = None
        self._incidents: dict[str, Incident] = {}
        self._register = Register({}, {})
        self._events: list[IncidentEvent] = []
        self._fences: dict[str, Fence] = {}
        self._treatments: dict[str, Treatment] = {}
        self._healings: dict[str, Healing] = {}
        self._waiting: dict[str, OutboxRow] = {}
        self._effects_ever: set[str] = set()
        self._agents: dict[str, AgentRow] = {}
        self._baselines: dict[tuple[str, Kind], BaselineRow] = {}
        self._settings: dict[str, str] = {}
        self._order_keys: dict[str, OrderKey] = {}

    @property
    def run_id(self) -> str:
        return self._run_id

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[Unit]:
        task = asyncio.current_task()
        if task is not None and self._unit_holder is task:
            raise RuntimeError("a unit within a unit would wait for itself")
        async with self._unit_lock:
            self._unit_holder = task
            try:
                unit = _MemoryUnit(self)
                yield unit
                unit.commit()
            finally:
                self._unit_holder = None

    async def incident(self, incident_id: str) -> Incident | None:
        return self._incidents.get(incident_id)

    async def incidents(
        self,
        *,
        open_only: bool = False,
        states: Sequence[str] = (),
        subject: str | None = None,
        since: float = 0.0,
        limit: int | None = None,
    ) -> list[Incident]:
        if open_only:
            pool = [self._incidents[incident_id] for incident_id in self._register.open_cases]
        else:
            pool = list(self._incidents.values())
        found = [
            i
            for i in pool
            if (not states or i.state in states)
            and (subject is None or i.subject.name == subject)
            and i.updated_at >= since
        ]
        found.sort(key=lambda i: (i.opened_at, _number(i.id), i.id), reverse=True)
        return found[:limit]

    async def next_incident_number(self) -> int:
        return max(map(_number, self._incidents), default=0) + 1

    async def events(
        self, *, incident_id: str | None = None, after_seq: int = 0, limit: int | None = None
    ) -> list[IncidentEvent]:
        # seq is the place in the list, from 1
        found = (
            e
            for e in islice(self._events, after_seq, None)
            if incident_id is None or e.incident_id == incident_id
        )
        return list(islice(found, limit))

    async def fences(self, *, standing_only: bool = True) -> list[Fence]:
        found = [f for f in self._fences.values() if not standing_only or f.lifted_at is None]
        return sorted(found, key=lambda f: (f.ordered_at, f.id))

    async def treatments(self, *, open_only: bool = True) -> list[Treatment]:
        found = [
            t
            for t in self._treatments.values()
            if not open_only or t.state is not TreatmentState.LIFTED
        ]
        return sorted(found, key=lambda t: (t.since, t.id))

    async def healings(
        self,
        *,
        incident_id: str | None = None,
        agent_id: str | None = None,
        since: float = 0.0,
        limit: int | None = None,
    ) -> list[Healing]:
        found = [
            h
            for h in self._healings.values()
            if (incident_id is None or h.incident_id == incident_id)
            and (agent_id is None or h.agent_id == agent_id)
            and h.ordered_at >= since
        ]
        found.sort(key=lambda h: (h.ordered_at, h.key), reverse=True)
        return found[:limit]

    async def due_effects(self, now: float, limit: int = 100) -> list[OutboxRow]:
        due = [row for row in self._waiting.values() if row.due_at <= now]
        return sorted(due, key=lambda row: row.due_at)[:limit]

    async def effect_done(self, key: str, at: float) -> None:
        self._waiting.pop(key, None)

    async def effect_later(self, key: str, due_at: float) -> None:
        if (row := self._waiting.get(key)) is not None:
            self._waiting[key] = OutboxRow(row.effect, due_at, row.attempts + 1)

    async def agents(self) -> list[AgentRow]:
        return [self._agents[agent_id] for agent_id in sorted(self._agents)]

    async def put_agents(self, rows: Sequence[AgentRow]) -> None:
        self._agents.update((row.agent_id, row) for row in rows)
        self._take_along(bool(rows))

    async def drop_agents(self, agent_ids: Sequence[str]) -> None:
        for agent_id in agent_ids:
            self._agents.pop(agent_id, None)
            for kind in Kind:
                self._baselines.pop((agent_id, kind), None)

    async def baselines(self) -> list[BaselineRow]:
        return [self._baselines[key] for key in sorted(self._baselines)]

    async def put_baselines(self, rows: Sequence[BaselineRow]) -> None:
        self._baselines.update(((row.agent_id, row.kind), row) for row in rows)
        self._take_along(bool(rows))

    async def setting(self, key: str) -> str | None:
        return self._settings.get(key)

    async def put_setting(self, key: str, value: str) -> None:
        self._settings[key] = value
        self._take_along()

    async def order_key(self, key: str) -> OrderKey | None:
        return self._order_keys.get(key)

    async def put_order_key(self, row: OrderKey) -> None:
        self._order_keys[row.key] = row

    async def drop_order_keys(self, before: float, limit: int) -> int:
        old = sorted((k for k in self._order_keys.values() if k.at < before), key=lambda k: k.at)
        for row in old[:limit]:
            del self._order_keys[row.key]
        return len(old[:limit])

    async def order_key_beyond(self, number: int) -> float | None:
        newest = sorted((k.at for k in self._order_keys.values()), reverse=True)
        return newest[number] if number < len(newest) else None

    def _take_along(self, wrote: bool = True) -> None:
        """Where something was written, the key of the order that wrote it is, too."""
        if wrote and (row := keyed.waiting()) is not None:
            self._order_keys[row.key] = row
            keyed.written()


class _MemoryUnit:
    """Notes changes; `commit` makes all of them, or raises and makes none."""

    def __init__(self, store: MemoryWorkflow) -> None:
        self._store = store
        self._saved: list[tuple[Incident, int]] = []
        self._events: list[IncidentEvent] = []
        self._changes: list[Callable[[], object]] = []

    async def save_incident(self, incident: Incident, expected_version: int) -> None:
        self._saved.append((incident, expected_version))

    async def append_event(self, incident: Incident, event: AnyEvent, at: float) -> IncidentEvent:
        seq = len(self._store._events) + len(self._events) + 1
        row = IncidentEvent(seq, incident.id, incident.version, incident.state, event)
        self._events.append(row)
        return row

    async def put_fence(self, fence: Fence) -> None:
        self._put(self._store._fences, fence.id, fence)

    async def put_treatment(self, treatment: Treatment) -> None:
        self._put(self._store._treatments, treatment.id, treatment)

    async def put_healing(self, healing: Healing) -> None:
        self._put(self._store._healings, healing.key, healing)

    def _put(self, rows: dict[str, T], key: str, row: T) -> None:
        self._changes.append(lambda: rows.update({key: row}))

    async def add_effects(self, effects: Sequence[AnyEffect], due_at: float) -> None:
        store = self._store

        def add() -> None:
            for effect in effects:
                if effect.key not in store._effects_ever:
                    store._effects_ever.add(effect.key)
                    store._waiting[effect.key] = OutboxRow(effect, due_at)

        self._changes.append(add)

    def commit(self) -> None:
        store = self._store
        store._register.enter(self._saved)
        store._incidents.update((incident.id, incident) for incident, _ in self._saved)
        store._events.extend(self._events)
        for change in self._changes:
            change()
        store._take_along(bool(self._saved or self._events or self._changes))
