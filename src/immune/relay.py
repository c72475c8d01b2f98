"""Carries out what the outbox holds: after the commit, at least once, each agent's in order.

Agents do not wait for one another: each has a lane, a bounded number of lanes run at once, and
notices have one of their own. A wish that meets a transient fault is tried again later, longer
each time. So is one that meets an unexpected fault, which is logged with its name, counted and
shown as degraded; in the end it is given up, but for a fence. What a wish comes to is in `errands`.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import defaultdict
from collections.abc import Sequence

import structlog

from immune.casework import Casework
from immune.clock import Clock
from immune.errands import Errands
from immune.errors import Transient
from immune.incidents import effects as fx
from immune.notices import Notices
from immune.ports import OutboxRow, WorkflowStore
from immune.settings import OutboxSettings
from immune.supervisor import Supervisor

log = structlog.get_logger(__name__)

LANES = 64
"""Agents that are called at the same time: one that takes its time holds up a lane, not a fleet.
What comes of so many calls is written together, so a wave of a thousand fences waits for few
commits."""

REFILL = 16
"""Lanes that wait for a free place when more is read: a wave would be read anew with each wish."""

PAGE = 500
"""Wishes read at once."""

GIVE_UP_AFTER = 10
"""Tries of a wish that meets unexpected faults: about a quarter of an hour at the default pace."""

STORE_PAUSE_S = 1.0
"""Seconds until the next try where the store could not note what came of the last one."""

NOTICES = "notices"


class OutboxRelay:
    """Works off the outbox."""

    def __init__(
        self,
        *,
        workflow: WorkflowStore,
        casework: Casework,
        errands: Errands,
        notices: Notices,
        supervisor: Supervisor,
        clock: Clock,
        params: OutboxSettings,
    ) -> None:
        self._workflow = workflow
        self._casework = casework
        self._errands = errands
        self._notices = notices
        self._supervisor = supervisor
        self._clock = clock
        self._params = params
        self._retries: list[float] = []
        """When deferred wishes are due: a heap."""
        self._lanes: dict[str, asyncio.Task[None]] = {}
        """By agent, and one for notices."""
        self._backlog: dict[str, list[OutboxRow]] = {}
        """What was read and waits for a free lane, by lane."""
        self._broken: defaultdict[str, set[str]] = defaultdict(set)
        """What fails unexpectedly -> keys of the wishes that met it and are not met yet."""
        self._met = 0
        self._stopped = False

    def due(self) -> bool:
        """Whether a round would find work."""
        retry = bool(self._retries) and self._clock.time() >= self._retries[0]
        return self._casework.outbox_grew.is_set() or retry

    async def load(self) -> None:
        """Note when the wishes that an earlier process deferred are due."""
        for row in await self._workflow.due_effects(float("inf"), limit=100_000):
            heapq.heappush(self._retries, row.due_at)

    async def wait(self) -> None:
        """Return when there may be work."""
        if not self._retries:
            await self._casework.outbox_grew.wait()
            return
        try:
            async with asyncio.timeout(max(self._retries[0] - self._clock.time(), 0.0)):
                await self._casework.outbox_grew.wait()
        except TimeoutError:
            return

    async def dispatch(self) -> None:
        """Begin everything due, as far as lanes are free, and wait for none of it."""
        self._casework.outbox_grew.clear()
        now = self._clock.time()
        while self._retries and self._retries[0] <= now:
            heapq.heappop(self._retries)
        if len(self._backlog) < REFILL:
            self._backlog |= await self._waiting(now)
        self._fill()

    def _fill(self) -> None:
        for lane in list(self._backlog):
            if lane == NOTICES or len(self._lanes) < LANES:
                rows = self._backlog.pop(lane)
                self._lanes[lane] = asyncio.create_task(self._run(lane, rows), name=f"to {lane}")

    async def round(self) -> int:
        """Carry out everything due, to its end; return how many wishes were met."""
        began = self._met
        while True:
            before = self._met
            await self.dispatch()
            while self._lanes:
                await asyncio.wait(list(self._lanes.values()))
            if self._met == before:
                return self._met - began

    async def stop(self) -> None:
        """End the lanes; what they did not finish is in the outbox still."""
        self._stopped = True
        lanes = list(self._lanes.values())
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)

    async def _waiting(self, now: float) -> dict[str, list[OutboxRow]]:
        """What is due, neither under way nor in the backlog, by lane, the oldest first."""
        limit = PAGE
        # of a lane that ends while we read, a wish just met may still come as due
        busy = self._lanes.keys() | self._backlog.keys()
        while True:
            rows = await self._workflow.due_effects(now, limit)
            found: dict[str, list[OutboxRow]] = {}
            for row in rows:
                lane = NOTICES if isinstance(row.effect, fx.Notify) else row.effect.agent_id
                if lane not in busy:
                    found.setdefault(lane, []).append(row)
            if found or len(rows) < limit:
                return found
            limit *= 4  # a page full of those that are under way

    # --- lanes -------------------------------------------------------------------------------

    async def _run(self, lane: str, rows: list[OutboxRow]) -> None:
        try:
            if lane == NOTICES:
                await self._tell(rows)
            else:
                for row in rows:
                    await self._try(row)
        except Exception as fault:  # noqa: BLE001 - a lane is supervised like a task
            self._supervisor.failed("outbox", fault)
            heapq.heappush(self._retries, self._clock.time() + STORE_PAUSE_S)
        else:
            self._supervisor.went_well("outbox")
            self._casework.outbox_grew.set()  # what came for this lane meanwhile
        finally:
            del self._lanes[lane]
            if not self._stopped:
                self._fill()

    async def _try(self, row: OutboxRow) -> None:
        name = "link" if isinstance(row.effect, fx.AT_AGENT) else "errands"
        try:
            await self._errands.run(row)
        except Transient as fault:
            await self._later(row, fault)
        except Exception as fault:  # noqa: BLE001 - a link's bug must hold up no other wish
            await self._unexpected([row], name, fault)
        else:
            await self._done([row], name)

    async def _tell(self, rows: Sequence[OutboxRow]) -> None:
        """Send each notice by itself, or all together once a minute has seen enough of them."""
        waiting = list(rows)
        while waiting:
            if (due_at := self._notices.held_until(waiting[0])) is not None:
                later = [self._workflow.effect_later(row.effect.key, due_at) for row in waiting]
                await asyncio.gather(*later)
                heapq.heappush(self._retries, due_at)
                return
            message = self._notices.message(waiting)
            waiting = [row for row in waiting if row not in message]
            try:
                await self._notices.send(message)
            except Transient as fault:
                for row in message:
                    await self._later(row, fault)
            except Exception as fault:  # noqa: BLE001 - nor must a notifier's
                await self._unexpected(message, "notifier", fault)
            else:
                await self._done(message, "notifier")

    # --- what came of it ---------------------------------------------------------------------

    async def _done(self, rows: Sequence[OutboxRow], name: str) -> None:
        at = self._clock.time()
        done = [self._workflow.effect_done(row.effect.key, at) for row in rows]
        await asyncio.gather(*done)
        self._met += len(rows)
        self._mended(rows, name)

    async def _later(self, row: OutboxRow, fault: Transient) -> None:
        pause = min(self._params.retry_s * 2**row.attempts, self._params.retry_max_s)
        due_at = self._clock.time() + max(pause, fault.retry_after_s)
        log.warning("effect deferred", key=row.effect.key, attempt=row.attempts, reason=str(fault))
        await self._workflow.effect_later(row.effect.key, due_at)
        heapq.heappush(self._retries, due_at)

    async def _unexpected(self, rows: Sequence[OutboxRow], name: str, fault: Exception) -> None:
        self._supervisor.failed(name, fault)
        for row in rows:
            self._broken[name].add(row.effect.key)
            if row.attempts + 1 < GIVE_UP_AFTER or not await self._errands.give_up(row, fault):
                await self._later(row, Transient(f"{type(fault).__name__}: {fault}"))
                continue
            log.error("effect given up", key=row.effect.key, attempts=row.attempts + 1)
            await self._workflow.effect_done(row.effect.key, self._clock.time())
            self._mended([row], name)

    def _mended(self, rows: Sequence[OutboxRow], name: str) -> None:
        """`name` works again once all wishes that met its faults are met, or given up."""
        broken = self._broken[name]
        broken.difference_update(row.effect.key for row in rows)
        if not broken:
            self._supervisor.went_well(name)
