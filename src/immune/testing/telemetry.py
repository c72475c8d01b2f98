"""A `TelemetryStore` in memory: the batches as they came, cut only when somebody reads."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from immune.columns import KIND_CODE, Int32, Names, Rows, VitalColumns, concat, to_vitals
from immune.ports import AgentRow, Rollup
from immune.stores.telemetry_lately import agents_in
from immune.stores.telemetry_rollups import merge, roll
from immune.vitals import Kind, Vital

StepKey = tuple[int, str]
"""Agent's code, step id."""


class _Batch(NamedTuple):
    columns: VitalColumns
    first_at: float
    last_at: float
    latest_at: float
    """The greatest time in this batch and in all before it."""
    step_ids: list[StepKey]


class MemoryTelemetry:
    """Keeps the last `keep_batches` batches by reference; the caller must not change them after.

    An append costs the same however many vitals there are, but for step ids where it has any.
    Rollups are those of the batches still kept.
    """

    def __init__(self, names: Names, keep_batches: int = 20_000, raw_s: float = 86_400.0) -> None:
        self._names = names
        self._keep = keep_batches
        self._raw_s = raw_s
        self._batches: deque[_Batch] = deque()
        self._step_ids: set[StepKey] = set()
        self._own = Names(facts=names.facts)
        """Codes of agents that are nobody else's: the system gives one of its own to another agent
        when the first is gone."""
        self._map: Int32 = np.zeros(0, np.int32)
        self._latest_at = -math.inf
        self._written = 0

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""

    async def append(self, columns: VitalColumns) -> Rows | None:
        columns = replace(columns, agent=self._own_codes()[columns.agent])
        step_ids: list[StepKey] = []
        new = None
        if columns.step_id is not None:
            new = self._new_steps(columns, columns.step_id, step_ids)
            if new is not None:
                columns = columns.take(new)
        if not len(columns):
            return new
        first_at, last_at = float(columns.at.min()), float(columns.at.max())
        self._latest_at = max(self._latest_at, last_at)
        self._batches.append(_Batch(columns, first_at, last_at, self._latest_at, step_ids))
        self._written += len(columns)
        if len(self._batches) > self._keep:
            self._forget()
        return new

    def _new_steps(
        self, columns: VitalColumns, ids: list[str | None], noted: list[StepKey]
    ) -> Rows | None:
        rows = []
        for row, (agent, step_id) in enumerate(zip(columns.agent.tolist(), ids, strict=True)):
            if step_id:
                key = (agent, step_id)
                if key in self._step_ids:
                    continue
                self._step_ids.add(key)
                noted.append(key)
            rows.append(row)
        return None if len(rows) == len(columns) else np.array(rows, np.intp)

    def _forget(self) -> None:
        self._step_ids.difference_update(self._batches.popleft().step_ids)

    def _code(self, agent_id: str) -> int | None:
        """The agent's code; asking for it must not make one."""
        return self._own.agents.find(agent_id)

    def _own_codes(self) -> Int32:
        """Our code for each of the system's."""
        live, own = self._names.agents, self._own.agents
        known = len(self._map)
        for code in live.take_reused():
            if code < known:
                self._map[code] = own.code(live.text(code))
        fresh = [own.code(live.text(code)) for code in range(known, len(live))]
        if fresh:
            self._map = np.append(self._map, np.array(fresh, np.int32))
        return self._map

    def _rows(
        self, batch: _Batch, code: int, kind: Kind | None, since: float, until: float
    ) -> Rows:
        columns = batch.columns
        rows = np.flatnonzero(columns.agent == code)
        if kind is not None:
            rows = rows[columns.kind[rows] == KIND_CODE[kind]]
        if batch.first_at < since or batch.last_at > until:
            at = columns.at[rows]
            rows = rows[(at >= since) & (at <= until)]
        return rows

    async def read(
        self,
        agent_id: str,
        *,
        kind: Kind | None = None,
        since: float = 0.0,
        until: float | None = None,
        limit: int | None = None,
    ) -> list[Vital]:
        code = self._code(agent_id)
        if code is None:
            return []
        last = math.inf if until is None else until
        found: list[tuple[float, int, int]] = []
        held: dict[int, VitalColumns] = {}
        for age, batch in enumerate(reversed(self._batches)):
            if batch.latest_at < since:
                break
            if limit is not None and sum(at >= batch.latest_at for at, _, _ in found) >= limit:
                break
            if batch.last_at >= since and batch.first_at <= last:
                rows = self._rows(batch, code, kind, since, last)
                if len(rows):
                    held[age] = batch.columns
                    times = batch.columns.at[rows].tolist()
                    found += [(t, -age, row) for t, row in zip(times, rows.tolist(), strict=True)]
        found.sort()
        if limit is not None:
            found = found[max(0, len(found) - limit) :]
        wanted: dict[int, list[int]] = {}
        for _, place, row in found:
            wanted.setdefault(-place, []).append(row)
        vitals = {
            (-age, row): vital
            for age, some in wanted.items()
            for row, vital in zip(some, self._vitals(held[age], some), strict=True)
        }
        return [vitals[place, row] for _, place, row in found]

    def _vitals(self, columns: VitalColumns, rows: list[int]) -> list[Vital]:
        return to_vitals(columns.take(np.array(rows, np.intp)), self._own)

    async def rollups(
        self,
        agent_id: str,
        *,
        kind: Kind | None = None,
        since: float = 0.0,
        until: float | None = None,
    ) -> list[Rollup]:
        code = self._code(agent_id)
        if code is None:
            return []
        parts = []
        for batch in self._batches:
            rows = self._rows(batch, code, kind, -math.inf, math.inf)
            if len(rows):
                c = batch.columns
                parts.append(roll(c.agent[rows], c.kind[rows], c.at[rows], c.values[rows]))
        last = math.inf if until is None else until
        return [rollup for rollup in merge(agent_id, parts) if since <= rollup.minute <= last]

    async def lately(self, seconds: float) -> list[AgentRow]:
        batches = [batch.columns for batch in self._batches]
        newest = max((float(c.received_at.max()) for c in batches), default=0.0)
        found = [c for c in batches if c.received_at.max() >= newest - seconds]
        if not found:
            return []
        lately = concat(found)
        return agents_in(
            lately.agent,
            lately.at,
            lately.received_at,
            np.column_stack([lately.agent_type, lately.model, lately.provider]),
            self._own.agents.text,
            self._own.facts.text,
        )

    async def count(self) -> int:
        return self._written

    async def sweep(self, now: float) -> bool:
        while self._batches and self._batches[0].last_at < now - self._raw_s:
            self._forget()
        return False
