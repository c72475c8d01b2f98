"""Every vital passes here: persisted, counted, put in order, handed on once.

`accept` is what intake awaits: when it returns, the vitals survive the death of the process.
`drain` is what the orchestrator takes: one batch in order of time, with the interval since the
agent's previous step filled in. Where an agent's clocks disagree, its steps are put in order by its
best one (`skew`); what is stored stays as it was told. The collector judges nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from immune.clock import Clock
from immune.columns import Float64, Int32, Names, VitalColumns, concat
from immune.errors import QueueFull
from immune.ports import AgentRow, TelemetryStore
from immune.settings import IntakeSettings
from immune.skew import Offset, SavedClocks, Skew
from immune.supervisor import Supervisor
from immune.vitals import Metric

LIMBO_S = 2.5
"""Seconds for which a retired agent's code is nobody's: all who look once a second see that."""


class _Limbo(NamedTuple):
    """Codes of retired agents."""

    number: int
    """The latest batch that may refer to them."""
    until: float
    codes: list[int]


class TelemetryCollector:
    """The way of every vital from intake to the detector."""

    def __init__(
        self,
        store: TelemetryStore,
        names: Names,
        clock: Clock,
        params: IntakeSettings,
        supervisor: Supervisor,
    ) -> None:
        self.names = names
        self._store = store
        self._clock = clock
        self._params = params
        self._supervisor = supervisor
        self._queue: deque[tuple[int, VitalColumns]] = deque()
        self._queued = 0
        self._pending = 0
        self.arrived = asyncio.Event()
        self._skew = Skew(params.order_s)
        self._last_at: Float64 = np.full((256, 2), -np.inf)
        self._seen: Float64 = np.zeros((256, 2))
        self._facts: Int32 = np.zeros((256, 3), np.int32)
        self.unsaved: set[str] = set()
        """Agents met since the start that nobody noted in the store yet."""
        self._begun = 0
        self._under_way: set[int] = set()
        """Batches that somebody may still look into, by number: their codes mean what they did."""
        self._handed: list[int] = []
        self._limbo: deque[_Limbo] = deque()
        self.retired: Counter[str] = Counter()
        """Agents of which nothing is known any more, by why."""
        self.accepted = 0
        """Vitals taken in since the start, those sent again among them."""
        self.late = 0
        """Vitals stored but not scored, because they came too late."""

    async def accept(self, columns: VitalColumns) -> None:
        """Make `columns` durable and queue those of them that the store did not have yet.

        Raises QueueFull, before anything was written, where detection lags too far behind, and
        StoreDown where the store does not take them.
        """
        waiting = self._queued + self._pending
        if waiting and waiting + len(columns) > self._params.queue_rows:
            raise QueueFull(f"{waiting} vitals wait to be scored", retry_after_s=1.0)
        self._pending += len(columns)
        self._begun += 1
        number = self._begun
        self._under_way.add(number)
        try:
            with self._supervisor.watching("telemetry store"):
                new = await self._store.append(columns)
        except BaseException:
            self._under_way.discard(number)
            raise
        finally:
            self._pending -= len(columns)
        self.accepted += len(columns)
        if new is not None:
            columns = columns.take(new)
        if not len(columns):
            self._under_way.discard(number)
            return
        self._welcome_back(columns)
        self._meet(columns)
        self._queue.append((number, columns))
        self._queued += len(columns)
        self.arrived.set()

    @property
    def queued(self) -> int:
        """Vitals accepted and not yet handed on."""
        return self._queued

    def drain(self) -> VitalColumns | None:
        """Return the next batch in order of `at`, or None where nothing waits."""
        self._under_way.difference_update(self._handed)  # who asks for more is done with those
        self._handed.clear()
        self._let_reuse()
        taken: list[VitalColumns] = []
        rows = 0
        batch_rows = self._params.batch_rows
        while self._queue and (not taken or rows + len(self._queue[0][1]) <= batch_rows):
            number, columns = self._queue.popleft()
            self._handed.append(number)
            taken.append(columns)
            rows += len(columns)
        self._queued -= rows
        if not self._queue:
            self.arrived.clear()
        if not taken:
            return None
        batch = concat(taken)
        self._welcome_back(batch)
        return self.in_order(batch)

    def in_order(self, columns: VitalColumns) -> VitalColumns | None:
        """Sort by time, drop what is too late to score, fill in the intervals."""
        self._grow(len(self.names.agents))
        moved_s = self._skew.offsets(columns, self._last_at)
        at = _ended_at(columns, moved_s)
        late = self._last_at[columns.agent, columns.kind] - at > self._params.order_s
        order = np.argsort(at, kind="stable")
        if late.any():
            self.late += int(late.sum())
            order = order[~late[order]]
        if len(order) == 0:
            return None
        batch = columns.take(order)
        batch.at = at[order]
        batch.moved_s = None if moved_s is None else moved_s[order]
        self._note(batch)
        return batch

    def _note(self, batch: VitalColumns) -> None:
        stream = batch.agent.astype(np.int64) * 2 + batch.kind
        by_stream = np.argsort(stream, kind="stable")
        ordered, at = stream[by_stream], batch.at[by_stream]
        first = np.ones(len(ordered), np.bool_)
        first[1:] = ordered[1:] != ordered[:-1]
        previous = np.empty(len(at))
        previous[1:] = at[:-1]
        previous[first] = self._last_at[batch.agent[by_stream[first]], batch.kind[by_stream[first]]]
        gap = at - previous
        gap[~(np.isfinite(gap) & (gap > 0))] = np.nan
        batch.values[by_stream, Metric.INTERVAL_S] = gap
        # a later row of the same agent wins: rows are in order of time
        np.maximum.at(self._last_at, (batch.agent, batch.kind), batch.at)
        self._see(batch)

    def _meet(self, columns: VitalColumns) -> None:
        """Whoever reports for the first time is known before its vitals are scored."""
        self._grow(len(self.names.agents))
        new = np.flatnonzero(self._seen[columns.agent, 0] == 0)
        if not len(new):
            return
        at = _ended_at(columns)[new]
        order = np.argsort(at, kind="stable")
        first = columns.take(new[order])
        first.at = at[order]
        self._see(first)
        self.unsaved.update(map(self.names.agents.text, np.unique(first.agent).tolist()))

    def _see(self, batch: VitalColumns) -> None:
        """Note who was there, and what it told of itself; the batch is in order of time."""
        # of several the last one written holds: backwards, that is the earliest
        fresh = np.flatnonzero(self._seen[batch.agent, 0] == 0)[::-1]
        self._seen[batch.agent[fresh], 0] = batch.at[fresh]
        np.maximum.at(self._seen[:, 1], batch.agent, batch.at)
        for place, column in enumerate((batch.agent_type, batch.model, batch.provider)):
            known = column != 0
            self._facts[batch.agent[known], place] = column[known]

    def _grow(self, agents: int) -> None:
        size = len(self._last_at)
        if agents <= size:
            return
        extra = max(agents, size + size // 8) - size
        self._last_at = np.concatenate([self._last_at, np.full((extra, 2), -np.inf)])
        self._seen = np.concatenate([self._seen, np.zeros((extra, 2))])
        self._facts = np.concatenate([self._facts, np.zeros((extra, 3), np.int32)])

    # --- who is gone -------------------------------------------------------------------------

    @property
    def tracked(self) -> int:
        """Agents of which something is known."""
        return int(np.count_nonzero(self._seen[:, 1]))

    def longest_unseen(self) -> Int32:
        """Codes of all agents that are known, the one unseen for longest first."""
        known = self.known()
        return known[np.argsort(self._seen[known, 1], kind="stable")]

    def unseen_since(self, at: float) -> Int32:
        """Codes of the agents not seen since `at`, epoch seconds."""
        last = self._seen[:, 1]
        return np.flatnonzero((last > 0) & (last < at)).astype(np.int32)

    def retire(self, codes: Sequence[int], why: str) -> None:
        """Forget these agents; their codes go to others when nobody refers to them any more."""
        self._grow(len(self.names.agents))
        for code in codes:
            self.unsaved.discard(self.names.agents.text(code))
            self.names.agents.free(code)
        places = np.array(codes, np.intp)
        self._last_at[places] = -np.inf
        self._seen[places] = 0
        self._facts[places] = 0
        self._skew.retire(places)
        self._limbo.append(_Limbo(self._begun, self._clock.monotonic() + LIMBO_S, list(codes)))
        self.retired[why] += len(codes)

    def _let_reuse(self) -> None:
        now = self._clock.monotonic()
        oldest = min(self._under_way, default=self._begun + 1)
        while self._limbo and self._limbo[0].until <= now and self._limbo[0].number < oldest:
            self.names.agents.reuse(self._limbo.popleft().codes)

    def _welcome_back(self, batch: VitalColumns) -> None:
        """Whoever was retired while vitals of its were on their way is there again."""
        agents = self.names.agents
        for limbo in self._limbo:
            for code in np.intersect1d(limbo.codes, batch.agent).tolist():
                fresh = np.int32(agents.code(agents.text(code)))
                batch.agent = np.where(batch.agent == code, fresh, batch.agent)

    # --- who is there ------------------------------------------------------------------------

    def known(self) -> Int32:
        """Codes of all agents that ever reported, (n,)."""
        return np.flatnonzero(self._seen[:, 1]).astype(np.int32)

    def active(self) -> Int32:
        """Codes of the agents that reported lately, (n,)."""
        cutoff = self._clock.time() - self._params.active_s
        return np.flatnonzero(self._seen[:, 1] >= cutoff).astype(np.int32)

    def last_seen(self) -> Float64:
        """When each agent's last step was, epoch seconds by code; 0 for a code without any."""
        return self._seen[:, 1]

    def clocks(self) -> list[Offset]:
        """The clocks that agents report by and that are off, the one furthest off first."""
        return self._skew.off(self._clock.time())

    def save_clocks(self) -> dict[str, SavedClocks]:
        """What is known of clocks that are off, by agent."""
        return {self.names.agents.text(code): saved for code, saved in self._skew.save().items()}

    def load_clocks(self, clocks: Mapping[str, SavedClocks]) -> None:
        """Take up what `save_clocks` told of those agents that are known; once, after `load`."""
        now = self._clock.time()
        for agent_id, saved in clocks.items():
            code = self.names.agents.find(agent_id)
            if code is not None:
                self._skew.load(code, saved, now)

    def row(self, code: int) -> AgentRow:
        """What is known of one agent, without its own mode."""
        facts = self.names.facts
        return AgentRow(
            agent_id=self.names.agents.text(code),
            agent_type=facts.text(int(self._facts[code, 0])),
            model=facts.text(int(self._facts[code, 1])),
            provider=facts.text(int(self._facts[code, 2])),
            first_seen_at=float(self._seen[code, 0]),
            last_seen_at=float(self._seen[code, 1]),
        )

    def load(self, rows: list[AgentRow]) -> None:
        """Take in what was known before a restart."""
        for row in rows:
            code = self.names.agents.code(row.agent_id)
            self._grow(code + 1)
            self._seen[code] = (row.first_seen_at, row.last_seen_at)
            self._facts[code] = [
                self.names.facts.code(text) for text in (row.agent_type, row.model, row.provider)
            ]


def _ended_at(columns: VitalColumns, moved_s: Float64 | None = None) -> Float64:
    """When the steps ended: none after it arrived, or one clock ahead would make all that follows
    late."""
    at = columns.at if moved_s is None else columns.at + moved_s
    arrived = columns.received_at > 0
    return np.where(arrived, np.minimum(at, columns.received_at), at)
