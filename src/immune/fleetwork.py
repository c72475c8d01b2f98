"""Fleet incidents: one case for what many agents share, and never a fence.

What the `FleetWatch` finds becomes one incident; single findings that it explains open no case of
their own, and cases that were open already are absorbed. Members' baselines stand still while it
lasts.
"""

from __future__ import annotations

from collections.abc import Sequence

from immune.casework import Casework
from immune.clock import Clock
from immune.detection import BaselineLearner, Sentinel
from immune.detection.facts import Order
from immune.detection.findings import Finding
from immune.detection.fleet import FleetWatch
from immune.detection.fleet_case import FleetFinding
from immune.detection.fleet_case import Subject as FleetSubject
from immune.detection.hits import Hit
from immune.diagnosis.causes import Cause, Diagnosis, RankedCause
from immune.errors import IllegalEvent, NotFound, Transient
from immune.healing.treatments import learns
from immune.incidents import effects as fx
from immune.incidents import events as e
from immune.incidents.incident import Incident, Subject
from immune.incidents.states import State
from immune.ports import WorkflowStore

BRAKE = Subject("brake", "fleet")

LOOK_ANEW_S = 60.0
"""Seconds between two fresh looks at the members of an open fleet incident: their evidence is set
to zero, and grows back at once if it still lasts. Old evidence fades too slowly to see the end."""

COMPANIONS = 64
"""Members of an outage with whom an agent on trial is compared: enough for a median."""

