"""The loops that drive the pure parts: vitals in, findings to cases, timers, the outbox.

Each round (`absorb`, `tick`, `relay`) is a method that can be called by itself: live, supervised
tasks call them when there is work; in virtual time a driver calls `turn` after each step of the
clock. Both run the same code. It holds no rules of its own.
"""

from __future__ import annotations

from collections.abc import Collection

import structlog

from immune.admission import SUBSIDING, Admission
from immune.approvals import Approvals
from immune.casework import Casework
from immune.clock import Clock
from immune.columns import VitalColumns
from immune.departures import Departures
from immune.detection import BaselineLearner, Sentinel
from immune.diagnosis.diagnostician import Diagnostician
from immune.fleetwork import Fleetwork
from immune.healing.healer import Healer
from immune.healing.treatments import learns
from immune.incidents import effects as fx
from immune.incidents.incident import Incident
from immune.incidents.states import State
from immune.liftings import Liftings
from immune.modes import Modes
from immune.ports import AgentLink, AgentRow, TelemetryStore, WorkflowStore
from immune.probations import Probations
from immune.quarantine import QuarantineController
from immune.relay import OutboxRelay
from immune.savings import PART_S, Savings
from immune.settings import Settings
from immune.supervisor import Supervisor, TaskHealth
from immune.telemetry import TelemetryCollector

log = structlog.get_logger(__name__)

SWEEP_S = 1.0
HOUSEKEEPING_S = 60.0
RETENTION_S = 5.0
"""Seconds between two looks at what telemetry need not keep: a full intake brings a million vitals
meanwhile."""
GATHER_S = 0.05
"""Seconds that arrivals are gathered before they are scored: a batch of a few vitals costs nearly
as much as one of a few hundred."""
AWAY_S = 10.0
"""Seconds between two looks at the timers from which on it is us who were away: the machine was
suspended, or the process held up."""


