"""The few values that an agent's prompt hash, model or error type takes, and since when.

Per agent the latest used values are kept with first and last time and number of steps. A value is a
change when it is newer than a moment and another one was settled before; an agent whose prompt hash
differs in every step has nothing settled and never changes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from immune.columns import Float64, Int32
from immune.detection.grouping import Indices, Runs, grown
from immune.detection.rule_params import FactParams

Row = tuple[int, float, float, int]


class Usual:
    """One fact of all agents; arrays (agents, values kept)."""

    def __init__(self, params: FactParams) -> None:
        self._params = params
        kept = params.values_kept
        self._value = np.zeros((0, kept), np.int32)
        self._first = np.full((0, kept), -np.inf)
        self._last = np.full((0, kept), -np.inf)
        self._steps = np.zeros((0, kept), np.int32)
        self._newest_at = -np.inf
        """When any agent last got a value that was new."""

    def grow(self, agents: int) -> None:
        """Make room for `agents` codes."""
        self._value = grown(self._value, agents, 0)
        self._first = grown(self._first, agents, -np.inf)
        self._last = grown(self._last, agents, -np.inf)
        self._steps = grown(self._steps, agents, 0)

    def observe(self, agent: Indices, value: Int32, at: Float64) -> None:
        """Take (n,) values, 0 where unknown, each agent's in their order."""
        if not np.count_nonzero(value):
            return
        told = np.flatnonzero(value)
        if len(told) < len(agent):
            agent, value, at = agent[told], value[told], at[told]
        place = self._find(agent, value)
        known = place >= 0
        if not known.all():
            # a new value may take the place of an old one: those agents go step by step
            moving = np.zeros(len(self._value), np.bool_)
            moving[agent[~known]] = True
            slow = moving[agent]
            for rows, who in Runs.of(agent[slow]).rounds():
                self._add(who, value[slow][rows], at[slow][rows])
                self._count(who, self._find(who, value[slow][rows]), at[slow][rows])
            agent, place, at = agent[~slow], place[~slow], at[~slow]
        self._count(agent, place, at)

    def _find(self, agent: Indices, value: Int32) -> Indices:
        """Return where each agent keeps the value; -1 where it doesn't."""
        place = np.zeros(len(agent), np.intp)
        # most agents have had but one
        others = np.flatnonzero(self._value[:, 0][agent] != value)
        if len(others):
            alike = self._value[agent[others]] == value[others, None]
            place[others] = np.where(alike.any(axis=1), alike.argmax(axis=1), -1)
        return place

    def _add(self, agent: Indices, value: Int32, at: Float64) -> None:
        """Make room for new values, one per agent, in place of the one longest unused."""
        new = ~(self._value[agent] == value[:, None]).any(axis=1)
        who = agent[new]
        oldest = self._last[who].argmin(axis=1)
        self._value[who, oldest] = value[new]
        self._first[who, oldest] = self._last[who, oldest] = at[new]
        self._steps[who, oldest] = 0
        self._newest_at = max(self._newest_at, float(at[new].max(initial=-np.inf)))

    def _count(self, agent: Indices, place: Indices, at: Float64) -> None:
        where = agent * self._params.values_kept + place
        first, last, steps = (x.reshape(-1) for x in (self._first, self._last, self._steps))
        forgotten = at - last[where] > self._params.forget_s
        if forgotten.any():
            again = where[forgotten]
            first[again], steps[again] = at[forgotten], 0
            self._newest_at = max(self._newest_at, float(at[forgotten].max()))
        last[where] = at
        np.add.at(steps, where, np.int32(1))  # of its type: many times faster

    def currents(self, agents: int) -> Int32:
        """Return (agents,) the latest value of each, 0 where unknown."""
        latest = self._last.argmax(axis=1)
        values: Int32 = self._value[np.arange(len(latest)), latest][:agents]
        return values

    def current(self, agent: int) -> int:
        """Return one agent's latest value."""
        return int(self._value[agent, self._last[agent].argmax()])

    def changes(self, since: float) -> tuple[Indices, Int32, Float64]:
        """Return agents, their latest values, and since when, where these are changes."""
        # the latest seen value decides, and few are new: look at these alone
        if self._newest_at < since:
            return np.zeros(0, np.intp), np.zeros(0, np.int32), np.zeros(0)
        some = np.flatnonzero((self._first >= since).any(axis=1))
        latest = self._last[some].argmax(axis=1)
        first = self._first[some, latest]
        settled = self._steps[some] >= self._params.settled_steps
        before = (settled & (self._first[some] < first[:, None])).any(axis=1)
        here = (first >= since) & before
        return some[here], self._value[some, latest][here], first[here]

    def changed(self, agent: int, since: float) -> bool:
        """Return whether the agent's latest value is a change since then."""
        latest = self._last[agent].argmax()
        first = self._first[agent, latest]
        settled = self._steps[agent] >= self._params.settled_steps
        return bool(first >= since and (settled & (self._first[agent] < first)).any())

    def since(self, agent: int, since: float) -> list[int]:
        """Return the values seen since then, the most frequent first."""
        here = np.flatnonzero((self._last[agent] >= since) & (self._value[agent] > 0))
        order = here[np.argsort(-self._steps[agent, here], kind="stable")]
        return [int(value) for value in self._value[agent, order]]

    def forget(self, agent: int, *, before: float = -np.inf, after: float = np.inf) -> None:
        """Drop values not seen since `before`, and those first seen from `after` on."""
        gone = (self._last[agent] < before) | (self._first[agent] >= after)
        self._value[agent, gone] = self._steps[agent, gone] = 0
        self._first[agent, gone] = self._last[agent, gone] = -np.inf

    def rows(self, agent: int) -> list[Row]:
        """Return value, first and last time and steps of each value known."""
        return [
            (
                int(self._value[agent, i]),
                float(self._first[agent, i]),
                float(self._last[agent, i]),
                int(self._steps[agent, i]),
            )
            for i in np.flatnonzero(self._value[agent]).tolist()
        ]

    def load(self, agent: int, rows: Sequence[Row]) -> None:
        """Take up what `rows` returned."""
        for i, row in enumerate(rows[: self._params.values_kept]):
            self._value[agent, i], self._first[agent, i] = row[:2]
            self._newest_at = max(self._newest_at, row[1])
            self._last[agent, i], self._steps[agent, i] = row[2:]
