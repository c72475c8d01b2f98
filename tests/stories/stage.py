"""The stage of the stories: the whole system on a manual clock, and a few ways to look at it."""

from __future__ import annotations

from collections.abc import Callable

from immune.assemble import System
from immune.casework import Casework
from immune.incidents import events as e
from immune.incidents.incident import Incident
from immune.incidents.states import State
from immune.ports import IncidentEvent
from immune.run.simulate import SimulateOptions, Simulation


class Stage:
    """A simulation that a test drives second by second."""

    def __init__(self, **options: object) -> None:
        given = {"warmup_s": 0, "chaos": "none", "operator": "absent", "seed": 3, **options}
        self.simulation = Simulation(SimulateOptions(**given))  # type: ignore[arg-type]
        self.lines: list[tuple[IncidentEvent, Incident]] = []
        self._listen()

    def _listen(self) -> None:
        self.casework.listeners.append(lambda line, case: self.lines.append((line, case)))

    async def __aenter__(self) -> Stage:
        await self.simulation.workflow.open()
        await self.system.orchestrator.start()
        return self

    async def save(self) -> None:
        """Save all that was learned."""
        await self.system.orchestrator.savings.save(everything=True)

    async def crash(self, *, saved: bool = True) -> None:
        """Go on with a new system on the same stores; what was learned had just been `saved`."""
        if saved:
            await self.save()
        await self.simulation.restart()
        self._listen()

    @property
    def system(self) -> System:
        return self.simulation.system

    async def __aexit__(self, *fault: object) -> None:
        await self.simulation.workflow.close()

    @property
    def casework(self) -> Casework:
        return self.system.orchestrator.casework

    @property
    def agents(self) -> tuple[str, ...]:
        return self.simulation.fleet.agent_ids

    async def play(self, seconds: int, until: Callable[[], bool] = lambda: False) -> bool:
        """Let `seconds` pass, or fewer if `until` comes true; return whether it did."""
        for _ in range(seconds):
            if until():
                return True
            await self.simulation.second()
        return until()

    async def warm_up(self) -> None:
        """Five minutes of health: baselines stand."""
        await self.play(300)

    def infect(self, agent_id: str, infection: str, strain: str | None = None) -> None:
        self.simulation.chaos.inject(agent_id, infection, strain)

    def open_case(self, agent_id: str) -> Incident:
        """The agent's open incident."""
        case = self.casework.open_of(agent_id)
        assert case is not None, f"{agent_id} has no open incident"
        return case

    def case(self, agent_id: str) -> Incident | None:
        """The agent's latest incident, open or closed."""
        for _, case in reversed(self.lines):
            if case.subject.name == agent_id:
                return case
        return None

    def state(self, agent_id: str) -> State | None:
        case = self.case(agent_id)
        return None if case is None else case.state

    def happened(self, agent_id: str) -> list[str]:
        """The agent's events, in order."""
        return [e.name(line.event) for line, case in self.lines if case.subject.name == agent_id]

    def fleet_cases(self) -> list[Incident]:
        """All fleet incidents ever opened, as they are now."""
        latest = {case.id: case for _, case in self.lines if case.is_fleet}
        return list(latest.values())

    def fenced(self) -> frozenset[str]:
        return self.system.orchestrator.quarantine.fenced_agents()
