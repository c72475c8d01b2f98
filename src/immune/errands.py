"""What each wish of the outbox comes to: fences pushed, actions ordered, baselines set.

What came of an action goes back to its incident as an event. Whoever calls again with the same
effect does no harm; lanes, retries and pauses are the relay's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

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
    Unreachable,
)
from immune.healing.actions import ActionAnswer, Treatment
from immune.healing.treatments import ended, learns, treatment_of
from immune.incidents import effects as fx
from immune.incidents import events as e
from immune.incidents.incident import Incident
from immune.liftings import Liftings
from immune.ports import AgentLink, OutboxRow
from immune.settings import CaseSettings, OutboxSettings

log = structlog.get_logger(__name__)


class Errands:
    """Carries out one wish at a time for an agent."""

    def __init__(
        self,
        *,
        casework: Casework,
        liftings: Liftings,
        learner: BaselineLearner,
        sentinel: Sentinel,
        link: AgentLink,
        clock: Clock,
        cases: CaseSettings,
        outbox: OutboxSettings,
        applied: Callable[[Incident], None],
        keep: Callable[[Sequence[str]], Awaitable[None]],
    ) -> None:
        """`applied` is called when an action was acknowledged and the incident is on probation;
        `keep` saves what was learned of agents."""
        self._casework = casework
        self._liftings = liftings
        self._learner = learner
        self._sentinel = sentinel
        self._link = link
        self._clock = clock
        self._cases = cases
        self._params = outbox
        self._applied = applied
        self._keep = keep

    async def run(self, row: OutboxRow) -> None:
        """Carry out one wish. Raises Transient to be called again, and what a link may raise."""
        await self._casework.settled(row.effect.agent_id)
        match row.effect:
            case fx.PushFence(agent_id=agent_id, key=key):
                await self._push_fence(agent_id, key)
            case fx.ApplyAction() as order:
                await self._apply(order, row.attempts)
            case fx.LiftTreatment() as order:
                await self._liftings.lift(order)
            case fx.KeepTreatment() as order:
                await self._liftings.keep(order)
            case fx.SetBaseline(agent_id=agent_id, order=order):
                await self._set_baseline(agent_id, order)
            case fx.EndTreatments(agent_id=agent_id):
                await self._end_treatments(agent_id)

    async def give_up(self, row: OutboxRow, fault: Exception) -> bool:
        """End a wish that met unexpected faults only; False where it must be tried for ever."""
        why = f"{type(fault).__name__}: {fault}"
        match row.effect:
            case fx.ApplyAction() as order if self._wanted(order):
                await self._came_of(order, self._failed(order, why))
            case fx.LiftTreatment() as order:
                await self._liftings.not_lifted(order, why)
            case fx.KeepTreatment() as order:
                await self._liftings.not_kept(order, why)
            case fx.PushFence() | fx.SetBaseline() | fx.EndTreatments():
                return False
        return True

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

    def _wanted(self, order: fx.ApplyAction) -> bool:
        """Whether the order is still to be carried out: one that was acknowledged is not, though
        we died before the outbox said so."""
        attempt = self._casework.attempt(order.incident_id)
        return attempt is not None and attempt.key == order.key and attempt.applied_at is None

    async def _apply(self, order: fx.ApplyAction, tries: int) -> None:
        attempt = self._casework.attempt(order.incident_id)
        if attempt is None or not self._wanted(order):
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
            event = self._failed(order, str(fault))
        await self._came_of(order, event, treatment)

    async def _came_of(
        self, order: fx.ApplyAction, event: e.AnyEvent, treatment: Treatment | None = None
    ) -> None:
        """Tell the incident what came of an action."""
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
            self._applied(incident)

    def _acknowledged(self, order: fx.ApplyAction, answer: ActionAnswer) -> e.Applied:
        return e.Applied(at=answer.at, key=order.key, action=order.action, changes=answer.changes)

    def _failed(self, order: fx.ApplyAction, why: str) -> e.Failed:
        now = self._clock.time()
        return e.Failed(
            at=now,
            key=order.key,
            action=order.action,
            why=why,
            approval_deadline_at=now + self._cases.approval_deadline_s,
        )

    # --- baselines and treatments ------------------------------------------------------------

    async def _set_baseline(self, agent_id: str, order: fx.BaselineOrder) -> None:
        if self._casework.open_of(agent_id) is not None:
            return  # it fell ill again before this came to pass: what waits is the new case's
        self._learner.thaw(agent_id, str(order))
        self._sentinel.forget(agent_id, cured=order is fx.BaselineOrder.DISCARD)
        if not learns(self._casework.treatments_of(agent_id)):
            # nothing is learned while a limiting treatment is in force
            self._learner.freeze(agent_id, self._clock.time())
        # before the wish counts as met: the next process would know the old baseline only
        await self._keep([agent_id])

    async def _end_treatments(self, agent_id: str) -> None:
        now, stay_well_s = self._clock.time(), self._cases.stay_well_s
        for treatment in self._casework.treatments_of(agent_id):
            await self._casework.change_treatment(
                treatment.id, lambda known: ended(known, now, stay_well_s)
            )
