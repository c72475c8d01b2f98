"""The run in a few counts, kept while it happens, so that showing them costs nothing.

Healed means proved on fresh vitals; an attempt whose case a person ended counts as neither.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from immune.healing.actions import Healing, Outcome
from immune.incidents import events as e
from immune.incidents.incident import Incident
from immune.incidents.states import CLOSED
from immune.orchestrator import ImmuneSystemOrchestrator
from immune.ports import IncidentEvent

_LOST = (Outcome.RELAPSED, Outcome.FAILED, Outcome.UNREACHABLE)


class TallyView(msgspec.Struct, frozen=True):
    """What the cards show."""

    agents: int
    """That ever reported."""
    executions: int
    """Steps reported in this run."""
    infections: int
    """Cases that were confirmed, or that a person quarantined."""
    healed: int
    """Attempts that were proved on fresh vitals."""
    unhealed: int
    """Attempts that relapsed, failed, or could not be ordered."""
    quarantined: int
    """Agents around which a fence stands now."""
    success_rate: float | None
    """healed / (healed + unhealed); null while nothing is decided."""


class Cases:
    """How many cases something was seen of, each counted once."""

    def __init__(self) -> None:
        self.number = 0
        self._open: set[str] = set()

    def add(self, incident_id: str) -> None:
        """It was seen of this one, as it may have been before."""
        if incident_id not in self._open:
            self._open.add(incident_id)
            self.number += 1

    def ended(self, incident_id: str) -> None:
        """Nothing more comes of this one: it need not be remembered."""
        self._open.discard(incident_id)


class Tally:
    """Counts what the casework commits."""

    def __init__(self, system: ImmuneSystemOrchestrator) -> None:
        self._system = system
        self._infections = Cases()
        self._outcomes: Counter[Outcome] = Counter()
        self._closed: Counter[str] = Counter()
        system.casework.listeners.append(self._moved)
        system.casework.attempt_listeners.append(self._attempted)

    async def load(self) -> None:
        """Count anew what the run holds already."""
        lines = await self._system.workflow.events()
        healings = await self._system.workflow.healings()
        incidents = await self._system.workflow.incidents()
        self._infections = Cases()
        self._outcomes.clear()
        self._closed = Counter(i.state for i in incidents if not (i.is_open or i.is_fleet))
        for line in lines:
            self._count(line)
        for healing in healings:
            self._attempted(healing)

    def _moved(self, line: IncidentEvent, incident: Incident) -> None:
        self._count(line)
        if line.state in CLOSED and not incident.is_fleet:
            self._closed[line.state] += 1

    def _count(self, line: IncidentEvent) -> None:
        if isinstance(line.event, e.Confirmed | e.QuarantinedByPerson):
            self._infections.add(line.incident_id)
        if line.state in CLOSED:
            self._infections.ended(line.incident_id)

    def _attempted(self, healing: Healing) -> None:
        # an attempt ends once, and is not heard of after that
        if healing.outcome is not Outcome.PENDING:
            self._outcomes[healing.outcome] += 1

    @property
    def outcomes(self) -> Counter[Outcome]:
        """How the attempts of the run came out, running ones included."""
        casework = self._system.casework
        running = [i for i in casework.open_incidents() if casework.attempt(i.id) is not None]
        return self._outcomes + Counter({Outcome.PENDING: len(running)})

    @property
    def states(self) -> Counter[str]:
        """The cases of agents by state, closed ones included."""
        casework = self._system.casework
        return self._closed + Counter(
            str(i.state) for i in casework.open_incidents() if not i.is_fleet
        )

    async def view(self) -> TallyView:
        """The counts as they are now."""
        system = self._system
        healed = self._outcomes[Outcome.CURED]
        unhealed = sum(self._outcomes[lost] for lost in _LOST)
        decided = healed + unhealed
        return TallyView(
            agents=len(system.collector.known()),
            executions=await system.telemetry.count(),
            infections=self._infections.number,
            healed=healed,
            unhealed=unhealed,
            quarantined=len(system.quarantine.fenced_agents()),
            success_rate=healed / decided if decided else None,
        )
