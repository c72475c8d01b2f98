"""Batches cut by agent: the arithmetic that the rules share.

A rule keeps its state in arrays with one place ("slot") per agent, or per agent and kind. A batch
may hold several rows of one slot in any mixture; `Runs` puts them together in their order, so that
a rule sees each slot's rows as one contiguous run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from immune.columns import KINDS, Bool, VitalColumns

Indices = npt.NDArray[np.intp]
Item = TypeVar("Item", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Runs:
    """m rows in g runs, one run per slot, each in the order of arrival.

    order: (m,), the rows in the order of runs; slot: (m,), each row's slot in that order;
    start: (m,), where each row's run begins; first, last: (g,), the ends of each run.
    """

    order: Indices
    slot: Indices
    start: Indices
    first: Indices
    last: Indices

    @classmethod
    def of(cls, slots: npt.NDArray[Any]) -> Runs:
        """Cut `slots` (m,) into runs; m may be 0."""
        order = np.argsort(slots, kind="stable")
        slot = slots[order].astype(np.intp)
        head = np.ones(len(slot), np.bool_)
        head[1:] = slot[1:] != slot[:-1]
        first = np.flatnonzero(head)
        last = np.append(first[1:], len(slot)) - 1 if len(slot) else first
        return cls(order, slot, np.repeat(first, last - first + 1), first, last)

    def rounds(self) -> Iterator[tuple[Indices, Indices]]:
        """Give rows (of the batch) and their slots: the first of every run, the second, ..."""
        length = self.last - self.first + 1
        for k in range(int(length.max(initial=0))):
            places = self.first[length > k] + k
            yield self.order[places], self.slot[places]


def last_before(mark: Bool, start: Indices) -> Indices:
    """Return, for each row, the latest marked row of its run up to itself, or `start` - 1."""
    here = np.arange(len(mark))
    latest: Indices = np.maximum.accumulate(np.where(mark, here, start - 1))
    return latest


def slots_of(columns: VitalColumns) -> Indices:
    """Return each row's slot where a rule keeps its state per agent and kind."""
    return columns.agent.astype(np.intp) * len(KINDS) + columns.kind


def grown(array: npt.NDArray[Item], size: int, fill: float) -> npt.NDArray[Item]:
    """Return `array` with room for at least `size` slots, an eighth more than it had at the least;
    new places hold `fill`."""
    if len(array) >= size:
        return array
    more = max(size, len(array) + len(array) // 8, 64)
    shape = (more, *array.shape[1:])
    # zeros take no memory until they are written to
    room = np.full(shape, fill, array.dtype) if fill else np.zeros(shape, array.dtype)
    room[: len(array)] = array
    return room
