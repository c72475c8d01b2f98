"""Which stream belongs to whom: one per (agent, kind), numbered as rows of the learner's arrays.

Rows of agents that are gone are given to new ones.
"""

from __future__ import annotations

import numpy as np

from immune.columns import KINDS, Int32, VitalColumns
from immune.detection.grouping import Indices, grown, slots_of


class Streams:
    """The rows in use, by codes of agent and kind."""

    def __init__(self) -> None:
        self._table: Int32 = np.full((0, len(KINDS)), -1, np.int32)
        self._free: list[int] = []
        """Rows of agents that are gone."""
        self._top = 0
        """Rows from here on were never used."""
        self.agent: Int32 = np.zeros(0, np.int32)
        """Agent code of each row; 0 where the row is free."""
        self.kind: Int32 = np.zeros(0, np.int32)
        self.n_agents = 0

    def __len__(self) -> int:
        """How many rows there is room for."""
        return len(self.agent)

    def used(self) -> Indices:
        """Return the rows in use."""
        return np.flatnonzero(self.agent[: self._top] > 0)

    def find(self, agent: int, kind: int) -> int | None:
        """Return the row of an agent and kind, or None where nothing was ever seen."""
        row = int(self._table[agent, kind]) if agent < len(self._table) else -1
        return row if row >= 0 else None

    def of_agent(self, agent: int) -> Indices:
        """Return the agent's rows, of all kinds."""
        rows = self._table[agent] if agent < len(self._table) else np.zeros(0, np.int32)
        return rows[rows >= 0].astype(np.intp)

    def of_agents(self, agents: Int32) -> tuple[Indices, Indices]:
        """Return the rows of these agents (n,), (m,), and for each the place of its agent in
        `agents`, (m,), ascending."""
        rows = np.full((len(agents), len(KINDS)), -1, np.intp)
        known = agents < len(self._table)
        rows[known] = self._table[agents[known]]
        owner, kind = np.nonzero(rows >= 0)
        return rows[owner, kind], owner

    def of_batch(self, columns: VitalColumns) -> tuple[Indices, Indices]:
        """Return each vital's row, and the rows that are new."""
        slots = slots_of(columns)
        self._table = grown(self._table, int(columns.agent.max(initial=0)) + 1, -1)
        rows = self._table.reshape(-1)[slots].astype(np.intp)
        if rows.min(initial=0) >= 0:
            return rows, rows[:0]
        unknown = np.flatnonzero(rows < 0)
        new, first = np.unique(slots[unknown], return_index=True)
        fresh = self.open(new[np.argsort(first)])
        rows[unknown] = self._table.reshape(-1)[slots[unknown]]
        return rows, fresh

    def open(self, slots: Indices) -> Indices:
        """Give these agents and kinds (`grouping.slots_of`), that have none, a row each; no two may
        be the same."""
        agents, kinds = np.divmod(slots, len(KINDS))
        self._table = grown(self._table, int(agents.max(initial=-1)) + 1, -1)
        self.n_agents += len(np.unique(agents[(self._table[agents] < 0).all(axis=1)]))
        reused = [self._free.pop() for _ in range(min(len(self._free), len(slots)))]
        top = self._top + len(slots) - len(reused)
        rows = np.concatenate([np.array(reused, np.intp), np.arange(self._top, top)])
        self._top = top
        self.agent, self.kind = grown(self.agent, top, 0), grown(self.kind, top, 0)
        self._table[agents, kinds] = rows
        self.agent[rows], self.kind[rows] = agents, kinds
        return rows

    def close(self, agent: int) -> Indices:
        """Free the agent's rows; return them."""
        rows = self.of_agent(agent)
        if len(rows):
            self.n_agents -= 1
            self._table[agent] = -1
            self.agent[rows] = 0
            self._free.extend(rows.tolist())
        return rows
