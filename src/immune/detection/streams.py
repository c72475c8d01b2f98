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

    def of_batch(self, columns: VitalColumns) -> tuple[Indices, list[int]]:
        """Return each vital's row, and the rows that are new."""
        self._table = grown(self._table, int(columns.agent.max(initial=0)) + 1, -1)
        rows = self._table[columns.agent, columns.kind].astype(np.intp)
        fresh = []
        unknown = np.flatnonzero(rows < 0)
        if len(unknown):
            self._make_room(len(np.unique(slots_of(columns)[unknown])))
        for i in unknown.tolist():
            agent, kind = int(columns.agent[i]), int(columns.kind[i])
            if self._table[agent, kind] < 0:
                fresh.append(self.open(agent, kind))
            rows[i] = self._table[agent, kind]
        return rows, fresh

    def open(self, agent: int, kind: int) -> int:
        """Give an agent and kind that have none a row."""
        self._table = grown(self._table, agent + 1, -1)
        self._make_room(1)
        self.n_agents += bool((self._table[agent] < 0).all())
        if self._free:
            row = self._free.pop()
        else:
            row, self._top = self._top, self._top + 1
        self._table[agent, kind] = row
        self.agent[row], self.kind[row] = agent, kind
        return row

    def _make_room(self, more: int) -> None:
        """Make room for so many rows more, all at once."""
        size = self._top + more - len(self._free)
        self.agent, self.kind = grown(self.agent, size, 0), grown(self.kind, size, 0)

    def close(self, agent: int) -> Indices:
        """Free the agent's rows; return them."""
        rows = self.of_agent(agent)
        if len(rows):
            self.n_agents -= 1
            self._table[agent] = -1
            self.agent[rows] = 0
            self._free.extend(rows.tolist())
        return rows
