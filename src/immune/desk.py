"""The operator's desk: what people may order, and who they are told to be.

Each order is one event on one incident, or one fence of a person's own. Refusals raise; nothing
is half done. What people read is in `views`.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, NamedTuple

import msgspec

from immune.diagnosis.causes import Cause
from immune.errors import IllegalEvent, InvalidInput, NotFound, Refused, StaleVersion, StoreDown
from immune.healing.actions import Action
from immune.incidents import events as e
from immune.incidents.incident import Incident
from immune.incidents.states import State
from immune.lockdown import Lockdowns
from immune.modes import Mode
from immune.orchestrator import ImmuneSystemOrchestrator
from immune.ports import AgentRow, IncidentEvent
from immune.quarantine import Fence


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One incident as the person saw it."""

    incident_id: Annotated[str, msgspec.Meta(min_length=1)]
    version: int


class Outcome(msgspec.Struct, frozen=True):
    """What became of one decision of a bulk order."""

    incident_id: str
    incident: Incident | None = None
    error: str = ""
    current: Incident | None = None
    """The incident as it is now, where somebody decided meanwhile."""
    meanwhile: list[IncidentEvent] = []
    """What happened to it since the version that was stated: who, when, and why."""


class Since(NamedTuple):
    """What became of an incident after a person saw it."""

    current: Incident
    meanwhile: list[IncidentEvent]


