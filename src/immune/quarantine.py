"""Who may not call: fences, and the brake on ourselves.

A fence is the order that an agent's calls be refused. The rows in the store are the truth; the
`QuarantineController` is their image in memory and knows when the system has fenced enough. A
person's hold is a fence with no incident: the system never lifts it, and the brake never counts it.
"""

from __future__ import annotations

import msgspec

from immune.errors import InvalidInput
from immune.incidents.events import SYSTEM
from immune.words import percent


class BrakeParams(msgspec.Struct, frozen=True):
    """How much of the fleet the system may cut off by itself."""

    share: float = 0.30
    """Share of active agents fenced at once; 1.0 turns the brake off, its hourly part included."""
    at_least: int = 5
    """Fences always allowed at once, however small the fleet."""
    hourly_share: float = 0.10
    """Share of active agents fenced within an hour."""
    hourly_at_least: int = 20
    """Fences always allowed within an hour."""

    def __post_init__(self) -> None:
        for name in ("share", "hourly_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidInput(f"brake.{name}", "must lie between 0 and 1")
        for name in ("at_least", "hourly_at_least"):
            if getattr(self, name) < 0:
                raise InvalidInput(f"brake.{name}", "must not be negative")


class Fence(msgspec.Struct, frozen=True):
    """One standing or lifted order. `enforced_at` stays None until a point confirms it."""

    id: str
    agent_id: str
    incident_id: str | None
    """None for a person's hold."""
    reason: str
    by: str
    ordered_at: float
    enforced_at: float | None = None
    lifted_at: float | None = None
    exempt: bool = False
    """Ordered by a hard limit or a person: the brake does not count it."""


class Bound(msgspec.Struct, frozen=True):
    """One rule of the brake, as it stands now."""

    limit: int
    """Agents that it lets the system fence."""
    used: int
    span: str
    """What it counts: those fenced ``at once``, or within ``an hour``."""
    why: str
    """Where the limit comes from, in words."""


class QuarantineController:
    """The standing fences, and whether one more may be raised."""

    def __init__(self, params: BrakeParams) -> None:
        self._params = params
        self._standing: dict[str, dict[str, Fence]] = {}
        self._orders: dict[str, float] = {}
        """incident -> when it was first fenced; a relapse of the same case is no new order."""
        self._counted = 0

    def load(self, fences: list[Fence]) -> None:
        """Take in rows, in any order, as after a restart."""
        for fence in sorted(fences, key=lambda f: f.ordered_at):
            self.raised(fence)
            if fence.lifted_at is not None:
                self.lowered(fence.id, fence.agent_id)

    def refuses(self, agent_id: str) -> bool:
        """Whether the agent's calls are refused: any fence stands."""
        return agent_id in self._standing

    def standing(self, agent_id: str | None = None) -> list[Fence]:
        """The standing fences, of one agent or of all."""
        if agent_id is not None:
            return list(self._standing.get(agent_id, {}).values())
        return [fence for fences in self._standing.values() for fence in fences.values()]

    def fenced_agents(self) -> frozenset[str]:
        return frozenset(self._standing)

    def raised(self, fence: Fence) -> None:
        """A fence row was written."""
        known = self._standing.setdefault(fence.agent_id, {})
        if fence.id not in known and _counts(fence):
            self._counted += 1
            self._orders.setdefault(fence.incident_id or fence.id, fence.ordered_at)
        known[fence.id] = fence

    def lowered(self, fence_id: str, agent_id: str) -> None:
        """A fence row was closed; harmless if it was not standing."""
        known = self._standing.get(agent_id, {})
        fence = known.pop(fence_id, None)
        if fence is not None and _counts(fence):
            self._counted -= 1
        if not known:
            self._standing.pop(agent_id, None)

    def bounds(self, now: float, active_agents: int) -> tuple[Bound, ...]:
        """The rules that hold now: how many at once, and within an hour unless the brake is off."""
        p = self._params
        for incident_id in [i for i, at in self._orders.items() if at <= now - 3600.0]:
            del self._orders[incident_id]
        at_once = _bound(p.share, p.at_least, active_agents, self._counted, "at once")
        if p.share >= 1.0:
            return (at_once,)
        lately = len(self._orders)
        return at_once, _bound(p.hourly_share, p.hourly_at_least, active_agents, lately, "an hour")

    def room(self, now: float, active_agents: int) -> int:
        """How many more agents the system may fence now; 0 or less means the brake holds."""
        return min(bound.limit - bound.used for bound in self.bounds(now, active_agents))

    def brake(self, now: float, active_agents: int, under_way: int = 0) -> str:
        """Why the brake holds, in words; empty where one more fence may be raised.

        `under_way` are fences that were decided on and are being written.
        """
        if self.room(now, active_agents) > under_way:
            return ""
        return (
            f"{self._counted} of {active_agents} active agents are fenced, "
            f"{len(self._orders)} were within the hour"
        )

    @property
    def counted(self) -> int:
        """Standing fences that the brake counts."""
        return self._counted


def _bound(share: float, at_least: int, active: int, used: int, span: str) -> Bound:
    limit = int(share * active)
    if limit > at_least:
        return Bound(limit, used, span, f"{percent(share)} of {active:,} active agents")
    return Bound(at_least, used, span, "always allowed, however small the fleet")


def _counts(fence: Fence) -> bool:
    return fence.by == SYSTEM and not fence.exempt
