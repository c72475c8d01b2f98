"""The state of the fleet at one tick, as arrays by agent code, and close looks at single agents."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from immune.columns import Bool, Float32, Float64, Int32
from immune.detection.alike import Group
from immune.detection.change import PARTS, Change, Recent, change_of, parts_of_nats
from immune.detection.facts import DIMENSIONS, FactBook
from immune.detection.rule_params import FleetParams

Scan = Callable[[int, int], Recent | None]
"""Agent and kind code to what the scan of the onset says of that stream, if it is known."""

ALL = "all agents"


@dataclass(frozen=True, slots=True)
class Levels:
    """Where every stream stands; arrays of one length n."""

    agent: Int32
    kind: Int32
    evidence: Float32
    """Nats."""
    by_metric: Float32
    """(n, 8) nats of each metric alone."""


@dataclass(slots=True)
class Tick:
    """What one call of `FleetWatch.watch` works on; arrays by agent code."""

    now: float
    params: FleetParams
    facts: FactBook
    scan: Scan
    groups: list[Group]
    risen_at: Float64
    evidence: Float64
    parts: Float64
    """Evidence by part of a change."""
    kind: Int32
    known: Bool
    """Agents that have a level and stepped lately."""
    changes: dict[int, Change | None] = field(default_factory=dict)

    def change(self, agent: int) -> Change | None:
        """Return the agent's change, scanned at most once a tick."""
        if agent not in self.changes:
            recent = self.scan(agent, int(self.kind[agent]))
            change = None if recent is None else change_of(recent, self.params)
            if change is not None:
                # the scan sees but the last samples; who rose before them changed before them
                onset_at = min(change.onset_at, float(self.risen_at[agent]))
                change = replace(change, onset_at=onset_at)
            self.changes[agent] = change
        return self.changes[agent]

    def scanned(self, agents: Iterable[int]) -> dict[int, Change]:
        """Return the changes of these agents, those unknown left out."""
        return {a: c for a in agents if (c := self.change(a)) is not None}

    def lag(self, agent: int) -> Float64 | None:
        """Return the agent's evidence by part if it is not enough to count it as changed."""
        if self.evidence[agent] >= self.params.nats_min:
            return None
        nats: Float64 = self.parts[agent]
        return nats


def tick_of(
    now: float,
    levels: Levels,
    scan: Scan,
    facts: FactBook,
    groups: list[Group],
    risen_at: Float64,
    params: FleetParams,
) -> Tick:
    """Put the levels of streams together by agent; bring `risen_at` up to date in place."""
    size = len(risen_at)
    evidence = np.zeros(size)
    np.maximum.at(evidence, levels.agent, levels.evidence)
    parts = np.zeros((size, len(PARTS)))
    np.maximum.at(parts, levels.agent, parts_of_nats(levels.by_metric))
    kind = np.zeros(size, np.int32)
    leads = levels.evidence >= evidence[levels.agent].astype(np.float32)
    kind[levels.agent[leads]] = levels.kind[leads]
    known = np.zeros(size, np.bool_)
    known[levels.agent] = True
    known &= _padded(facts.active(), size)
    risen_at[evidence < params.nats_min] = np.inf
    risen_at[(evidence >= params.certain_nats) & (risen_at == np.inf)] = now
    return Tick(now, params, facts, scan, groups, risen_at, evidence, parts, kind, known)


def groups_of(facts: FactBook, params: FleetParams) -> list[Group]:
    """Return the groups of active agents that are large enough to be a subject."""
    groups = [
        Group(dimension, name, agents)
        for dimension in DIMENSIONS
        for name, agents in facts.members(dimension).items()
    ]
    groups.append(Group("fleet", ALL, np.flatnonzero(facts.active())))
    return [group for group in groups if len(group.agents) >= params.agents_min]


def _padded(mask: Bool, size: int) -> Bool:
    out = np.zeros(size, np.bool_)
    out[: len(mask)] = mask[:size]
    return out