class OperatorDesk:
    """Takes people's orders."""

    def __init__(self, system: ImmuneSystemOrchestrator) -> None:
        self._system = system
        self.lockdowns = Lockdowns(system)
        self.departures = system.departures
        self.workflow = system.workflow
        self._holds = itertools.count()

    async def approve(
        self,
        decision: Decision,
        *,
        who: str,
        why: str = "",
        plan: Sequence[Action] = (),
        cause: Cause | None = None,
    ) -> Incident:
        """Approve the plan as shown, or the part of it named by `plan`.

        Raises StaleVersion, IllegalEvent, NotFound, and InvalidInput for an action that is not in
        the incident's plan. `cause` corrects the diagnosis and is learned from.
        """
        incident = self._seen(decision)
        shown = incident.plan
        for action in plan:
            if action not in shown:
                raise InvalidInput("plan", f"{action} is not in the plan shown")
        if incident.state is State.AWAITING_APPROVAL and not (plan or shown):
            raise InvalidInput("plan", "no action is left: use heal-now with an action")
        moved = await self._system.casework.apply(
            decision.incident_id,
            e.Approved(
                at=self._now(),
                who=who,
                why=why,
                plan=tuple(plan) or shown,
                version=decision.version,
            ),
            expected_version=decision.version,
        )
        await self._label(incident, cause)
        return moved

    async def reject(self, decision: Decision, *, who: str, why: str = "") -> Incident:
        """Say no: the agent stays fenced. Raises StaleVersion, IllegalEvent, NotFound."""
        return await self._system.casework.apply(
            decision.incident_id,
            e.Rejected(at=self._now(), who=who, why=why, version=decision.version),
            expected_version=decision.version,
        )

    async def heal_now(
        self, decision: Decision, *, who: str, why: str = "", action: Action | None = None
    ) -> Incident:
        """Order healing after a rejection, or after the ladder was exhausted.

        In `exhausted` an action must be named; a named action overrides memory's ban once. Raises
        StaleVersion, IllegalEvent, NotFound and InvalidInput.
        """
        incident = self._seen(decision)
        if incident.is_fleet:
            raise IllegalEvent(f"incident {incident.id} is of many agents: heal the case of one")
        if incident.state is State.EXHAUSTED and action is None:
            raise InvalidInput("action", "the ladder is exhausted: name the action to try")
        if action is not None and action not in self._system.link.capabilities(incident.agent_id):
            raise InvalidInput("action", f"{incident.agent_id} cannot do {action}")
        return await self._system.casework.apply(
            decision.incident_id,
            e.HealNow(at=self._now(), who=who, why=why, action=action),
            expected_version=decision.version,
        )

    async def release(
        self,
        decision: Decision,
        *,
        who: str,
        verdict: e.Verdict,
        why: str = "",
        cause: Cause | None = None,
    ) -> Incident:
        """Let the agent go with a verdict; for a fleet incident, close or accept it."""
        system = self._system
        incident = system.casework.get(decision.incident_id)
        now = self._now()
        event = e.Released(
            at=now,
            who=who,
            why=why,
            verdict=verdict,
        )
        moved = await system.casework.apply(
            decision.incident_id, event, expected_version=decision.version
        )
        if moved.is_fleet:
            thawed = await system.fleetwork.released(moved, verdict)
            # what was accepted is stored at once: the next process would know the old normal only
            await system.savings.keep(thawed)
        elif moved.state is State.PROBATION:
            system.sentinel.forget(moved.agent_id)
            system.probations.begin(moved)
        elif verdict is e.Verdict.FALSE_ALARM:
            system.sentinel.accept(moved.agent_id, moved.opened_at)
        await self._label(incident, cause)
        return moved

    async def acknowledge(self, decision: Decision, *, who: str, why: str = "") -> Incident:
        """Say that somebody is looking at a fleet incident. Raises as `reject` does."""
        incident = self._seen(decision)
        if not incident.is_fleet:
            raise IllegalEvent(
                f"incident {incident.id} is of one agent: decide it, there is no other word"
            )
        return await self._system.casework.apply(
            decision.incident_id,
            e.Acknowledged(at=self._now(), who=who, why=why),
            expected_version=decision.version,
        )

    async def quarantine(self, agent_id: str, *, who: str, why: str) -> Incident | Fence:
        """Fence an agent: its open case if there is one to contain, else a person's hold.

        Raises NotFound for an agent that never reported, InvalidInput without a reason.
        """
        system = self._system
        if not why.strip():
            raise InvalidInput("why", "say why: the next person will want to know")
        agent_id = self._known(agent_id)
        now = self._now()
        incident = system.casework.open_of(agent_id)
        if incident is not None and incident.state in (State.SUSPECTED, State.OBSERVED):
            return await system.admission.contained(
                incident, e.QuarantinedByPerson(at=now, who=who, why=why)
            )
        fence = Fence(
            id=f"hold/{agent_id}/{now:.3f}/{next(self._holds)}",
            agent_id=agent_id,
            incident_id=None,
            reason=why,
            by=who,
            ordered_at=now,
            exempt=True,
        )
        await self._remember(agent_id)
        await system.casework.put_fence(fence)
        await system.casework.push_fence(agent_id, fence.id)
        return fence

    async def _remember(self, agent_id: str) -> None:
        """Save an agent's row now: somebody has said something about it."""
        system = self._system
        code = system.collector.names.agents.find(agent_id)
        known = code is not None and self._reported(code)
        row = system.collector.row(code) if code is not None and known else AgentRow(agent_id)
        own = system.modes.by_agent.get(agent_id)
        await system.workflow.put_agents([msgspec.structs.replace(row, mode=str(own or ""))])

    async def release_hold(self, agent_id: str, *, who: str, why: str = "") -> list[Fence]:
        """Lift people's holds on an agent; the system's own fence is lifted through its case."""
        system = self._system
        agent_id = self._known(agent_id)
        now = self._now()
        lifted = []
        for fence in system.quarantine.standing(agent_id):
            if fence.incident_id is None:
                reason = f"{fence.reason} (released by {who}{': ' + why if why else ''})"
                down = msgspec.structs.replace(fence, lifted_at=now, reason=reason)
                if await system.casework.put_fence(down):
                    await system.casework.push_fence(agent_id, f"{fence.id}/lifted")
                    lifted.append(down)
        if not lifted:
            raise NotFound(f"no person's hold stands around {agent_id}")
        return lifted

    async def set_mode(
        self, mode: Mode | None, *, agent_type: str = "", agent_id: str = ""
    ) -> None:
        """Set how far the system may go: for all, for a type, or for one agent.

        None clears the mode of a type or an agent, which then has the wider one again. Raises
        NotFound for a type or an agent that never reported, InvalidInput for a None for all.
        """
        modes = self._system.modes
        if agent_type and agent_id:
            raise InvalidInput("agent_type", "name a type or an agent, not both")
        if agent_id:
            agent_id = self._known(agent_id)
            _put_mode(modes.by_agent, agent_id, mode)
            await self._remember(agent_id)
            return
        if agent_type:
            self._known_type(agent_type)
            _put_mode(modes.by_type, agent_type, mode)
        elif mode is None:
            raise InvalidInput("mode", "there is always one for all: name a type or an agent")
        else:
            modes.everywhere = mode
        stored = {"": modes.everywhere, **modes.by_type}
        await self._system.workflow.put_setting("modes", msgspec.json.encode(stored).decode())

    async def bulk(
        self, decisions: Sequence[Decision], order: Callable[[Decision], Awaitable[Incident]]
    ) -> list[Outcome]:
        """Give one order for each of `decisions`; one that is refused stops no other."""
        if not decisions:
            raise InvalidInput("decisions", "is empty: name each incident and its version")
        outcomes = []
        for decision in decisions:
            try:
                outcomes.append(Outcome(decision.incident_id, await order(decision)))
            except Refused as refused:
                outcomes.append(await self._outcome(decision, refused))
        return outcomes

    async def _outcome(self, decision: Decision, refused: Refused) -> Outcome:
        since = None
        if isinstance(refused, IllegalEvent | StaleVersion | NotFound):
            since = await self.since(decision)
        if since is None:
            return Outcome(decision.incident_id, None, str(refused))
        if isinstance(refused, NotFound):
            refused = closed(since.current)
        return Outcome(decision.incident_id, None, str(refused), since.current, since.meanwhile)

    async def since(self, decision: Decision) -> Since | None:
        """What became of an incident, open or closed, after the version that a person saw.

        None where there is no such incident, or the store does not answer: the order is refused all
        the same.
        """
        workflow = self.workflow
        try:
            current = await workflow.incident(decision.incident_id)
            if current is None:
                return None
            if current.version == decision.version:
                return Since(current, [])
            events = await workflow.events(incident_id=decision.incident_id)
        except StoreDown:
            return None
        return Since(current, [line for line in events if line.version > decision.version])

    def _seen(self, decision: Decision) -> Incident:
        """The incident as the person saw it.

        Raises StaleVersion before anything else is said of the order: what is wrong with it now may
        have been right then.
        """
        incident = self._system.casework.get(decision.incident_id)
        if incident.version != decision.version:
            raise StaleVersion(incident.id, decision.version, incident.version)
        return incident

    def _known(self, told: str) -> str:
        """The name of the agent that `told` stands for; raises NotFound."""
        collector = self._system.collector
        agent_id = collector.names.agents.name(told)
        code = collector.names.agents.find(agent_id)
        if self._system.quarantine.refuses(agent_id):
            return agent_id  # maybe never saved, and its hold must be liftable all the same
        if code is None or not self._reported(code):
            raise NotFound(f"no agent {told} ever reported")
        return agent_id

    def _reported(self, code: int) -> bool:
        last_seen = self._system.collector.last_seen()
        return code < len(last_seen) and bool(last_seen[code])

    def _known_type(self, agent_type: str) -> None:
        collector = self._system.collector
        reported = {collector.row(code).agent_type for code in collector.known().tolist()}
        known = sorted((reported | set(self._system.modes.by_type)) - {""})
        if agent_type not in known:
            there = f"known are {', '.join(known)}" if known else "no agent has told its type yet"
            raise NotFound(f"no agent of type {agent_type} ever reported: {there}")

    async def _label(self, incident: Incident, cause: Cause | None) -> None:
        if cause is not None and incident.finding is not None:
            diagnostician = self._system.diagnostician
            diagnostician.learn(incident.finding, cause)
            await self._system.workflow.put_setting("labels", diagnostician.save().decode())

    def _now(self) -> float:
        return self._system.clock.time()


def closed(incident: Incident) -> IllegalEvent:
    """Why an order on a closed incident is refused."""
    return IllegalEvent(
        f"incident {incident.id} is closed ({incident.state}): nothing is left to decide"
    )


def _put_mode(modes: dict[str, Mode], name: str, mode: Mode | None) -> None:
    if mode is None:
        modes.pop(name, None)
    else:
        modes[name] = mode
