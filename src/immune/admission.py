"""Bringing findings to cases: what was detected, in order, to the case that it belongs to.

A finding that no fleet incident explains opens its agent's case or is added to it; one that
confirms a suspicion is answered by a fence and a plan, or by the brake. What was detected is said
only once, so it waits here until it was brought.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import msgspec
import numpy as np
import structlog

from immune.casework import Casework
from immune.clock import Clock
from immune.detection import BaselineLearner, Observation
from immune.detection.findings import Finding, Subsided
from immune.detection.onset import Scored, effects_of
from immune.diagnosis.causes import Diagnosis
from immune.diagnosis.diagnostician import Diagnostician
from immune.errors import IllegalEvent, NotFound, Transient
from immune.fleetwork import Fleetwork
from immune.healing.healer import Healer
from immune.healing.treatments import ill_again
from immune.incidents import events as e
from immune.incidents import triage
from immune.incidents.incident import Incident
from immune.incidents.states import State
from immune.modes import Mode, Modes
from immune.ports import AgentLink, WorkflowStore
from immune.probations import Probations
from immune.quarantine import QuarantineController
from immune.settings import Settings
from immune.telemetry import TelemetryCollector

log = structlog.get_logger(__name__)

SUBSIDING = (State.SUSPECTED, State.OBSERVED)
"""States of a case that ends when the evidence falls back by itself."""

TOGETHER = 128
"""Agents whose news are brought at the same time at the most."""


class Admission:
    """The way of a finding to its case."""

    def __init__(
        self,
        *,
        settings: Settings,
        clock: Clock,
        workflow: WorkflowStore,
        collector: TelemetryCollector,
        learner: BaselineLearner,
        diagnostician: Diagnostician,
        healer: Healer,
        quarantine: QuarantineController,
        modes: Modes,
        casework: Casework,
        probations: Probations,
        fleetwork: Fleetwork,
        link: AgentLink,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._workflow = workflow
        self._collector = collector
        self._learner = learner
        self._diagnostician = diagnostician
        self._healer = healer
        self._quarantine = quarantine
        self._modes = modes
        self._casework = casework
        self._probations = probations
        self._fleetwork = fleetwork
        self._link = link
        self._news: deque[Finding | Subsided] = deque()
        """What was detected and not yet brought to its case."""
        self._bringing = asyncio.Lock()
        """Held by whoever brings news: two tasks detect, and both may have some of one agent."""
        self._under_way = 0
        """Fences that the brake will count, and that are being written."""
        self._fleet = 0
        """Active agents when the present batch of news was begun: a fence makes them no fewer."""

    async def take(self, observation: Observation) -> None:
        """Bring what was observed to its cases, after a look at what the fleet shares."""
        self._news.extend(_in_order(observation))
        self._news.extend(await self._fleetwork.watch(self._clock.time(), observation.silences))
        async with self._bringing:
            while self._news:
                await self._bring_together(self._next())

    def _next(self) -> list[Finding | Subsided]:
        """The next news, of different agents: one agent's are brought one after the other."""
        batch: dict[str, Finding | Subsided] = {}
        while self._news and len(batch) < TOGETHER and self._news[0].agent_id not in batch:
            news = self._news.popleft()
            batch[news.agent_id] = news
        return list(batch.values())

    async def _bring_together(self, batch: Sequence[Finding | Subsided]) -> None:
        """Bring news of different agents at the same time: they share the wait for the disk."""
        self._fleet = self.active_agents()
        tasks = [asyncio.create_task(self._bring(news)) for news in batch]
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            raise
        finally:
            # it is said only once: the next round brings it
            again = [news for news, task in zip(batch, tasks, strict=True) if _failed(task)]
            self._news.extendleft(reversed(again))
        for task in tasks:
            task.result()

    async def _bring(self, news: Finding | Subsided) -> None:
        if isinstance(news, Subsided):
            await self._subsided(news)
            return
        if self._casework.open_of(news.agent_id) is None:
            news = self._fresh(news, self._casework.ended_at(news.agent_id))
        own = self._fleetwork.judge(news)
        if own is not None:
            self._probations.noticed(own)
            await self._found(own)

    async def _subsided(self, news: Subsided) -> None:
        incident = self._casework.open_of(news.agent_id)
        if incident is None or incident.state not in SUBSIDING:
            return
        if incident.finding is None or incident.finding.kind is news.kind:
            await self._casework.apply_unless_overtaken(incident.id, e.Subsided(at=news.at))

    async def _found(self, finding: Finding) -> None:
        try:
            await self._admit(finding)
        except (IllegalEvent, NotFound) as overtaken:
            # the case was moved, opened or closed meanwhile: once more, as it is now
            log.info("overtaken", agent_id=finding.agent_id, reason=str(overtaken))
            await self._admit(finding)

    async def _admit(self, finding: Finding) -> None:
        incident = self._casework.open_of(finding.agent_id)
        if incident is None:
            diagnosis = self._diagnostician.diagnose(finding)
            incident = await self._open(finding, diagnosis)
            if not triage.sick(finding):
                return
        else:
            since = incident.probation.since if incident.probation else None
            fresh = self._fleetwork.own_part(self._fresh(finding, since))
            seen = finding if self._fleetwork.explains(fresh) else fresh
            diagnosis = self._diagnostician.diagnose(seen)
        await self._answer(incident, finding, diagnosis)

    def _fresh(self, finding: Finding, since: float | None) -> Finding:
        """The finding as the steps after `since` show it: what the agent suffered before is in the
        stored samples still, and is another question. As it is, where they show nothing."""
        if since is None or finding.onset_at > since:
            return finding
        row = self._learner.stream(finding.agent_id, finding.kind)
        at, values = self._learner.history(finding.agent_id, finding.kind, since)
        if row is None or not len(values):
            return finding
        scored = Scored.of(at, values, self._learner.normal(row))
        effects = effects_of(scored, self._settings.detection.episodes)
        if not any(effect.affected for effect in effects):
            return finding
        return msgspec.structs.replace(finding, effects=effects, onset_at=since)

    async def _open(self, finding: Finding, diagnosis: Diagnosis) -> Incident:
        await self._probations.superseded(finding.agent_id)
        self._learner.freeze(finding.agent_id, finding.onset_at)
        incident, event = triage.opened(
            finding,
            incident_id=self._casework.new_id(),
            run_id=self._workflow.run_id,
            agent_type=self._agent_type(finding.agent_id),
            baseline=self._learner.profile(finding.agent_id, finding.kind),
            diagnosis=diagnosis,
        )
        return await self._casework.open(incident, event)

    async def _answer(self, incident: Incident, finding: Finding, diagnosis: Diagnosis) -> None:
        mode = self._modes.of(finding.agent_id, incident.agent_type)
        brake = self._quarantine.brake(self._clock.time(), self._fleet, self._under_way)
        event = triage.answer(finding, incident, diagnosis, mode, brake)
        events: list[e.AnyEvent] = [event]  # type: ignore[list-item]
        if isinstance(event, e.Confirmed) and event.enforce:
            events.append(self._plan(incident, finding, diagnosis))
        if isinstance(event, e.FindingAdded) and triage.overturned(incident, diagnosis):
            plan = self._plan(incident, finding, diagnosis)
            events += [plan] if triage.replaces(incident, plan) else []
        exempt = triage.exempt_from_brake(finding)
        counts = isinstance(event, e.Confirmed) and event.enforce and not exempt
        self._under_way += counts
        try:
            await self._casework.apply(incident.id, *events, exempt=exempt)
        finally:
            self._under_way -= counts
        if isinstance(event, e.Confirmed):
            await self._keep_treatments(finding.agent_id)
        if isinstance(event, e.Braked):
            await self._fleetwork.braked(event)

    def _plan(
        self, incident: Incident, finding: Finding | None, diagnosis: Diagnosis
    ) -> e.Diagnosed:
        """Rank the ladder for a cause that has just become clear."""
        now = self._clock.time()
        severity = max(incident.severity, finding.severity if finding else 0.0)
        ladder, asks = self._healer.plan(
            agent_id=incident.agent_id,
            agent_type=incident.agent_type,
            diagnosis=diagnosis,
            severity=severity,
            capabilities=self._link.capabilities(incident.agent_id),
            ask_mode=self._modes.of(incident.agent_id, incident.agent_type) is not Mode.ENFORCE,
            now=now,
            earlier_incidents=self._casework.earlier(incident),
            fleet_heals=self._casework.recent_orders(),
        )
        return e.Diagnosed(
            at=now,
            diagnosis=diagnosis,
            ladder=ladder,
            asks=asks,
            approval_deadline_at=now + self._settings.cases.approval_deadline_s,
        )

    async def _keep_treatments(self, agent_id: str) -> None:
        """The agent is ill: what limits it stays, and the end of its case says for how long."""
        for treatment in self._casework.treatments_of(agent_id):
            await self._casework.change_treatment(treatment.id, ill_again)

    async def contained(self, incident: Incident, *first: e.AnyEvent) -> Incident:
        """Diagnose a contained case, after the events that contain it."""
        diagnosis = incident.diagnosis or self._diagnostician.unknown()
        moved = await self._casework.apply(
            incident.id, *first, self._plan(incident, incident.finding, diagnosis)
        )
        await self._keep_treatments(incident.agent_id)
        return moved

    async def free_slots(self, now: float) -> None:
        """Give freed slots of the brake to the most severe of those it held back."""
        self._fleet = self.active_agents()
        room = self._quarantine.room(now, self._fleet)
        if room <= 0:
            return
        async with self._bringing:
            held = [i for i in self._casework.open_incidents() if i.braked]
            for incident in sorted(held, key=lambda i: -i.severity)[:room]:
                await self._free(incident, now)
        if not held:
            await self._fleetwork.brake_released(now)

    async def _free(self, incident: Incident, now: float) -> None:
        assert incident.finding is not None
        finding = msgspec.structs.replace(incident.finding, at=now)
        diagnosis = incident.diagnosis or self._diagnostician.unknown()
        try:
            await self._answer(incident, finding, diagnosis)
        except (IllegalEvent, NotFound) as overtaken:  # by a person, while others got their slot
            log.info("overtaken", agent_id=incident.agent_id, reason=str(overtaken))

    def active_agents(self) -> int:
        """Agents that reported lately, and those that can't because they are fenced."""
        active = self._collector.active()
        code = self._collector.names.agents.code
        fenced = [code(agent_id) for agent_id in self._quarantine.fenced_agents()]
        return len(active) + int(np.isin(fenced, active, invert=True).sum())

    def _agent_type(self, agent_id: str) -> str:
        return self._collector.row(self._collector.names.agents.code(agent_id)).agent_type


def _in_order(observation: Observation) -> list[Finding | Subsided]:
    """The most severe findings first; what subsided, after its agent's findings unless older."""
    last: dict[str, float] = {}
    for finding in observation.findings:
        last[finding.agent_id] = max(finding.at, last.get(finding.agent_id, finding.at))
    older = [s for s in observation.subsided if s.at <= last.get(s.agent_id, s.at - 1.0)]
    newer = [s for s in observation.subsided if s not in older]
    return [*older, *sorted(observation.findings, key=lambda f: -f.severity), *newer]


def _failed(task: asyncio.Task[None]) -> bool:
    """Whether the store or our end kept a task from bringing its news."""
    return task.cancelled() or isinstance(task.exception(), Transient)
