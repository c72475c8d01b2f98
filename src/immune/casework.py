"""Applies events to incidents: one transaction each, everybody told after the commit.

The incident, its timeline, its fence, its attempts and the wishes for the outbox are written
together or not at all. The open incidents are kept in memory as they are in the store; only one
event is applied to a subject at a time, so two decisions on one version cannot both win, and many
subjects do not wait for one another's commits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

import msgspec
import structlog

from immune.clock import Clock
from immune.errors import IllegalEvent, NotFound, StaleVersion
from immune.healing.actions import Healing, Outcome, Treatment, TreatmentState
from immune.incidents import attempts
from immune.incidents import events as e
from immune.incidents.effects import AnyEffect, PushFence
from immune.incidents.incident import Incident, Subject
from immune.incidents.step import step
from immune.ports import IncidentEvent, Unit, WorkflowStore
from immune.quarantine import Fence, QuarantineController
from immune.supervisor import Supervisor

log = structlog.get_logger(__name__)

DAY_S = 86_400.0

Listener = Callable[[IncidentEvent, Incident], None]


class Casework:
    """The open incidents of a run, and the only way to change one."""

    def __init__(
        self,
        workflow: WorkflowStore,
        quarantine: QuarantineController,
        clock: Clock,
        supervisor: Supervisor,
    ) -> None:
        self._workflow = workflow
        self._supervisor = supervisor
        self._quarantine = quarantine
        self._clock = clock
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._open: dict[str, Incident] = {}
        self._by_subject: dict[Subject, str] = {}
        self._ended: dict[str, float] = {}
        self._attempts: dict[str, Healing] = {}
        self._number = 1
        self._cases: dict[str, dict[str, float]] = {}
        self._ordered: deque[float] = deque(maxlen=10_000)
        self.treatments: dict[str, Treatment] = {}
        """Open treatments by id, as in the store."""
        self.listeners: list[Listener] = []
        """Called after each commit, in order; they must not raise."""
        self.attempt_listeners: list[Callable[[Healing], object]] = []
        """Called with each row of an attempt, after its commit."""
        self.outbox_grew = asyncio.Event()

    async def load(self) -> None:
        """Take in the run's open incidents, their attempts and treatments, after a restart."""
        for incident in await self._workflow.incidents(open_only=True):
            self._remember(incident)
            for attempt in await self._workflow.healings(incident_id=incident.id):
                if attempt.outcome is Outcome.PENDING:
                    self._attempts[incident.id] = attempt
        day_ago = self._clock.time() - DAY_S
        for incident in reversed(await self._workflow.incidents(since=day_ago)):
            self._count(incident)
            if not incident.is_open and not incident.is_fleet:
                self._ended[incident.agent_id] = incident.updated_at
        for attempt in reversed(await self._workflow.healings(since=day_ago)):
            self._ordered.append(attempt.ordered_at)
        self.treatments = {t.id: t for t in await self._workflow.treatments(open_only=True)}
        self._number = await self._workflow.next_incident_number()
        self.outbox_grew.set()

    def new_id(self) -> str:
        """An id for the next incident."""
        number, self._number = self._number, self._number + 1
        return f"inc-{number}"

    def open_incidents(self) -> list[Incident]:
        """All open ones, oldest first."""
        return list(self._open.values())

    def open_of(self, agent_id: str) -> Incident | None:
        """The agent's open incident."""
        return self.open_about(Subject("agent", agent_id))

    def open_about(self, subject: Subject) -> Incident | None:
        """The open incident about `subject`."""
        incident_id = self._by_subject.get(subject)
        return None if incident_id is None else self._open[incident_id]

    def ended_at(self, agent_id: str) -> float | None:
        """When the agent's last case was closed, epoch seconds; None for one that had none."""
        return self._ended.get(agent_id)

    def get(self, incident_id: str) -> Incident:
        """An open incident; raises NotFound."""
        incident = self._open.get(incident_id)
        if incident is None:
            raise NotFound(f"no open incident {incident_id}")
        return incident

    async def open(
        self, incident: Incident, event: e.Opened, effects: Sequence[AnyEffect] = ()
    ) -> Incident:
        """Write a new incident and the first line of its timeline."""
        async with self._turn(incident.subject.name):
            async with self._unit() as unit:
                await unit.save_incident(incident, 0)
                line = await unit.append_event(incident, event, event.at)
                await unit.add_effects(effects, event.at)
            self._remember(incident)
        self._tell([(line, incident)], bool(effects))
        return incident

    async def apply(
        self,
        incident_id: str,
        *events: e.AnyEvent,
        expected_version: int | None = None,
        treatment: Treatment | None = None,
        exempt: bool = False,
    ) -> Incident:
        """Apply `events` in order, in one transaction.

        `expected_version` is what the person who decides has seen: StaleVersion where it has moved
        on. `treatment` is written along. `exempt` keeps a new fence out of the brake's count.
        Raises NotFound and IllegalEvent, having changed nothing.
        """
        async with self._turn(self.get(incident_id).subject.name):
            incident = self.get(incident_id)
            if expected_version is not None and incident.version != expected_version:
                raise StaleVersion(incident_id, expected_version, incident.version)
            lines: list[tuple[IncidentEvent, Incident]] = []
            rows: list[Healing] = []
            fences: list[Fence] = []
            running = self._attempts.get(incident_id)
            wishes = False
            before = incident
            async with self._unit() as unit:
                for event in events:
                    moved, effects = step(incident, event)
                    for attempt in attempts.after(running, incident, moved, event):
                        await unit.put_healing(attempt)
                        running = attempt
                        rows.append(attempt)
                    fences += await self._fences(unit, incident, moved, event, exempt)
                    lines.append((await unit.append_event(moved, event, event.at), moved))
                    await unit.add_effects(effects, event.at)  # type: ignore[arg-type]
                    wishes = wishes or bool(effects)
                    incident = moved
                await unit.save_incident(incident, before.version)
                if treatment is not None:
                    await unit.put_treatment(treatment)
            self._remember(incident)
            if running is not None and running.outcome is Outcome.PENDING:
                self._attempts[incident_id] = running
            else:
                self._attempts.pop(incident_id, None)
            for attempt in rows:
                if attempt.outcome is Outcome.PENDING and attempt.applied_at is None:
                    self._ordered.append(attempt.ordered_at)
                for hear in self.attempt_listeners:
                    hear(attempt)
            if treatment is not None:
                self._keep(treatment)
            for fence in fences:
                if fence.lifted_at is None:
                    self._quarantine.raised(fence)
                else:
                    self._quarantine.lowered(fence.id, fence.agent_id)
        self._tell(lines, wishes)
        return incident

    async def apply_unless_overtaken(self, incident_id: str, event: e.AnyEvent) -> Incident | None:
        """Apply an event of ours; None where a person or another task moved the case meanwhile."""
        try:
            return await self.apply(incident_id, event)
        except (IllegalEvent, NotFound) as overtaken:
            log.info("overtaken", incident_id=incident_id, reason=str(overtaken))
            return None

    def _turn(self, subject: str) -> asyncio.Lock:
        """What whoever changes something of a subject holds meanwhile."""
        turn = self._turns.get(subject)
        if turn is None:
            turn = self._turns[subject] = asyncio.Lock()
        return turn

    async def settled(self, agent_id: str) -> None:
        """Return once what is being written of an agent is known here, too.

        Who reads a wish from the store may be quicker than whoever wrote it hears of the commit.
        """
        async with self._turn(agent_id):
            return

    @asynccontextmanager
    async def _unit(self) -> AsyncIterator[Unit]:
        """A unit of the store, whose health is shown."""
        with self._supervisor.watching("workflow store"):
            async with self._workflow.unit() as unit:
                yield unit

    async def _fences(
        self, unit: Unit, before: Incident, after: Incident, event: e.Event, exempt: bool
    ) -> list[Fence]:
        """Write the fence rows that follow from a step; return them."""
        if before.fenced == after.fenced:
            return []
        if after.fenced:
            by_hand = isinstance(event, e.QuarantinedByPerson)
            rows = [
                Fence(
                    id=f"{after.id}/fence-{after.version}",
                    agent_id=after.agent_id,
                    incident_id=after.id,
                    reason=event.why or _reason(after),
                    by=event.who,
                    ordered_at=event.at,
                    exempt=exempt or by_hand,
                )
            ]
        else:
            rows = [
                msgspec.structs.replace(fence, lifted_at=event.at)
                for fence in self._quarantine.standing(after.agent_id)
                if fence.incident_id == after.id
            ]
        for fence in rows:
            await unit.put_fence(fence)
        return rows

    async def put_fence(self, fence: Fence) -> bool:
        """Write a fence outside an incident's step: a person's hold, its end, or a confirmation.

        Of a fence that was lifted meanwhile neither is written, and the answer is False: confirmed,
        it would stand again; lifted twice, it would be the second person's doing.
        """
        async with self._turn(fence.agent_id):
            ended = fence.enforced_at is not None or fence.lifted_at is not None
            if ended and not self._stands(fence):
                return False
            async with self._unit() as unit:
                await unit.put_fence(fence)
            if fence.lifted_at is None:
                self._quarantine.raised(fence)
            else:
                self._quarantine.lowered(fence.id, fence.agent_id)
        return True

    async def put_fences(
        self, fences: Sequence[Fence], pushes: Sequence[PushFence]
    ) -> Sequence[Fence]:
        """Write holds of many agents, or their end, in one transaction with what it wishes for.

        Returns those that were written: all but ends of what somebody lifted meanwhile.
        """
        async with AsyncExitStack() as turns:
            for agent_id in sorted({fence.agent_id for fence in fences}):
                await turns.enter_async_context(self._turn(agent_id))
            fences = [f for f in fences if f.lifted_at is None or self._stands(f)]
            async with self._unit() as unit:
                for fence in fences:
                    await unit.put_fence(fence)
                await unit.add_effects(pushes, self._clock.time())
            for fence in fences:
                if fence.lifted_at is None:
                    self._quarantine.raised(fence)
                else:
                    self._quarantine.lowered(fence.id, fence.agent_id)
        self.outbox_grew.set()
        return fences

    def _stands(self, fence: Fence) -> bool:
        return fence.id in {known.id for known in self._quarantine.standing(fence.agent_id)}

    async def push_fence(self, agent_id: str, key: str) -> None:
        """Have the enforcement points told that the agent's fences changed."""
        await self.wish(PushFence(key=f"{key}/push", agent_id=agent_id))

    async def put_treatment(self, treatment: Treatment) -> None:
        """Write a new treatment."""
        async with self._turn(treatment.agent_id):
            async with self._unit() as unit:
                await unit.put_treatment(treatment)
            self._keep(treatment)

    async def change_treatment(
        self, treatment_id: str, change: Callable[[Treatment], Treatment], *effects: AnyEffect
    ) -> None:
        """Write what `change` makes of an open treatment as it is once its agent's turn has come;
        neither that nor `effects` where that is no change. What `change` raises goes on."""
        known = self.treatments.get(treatment_id)
        if known is None:
            return
        async with self._turn(known.agent_id):
            known = self.treatments.get(treatment_id)
            if known is None or (changed := change(known)) == known:
                return
            async with self._unit() as unit:
                await unit.put_treatment(changed)
                await unit.add_effects(effects, self._clock.time())
            self._keep(changed)
        if effects:
            self.outbox_grew.set()

    async def wish(self, *effects: AnyEffect) -> None:
        """Add to the outbox outside an incident's step."""
        async with self._unit() as unit:
            await unit.add_effects(effects, self._clock.time())
        self.outbox_grew.set()

    def earlier(self, incident: Incident) -> list[float]:
        """When the agent's other confirmed incidents of the last day were opened."""
        known = self._cases.get(incident.agent_id, {})
        return [at for incident_id, at in known.items() if incident_id != incident.id]

    def recent_orders(self) -> list[float]:
        """When healing actions were ordered lately, in the whole fleet."""
        return list(self._ordered)

    def forget(self, agent_id: str) -> None:
        """Drop what is kept of the past cases of an agent that has none."""
        self._cases.pop(agent_id, None)
        self._ended.pop(agent_id, None)

    def fences_of(self, agent_id: str) -> list[Fence]:
        """The fences that stand around an agent."""
        return self._quarantine.standing(agent_id)

    def treatments_of(self, agent_id: str) -> list[Treatment]:
        """What is in force on an agent, on trial, or kept."""
        return [t for t in self.treatments.values() if t.agent_id == agent_id]

    def attempt(self, incident_id: str) -> Healing | None:
        """The running attempt of an open incident."""
        return self._attempts.get(incident_id)

    def _keep(self, treatment: Treatment) -> None:
        if treatment.state is TreatmentState.LIFTED:
            self.treatments.pop(treatment.id, None)
        else:
            self.treatments[treatment.id] = treatment

    def _count(self, incident: Incident) -> None:
        if incident.confirmed and not incident.is_fleet:
            known = self._cases.setdefault(incident.agent_id, {})
            known[incident.id] = incident.opened_at
            for incident_id in [i for i, at in known.items() if at < incident.opened_at - DAY_S]:
                del known[incident_id]

    def _remember(self, incident: Incident) -> None:
        self._count(incident)
        if incident.is_open:
            self._open[incident.id] = incident
            self._by_subject[incident.subject] = incident.id
        else:
            self._open.pop(incident.id, None)
            self._by_subject.pop(incident.subject, None)
            if not incident.is_fleet:
                self._ended[incident.agent_id] = incident.updated_at

    def _tell(self, lines: list[tuple[IncidentEvent, Incident]], wishes: bool) -> None:
        for line, incident in lines:
            for listener in self.listeners:
                listener(line, incident)
        if wishes:
            self.outbox_grew.set()


def _reason(incident: Incident) -> str:
    if incident.diagnosis is None:
        return "confirmed infection"
    return f"{incident.diagnosis.cause}: {'; '.join(incident.diagnosis.reasons[:2])}"
