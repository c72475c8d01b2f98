"""Agents that only report: nothing can be done to them, and nobody enforces their fences."""

from __future__ import annotations

from immune.clock import Clock
from immune.errors import ActionFailed
from immune.healing.actions import Action, ActionAnswer, Treatment


class Unlinked:
    """An `AgentLink` to agents that have no link.

    Their fences stand as orders that no enforcement point confirms. All that can be done is to
    wait; a ladder without that is exhausted at once, which calls a person.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def capabilities(self, agent_id: str) -> frozenset[Action]:
        """Nothing but to wait."""
        return frozenset({Action.WAIT})

    async def apply(self, agent_id: str, action: Action, key: str) -> ActionAnswer:
        """Raises ActionFailed for anything but waiting."""
        if action is Action.WAIT:
            return ActionAnswer(self._clock.time())
        raise ActionFailed(f"{agent_id} is not linked: {action} cannot be done")

    async def lift(self, agent_id: str, treatment: Treatment, key: str) -> ActionAnswer:
        """Raises ActionFailed."""
        raise ActionFailed(f"{agent_id} is not linked: {treatment.action} cannot be lifted")

    async def fence(self, agent_id: str, refused: bool, key: str) -> bool:
        """Nobody enforces it."""
        return False
