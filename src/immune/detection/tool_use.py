"""Which tools each agent uses, since when, how often, and how often they fail.

One place per (agent, tool) that was ever seen together, so that memory follows what agents use and
not how many tools there are. Places are found by binary search over sorted pairs; a pair keeps its
place for good, so others may hold on to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from immune.columns import Bool, Float64, Int32, Int64
from immune.detection.grouping import Indices, Runs, grown
from immune.detection.rule_params import FactParams

Row = tuple[int, float, float, float, float]

_TOOL_BITS = 32
_HALVE_AT = 4096.0
"""Calls of a tool at which its counts are halved: the usual share of failures may change."""


class ToolUse:
    """The pairs of all agents."""

    def __init__(self, params: FactParams) -> None:
        self._params = params
        self._pair = np.zeros(0, np.int64)
        """Agent << 32 | tool, ascending."""
        self._place = np.zeros(0, np.int32)
        """Of each pair; the columns below are by place."""
        self._free: list[int] = []
        self._used = 0
        self._agent = np.zeros(0, np.int32)
        self._tool = np.zeros(0, np.int32)
        self._first = np.zeros(0)
        self._last = np.zeros(0)
        self._calls = np.zeros(0, np.float32)
        self._failed = np.zeros(0, np.float32)
        self._tools_of = np.zeros(0, np.int32)
        """Tools of each agent."""

    def grow(self, agents: int) -> None:
        """Make room for `agents` codes."""
        self._tools_of = grown(self._tools_of, agents, 0)

    def observe(self, agent: Indices, tool: Int32, at: Float64) -> Int64:
        """Take (m,) calls, quickest sorted by agent; return the place of each, -1 for no tool or
        one too many."""
        pair: Int64 = agent << _TOOL_BITS | tool
        place = self._find(pair)
        missing = (place < 0) & (tool > 0)
        if missing.any():
            self._open(pair[missing], at[missing])
            place = self._find(pair)
        known = place >= 0
        here, when = place[known], at[known]
        forgotten = when - self._last[here] > self._params.forget_s
        self._first[here[forgotten]] = when[forgotten]
        self._last[here] = when
        return place

    def _find(self, pair: Int64) -> Int64:
        if not len(self._pair):
            return np.full(len(pair), -1, np.int64)
        i = np.minimum(np.searchsorted(self._pair, pair), len(self._pair) - 1)
        return np.where(self._pair[i] == pair, self._place[i], -1).astype(np.int64)

    def _open(self, pair: Int64, at: Float64) -> None:
        new, first = np.unique(pair, return_index=True)
        agent = new >> _TOOL_BITS
        runs = Runs.of(agent)
        nth = np.arange(len(new)) - runs.start
        room = nth < self._params.tools_max - self._tools_of[agent]
        new, agent, at = new[room], agent[room], at[first[room]]
        np.add.at(self._tools_of, agent, 1)
        reused = [self._free.pop() for _ in range(min(len(self._free), len(new)))]
        fresh = np.arange(self._used, self._used + len(new) - len(reused))
        self._used += len(fresh)
        place = np.concatenate([np.array(reused, np.int64), fresh])
        for label in ("_agent", "_tool", "_first", "_last", "_calls", "_failed"):
            setattr(self, label, grown(getattr(self, label), self._used, 0))
        self._agent[place] = agent
        self._tool[place] = new & ((1 << _TOOL_BITS) - 1)
        self._first[place] = self._last[place] = at
        self._calls[place] = self._failed[place] = 0
        where = np.searchsorted(self._pair, new)
        self._pair = np.insert(self._pair, where, new)
        self._place = np.insert(self._place, where, place)

    def count(self, place: Int64 | Indices, ok: Bool, sign: float = 1.0) -> None:
        """Count calls at their places; with sign -1 take them back."""
        np.add.at(self._calls, place, sign)
        np.add.at(self._failed, place[~ok], sign)
        if sign < 0:
            # counts that were halved meanwhile would fall below nothing
            self._calls[place] = np.maximum(self._calls[place], 0)
            self._failed[place] = np.clip(self._failed[place], 0, self._calls[place])
        many = place[self._calls[place] >= _HALVE_AT]
        if len(many):
            many = np.unique(many)
            self._calls[many] /= 2
            self._failed[many] /= 2

    def tool(self, place: int) -> int:
        """Return the tool's code."""
        return int(self._tool[place])

    def usual_failures(self, place: int, calls_now: int, failed_now: int) -> float:
        """Return the share of failed calls without the latest ones, half a failure assumed."""
        calls = max(float(self._calls[place]) - calls_now, 0.0)
        failed = min(max(float(self._failed[place]) - failed_now, 0.0), calls)
        return (failed + 0.5) / (calls + 10)

    def new(self, agent: int, since: float, calls_since: int) -> list[int]:
        """Return the tools first seen since then, if the agent's history is long enough."""
        places = self._of(agent)
        if self._calls[places].sum() - calls_since < self._params.calls_min:
            return []
        places = places[self._first[places] >= since]
        order = np.argsort(self._first[places], kind="stable")
        return [int(tool) for tool in self._tool[places[order]]]

    def usual(self) -> tuple[Indices, Int32]:
        """Return agents and tools, for every tool that an agent usually uses."""
        places = self._place
        # a twentieth of its calls, and more than once or twice
        agent = self._agent[places]
        total = np.bincount(agent, self._calls[places], len(self._tools_of))
        much = self._calls[places] >= np.maximum(0.05 * total[agent], 3)
        return agent[much].astype(np.intp), self._tool[places[much]]

    def forget(self, agent: int, *, before: float = -np.inf, after: float = np.inf) -> None:
        """Drop tools not seen since `before`, and those first seen from `after` on.

        Tools that remain after `before` lose their counts.
        """
        span = self._span(agent)
        places = self._place[span]
        gone = (self._last[places] < before) | (self._first[places] >= after)
        if before > -np.inf:
            self._calls[places] = self._failed[places] = 0
            self._first[places] = np.maximum(self._first[places], before)
        if gone.any():
            self._free.extend(places[gone].tolist())
            self._tools_of[agent] -= int(gone.sum())
            where = np.arange(span.start, span.stop)[gone]
            self._pair = np.delete(self._pair, where)
            self._place = np.delete(self._place, where)

    def rows(self, agent: int) -> list[Row]:
        """Return tool, first and last time, calls and failed calls of each tool known."""
        columns = (self._tool, self._first, self._last, self._calls, self._failed)
        places = self._of(agent)
        return [
            (int(tool), first, last, calls, failed)
            for tool, first, last, calls, failed in zip(
                *(column[places].tolist() for column in columns), strict=True
            )
        ]

    def load(self, agent: int, rows: Sequence[Row]) -> None:
        """Take up what `rows` returned."""
        if not rows:
            return
        tool = np.array([row[0] for row in rows], np.int32)
        first, last, calls, failed = np.array([row[1:] for row in rows], np.float64).T
        place = self.observe(np.full(len(rows), agent), tool, first)
        kept = place >= 0
        place = place[kept]
        self._last[place], self._calls[place] = last[kept], calls[kept]
        self._failed[place] = failed[kept]

    def _span(self, agent: int) -> slice:
        ends = np.searchsorted(self._pair, [agent << _TOOL_BITS, (agent + 1) << _TOOL_BITS])
        return slice(int(ends[0]), int(ends[1]))

    def _of(self, agent: int) -> Int64:
        return self._place[self._span(agent)].astype(np.int64)
