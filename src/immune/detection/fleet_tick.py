"""The state of the fleet at one tick, as arrays by agent code, and close looks at single agents."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from immune.columns import KINDS, Bool, Float32, Float64, Int32
from immune.detection.alike import Group
from immune.detection.change import (
    PARTS,
    SIZED,
    Change,
    Recent,
    Typical,
    change_of,
    parts_of_nats,
)
from immune.detection.facts import DIMENSIONS, FactBook
from immune.detection.grouping import grown
from immune.detection.rule_params import FleetParams
from immune.vitals import N_METRICS

Scan = Callable[[int, int], Recent | None]
"""Agent and kind code to what the scan of the onset says of that stream, if it is known."""

ALL = "all agents"

_TREND_STEPS = 20.0
_TREND_NATS = 0.25


@dataclass(frozen=True, slots=True)
class Levels:
    """Where every stream stands; arrays of one length n."""

    agent: Int32
    kind: Int32
    evidence: Float32
    """Nats."""
    by_metric: Float32
    """(n, 8) nats of each metric alone."""


class Trend:
    """How each agent's evidence moves; arrays by agent code, brought up to date in place."""

    def __init__(self) -> None:
        self.certain_at = np.full(0, np.inf)
        """Since when the agent has certainly changed; inf where it has not."""
        self._last = np.zeros(0)
        self._slow = np.zeros(0)
        """Mean of the evidence over about the last 20 steps."""
        self.falling: Bool = np.zeros(0, np.bool_)
        """Whether it is on its way down: it falls slowly, long after all is well again."""

    def grow(self, agents: int) -> None:
        """Make room for `agents` codes."""
        self.certain_at = grown(self.certain_at, agents, np.inf)
        self._last = grown(self._last, agents, 0)
        self._slow = grown(self._slow, agents, 0)
        self.falling = grown(self.falling, agents, 0)

    def follow(self, now: float, evidence: Float64, params: FleetParams) -> None:
        """Take each agent's evidence at `now`; (agents,)."""
        moved = evidence != self._last
        self._slow[moved] += (evidence - self._slow)[moved] / _TREND_STEPS
        self._last = evidence
        self.falling = evidence < self._slow - _TREND_NATS
        self.certain_at[(evidence < params.nats_min) | self.falling] = np.inf
        certain = (evidence >= params.certain_nats) & ~self.falling
        self.certain_at[certain & (self.certain_at == np.inf)] = now

    def forget(self, agent: int) -> None:
        """Drop all state of an agent."""
        if agent < len(self._last):
            self.certain_at[agent] = np.inf
            self._last[agent] = self._slow[agent] = 0


Shared = tuple[Bool, Typical]
"""Agents, as a mask by code, and what all of them suffer."""


@dataclass(slots=True)
class Tick:
    """What one call of `FleetWatch.watch` works on; arrays by agent code."""

    now: float
    params: FleetParams
    facts: FactBook
    scan: Scan
    groups: list[Group]
    trend: Trend
    evidence: Float64
    parts: Float64
    """Evidence by part of a change."""
    kind: Int32
    known: Bool
    """Agents that have a level and stepped lately."""
    changes: dict[int, Change | None] = field(default_factory=dict)
    shared: Sequence[Shared] = ()
    """What is explained already and counts no more."""

    def less(self, shared: Sequence[Shared]) -> Tick:
        """Return the tick as it were without what these agents share already."""
        if not shared:
            return self
        evidence, parts = self.evidence.copy(), self.parts.copy()
        for who, typical in shared:
            parts[np.ix_(who, typical.affected)] = 0
            # all metrics' mean is at least the best one's share of it
            evidence[who] = np.maximum(parts[who].max(axis=1) - math.log(N_METRICS), 0.0)
        return replace(self, evidence=evidence, parts=parts, changes={}, shared=shared)

    def change(self, agent: int) -> Change | None:
        """Return the agent's change, scanned at most once a tick."""
        if agent not in self.changes:
            recent = self.scan(agent, int(self.kind[agent]))
            change = None if recent is None else change_of(recent, self.params)
            known = [typical for who, typical in self.shared if who[agent]]
            if change is not None and known:
                for typical in known:
                    change = beside(change, typical)
            elif change is not None:
                # the scan sees but the last samples; who was changed before them is older
                onset_at = min(change.onset_at, float(self.trend.certain_at[agent]))
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


def beside(change: Change, typical: Typical) -> Change:
    """Return what is left of a change without what the typical agent of its finding shows."""
    size = change.size.copy()
    size[SIZED] = np.maximum(size - np.where(typical.affected, typical.size, 0.0), 0.0)[SIZED]
    return replace(change, affected=change.affected & ~typical.affected, size=size)


def tick_of(
    now: float,
    levels: Levels,
    scan: Scan,
    facts: FactBook,
    groups: list[Group],
    trend: Trend,
    params: FleetParams,
) -> Tick:
    """Put the levels of streams together by agent; bring `trend` up to date."""
    size = len(trend.certain_at)
    evidence, parts = np.zeros(size), np.zeros((size, len(PARTS)))
    kind = np.zeros(size, np.int32)
    by_part = parts_of_nats(levels.by_metric)
    for code in range(len(KINDS)):
        rows = np.flatnonzero(levels.kind == code)  # one row of an agent at most
        agent = levels.agent[rows]
        kind[agent[levels.evidence[rows] > evidence[agent]]] = code
        evidence[agent] = np.maximum(evidence[agent], levels.evidence[rows])
        parts[agent] = np.maximum(parts[agent], by_part[rows])
    known = np.zeros(size, np.bool_)
    known[levels.agent] = True
    known &= _padded(facts.active(), size)
    trend.follow(now, evidence, params)
    return Tick(now, params, facts, scan, groups, trend, evidence, parts, kind, known)


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
