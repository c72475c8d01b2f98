"""What people and programs read: records for the API, the page and the command line.

Everything shown is taken from the rows, the learned baselines and the running trials; nothing is
counted as healed that was not verified on fresh vitals.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from immune.detection.findings import BaselineProfile
from immune.errors import NotFound
from immune.healing.actions import Action, Healing, Outcome, Treatment
from immune.healing.trial import TrialState
from immune.incidents import events as e
from immune.incidents.incident import SEVERE, Incident
from immune.incidents.states import CLOSED, State
from immune.lockdown import Lockdown, Lockdowns
from immune.memory import Cell
from immune.minutes import Minute, MinutesAsked, read_minutes
from immune.modes import Mode
from immune.orchestrator import ImmuneSystemOrchestrator
from immune.ports import IncidentEvent
from immune.quarantine import Bound, Fence
from immune.roster import NO_LEVEL, STATES, Roster, worst
from immune.skew import Offset
from immune.supervisor import TaskHealth
from immune.tally import Cases, Tally
from immune.vitals import Kind, Vital

CLOCKS_MAX = 20
"""Clocks that are named in one look at the whole."""


class BrakeView(msgspec.Struct, frozen=True):
    """How near the brake on ourselves is."""

    fenced: int
    active: int
    room: int
    share: float
    holding: str
    """Why it holds, in words; empty where it does not."""
    bounds: list[Bound]
    """Its rules, of which the nearer one counts; with the brake off only the one at once."""


class WouldHave(msgspec.Struct, frozen=True):
    """What enforcing would have done so far, where the mode is observe."""

    quarantined: int
    asked: int


class ClockView(msgspec.Struct, frozen=True):
    """A clock that is off; which of the agent's hosts has it, only its delays tell."""

    agent_id: str
    behind_s: float
    """Behind ours, at most: what the way takes counts too. Negative where it is ahead."""
    put_right: bool
    """Whether its steps are scored where the agent reports by a better clock, too."""


class StatusView(msgspec.Struct, frozen=True):
    """The system in one look."""

    run_id: str
    version: str
    now: float
    started_at: float
    mode: Mode
    modes_by_type: dict[str, Mode]
    degraded: list[TaskHealth]
    """Parts that fail just now; empty is well."""
    failures: int
    """Unexpected faults of all tasks since the start."""
    agents: int
    active: int
    by_state: dict[str, int]
    brake: BrakeView
    would_have: WouldHave
    accepted: int
    queued: int
    late: int
    fleet_incidents: list[Incident]
    held: int
    """Agents around which a hold by a person stands."""
    lockdowns: list[Lockdown]
    """Orders to fence everything that still stand."""
    silent_since: float | None
    """When the last step of all was, if every agent is silent; null while somebody reports."""
    clocks: list[ClockView]
    """Clocks of agents' hosts that are off, the one furthest off first, `CLOCKS_MAX` at most."""
    clocks_off: int
    """How many there are."""


class AgentView(msgspec.Struct, frozen=True):
    """One agent in a list."""

    agent_id: str
    agent_type: str
    model: str
    provider: str
    state: str
    """``learning``, ``healthy``, ``held`` (by a person), or its open incident's state."""
    mode: Mode
    first_seen_at: float
    last_seen_at: float
    evidence: float
    """Nats of the most telling kind of step."""
    suspicion_at: float
    quarantine_at: float
    severity: float
    incident_id: str | None
    fenced: bool
    enforced: bool
    """Whether every fence around it was confirmed by an enforcement point."""


class AgentDetail(msgspec.Struct, frozen=True):
    """One agent, all of it."""

    agent: AgentView
    identified_by: str
    """The rule that gave its id; ``agent_id`` where its vitals named it themselves."""
    capabilities: list[Action]
    baselines: list[BaselineProfile]
    fences: list[Fence]
    treatments: list[Treatment]
    incidents: list[Incident]
    tried: list[Healing]


class IncidentDetail(msgspec.Struct, frozen=True):
    """One incident with its timeline."""

    incident: Incident
    plan: list[Action]
    events: list[IncidentEvent]
    attempts: list[Healing]
    trial: TrialState | None
    record: list[Cell]
    """What memory knows of actions against its likeliest cause."""
    fences: list[Fence]
    """Its own, and the holds by persons that stand around its agent."""


class StatsView(msgspec.Struct, frozen=True):
    """The run in numbers; `success_rate` is proved cures over decided attempts, or null."""

    vitals: int
    agents: int
    incidents: int
    incidents_by_state: dict[str, int]
    quarantined_now: int
    attempts: int
    cured: int
    relapsed: int
    failed: int
    undecided: int
    success_rate: float | None
    memory: list[Cell]


