"""How far the system may go by itself: for all, for a type of agent, for one agent."""

from __future__ import annotations

import enum


class Mode(enum.StrEnum):
    """What the system does with a confirmed infection."""

    OBSERVE = "observe"
    """Nothing but say what it would have done."""
    ASK = "ask"
    """Fence, and ask a person before any healing."""
    ENFORCE = "enforce"
    """Fence and heal; ask only in severe cases."""


class Modes:
    """The modes in force; the narrowest one holds: agent, then type, then global."""

    def __init__(self, everywhere: Mode) -> None:
        self.everywhere = everywhere
        self.by_type: dict[str, Mode] = {}
        self.by_agent: dict[str, Mode] = {}

    def of(self, agent_id: str, agent_type: str) -> Mode:
        """The mode that holds for one agent."""
        return self.by_agent.get(agent_id) or self.by_type.get(agent_type) or self.everywhere
