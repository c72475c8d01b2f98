"""The run in a few counts, kept while it happens, so that showing them costs nothing.

Healed means proved on fresh vitals; an attempt whose case a person ended counts as neither.
"""

from __future__ import annotations

import msgspec

from immune.healing.actions import Healing, Outcome
from immune.incidents import events as e
from immune.incidents.incident import Incident
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


class Tally:
    """Counts what the casework commits."""

    def __init__(self, system: ImmuneSystemOrchestrator) -> None:
        self._system = system
        self._infections: set[str] = set()
        self._outcomes: dict[str, Outcome] = {}
        system.casework.listeners.append(self._moved)
        system.casework.attempt_listeners.append(self._attempted)

    async def load(self) -> None:
        """Count anew what the run holds already."""
        for line in await self._system.workflow.events():
            self._count(line)
        for healing in await self._system.workflow.healings():
            self._attempted(healing)

    def _moved(self, line: IncidentEvent, incident: Incident) -> None:
        self._count(line)

    def _count(self, line: IncidentEvent) -> None:
        if isinstance(line.event, e.Confirmed | e.QuarantinedByPerson):
            self._infections.add(line.incident_id)

    def _attempted(self, healing: Healing) -> None:
        self._outcomes[healing.key] = healing.outcome

    async def view(self) -> TallyView:
        """The counts as they are now."""
        system = self._system
        outcomes = list(self._outcomes.values())
        healed = outcomes.count(Outcome.CURED)
        unhealed = sum(outcomes.count(lost) for lost in _LOST)
        decided = healed + unhealed
        return TallyView(
            agents=len(system.collector.known()),
            executions=await system.telemetry.count(),
            infections=len(self._infections),
            healed=healed,
            unhealed=unhealed,
            quarantined=len(system.quarantine.fenced_agents()),
            success_rate=healed / decided if decided else None,
        )
