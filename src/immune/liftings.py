"""Limiting treatments taken back: when their time has come, and what comes of the trial.

Agents are called by the outbox only, in their own lane: one that does not answer holds up neither
the timers nor the detector.
"""

from __future__ import annotations

import msgspec
import structlog

from immune.casework import Casework
from immune.detection import BaselineLearner
from immune.errors import ActionFailed, Refused, Unreachable
from immune.healing.actions import Treatment, TreatmentState
from immune.healing.treatments import due, ended, learns, lifting, settled
from immune.healing.trial import Verdict
from immune.incidents import effects as fx
from immune.ports import AgentLink
from immune.probations import Probations
from immune.settings import CaseSettings

log = structlog.get_logger(__name__)


class Liftings:
    """The way of a treatment from `in_force` to `lifted` or `kept`."""

    def __init__(
        self,
        *,
        casework: Casework,
        probations: Probations,
        learner: BaselineLearner,
        link: AgentLink,
        cases: CaseSettings,
    ) -> None:
        self._casework = casework
        self._probations = probations
        self._learner = learner
        self._link = link
        self._cases = cases
        self._wished: set[str] = set()
        """Keys of the liftings that are on their way."""
        probations.lift_decided = self.decided

    async def wish_due(self, now: float) -> None:
        """Wish for the lifting of what has been in force while its agent stayed well enough."""
        for treatment in due(self._casework.treatments.values(), now):
            key = f"{treatment.id}/lift/{treatment.lift_at}"
            if self._casework.open_of(treatment.agent_id) is None and key not in self._wished:
                await self._casework.wish(
                    fx.LiftTreatment(
                        key=key, agent_id=treatment.agent_id, treatment_id=treatment.id
                    )
                )
                self._wished.add(key)

    async def lift(self, order: fx.LiftTreatment) -> None:
        """Take a treatment back and put its agent on trial."""
        treatment = self._wanted(order)
        if treatment is None:
            return
        try:
            answer = await self._link.lift(treatment.agent_id, treatment, order.key)
        except (Unreachable, ActionFailed, Refused) as fault:
            await self.not_lifted(order, str(fault))
            return
        await self._casework.change_treatment(treatment.id, lambda known: lifting(known, answer.at))
        self._wished.discard(order.key)
        await self._probations.begin_lift(self._casework.treatments[treatment.id])
        if self._casework.open_of(treatment.agent_id) is not None:
            await self._probations.superseded(treatment.agent_id)  # it fell ill while we waited

    async def not_lifted(self, order: fx.LiftTreatment, why: str) -> None:
        """It could not be taken back: later, then."""
        self._wished.discard(order.key)
        treatment = self._wanted(order)
        if treatment is not None and treatment.lift_at is not None:
            log.warning("not lifted", treatment=treatment.id, reason=why)
            due_at, stay_well_s = treatment.lift_at, self._cases.stay_well_s
            await self._casework.change_treatment(
                treatment.id,
                lambda known: known if known.lift_at is None else ended(known, due_at, stay_well_s),
            )

    def _wanted(self, order: fx.LiftTreatment) -> Treatment | None:
        """The treatment, if it is in force and its agent has no new case."""
        treatment = self._casework.treatments.get(order.treatment_id)
        if treatment is None or treatment.state is not TreatmentState.IN_FORCE:
            return None
        return None if self._casework.open_of(treatment.agent_id) is not None else treatment

    async def decided(self, treatment_id: str, verdict: Verdict) -> None:
        """The trial of a lifting is over."""
        treatment = self._casework.treatments.get(treatment_id)
        if treatment is None or treatment.state is not TreatmentState.LIFTING:
            return  # it was settled while a trial begun anew by a restart still ran
        if verdict is Verdict.CURED:
            await self._casework.change_treatment(treatment_id, lambda t: settled(t, verdict))
            self._learn_again(treatment.agent_id)
            return
        await self._casework.wish(
            fx.KeepTreatment(
                key=f"{treatment.id}/again",
                agent_id=treatment.agent_id,
                treatment_id=treatment.id,
            )
        )

    async def keep(self, order: fx.KeepTreatment) -> None:
        """Order a treatment again that its agent fell ill without, and tell a person."""
        treatment = self._casework.treatments.get(order.treatment_id)
        if treatment is None or treatment.state is not TreatmentState.LIFTING:
            return
        try:
            await self._link.apply(treatment.agent_id, treatment.action, order.key)
        except (Unreachable, ActionFailed, Refused) as fault:
            await self.not_kept(order, str(fault))
            return
        text = f"{treatment.agent_id} fell ill again without {treatment.action}: it is kept"
        await self._casework.change_treatment(
            treatment.id, lambda t: settled(t, Verdict.RELAPSED), _kept(treatment, text)
        )

    async def not_kept(self, order: fx.KeepTreatment, why: str) -> None:
        """It is not in force, and no row may say so: the sickness gets a case of its own."""
        treatment = self._casework.treatments.get(order.treatment_id)
        if treatment is None or treatment.state is not TreatmentState.LIFTING:
            return
        text = (
            f"{treatment.agent_id} fell ill again without {treatment.action}, "
            f"and it could not be ordered again: {why}"
        )
        await self._casework.change_treatment(
            treatment.id,
            lambda t: msgspec.structs.replace(t, state=TreatmentState.LIFTED),
            _kept(treatment, text),
        )
        self._learn_again(treatment.agent_id)

    def _learn_again(self, agent_id: str) -> None:
        well = self._casework.open_of(agent_id) is None
        if well and learns(self._casework.treatments_of(agent_id)):
            self._learner.thaw(agent_id, "discard")


def _kept(treatment: Treatment, text: str) -> fx.Notify:
    return fx.Notify(
        key=f"{treatment.id}/kept",
        agent_id=treatment.agent_id,
        topic=fx.Topic.TREATMENT_KEPT,
        incident_id=treatment.incident_id,
        text=text,
    )
