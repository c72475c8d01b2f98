"""A set of agents, by their codes, of which a fleet finding may hold a hundred thousand.

It is a mask that grows: to join, to take from and to count costs the same for few and for many.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from immune.columns import Bool
from immune.detection.grouping import Indices, grown


class AgentSet:
    """Agents by code.

    >>> some = AgentSet([3, 5])
    >>> some.add([9])
    >>> some.discard(5)
    >>> 3 in some, 5 in some, some.codes().tolist()
    (True, False, [3, 9])
    """

    def __init__(self, agents: Indices | Iterable[int] = ()) -> None:
        self._mask = np.zeros(0, np.bool_)
        self.add(agents)

    def __contains__(self, agent: int) -> bool:
        return agent < len(self._mask) and bool(self._mask[agent])

    def add(self, agents: Indices | Iterable[int]) -> None:
        """Take in these agents."""
        codes = agents if isinstance(agents, np.ndarray) else np.fromiter(agents, np.intp)
        if len(codes):
            self._mask = grown(self._mask, int(codes.max()) + 1, 0)
            self._mask[codes] = True

    def discard(self, agent: int) -> None:
        """Let an agent go, if it is here."""
        if agent < len(self._mask):
            self._mask[agent] = False

    def codes(self) -> Indices:
        """Return the codes, ascending."""
        return np.flatnonzero(self._mask)

    def mask(self, size: int) -> Bool:
        """Return (size,) by agent code: who is in it."""
        out = np.zeros(size, np.bool_)
        out[: len(self._mask)] = self._mask[:size]
        return out
