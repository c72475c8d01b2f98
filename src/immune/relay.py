"""Carries out what the outbox holds: after the commit, at least once, in order.

A wish that meets a transient fault is tried again later, longer each time; an action whose agent
stays unreachable ends its attempt. What came of an action goes back to the incident as an event.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Sequence

import msgspec
import structlog

from immune.casework import Casework
from immune.clock import Clock
from immune.detection import BaselineLearner, Sentinel
from immune.errors import (
    ActionFailed,
    IllegalEvent,
    NotFound,
    Refused,
    Transient,
    Unreachable,
)
from immune.healing.actions import ActionAnswer, Treatment
from immune.healing.treatments import ended, learns, treatment_of
from immune.incidents import effects as fx
from immune.incidents import events as e
from immune.incidents.incident import Incident
from immune.ports import AgentLink, Notifier, OutboxRow, WorkflowStore
from immune.settings import CaseSettings, OutboxSettings

log = structlog.get_logger(__name__)


class OutboxRelay:
    """Works off the outbox."""

    def __init__(
        self,
        *,
        workflow: WorkflowStore,
        casework: Casework,
        learner: BaselineLearner,
        sentinel: Sentinel,
        link: AgentLink,
        notifier: Notifier,
        clock: Clock,
        cases: CaseSettings,
        outbox: OutboxSettings,
    ) -> None:
        self._workflow = workflow
        self._casework = casework
        self._learner = learner
        self._sentinel = sentinel
        self._link = link
        self._notifier = notifier
        self._clock = clock
        self._cases = cases
        self._params = outbox
        self._retries: list[float] = []
        """When deferred wishes are due: a heap."""
        self._sent: deque[float] = deque()
        self.applied: Callable[[Incident], None] = lambda incident: None
        """Called when an action was acknowledged and the incident is on probation."""

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

    async def round(self) -> int:
        """Carry out everything due; return how many wishes were met."""
        self._casework.outbox_grew.clear()
        now = self._clock.time()
        while self._retries and self._retries[0] <= now:
            heapq.heappop(self._retries)
        met = 0
        while rows := await self._workflow.due_effects(now):
            progress = 0
            notices: list[OutboxRow] = []
            for row in rows:
                if isinstance(row.effect, fx.Notify):
                    notices.append(row)
                else:
                    progress += await self._try(row)
            progress += await self._notify(notices)
            met += progress
            if not progress:
                break
        return met

    async def _try(self, row: OutboxRow) -> int:
        try:
            await self._carry_out(row)
        except Transient as fault:
            await self._later(row, fault)
            return 0
        except Exception as fault:
            # put it off first, so that one broken wish does not hold up all others, then be loud
            await self._later(row, Transient(str(fault)))
            raise
        await self._workflow.effect_done(row.effect.key, self._clock.time())
        return 1

    async def _later(self, row: OutboxRow, fault: Transient) -> None:
        pause = min(self._params.retry_s * 2**row.attempts, self._params.retry_max_s)
        due_at = self._clock.time() + max(pause, fault.retry_after_s)
        log.warning("effect deferred", key=row.effect.key, attempt=row.attempts, reason=str(fault))
        await self._workflow.effect_later(row.effect.key, due_at)
        heapq.heappush(self._retries, due_at)

    async def _carry_out(self, row: OutboxRow) -> None:
        match row.effect:
            case fx.PushFence(agent_id=agent_id, key=key):
                await self._push_fence(agent_id, key)
            case fx.ApplyAction() as order:
                await self._apply(order, row.attempts)
            case fx.SetBaseline(agent_id=agent_id, order=order):
                self._set_baseline(agent_id, order)
            case fx.EndTreatments(agent_id=agent_id):
                await self._end_treatments(agent_id)

    # --- fences ------------------------------------------------------------------------------

    async def _push_fence(self, agent_id: str, key: str) -> None:
        standing = self._casework.fences_of(agent_id)
        now = self._clock.time()
        enforced = await self._link.fence(agent_id, bool(standing), key)
        if standing:
            self._sentinel.pause(agent_id)
        else:
            self._sentinel.resume(agent_id, now)
        if enforced:
            for fence in standing:
                if fence.enforced_at is None:
                    await self._casework.put_fence(msgspec.structs.replace(fence, enforced_at=now))

    # --- actions -----------------------------------------------------------------------------

    async def _apply(self, order: fx.ApplyAction, tries: int) -> None:
        attempt = self._casework.attempt(order.incident_id)
        if attempt is None or attempt.key != order.key:
            log.info("action no longer wanted", key=order.key)
            return
        treatment: Treatment | None = None
        try:
            answer = await self._link.apply(order.agent_id, order.action, order.key)
            event: e.AnyEvent = self._acknowledged(order, answer)
            treatment = treatment_of(attempt, answer)
        except Unreachable as fault:
            if tries + 1 < self._params.unreachable_after:
                raise
            event = e.Unreachable(
                at=self._clock.time(), key=order.key, action=order.action, why=str(fault)
            )
        except (ActionFailed, Refused) as fault:
            now = self._clock.time()
            event = e.Failed(
                at=now,
                key=order.key,
                action=order.action,
                why=str(fault),
                approval_deadline_at=now + self._cases.approval_deadline_s,
            )
        try:
            if self._casework.get(order.incident_id).attempt_key != order.key:
                raise IllegalEvent("a later attempt runs already")
            incident = await self._casework.apply(order.incident_id, event, treatment=treatment)
        except (NotFound, IllegalEvent) as moved_on:
            # a person or a fleet incident ended the case meanwhile: what was done stays done, and
            # what it left in force is lifted one day like any other
            log.info("action outlived its case", key=order.key, reason=str(moved_on))
            if treatment is not None and treatment.id not in self._casework.treatments:
                now = self._clock.time()
                await self._casework.put_treatment(ended(treatment, now, self._cases.stay_well_s))
            return
        if isinstance(event, e.Applied):
            self._sentinel.forget(order.agent_id)
            self.applied(incident)

    def _acknowledged(self, order: fx.ApplyAction, answer: ActionAnswer) -> e.Applied:
        return e.Applied(
            at=answer.at,
            key=order.key,
            action=order.action,
            changes=answer.changes,
            stale_at=answer.at + self._cases.stale_s,
        )

    # --- baselines and treatments ------------------------------------------------------------

    def _set_baseline(self, agent_id: str, order: fx.BaselineOrder) -> None:
        if self._casework.open_of(agent_id) is not None:
            return  # it fell ill again before this came to pass: what waits is the new case's
        self._learner.thaw(agent_id, str(order))
        self._sentinel.forget(agent_id)
        if not learns(self._casework.treatments_of(agent_id)):
            # nothing is learned while a limiting treatment is in force
            self._learner.freeze(agent_id, self._clock.time())

    async def _end_treatments(self, agent_id: str) -> None:
        now = self._clock.time()
        for treatment in self._casework.treatments_of(agent_id):
            await self._casework.put_treatment(ended(treatment, now, self._cases.stay_well_s))

    # --- people ------------------------------------------------------------------------------

    async def _notify(self, rows: Sequence[OutboxRow]) -> int:
        """Send each notice by itself, or all together once a minute has seen enough of them."""
        met = 0
        waiting = list(rows)
        while waiting:
            now = self._clock.time()
            while self._sent and self._sent[0] <= now - 60.0:
                self._sent.popleft()
            if len(self._sent) >= self._params.notices_a_minute and waiting[0].attempts == 0:
                # too many for one minute: hold the rest until it is over, then one digest
                due_at = self._sent[0] + 60.0
                for row in waiting:
                    await self._workflow.effect_later(row.effect.key, due_at)
                heapq.heappush(self._retries, due_at)
                return met
            digest = waiting if waiting[0].attempts else waiting[:1]
            digest = [row for row in digest if bool(row.attempts) == bool(waiting[0].attempts)]
            waiting = waiting[len(digest) :]
            try:
                await self._notifier.send(
                    [row.effect for row in digest if isinstance(row.effect, fx.Notify)]
                )
            except Transient as fault:
                for row in digest:
                    await self._later(row, fault)
                continue
            self._sent.append(now)
            for row in digest:
                await self._workflow.effect_done(row.effect.key, now)
                met += 1
        return met
