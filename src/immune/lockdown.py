"""The red button: a hold around every agent at once, and its exact undo.

A lockdown is nothing but the holds that it raised, all with its id in theirs. Undoing it lifts
those of them that still stand and no other fence, so that everything is as it was before.
"""

from __future__ import annotations

import msgspec

from immune.errors import InvalidInput, NotFound
from immune.incidents.effects import PushFence
from immune.orchestrator import ImmuneSystemOrchestrator
from immune.quarantine import Fence

_PREFIX = "all/"


class Lockdown(msgspec.Struct, frozen=True):
    """One order to fence everything, as far as it stands."""

    id: str
    by: str
    reason: str
    at: float
    agents: int
    """Around how many agents its hold was raised, stands, or was lifted just now."""


class Lockdowns:
    """Fences everything and takes it back."""

    def __init__(self, system: ImmuneSystemOrchestrator) -> None:
        self._system = system
        self._latest = 0.0

    def standing(self) -> list[Lockdown]:
        """Those of which a hold still stands, oldest first."""
        found: dict[str, list[Fence]] = {}
        for fence in self._system.quarantine.standing():
            if fence.incident_id is None and fence.id.startswith(_PREFIX):
                found.setdefault(_lockdown_of(fence), []).append(fence)
        return [_summed(lockdown_id, found[lockdown_id]) for lockdown_id in sorted(found)]

    async def order(self, *, who: str, why: str) -> Lockdown:
        """Put a hold around every agent that ever reported; raises InvalidInput without a reason.

        Agents that report for the first time later are not held.
        """
        if not why.strip():
            raise InvalidInput("why", "say why: the next person will want to know")
        system = self._system
        now = system.clock.time()
        codes = system.collector.known().tolist()
        if not codes:
            raise NotFound("no agent ever reported: there is nothing to fence")
        self._latest = max(now, self._latest + 0.001)  # two at once are two all the same
        lockdown_id = f"{self._latest:.3f}"
        rows = [system.collector.row(code) for code in codes]
        modes = system.modes.by_agent
        await system.workflow.put_agents(
            [msgspec.structs.replace(row, mode=str(modes.get(row.agent_id, ""))) for row in rows]
        )
        fences = [
            Fence(
                id=f"{_PREFIX}{lockdown_id}/{row.agent_id}",
                agent_id=row.agent_id,
                incident_id=None,
                reason=why,
                by=who,
                ordered_at=now,
                exempt=True,
            )
            for row in rows
        ]
        await self._put(fences)
        return _summed(lockdown_id, fences)

    async def undo(self, lockdown_id: str, *, who: str, why: str = "") -> Lockdown:
        """Lift exactly the holds of this one that still stand; raises NotFound if none does."""
        system = self._system
        now = system.clock.time()
        lifted = [
            msgspec.structs.replace(
                fence,
                lifted_at=now,
                reason=f"{fence.reason} (undone by {who}{': ' + why if why else ''})",
            )
            for fence in system.quarantine.standing()
            if fence.incident_id is None
            and fence.id.startswith(_PREFIX)
            and _lockdown_of(fence) == lockdown_id
        ]
        lifted = await self._put(lifted) if lifted else []
        if not lifted:
            raise NotFound(f"no hold of the lockdown {lockdown_id} stands")
        return _summed(lockdown_id, lifted)

    async def _put(self, fences: list[Fence]) -> list[Fence]:
        pushes = [
            PushFence(
                key=f"{fence.id}/{'lifted' if fence.lifted_at else 'up'}/push",
                agent_id=fence.agent_id,
            )
            for fence in fences
        ]
        return list(await self._system.casework.put_fences(fences, pushes))


def _lockdown_of(fence: Fence) -> str:
    return fence.id.split("/", 2)[1]


def _summed(lockdown_id: str, fences: list[Fence]) -> Lockdown:
    first = fences[0]
    return Lockdown(lockdown_id, first.by, first.reason, first.ordered_at, len(fences))