class ImmuneSystemOrchestrator:
    """The running system."""

    def __init__(
        self,
        *,
        settings: Settings,
        clock: Clock,
        supervisor: Supervisor,
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
        admission: Admission,
        approvals: Approvals,
        probations: Probations,
        liftings: Liftings,
        fleetwork: Fleetwork,
        relay: OutboxRelay,
        savings: Savings,
        departures: Departures,
        link: AgentLink,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.supervisor = supervisor
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
        self.admission = admission
        self.approvals = approvals
        self.probations = probations
        self.liftings = liftings
        self.fleetwork = fleetwork
        self.relay = relay
        self.savings = savings
        self.departures = departures
        self.link = link
        supervisor.on_change = self._degraded
        self._grace_until = 0.0
        self._next_sweep = 0.0
        self._next_housekeeping = 0.0
        self._next_retention = 0.0
        self._more_to_sweep = False
        self._next_checkpoint = 0.0
        self._looked_at = 0.0
        self._notices: list[fx.Notify] = []
        casework.listeners.append(self._moved)
        casework.attempt_listeners.append(healer.took)

    # --- starting and stopping ---------------------------------------------------------------

    async def start(self) -> None:
        """Take up the run where it was: fences first, then the cases, then what was learned."""
        # lifted ones too: those of the last hour count for the brake
        self.quarantine.load(await self.workflow.fences(standing_only=False))
        await self.departures.load()
        agents = await self.savings.load()
        if (labels := await self.workflow.setting("labels")) is not None:
            self.diagnostician.load(labels.encode())
        await self.casework.load()
        agents += await self._take_in({row.agent_id for row in agents})
        healings = await self.workflow.healings()
        self.healer.memory.load(healings)
        for agent_id in {h.agent_id for h in healings} - {row.agent_id for row in agents}:
            self.healer.memory.forget(agent_id)  # it was retired
        await self.relay.load()
        await self.probations.load()
        now = self.clock.time()
        for incident in self.casework.open_incidents():
            if incident.is_fleet:
                self.fleetwork.resume(incident)
            else:
                self.learner.freeze(incident.agent_id, incident.onset_at)
                if incident.finding is not None and incident.state in SUBSIDING:
                    self.sentinel.follow(incident.finding)
        for row in agents:
            self._thaw_if_forgotten(row.agent_id)
        for agent_id in self.quarantine.fenced_agents():
            self.sentinel.pause(agent_id)
            # whoever enforces it may have been away as well
            await self.casework.push_fence(agent_id, f"start/{now:.3f}/{agent_id}")
        self.sentinel.restart(now)
        self._looked_at = now
        self._grace_until = now + self.settings.grace_s if agents else now
        self._next_checkpoint = now + PART_S
        self._next_housekeeping = now + HOUSEKEEPING_S
        self._next_retention = now + HOUSEKEEPING_S

    async def _take_in(self, saved: Collection[str]) -> list[AgentRow]:
        """Know those, too, who reported, were fenced or had a case before they were saved; return
        them."""
        gone = self.departures.gone
        met = {
            row.agent_id: row
            for row in await self.telemetry.lately(2 * PART_S)
            if row.agent_id not in saved and row.last_seen_at > gone.get(row.agent_id, 0.0)
        }
        since = {i.agent_id: i.opened_at for i in self.casework.open_incidents() if not i.is_fleet}
        since |= {fence.agent_id: fence.ordered_at for fence in self.quarantine.standing()}
        rows = [
            AgentRow(agent_id, first_seen_at=at, last_seen_at=at)
            for agent_id, at in since.items()
            if agent_id not in saved and agent_id not in met
        ]
        rows += met.values()
        self.collector.load(rows)
        self.collector.unsaved.update(met)
        return rows

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
        self.supervisor.start("retention", self._retain_on_time)

    async def stop(self) -> None:
        """End the tasks, score what waits, save what was learned."""
        await self.supervisor.stop()
        await self.relay.stop()
        await self.supervisor.round("absorb", self._absorb_all)
        await self.savings.save(everything=True)

    async def _absorb_when_arrived(self) -> None:
        await self.collector.arrived.wait()
        await self.clock.sleep(GATHER_S)  # lets requests through, too
        await self.absorb()

    async def _tick_on_time(self) -> None:
        await self.clock.sleep(self.settings.tick_s)
        await self.tick()

    async def _relay_when_due(self) -> None:
        await self.relay.wait()
        await self.relay.dispatch()

    async def _retain_on_time(self) -> None:
        if not self._more_to_sweep:
            await self.clock.sleep(RETENTION_S)
        # a slice a round: however long it goes on, how it fares is told
        self._more_to_sweep = False
        self._more_to_sweep = await self.telemetry.sweep(self.clock.time())

    async def turn(self) -> None:
        """One full turn in virtual time: until nothing waits."""
        now = self.clock.time()
        if now >= self._next_retention:
            self._next_retention = now + HOUSEKEEPING_S
            await self.supervisor.round("retention", self._sweep_all)
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

    async def _sweep_all(self) -> None:
        while await self.telemetry.sweep(self.clock.time()):
            pass

    # --- rounds ------------------------------------------------------------------------------

    async def absorb(self) -> int:
        """Score one batch and act on what it shows; return how many vitals it held."""
        columns = self.collector.drain()
        if columns is None:
            return 0
        observation = self.sentinel.observe(columns)
        try:
            await self.admission.take(observation)
        finally:
            await self.probations.feed(columns)
        await self.departures.make_room()
        return len(columns)

    async def recall(self, columns: VitalColumns) -> None:
        """Learn and store vitals of the past, in order of time, without acting on any."""
        await self.telemetry.append(columns)
        ordered = self.collector.in_order(columns)
        if ordered is not None:
            for finding in self.sentinel.observe(ordered).findings:
                self.sentinel.forget(finding.agent_id)

    async def tick(self) -> None:
        """Look at the timers: silence, deadlines, treatments, the brake, savings."""
        now = self.clock.time()
        self._notice_absence(now)
        while self._notices:  # first: what fails below must not keep us from saying so
            await self.casework.wish(self._notices[0])
            self._notices.pop(0)
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP_S
            await self.admission.take(self.sentinel.sweep(now))
            await self.liftings.wish_due(now)
            await self.admission.free_slots(now)
        if now >= self._grace_until:
            await self.approvals.overdue(now)
            await self.probations.overdue(now)
        if now >= self._next_checkpoint:
            self._next_checkpoint = now + PART_S
            await self.supervisor.round("savings", self.savings.save)
        if now >= self._next_housekeeping:
            self._next_housekeeping = now + HOUSEKEEPING_S
            await self.departures.retire_silent()

    def _notice_absence(self, now: float) -> None:
        """Where time passed without us, begin as after a restart: nobody was silent but we."""
        away_s, self._looked_at = now - self._looked_at, now
        if away_s >= AWAY_S:
            log.warning("away", seconds=round(away_s, 1))
            self.sentinel.restart(now)
            self._grace_until = max(self._grace_until, now + self.settings.grace_s)

    # --- listeners ---------------------------------------------------------------------------

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
                text=f"{health.name} {state}",
            )
        )
