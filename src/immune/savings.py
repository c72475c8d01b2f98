"""What was learned, saved a little at a time, and taken up again by the next process.

A round of savings covers every agent whose baseline changed, in equal parts, within `checkpoint_s`;
that is what a crash may unlearn. Who is there, and the modes that people set, come with it; who
was met since the last part goes with the next.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence

import msgspec
import structlog

from immune.clock import Clock
from immune.detection import BaselineLearner
from immune.modes import Mode, Modes
from immune.ports import AgentRow, BaselineRow, WorkflowStore
from immune.skew import SavedClocks
from immune.telemetry import TelemetryCollector

log = structlog.get_logger(__name__)

_CLOCKS = "clocks"
PART_S = 10.0
"""Seconds between two parts of a round."""


class Savings:
    """The way of baselines, agents and modes to the store and back."""

    def __init__(
        self,
        *,
        workflow: WorkflowStore,
        learner: BaselineLearner,
        collector: TelemetryCollector,
        modes: Modes,
        clock: Clock,
        checkpoint_s: float,
    ) -> None:
        self._workflow = workflow
        self._learner = learner
        self._collector = collector
        self._modes = modes
        self._clock = clock
        self.checkpoint_s = checkpoint_s
        """Seconds that a round takes."""
        self._unsaved: deque[str] = deque()
        """Agents of the present round whose turn is still to come."""
        self._clocks = "{}"
        """What was last saved of clocks that are off."""
        self._part = 0
        """How many of them are saved at once."""

    async def load(self) -> list[AgentRow]:
        """Take up what an earlier process saved; return the agents that it knew."""
        agents = await self._workflow.agents()
        self._collector.load(agents)
        for row in agents:
            if row.mode:
                self._modes.by_agent[row.agent_id] = Mode(row.mode)
        if (stored := await self._workflow.setting("modes")) is not None:
            for name, mode in msgspec.json.decode(stored.encode(), type=dict[str, Mode]).items():
                if name:
                    self._modes.by_type[name] = mode
                else:
                    self._modes.everywhere = mode
        if (clocks := await self._workflow.setting(_CLOCKS)) is not None:
            self._clocks = clocks
            told = msgspec.json.decode(clocks.encode(), type=dict[str, SavedClocks])
            self._collector.load_clocks(told)
        self._load_baselines(await self._workflow.baselines())
        return agents

    def _load_baselines(self, rows: Sequence[BaselineRow]) -> None:
        """Take up the baselines; those that another version saved are learned anew."""
        unreadable, reason = 0, ""
        for row in rows:
            try:
                self._learner.load([(row.agent_id, row.kind, row.blob)])
            except ValueError as error:
                unreadable, reason = unreadable + 1, str(error)
        if unreadable:
            log.warning("baselines_learned_anew", streams=unreadable, reason=reason)

    async def save(self, *, everything: bool = False) -> None:
        """Save the next part of the round, or all of it: agents and what was learned of them."""
        if everything or not self._unsaved:
            # a round ends before the next begins, or those first in line were all that is saved
            self._unsaved = deque(self._learner.dirty())
            share = 1.0 if everything else min(PART_S / self.checkpoint_s, 1.0)
            self._part = math.ceil(len(self._unsaved) * share)
        await self.keep(
            [self._unsaved.popleft() for _ in range(min(self._part, len(self._unsaved)))]
        )
        met = set(self._collector.unsaved)
        await self._note(self._there(met))
        self._collector.unsaved -= met
        clocks = msgspec.json.encode(self._collector.save_clocks(), order="deterministic").decode()
        if clocks != self._clocks:
            await self._workflow.put_setting(_CLOCKS, clocks)
            self._clocks = clocks

    async def keep(self, agent_ids: Sequence[str]) -> None:
        """Save these agents and what was learned of them, now."""
        now = self._clock.time()
        part = self._there(agent_ids)
        await self._workflow.put_baselines(
            [
                BaselineRow(agent_id, kind, now, blob)
                for agent_id, kind, blob in self._learner.save(part)
            ]
        )
        await self._note(self._there(part))

    def _there(self, agent_ids: Iterable[str]) -> list[str]:
        """Those that were not retired meanwhile."""
        find = self._collector.names.agents.find
        return [agent_id for agent_id in agent_ids if find(agent_id) is not None]

    async def _note(self, agent_ids: Sequence[str]) -> None:
        """Save who these agents are, and their own modes."""
        rows = [self._collector.row(self._collector.names.agents.code(a)) for a in agent_ids]
        await self._workflow.put_agents(
            [
                msgspec.structs.replace(row, mode=str(self._modes.by_agent.get(row.agent_id, "")))
                for row in rows
            ]
        )
