"""Agents that leave: deleted, silent for a week, or one too many.

Of an agent that is retired nothing stays in memory, and neither its row nor its baselines in the
store; its vitals and incidents do. With its next vital it is there again and learns anew. Whoever
has an open case, a fence, a treatment in force or a part in an open fleet incident is not retired:
somebody still has to decide about it. A case that was only watched is no reason to keep an agent
that was silent for a week.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

import msgspec

from immune.admission import SUBSIDING
from immune.casework import Casework
from immune.clock import Clock
from immune.detection import Sentinel
from immune.detection.fleet import FleetWatch
from immune.errors import IllegalEvent, InvalidInput, NotFound, StoreDown
from immune.fleetwork import Fleetwork
from immune.incidents import events as e
from immune.memory import ImmuneMemory
from immune.modes import Modes
from immune.ports import WorkflowStore
from immune.quarantine import QuarantineController
from immune.settings import IntakeSettings
from immune.telemetry import TelemetryCollector
from immune.vitals import agent_id_fault

ROOM = 0.05
"""Share of the most agents that is made free at once, so that it is not done for each new one."""
ALIASES_MAX = 10_000

GONE_S = 60.0
"""For so long it is noted that an agent was deleted: its last vitals are those of somebody gone."""

_SETTING = "aliases"
_GONE = "gone"


class Departures:
    """Retires agents, and knows other names of theirs."""

    def __init__(
        self,
        *,
        collector: TelemetryCollector,
        sentinel: Sentinel,
        watch: FleetWatch,
        fleetwork: Fleetwork,
        casework: Casework,
        quarantine: QuarantineController,
        modes: Modes,
        memory: ImmuneMemory,
        workflow: WorkflowStore,
        clock: Clock,
        params: IntakeSettings,
        keep: Callable[[Sequence[str]], Awaitable[None]],
    ) -> None:
        """`keep` saves what was learned of these agents, at once."""
        self._keep = keep
        self.gone: dict[str, float] = {}
        """Agents that were deleted lately, and when, epoch seconds."""
        self._undropped: set[str] = set()
        """Agents that were deleted and whose rows the store has not let go of yet."""
        self._collector = collector
        self._names = collector.names.agents
        self._sentinel = sentinel
        self._watch = watch
        self._fleetwork = fleetwork
        self._casework = casework
        self._quarantine = quarantine
        self._modes = modes
        self._memory = memory
        self._workflow = workflow
        self._clock = clock
        self._params = params

    async def load(self) -> None:
        """Take up the aliases that were given before a restart, and who was deleted."""
        if (gone := await self._workflow.setting(_GONE)) is not None:
            self.gone = msgspec.json.decode(gone.encode(), type=dict[str, float])
        stored = await self._workflow.setting(_SETTING)
        if stored is not None:
            for alias, name in msgspec.json.decode(stored.encode(), type=dict[str, str]).items():
                self._names.alias(alias, name)

    # --- by itself ------------------------------------------------------------------------

    async def retire_silent(self) -> None:
        """Retire whoever was silent for too long.

        A case that was only watched ends, as nothing more can come of it; its agent goes with the
        next round, when what follows from that is done.
        """
        now = self._clock.time()
        unseen = self._collector.unseen_since(now - self._params.retire_after_s).tolist()
        await self._retire(unseen, "silent")
        for code in unseen:
            incident = self._casework.open_of(self._names.text(code))
            if incident is not None and incident.state in SUBSIDING:
                left = e.Subsided(at=now, why="nothing was heard of it for too long: it is retired")
                await self._casework.apply_unless_overtaken(incident.id, left)

    async def make_room(self) -> None:
        """Where there are too many, retire those unseen for longest."""
        most = self._params.agents_max
        excess = self._collector.tracked - most
        if excess > 0:
            number = excess + int(most * ROOM)
            await self._retire(self._collector.longest_unseen()[:number].tolist(), "too many")

    # --- by order -------------------------------------------------------------------------

    async def delete(self, agent_id: str) -> None:
        """Retire one agent. Raises NotFound, and IllegalEvent where somebody must decide first."""
        await self._delete(self._known(agent_id))

    async def goodbye(self, agent_id: str) -> None:
        """The agent says that it stops: its silence is none until a later step. Raises NotFound."""
        name = self._names.text(self._known(agent_id))
        self._sentinel.goodbye(name, self._clock.time())
        await self._keep([name])

    async def alias(self, agent_id: str, alias: str) -> dict[str, str]:
        """Steps reported as `alias` count as this agent's from now on; returns all aliases.

        An agent of that name goes, and its other names are this agent's, too. Raises NotFound,
        InvalidInput for a name that cannot be one, and IllegalEvent where somebody must decide
        about the agent of that name first.
        """
        code = self._known(agent_id)
        name = self._names.text(code)
        if fault := agent_id_fault(alias):
            raise InvalidInput("alias", fault)
        if alias == name:
            raise InvalidInput("alias", f"{alias} is the agent's own name here")
        if len(self._names.aliases) >= ALIASES_MAX:
            raise InvalidInput("alias", f"there are {ALIASES_MAX} already")
        known = self._names.find(alias)
        if known is not None and known != code and alias not in self._names.aliases:
            await self._delete(known)  # maybe its first vital is still on its way, or was refused
        before = self.aliases()
        for other in (alias, *(a for a, of in before.items() if of == alias)):
            self._names.alias(other, name)
        return await self._keep_aliases(before)

    async def unalias(self, agent_id: str, alias: str) -> dict[str, str]:
        """Steps reported as `alias` are an agent's own from now on; returns all aliases.

        Raises NotFound where it is no other name of this agent, which need not be there itself.
        """
        if self._names.aliases.get(alias) != self._names.name(agent_id):
            raise NotFound(f"{alias} is no alias of {agent_id}")
        before = self.aliases()
        self._names.unalias(alias)
        return await self._keep_aliases(before)

    def aliases(self) -> dict[str, str]:
        """Every alias, and the agent that it stands for."""
        return dict(self._names.aliases)

    async def _keep_aliases(self, before: Mapping[str, str]) -> dict[str, str]:
        """Save all aliases and return them; raises StoreDown, and what was changed since `before`
        is then as it was."""
        aliases = self.aliases()
        try:
            await self._workflow.put_setting(_SETTING, msgspec.json.encode(aliases).decode())
        except StoreDown:
            for alias, name in aliases.items() - before.items():
                if self._names.aliases.get(alias) == name:
                    self._names.unalias(alias)
            for alias, name in before.items() - aliases.items():
                self._names.alias(alias, name)
            raise
        return aliases

    # --- how ------------------------------------------------------------------------------

    def _known(self, agent_id: str) -> int:
        code = self._names.find(agent_id)
        last_seen = self._collector.last_seen()
        if code is None or code >= len(last_seen) or not last_seen[code]:
            raise NotFound(f"no agent {agent_id} ever reported, or it was retired")
        return code

    async def _delete(self, code: int) -> None:
        name = self._names.text(code)
        self._check_free(name)
        # first: who is killed in between may keep an agent, and must not bring one back
        now = self._clock.time()
        self.gone = {who: at for who, at in self.gone.items() if now - at <= GONE_S} | {name: now}
        await self._workflow.put_setting(_GONE, msgspec.json.encode(self.gone).decode())
        if self._names.find(name) == code:  # nobody was quicker
            self._check_free(name)
            await self._retire([code], "deleted")

    def _check_free(self, agent_id: str) -> None:
        if why := self._kept(agent_id):
            raise IllegalEvent(f"{agent_id} {why}: decide that first")

    def _kept(self, agent_id: str) -> str:
        """Why an agent cannot go, in words; empty where it can."""
        if self._casework.open_of(agent_id) is not None:
            return "has an open case"
        if self._quarantine.refuses(agent_id):
            return "is fenced"
        if self._casework.treatments_of(agent_id):
            return "has a treatment in force"
        if self._fleetwork.holds(agent_id):
            return "is part of an open fleet incident"
        return ""

    async def _retire(self, codes: Iterable[int], why: str) -> None:
        going: list[tuple[int, str]] = []
        for code in codes:
            agent_id = self._names.text(code)
            if not self._kept(agent_id):
                going.append((code, agent_id))
        for code, agent_id in going:
            self._sentinel.retire(agent_id)
            self._watch.retire(code)
            self._casework.forget(agent_id)
            self._memory.forget(agent_id)
        if going:
            self._collector.retire([code for code, _ in going], why)
        # a mode that a person set for an agent outlives its absence
        forgotten = {name for _, name in going if name not in self._modes.by_agent}
        # who came back before the store took this is there with new rows
        self._undropped = {name for name in self._undropped if not self._is_there(name)}
        forgotten |= self._undropped
        if why == "deleted":  # all others are retired anew by the next process
            self._undropped = forgotten
        if forgotten:
            await self._workflow.drop_agents(sorted(forgotten))
            self._undropped = self._undropped - forgotten

    def _is_there(self, agent_id: str) -> bool:
        code = self._names.find(agent_id)
        return code is not None and self._names.text(code) == agent_id
