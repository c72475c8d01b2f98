"""A small model of the HTTP API: what should be so after each request."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

from immune.incidents.states import FENCED, OPEN

LEADS: dict[tuple[str, str], set[str]] = {
    ("approve", "awaiting_approval"): {"healing"},
    ("reject", "awaiting_approval"): {"rejected"},
    ("heal-now", "rejected"): {"healing"},
    ("heal-now", "exhausted"): {"healing"},
    **{("release", str(state)): {"dismissed", "probation"} for state in OPEN},
}
"""Where a decision leads, by the state that it is made in; every other one is refused."""


@dataclass(slots=True)
class Case:
    """What the model knows of an incident."""

    agent: str
    state: str
    version: int

    @property
    def is_open(self) -> bool:
        return self.state in OPEN


@dataclass(slots=True)
class Model:
    """What should be so."""

    agents: set[str] = field(default_factory=set)
    steps: set[tuple[str, str]] = field(default_factory=set)
    seen: dict[str, float] = field(default_factory=dict)
    """When each agent was heard of last, epoch seconds."""
    aliases: dict[str, str] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)
    holds: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    """Fence id -> the agent and the lockdown that raised it, if one did."""
    mode: str = "enforce"
    by_type: dict[str, str] = field(default_factory=dict)
    by_agent: dict[str, str] = field(default_factory=dict)

    def name(self, told: str) -> str:
        """The agent that a name stands for."""
        return self.aliases.get(told, told)

    def open_case(self, agent: str) -> str | None:
        """The agent's open case."""
        return next((i for i, c in self.cases.items() if c.agent == agent and c.is_open), None)

    def fenced(self) -> set[str]:
        """Whose calls are refused."""
        by_case = {case.agent for case in self.cases.values() if case.state in FENCED}
        return by_case | {agent for agent, _ in self.holds.values()}


def path_of(agent: str, verb: str = "") -> str:
    """The path of an agent's resource."""
    return f"/api/agents/{quote(agent, safe='')}" + (f"/{verb}" if verb else "")