_THAW: dict[e.Verdict | None, Order] = {
    e.Verdict.NEW_NORMAL: "restart",
    e.Verdict.FALSE_ALARM: "learn",
}
"""What becomes of the members' held back samples; discarded for any other end."""


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
        clock: Clock,
    ) -> None:
        self._casework = casework
        self._workflow = workflow
        self._learner = learner
        self._sentinel = sentinel
        self._watch = watch
        self._clock = clock
        self._open: dict[FleetSubject, tuple[str, FleetFinding]] = {}
        """What the finding is about -> the incident that it is part of, and the finding."""
        self._look_anew_at = 0.0

    def resume(self, incident: Incident) -> None:
        """Take up a fleet incident that was open before a restart."""
        if incident.fleet is not None:
            self._open[incident.fleet.subject] = (incident.id, incident.fleet)
            self._watch.reopen(incident.fleet)

    async def watch(self, now: float, silences: Sequence[Hit]) -> list[Finding]:
        """Look for a change that many agents share, and for the end of one.

        Returns the findings that were excused by one and are an agent's own by now.
        """
        for found in self._watch.watch(
            now, self._sentinel.fleet_levels(), self._sentinel.scan, self._learner.facts, silences
        ):
            try:
                await self._found(found)
            except Transient:
                self._watch.close(found)  # so that it is found again once the store is back
                raise
        look_anew = now >= self._look_anew_at
        for _, fleet in self._open.values():
            self._hold_still(fleet)
            if look_anew:
                for agent_id in self._watch.members_of(fleet):
                    self._forget(agent_id)
        if look_anew:
            self._look_anew_at = now + LOOK_ANEW_S
        for over in self._watch.subsided(now):
            await self._over(over, now)
        return self._watch.grown_up()

    def judge(self, finding: Finding) -> Finding | None:
        """What of an agent's finding is its own, where open fleet incidents don't explain it all;
        what they excuse for now is looked at again by `watch`."""
        return self._watch.judge(finding)

    def explains(self, finding: Finding) -> bool:
        """Whether an open fleet incident explains an agent's finding."""
        return self._watch.explains(finding)

    def own_part(self, finding: Finding) -> Finding:
        """An agent's finding without what the open fleet incidents explain of it."""
        return self._watch.own_part(finding)

    def companions(self, agent_id: str) -> list[str]:
        """Some agents that suffer an open outage with this one, and nothing of their own."""
        members = [
            self._watch.members_of(fleet)
            for _, fleet in self._open.values()
            if fleet.kind == "outage" and self._watch.concerns(fleet, agent_id)
        ]
        others = [
            other
            for other in sorted({other for some in members for other in some} - {agent_id})
            if self._casework.open_of(other) is None
        ]
        return others[:: max(len(others) // COMPANIONS, 1)]

    def holds(self, agent_id: str) -> bool:
        """Whether an open fleet incident holds the agent's baseline still."""
        return any(agent_id in self._watch.members_of(fleet) for _, fleet in self._open.values())

    async def _found(self, found: FleetFinding) -> None:
        subject = Subject(found.kind, f"{found.dimension} {found.name}")
        known = self._casework.open_about(subject)
        if known is not None:  # a release of prompt and model: one incident
            self._open[found.subject] = (known.id, found)
            return
        incident = await self._open_case(subject, found.at, found.text, found)
        self._open[found.subject] = (incident.id, found)
        for agent_id in found.members:
            case = self._casework.open_of(agent_id)
            if case and case.finding and self._watch.judge(case.finding) is None:
                await self._absorb(case, incident, found.at)

    async def _absorb(self, case: Incident, into: Incident, at: float) -> None:
        try:
            await self._casework.apply(case.id, e.Absorbed(at=at, by=into.id))
        except (IllegalEvent, NotFound):
            return  # a person decided about it, or it is past healing or closed: it stays as it is

    async def _open_case(
        self, subject: Subject, at: float, text: str, found: FleetFinding | None = None
    ) -> Incident:
        incident = Incident(
            id=self._casework.new_id(),
            run_id=self._workflow.run_id,
            subject=subject,
            agent_type="",
            state=State.OBSERVED,
            version=1,
            opened_at=at,
            updated_at=at,
            onset_at=found.onset_at if found else at,
            finding=None,
            diagnosis=_diagnosis(found) if found else None,
            members=found.members if found else (),
            summary=text,
            fleet=found,
        )
        notice = fx.Notify(
            key=f"{incident.id}/fleet",
            agent_id="",
            topic=fx.Topic.FLEET,
            incident_id=incident.id,
            text=text,
        )
        return await self._casework.open(incident, e.Opened(at=at, why=text), [notice])

    def _hold_still(self, fleet: FleetFinding) -> None:
        """Freeze the baselines of all members, those that joined later included."""
        learner = self._learner
        rows = learner.streams.used()
        frozen = learner.streams.agent[rows[learner.kernel.frozen[rows]]]
        for agent_id in self._watch.members_beside(fleet, frozen):
            learner.freeze(agent_id, fleet.onset_at)

    async def _over(self, found: FleetFinding, now: float) -> None:
        incident_id, _ = self._open[found.subject]
        moved = await self._casework.apply(incident_id, e.Subsided(at=now))
        await self.released(moved, None)

    async def released(self, incident: Incident, verdict: e.Verdict | None) -> list[str]:
        """A fleet incident is closed: give its members' baselines back as the verdict says.

        Returns those whose baselines learn again.
        """
        parts = [fleet for incident_id, fleet in self._open.values() if incident_id == incident.id]
        members = {agent_id for fleet in parts for agent_id in self._watch.members_of(fleet)}
        for fleet in parts:
            del self._open[fleet.subject]
            self._watch.close(fleet)
        order = _THAW.get(verdict, "discard")
        thawed = []
        for agent_id in sorted(members):
            case = self._casework.open_of(agent_id)
            if case is not None and verdict is e.Verdict.NEW_NORMAL:
                await self._absorb(case, incident, incident.updated_at)
            self._forget(agent_id)
            if self._casework.open_of(agent_id) is None and learns(
                self._casework.treatments_of(agent_id)
            ):
                self._learner.thaw(agent_id, order)
                thawed.append(agent_id)
        return thawed

    def _forget(self, agent_id: str) -> None:
        """Set a member's evidence to zero; one with a case of its own keeps it until that ends."""
        if self._casework.open_of(agent_id) is None:
            self._sentinel.forget(agent_id)

    # --- the brake ---------------------------------------------------------------------------

    async def braked(self, event: e.Braked) -> None:
        """The brake held back a fence: one fleet incident says so until it lets go."""
        if self._casework.open_about(BRAKE) is not None:
            return
        text = f"the brake holds: {event.why}; further sick agents are not quarantined"
        try:
            await self._open_case(BRAKE, event.at, text)
        except IllegalEvent:
            return  # another case, held back in the same moment, has said so

    async def brake_released(self, now: float) -> None:
        """Nobody is held back any more."""
        incident = self._casework.open_about(BRAKE)
        if incident is not None:
            await self._casework.apply(incident.id, e.Subsided(at=now))


def _diagnosis(found: FleetFinding) -> Diagnosis | None:
    """An outage has a cause outside of its agents; a release and a gap are no sickness."""
    if found.kind != "outage":
        return None
    return Diagnosis((RankedCause(Cause.EXTERNAL_CAUSE, 1.0),), (found.text,), "fleet")
