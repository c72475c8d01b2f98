"""The way to simulated agents: actions and fences, as a real link would do them."""

from __future__ import annotations

from collections.abc import Iterable

from immune.clock import Clock
from immune.errors import ActionFailed, Unreachable
from immune.healing.actions import LIMITING, Action, ActionAnswer, Treatment
from immune.simulation.fleet import SimulatedFleet
from immune.simulation.treatments import act, give_back

EVERYTHING = frozenset(Action)


class SimulatedLink:
    """An `AgentLink` to a simulated fleet.

    `unreachable` agents don't answer until they are taken out of the set. An agent that the fleet
    doesn't have can do nothing, and asking it to raises NotFound.
    """

    def __init__(
        self, fleet: SimulatedFleet, clock: Clock, *, unreachable: Iterable[str] = ()
    ) -> None:
        self._fleet = fleet
        self._clock = clock
        self._applied: dict[str, ActionAnswer] = {}
        self._lifted: dict[str, ActionAnswer] = {}
        self._fenced: set[str] = set()
        self.unreachable = set(unreachable)

    def capabilities(self, agent_id: str) -> frozenset[Action]:
        """All seven for an agent of the fleet."""
        return EVERYTHING if agent_id in self._fleet.state.index else frozenset()

    async def apply(self, agent_id: str, action: Action, key: str) -> ActionAnswer:
        """Do `action`. Raises NotFound, Unreachable."""
        if key not in self._applied:
            changes = act(self._fleet.state, self._reach(agent_id), action)
            self._applied[key] = ActionAnswer(self._clock.time(), changes)
        return self._applied[key]

    async def lift(self, agent_id: str, treatment: Treatment, key: str) -> ActionAnswer:
        """Give back what the treatment took. Raises NotFound, Unreachable, ActionFailed."""
        if key not in self._lifted:
            i = self._reach(agent_id)
            if treatment.action not in LIMITING:
                raise ActionFailed(f"{treatment.action} leaves nothing in force to be lifted")
            changes = give_back(self._fleet.state, i, treatment.changes)
            self._lifted[key] = ActionAnswer(self._clock.time(), changes)
        return self._lifted[key]

    async def fence(self, agent_id: str, refused: bool, key: str) -> bool:
        """Refuse the agent's calls or let them through; False for an agent it doesn't have.

        Raises Unreachable.
        """
        if agent_id not in self._fleet.state.index:
            return False
        if key not in self._fenced:
            self._reach(agent_id)
            self._fleet.fence(agent_id, refused)
            self._fenced.add(key)
        return True

    def _reach(self, agent_id: str) -> int:
        i = self._fleet.place(agent_id)
        if agent_id in self.unreachable:
            raise Unreachable(f"{agent_id} does not answer")
        return i
