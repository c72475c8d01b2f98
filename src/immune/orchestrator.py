"""The loops that drive the pure parts: vitals in, findings to cases, timers, the outbox.

Each round (`absorb`, `tick`, `relay`) is a method that can be called by itself: live, supervised
tasks call them when there is work; in virtual time a driver calls `turn` after each step of the
clock. Both run the same code. It holds no rules of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec
import structlog

from immune.casework import Casework
from immune.clock import Clock
from immune.columns import VitalColumns
from immune.detection import BaselineLearner, Observation, Sentinel
from immune.detection.findings import Finding, Subsided
from immune.diagnosis.causes import Diagnosis
from immune.diagnosis.diagnostician import Diagnostician
from immune.errors import IllegalEvent, NotFound, Transient
from immune.fleetwork import Fleetwork
from immune.healing.healer import Healer
from immune.healing.treatments import ill_again, learns
from immune.incidents import effects as fx
from immune.incidents import events as e
from immune.incidents import triage
from immune.incidents.incident import Incident
from immune.incidents.states import State
from immune.modes import Mode, Modes
from immune.ports import AgentLink, TelemetryStore, WorkflowStore
from immune.probations import Probations
from immune.quarantine import QuarantineController
from immune.relay import OutboxRelay
from immune.savings import PART_S, Savings
from immune.settings import Settings
from immune.supervisor import Supervisor, TaskHealth
from immune.telemetry import TelemetryCollector

log = structlog.get_logger(__name__)

_SUBSIDING = (State.SUSPECTED, State.OBSERVED)
"""States of a case that ends when the evidence falls back by itself."""

SWEEP_S = 1.0
HOUSEKEEPING_S = 60.0


class ImmuneSystemOrchestrator:
    """The running system."""

    def __init__(
        self,
        *,
        settings: Settings,
        clock: Clock,
        workflow: WorkflowStore,
        telemetry: TelemetryStore,
        collector: TelemetryCollector,
        learner: BaselineLearner,
        sentinel: Sentinel,
        diagnostician: Diagnostician,
        healer: Healer,
        quarantine: QuarantineController,
        modes: Modes,
        casework: Casework,
        probations: Probations,
        fleetwork: Fleetwork,
        relay: OutboxRelay,
        savings: Savings,
        link: AgentLink,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.workflow = workflow
        self.telemetry = telemetry
        self.collector = collector
        self.learner = learner
        self.sentinel = sentinel
        self.diagnostician = diagnostician
        self.healer = healer
        self.quarantine = quarantine
        self.modes = modes
        self.casework = casework
        self.probations = probations
        self.fleetwork = fleetwork
        self.relay = relay
        self.savings = savings
        self.link = link
        self.supervisor = Supervisor(clock)
        self.supervisor.on_change = self._degraded
        # by the monotonic clock: a jump of the wall clock must not stop a timer
        self._grace_until = 0.0
        self._next_sweep = 0.0
        self._next_housekeeping = 0.0
        self._next_checkpoint = 0.0
        self._news: deque[Finding | Subsided] = deque()
        """What was detected and not yet brought to its case."""
        self._notices: list[fx.Notify] = []
        relay.applied = probations.begin
        casework.listeners.append(self._moved)
        casework.attempt_listeners.append(healer.took)

    # --- starting and stopping ---------------------------------------------------------------

    async def start(self) -> None:
        """Take up the run where it was: fences first, then the cases, then what was learned."""
        # lifted ones too: those of the last hour count for the brake
        self.quarantine.load(await self.workflow.fences(standing_only=False))
        agents = await self.savings.load()
        if (labels := await self.workflow.setting("labels")) is not None:
            self.diagnostician.load(labels.encode())
        self.healer.memory.load(await self.workflow.healings())
        await self.casework.load()
        await self.relay.load()
        await self.probations.load()
        now = self.clock.time()
        for incident in self.casework.open_incidents():
            if incident.is_fleet:
                self.fleetwork.resume(incident)
            else:
                self.learner.freeze(incident.agent_id, incident.onset_at)
                if incident.finding is not None and incident.state in _SUBSIDING:
                    self.sentinel.follow(incident.finding)
        for row in agents:
            self._thaw_if_forgotten(row.agent_id)
        for agent_id in self.quarantine.fenced_agents():
            self.sentinel.pause(agent_id)
            # whoever enforces it may have been away as well
            await self.casework.push_fence(agent_id, f"start/{now:.3f}/{agent_id}")
        self.sentinel.restart(now)
        began = self.clock.monotonic()
        self._grace_until = began + self.settings.grace_s if agents else began
        self._next_checkpoint = began + PART_S
        self._next_housekeeping = began + HOUSEKEEPING_S

    def _thaw_if_forgotten(self, agent_id: str) -> None:
        """A baseline that was saved frozen, and whose reason has ended meanwhile, learns again."""
        kept = (
            self.casework.open_of(agent_id) is not None
            or self.fleetwork.holds(agent_id)
            or not learns(self.casework.treatments_of(agent_id))
        )
        if self.learner.frozen(agent_id) and not kept:
            self.learner.thaw(agent_id, "discard")

    def run(self) -> None:
        """Start the supervised tasks; they run until `stop`."""
        self.supervisor.start("absorb", self._absorb_when_arrived)
        self.supervisor.start("tick", self._tick_on_time)
        self.supervisor.start("relay", self._relay_when_due)

    async def stop(self) -> None:
        """End the tasks, score what waits, save what was learned."""
        await self.supervisor.stop()
        await self.supervisor.round("absorb", self._absorb_all)
        await self.savings.save(everything=True)

    async def _absorb_when_arrived(self) -> None:
        await self.collector.arrived.wait()
        await self.absorb()
        await self.clock.sleep(0.0)  # let requests through between two batches

    async def _tick_on_time(self) -> None:
        await self.clock.sleep(self.settings.tick_s)
        await self.tick()

    async def _relay_when_due(self) -> None:
        await self.relay.wait()
        await self.relay.round()

    async def turn(self) -> None:
        """One full turn in virtual time: until nothing waits."""
        while True:
            took = await self.supervisor.round("absorb", self._absorb_all)
            ticked = await self.supervisor.round("tick", self.tick)
            relayed = await self.supervisor.round("relay", self._relay_all)
            if not (took and ticked and relayed):
                return
            if not self.collector.queued and not self.relay.due():
                return

    async def _absorb_all(self) -> None:
        while self.collector.queued:
            await self.absorb()

    async def _relay_all(self) -> None:
        while self.relay.due() and await self.relay.round():
            pass

    # --- vitals ------------------------------------------------------------------------------

    async def absorb(self) -> int:
        """Score one batch and act on what it shows; return how many vitals it held."""
        columns = self.collector.drain()
        if columns is None:
            return 0
        observation = self.sentinel.observe(columns)
        try:
            await self._act_on(observation)
        finally:
            await self.probations.feed(columns)
        return len(columns)

    async def recall(self, columns: VitalColumns) -> None:
        """Learn and store vitals of the past, in order of time, without acting on any."""
        await self.telemetry.append(columns)
        ordered = self.collector.in_order(columns)
        if ordered is not None:
            for finding in self.sentinel.observe(ordered).findings:
                self.sentinel.forget(finding.agent_id)

    async def _act_on(self, observation: Observation) -> None:
        for finding in observation.findings:
            self.probations.noticed(finding)
        self._news.extend(_in_order(observation))
        await self.fleetwork.watch(self.clock.time(), observation.silences)
        while self._news:
            news = self._news.popleft()
            try:
                await self._bring(news)
            except (Transient, asyncio.CancelledError):
                self._news.appendleft(news)  # it is said only once: the next round brings it
                raise

    async def _bring(self, news: Finding | Subsided) -> None:
        if isinstance(news, Subsided):
            await self._subsided(news)
        elif not self.fleetwork.explains(news):
            await self.found(news)

    async def _subsided(self, news: Subsided) -> None:
        incident = self.casework.open_of(news.agent_id)
        if incident is None or incident.state not in _SUBSIDING:
            return
        if incident.finding is None or incident.finding.kind is news.kind:
            await self._unless_overtaken(incident, e.Subsided(at=news.at))

    async def _unless_overtaken(self, incident: Incident, event: e.AnyEvent) -> None:
        """Apply an event of ours, unless a person or another task has moved the case meanwhile."""
        try:
            await self.casework.apply(incident.id, event)
        except (IllegalEvent, NotFound) as overtaken:
            log.info("overtaken", incident_id=incident.id, reason=str(overtaken))

    async def found(self, finding: Finding) -> None:
        """Bring a finding to its agent's case, opening one where there is none."""
        try:
            await self._found(finding)
        except (IllegalEvent, NotFound) as overtaken:
            # the case was moved, opened or closed meanwhile: once more, as it is now
            log.info("overtaken", agent_id=finding.agent_id, reason=str(overtaken))
            await self._found(finding)

    async def _found(self, finding: Finding) -> None:
        diagnosis = self.diagnostician.diagnose(finding)
        incident = self.casework.open_of(finding.agent_id)
        if incident is None:
            incident = await self._open(finding, diagnosis)
            if not triage.sick(finding):
                return
        await self._answer(incident, finding, diagnosis)

    async def _open(self, finding: Finding, diagnosis: Diagnosis) -> Incident:
        await self.probations.superseded(finding.agent_id)
        self.learner.freeze(finding.agent_id, finding.onset_at)
        incident, event = triage.opened(
            finding,
            incident_id=self.casework.new_id(),
            run_id=self.workflow.run_id,
            agent_type=self._agent_type(finding.agent_id),
            baseline=self.learner.profile(finding.agent_id, finding.kind),
            diagnosis=diagnosis,
        )
        return await self.casework.open(incident, event)

    async def _answer(self, incident: Incident, finding: Finding, diagnosis: Diagnosis) -> None:
        mode = self.modes.of(finding.agent_id, incident.agent_type)
        brake = self.quarantine.brake(self.clock.time(), self.active_agents())
        event = triage.answer(finding, incident, diagnosis, mode, brake)
        events: list[e.AnyEvent] = [event]  # type: ignore[list-item]
        if isinstance(event, e.Confirmed) and event.enforce:
            events.append(await self._plan(incident, finding, diagnosis))
        await self.casework.apply(incident.id, *events, exempt=triage.exempt_from_brake(finding))
        if isinstance(event, e.Confirmed):
            await self._keep_treatments(finding.agent_id)
        if isinstance(event, e.Braked):
            await self.fleetwork.braked(event)

    async def _plan(
        self, incident: Incident, finding: Finding | None, diagnosis: Diagnosis
    ) -> e.Diagnosed:
        """Rank the ladder for an incident that has just been contained."""
        now = self.clock.time()
        severity = max(incident.severity, finding.severity if finding else 0.0)
        ladder, asks = self.healer.plan(
            agent_id=incident.agent_id,
            agent_type=incident.agent_type,
            diagnosis=diagnosis,
            severity=severity,
            capabilities=self.link.capabilities(incident.agent_id),
            ask_mode=self.modes.of(incident.agent_id, incident.agent_type) is not Mode.ENFORCE,
            now=now,
            earlier_incidents=self.casework.earlier(incident),
            fleet_heals=self.casework.recent_orders(),
        )
        return e.Diagnosed(
            at=now,
            diagnosis=diagnosis,
            ladder=ladder,
            asks=asks,
            approval_deadline_at=now + self.settings.cases.approval_deadline_s,
        )

    async def _keep_treatments(self, agent_id: str) -> None:
        """The agent is ill: what limits it stays, and the end of its case says for how long."""
        for treatment in self.casework.treatments_of(agent_id):
            if treatment.lift_at is not None:
                await self.casework.put_treatment(ill_again(treatment))

    async def contained(self, incident: Incident, *first: e.AnyEvent) -> Incident:
        """Diagnose a contained case, after the events that contain it."""
        diagnosis = incident.diagnosis or self.diagnostician.unknown()
        moved = await self.casework.apply(
            incident.id, *first, await self._plan(incident, incident.finding, diagnosis)
        )
        await self._keep_treatments(incident.agent_id)
        return moved

    # --- time --------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Look at the timers: silence, deadlines, treatments, the brake, savings."""
        now, elapsed = self.clock.time(), self.clock.monotonic()
        while self._notices:  # first: what fails below must not keep us from saying so
            await self.casework.wish(self._notices[0])
            self._notices.pop(0)
        if elapsed >= self._next_sweep:
            self._next_sweep = elapsed + SWEEP_S
            await self._act_on(self.sentinel.sweep(now))
            await self.probations.lift_due(now)
            await self._free_slots(now)
        if elapsed >= self._grace_until:
            await self._overdue(now)
            await self.probations.overdue(now)
        if elapsed >= self._next_checkpoint:
            self._next_checkpoint = elapsed + PART_S
            await self.savings.save()
        if elapsed >= self._next_housekeeping:
            self._next_housekeeping = elapsed + HOUSEKEEPING_S
            await self.telemetry.sweep(now)

    async def _overdue(self, now: float) -> None:
        for incident in self.casework.open_incidents():
            if (
                incident.state is State.AWAITING_APPROVAL
                and incident.approval_deadline_at is not None
                and now >= incident.approval_deadline_at
            ):
                await self._unless_overtaken(
                    incident,
                    e.Overdue(
                        at=now,
                        contact=incident.overdue + 1,
                        approval_deadline_at=now + self.settings.cases.approval_deadline_s,
                    ),
                )

    async def _free_slots(self, now: float) -> None:
        """Give freed slots of the brake to the most severe of those it held back."""
        room = self.quarantine.room(now, self.active_agents())
        if room <= 0:
            return
        held = [i for i in self.casework.open_incidents() if i.braked]
        for incident in sorted(held, key=lambda i: -i.severity)[:room]:
            assert incident.finding is not None
            finding = msgspec.structs.replace(incident.finding, at=now)
            await self._answer(
                incident, finding, incident.diagnosis or self.diagnostician.unknown()
            )
        if not held:
            await self.fleetwork.brake_released(now)

    # --- small answers -----------------------------------------------------------------------

    def active_agents(self) -> int:
        """Agents that reported lately, and those that can't because they are fenced."""
        active = self.collector.active()
        code = self.collector.names.agents.code
        fenced = [code(agent_id) for agent_id in self.quarantine.fenced_agents()]
        return len(active) + len(set(fenced) - set(active.tolist()) if fenced else ())

    def _agent_type(self, agent_id: str) -> str:
        return self.collector.row(self.collector.names.agents.code(agent_id)).agent_type

    def _moved(self, line: object, incident: Incident) -> None:
        if incident.is_fleet:
            return
        if incident.state is not State.PROBATION:
            self.probations.left(incident)

    def _degraded(self, health: TaskHealth) -> None:
        state = f"fails: {health.last_error}" if health.failing else "has recovered"
        self._notices.append(
            fx.Notify(
                # the time, not the count: a new process counts from 1 again
                key=f"degraded/{health.name}/{health.last_failure_at}/{health.failing}",
                agent_id="",
                topic=fx.Topic.DEGRADED,
                incident_id="",
                text=f"task {health.name} {state}",
            )
        )


def _in_order(observation: Observation) -> list[Finding | Subsided]:
    """The most severe findings first; what subsided, after its agent's findings unless older."""
    last: dict[str, float] = {}
    for finding in observation.findings:
        last[finding.agent_id] = max(finding.at, last.get(finding.agent_id, finding.at))
    older = [s for s in observation.subsided if s.at <= last.get(s.agent_id, s.at - 1.0)]
    newer = [s for s in observation.subsided if s not in older]
    return [*older, *sorted(observation.findings, key=lambda f: -f.severity), *newer]
