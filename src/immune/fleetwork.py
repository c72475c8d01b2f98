"""Fleet incidents: one case for what many agents share, and never a fence.

What the `FleetWatch` finds becomes one incident; single findings that it explains open no case of
their own, and cases that were open already are absorbed. Members' baselines stand still while it
lasts.
"""

from __future__ import annotations

from immune.casework import Casework
from immune.clock import Clock
from immune.columns import KIND_CODE, Names
from immune.detection import BaselineLearner, Sentinel
from immune.detection.findings import Finding, Source
from immune.detection.fleet import FleetWatch
from immune.detection.fleet_case import FleetFinding
from immune.detection.hits import Hit
from immune.errors import IllegalEvent
from immune.incidents import effects as fx
from immune.incidents import events as e
from immune.incidents.incident import Incident, Subject
from immune.incidents.states import State
from immune.ports import WorkflowStore

BRAKE = Subject("brake", "fleet")


class Fleetwork:
    """The open fleet incidents, and what they explain."""

    def __init__(
        self,
        *,
        casework: Casework,
        workflow: WorkflowStore,
        learner: BaselineLearner,
        sentinel: Sentinel,
        watch: FleetWatch,
        names: Names,
        clock: Clock,
    ) -> None:
        self._casework = casework
        self._workflow = workflow
        self._learner = learner
        self._sentinel = sentinel
        self._watch = watch
        self._names = names
        self._clock = clock
        self._open: dict[str, FleetFinding] = {}

    def resume(self, incident: Incident) -> None:
        """Take up a fleet incident that was open before a restart."""
        if incident.fleet is not None:
            self._open[incident.id] = incident.fleet
            self._watch.resume(incident.fleet)
            self._hold_still(incident.fleet)

    async def watch(self, now: float, findings: list[Finding]) -> None:
        """Look for a change that many agents share, and for the end of one."""
        silences = [self._hit(finding) for finding in findings if finding.source is Source.SILENCE]
        for found in self._watch.watch(
            now, self._sentinel.fleet_levels(), self._sentinel.scan, self._learner.facts, silences
        ):
            await self._found(found)
        for over in self._watch.subsided(now):
            await self._over(over, now)

    def explains(self, finding: Finding) -> bool:
        """Whether an open fleet incident explains an agent's finding."""
        return any(self._watch.explains(fleet, finding) for fleet in self._open.values())

    def _hit(self, finding: Finding) -> Hit:
        return Hit(
            agent=self._names.agents.code(finding.agent_id),
            kind=KIND_CODE[finding.kind],
            at=finding.at,
            tier=finding.tier,
            source=finding.source,
            facts=finding.facts,
            can_fence=finding.can_fence,
            why_not=finding.why_not,
            onset_at=finding.onset_at,
        )

    async def _found(self, found: FleetFinding) -> None:
        subject = Subject(found.kind, f"{found.dimension} {found.name}")
        if self._casework.open_about(subject) is not None:
            return
        incident = Incident(
            id=self._casework.new_id(),
            run_id=self._workflow.run_id,
            subject=subject,
            agent_type="",
            state=State.OBSERVED,
            version=1,
            opened_at=found.at,
            updated_at=found.at,
            onset_at=found.onset_at,
            finding=None,
            members=found.members,
            summary=found.text,
            fleet=found,
        )
        await self._open_case(incident, found.text)
        self._open[incident.id] = found
        self._hold_still(found)
        for agent_id in found.members:
            case = self._casework.open_of(agent_id)
            if (
                case is None
                or case.finding is None
                or not self._watch.explains(found, case.finding)
            ):
                continue
            try:
                await self._casework.apply(case.id, e.Absorbed(at=found.at, by=incident.id))
            except IllegalEvent:
                continue  # a person decided about it, or it is past healing: it stays a case

    async def _open_case(self, incident: Incident, text: str) -> None:
        notice = fx.Notify(
            key=f"{incident.id}/fleet",
            agent_id="",
            topic=fx.Topic.FLEET,
            incident_id=incident.id,
            text=text,
        )
        await self._casework.open(incident, e.Opened(at=incident.opened_at, why=text), [notice])

    def _hold_still(self, found: FleetFinding) -> None:
        for agent_id in found.members:
            self._learner.freeze(agent_id, found.onset_at)

    async def _over(self, found: FleetFinding, now: float) -> None:
        for incident_id, fleet in list(self._open.items()):
            if fleet.subject == found.subject:
                moved = await self._casework.apply(incident_id, e.Subsided(at=now))
                await self.released(moved, None)

    async def released(self, incident: Incident, verdict: e.Verdict | None) -> None:
        """A fleet incident is closed: give its members' baselines back as the verdict says."""
        fleet = self._open.pop(incident.id, None)
        if fleet is None:
            return
        self._watch.close(fleet)
        order = (
            {
                e.Verdict.NEW_NORMAL: fx.BaselineOrder.RESTART,
                e.Verdict.FALSE_ALARM: fx.BaselineOrder.LEARN,
            }.get(verdict, fx.BaselineOrder.DISCARD)
            if verdict
            else fx.BaselineOrder.DISCARD
        )
        for agent_id in fleet.members:
            if self._casework.open_of(agent_id) is None:
                await self._casework.wish(
                    fx.SetBaseline(
                        key=f"{incident.id}/{agent_id}/baseline",
                        agent_id=agent_id,
                        order=order,
                        since=fleet.onset_at,
                    )
                )

    # --- the brake ---------------------------------------------------------------------------

    async def braked(self, event: e.Braked) -> None:
        """The brake held back a fence: one fleet incident says so until it lets go."""
        if self._casework.open_about(BRAKE) is not None:
            return
        text = f"the brake holds: {event.why}; further sick agents are not quarantined"
        incident = Incident(
            id=self._casework.new_id(),
            run_id=self._workflow.run_id,
            subject=BRAKE,
            agent_type="",
            state=State.OBSERVED,
            version=1,
            opened_at=event.at,
            updated_at=event.at,
            onset_at=event.at,
            finding=None,
            summary=text,
        )
        await self._open_case(incident, text)

    async def brake_released(self, now: float) -> None:
        """Nobody is held back any more."""
        incident = self._casework.open_about(BRAKE)
        if incident is not None:
            await self._casework.apply(incident.id, e.Subsided(at=now))