class Views:
    """The read side of a running system."""

    def __init__(
        self, system: ImmuneSystemOrchestrator, version: str, identity_rules: Mapping[str, str]
    ) -> None:
        """`identity_rules`: agent id -> the rule that its spans were recognised by."""
        self._system = system
        self._version = version
        self._started_at = system.clock.time()
        self._identity_rules = identity_rules
        self._would_fence, self._would_ask = Cases(), Cases()
        self.roster = Roster(system)
        self.tally = Tally(system)
        system.casework.listeners.append(self._heard)

    async def load(self) -> None:
        """Count anew, after a restart, what enforcing would have done in this run."""
        lines = await self._system.workflow.events()
        self._would_fence, self._would_ask = Cases(), Cases()
        for line in lines:
            self._count(line)
        await self.tally.load()

    def _heard(self, line: IncidentEvent, incident: Incident) -> None:
        self._count(line)

    def _count(self, line: IncidentEvent) -> None:
        event = line.event
        if isinstance(event, e.Confirmed) and not event.enforce and event.finding.can_fence:
            self._would_fence.add(line.incident_id)
            if event.finding.severity >= SEVERE:
                self._would_ask.add(line.incident_id)
        if line.state in CLOSED:
            self._would_fence.ended(line.incident_id)
            self._would_ask.ended(line.incident_id)

    # --- the whole ---------------------------------------------------------------------------

    def status(self) -> StatusView:
        system = self._system
        now = system.clock.time()
        active = system.admission.active_agents()
        health = system.supervisor.health.values()
        clocks = system.collector.clocks()
        _, states = self.roster.states()
        counts = np.bincount(states, minlength=len(STATES)).tolist()
        by_state = {state: count for state, count in zip(STATES, counts, strict=True) if count}
        return StatusView(
            run_id=system.workflow.run_id,
            version=self._version,
            now=now,
            started_at=self._started_at,
            mode=system.modes.everywhere,
            modes_by_type=dict(system.modes.by_type),
            degraded=system.supervisor.degraded,
            failures=sum(h.failures for h in health),
            agents=len(states),
            active=active,
            by_state=by_state,
            brake=BrakeView(
                fenced=system.quarantine.counted,
                active=active,
                room=system.quarantine.room(now, active),
                share=system.settings.brake.share,
                holding=system.quarantine.brake(now, active),
                bounds=list(system.quarantine.bounds(now, active)),
            ),
            would_have=WouldHave(self._would_fence.number, self._would_ask.number),
            accepted=system.collector.accepted,
            queued=system.collector.queued,
            late=system.collector.late,
            fleet_incidents=[i for i in system.casework.open_incidents() if i.is_fleet],
            held=len({f.agent_id for f in system.quarantine.standing() if f.incident_id is None}),
            lockdowns=Lockdowns(system).standing(),
            silent_since=self.roster.silent_since(now),
            clocks=[self._clock(offset) for offset in clocks[:CLOCKS_MAX]],
            clocks_off=len(clocks),
        )

    def _clock(self, offset: Offset) -> ClockView:
        name = self._system.collector.names.agents.text(offset.code)
        return ClockView(name, offset.behind_s, offset.put_right)

    async def stats(self) -> StatsView:
        system = self._system
        # counted as it happens: the run's whole history, read for each look, would fill the memory
        by_state, outcomes = self.tally.states, self.tally.outcomes
        cured, relapsed = outcomes[Outcome.CURED], outcomes[Outcome.RELAPSED]
        failed = outcomes[Outcome.FAILED] + outcomes[Outcome.UNREACHABLE]
        decided = cured + relapsed + failed
        return StatsView(
            vitals=await system.telemetry.count(),
            agents=len(system.collector.known()),
            incidents=by_state.total(),
            incidents_by_state=dict(by_state),
            quarantined_now=len(system.quarantine.fenced_agents()),
            attempts=outcomes.total(),
            cured=cured,
            relapsed=relapsed,
            failed=failed,
            undecided=outcomes.total() - decided,
            success_rate=cured / decided if decided else None,
            memory=list(system.healer.memory.summary()),
        )

    # --- agents ------------------------------------------------------------------------------

    def agents(self) -> list[AgentView]:
        """All agents, by id."""
        system = self._system
        levels = worst(system.sentinel.levels())
        ready = system.sentinel.ready_agents()
        rows = [
            self._agent(code, levels.get(code, NO_LEVEL), code in ready)
            for code in system.collector.known().tolist()
        ]
        return sorted(rows, key=lambda row: row.agent_id)

    def _agent(self, code: int, level: tuple[float, float, float], ready: bool) -> AgentView:
        system = self._system
        row = system.collector.row(code)
        incident = system.casework.open_of(row.agent_id)
        fences = system.quarantine.standing(row.agent_id)
        if incident is not None:
            state = str(incident.state)
        elif fences:
            state = "held"
        else:
            state = "healthy" if ready else "learning"
        return AgentView(
            agent_id=row.agent_id,
            agent_type=row.agent_type,
            model=row.model,
            provider=row.provider,
            state=state,
            mode=system.modes.of(row.agent_id, row.agent_type),
            first_seen_at=row.first_seen_at,
            last_seen_at=row.last_seen_at,
            evidence=level[0],
            suspicion_at=level[1],
            quarantine_at=level[2],
            severity=incident.severity if incident else 0.0,
            incident_id=incident.id if incident else None,
            fenced=bool(fences),
            enforced=bool(fences) and all(f.enforced_at is not None for f in fences),
        )

    async def agent(self, agent_id: str) -> AgentDetail:
        """One agent; raises NotFound."""
        system = self._system
        code = self.code(agent_id)
        if code is None:
            raise NotFound(f"no agent {agent_id} ever reported")
        level = worst(system.sentinel.levels(agent_id)).get(code, NO_LEVEL)
        view = self._agent(code, level, code in system.sentinel.ready_agents())
        profiles = [system.learner.profile(agent_id, kind) for kind in Kind]
        return AgentDetail(
            agent=view,
            identified_by=self._identity_rules.get(agent_id, "agent_id"),
            capabilities=sorted(system.link.capabilities(agent_id)),
            baselines=[profile for profile in profiles if profile is not None],
            fences=system.quarantine.standing(agent_id),
            treatments=[t for t in system.casework.treatments.values() if t.agent_id == agent_id],
            incidents=await system.workflow.incidents(subject=agent_id, limit=50),
            tried=await system.workflow.healings(agent_id=agent_id, limit=50),
        )

    async def vitals(
        self, agent_id: str, *, kind: Kind | None = None, since: float = 0.0, limit: int = 300
    ) -> list[Vital]:
        """An agent's latest vitals, ascending."""
        return await self._system.telemetry.read(agent_id, kind=kind, since=since, limit=limit)

    async def minutes(self, agent_id: str, asked: MinutesAsked) -> list[Minute]:
        """An agent's minutes, ascending."""
        return await read_minutes(self._system.telemetry, agent_id, asked)

    # --- incidents ---------------------------------------------------------------------------

    async def incidents(
        self, *, states: list[str] | None = None, subject: str | None = None, limit: int = 200
    ) -> list[Incident]:
        """Newest first."""
        return await self._system.workflow.incidents(
            states=states or (), subject=subject, limit=limit
        )

    def queue(self, state: State) -> list[Incident]:
        """Open incidents in one state: the most severe first, then the oldest."""
        found = [i for i in self._system.casework.open_incidents() if i.state is state]
        return sorted(found, key=lambda i: (-i.severity, i.opened_at))

    async def incident(self, incident_id: str) -> IncidentDetail:
        """One incident, open or closed; raises NotFound."""
        system = self._system
        incident = await system.workflow.incident(incident_id)
        if incident is None:
            raise NotFound(f"no incident {incident_id}")
        fences = await system.workflow.fences(standing_only=False)
        return IncidentDetail(
            incident=incident,
            plan=list(incident.plan),
            events=await system.workflow.events(incident_id=incident_id),
            attempts=await system.workflow.healings(incident_id=incident_id),
            trial=(
                system.probations.state(incident.agent_id)
                if incident.state is State.PROBATION
                else None
            ),
            record=self._record(incident),
            fences=[f for f in fences if f.incident_id == incident_id]
            + [f for f in system.quarantine.standing(incident.subject.name) if not f.incident_id],
        )

    def _record(self, incident: Incident) -> list[Cell]:
        cause = incident.diagnosis.cause if incident.diagnosis else None
        return [cell for cell in self._system.healer.memory.summary() if cell.cause == cause]

    def trial(self, incident_id: str) -> TrialState | None:
        """How the watched return of an open case stands; None where it is not on probation."""
        for incident in self._system.casework.open_incidents():
            if incident.id == incident_id and incident.state is State.PROBATION:
                return self._system.probations.state(incident.agent_id)
        return None

    def now(self) -> float:
        """UTC, epoch seconds."""
        return self._system.clock.time()

    def name(self, told: str) -> str:
        """The agent that a name stands for: the one of that name, where it is no alias."""
        return self._system.collector.names.agents.name(told)

    def code(self, agent_id: str) -> int | None:
        """The code of an agent that reported; None for any other name."""
        collector = self._system.collector
        code = collector.names.agents.find(agent_id)
        return code if code is not None and code in collector.known() else None

    def open_incidents(self) -> list[Incident]:
        """All open ones, oldest first, without asking the store."""
        return self._system.casework.open_incidents()

    def evidence(self, agent_id: str) -> float:
        """An agent's evidence now, in nats; 0 for one never seen."""
        return self._system.sentinel.evidence(agent_id)

    async def healings(self, limit: int = 200) -> list[Healing]:
        """Newest first."""
        return await self._system.workflow.healings(limit=limit)

    async def events(self, after_seq: int, limit: int = 1000) -> list[IncidentEvent]:
        """The run's log after a place in it."""
        return await self._system.workflow.events(after_seq=after_seq, limit=limit)
