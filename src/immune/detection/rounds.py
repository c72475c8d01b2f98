"""A batch taken in rounds: in each round at most one row of every slot, in the order of slots.

Whoever moves a state by one step at a time goes through a batch like this. Most batches hold one
row of each slot and are one round; those that come in the order of slots are taken as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from immune.detection.grouping import Indices, Runs

Rows = Indices | slice

_ALL = slice(None)
_BITS = 32
_ROW = (1 << _BITS) - 1


def rounds(slots: npt.NDArray[Any]) -> Iterator[tuple[Rows, Indices]]:
    """Give rows (of the batch) and their slots: each slot's first row, then each second, ...

    slots: (m,), each below 2³¹; m may be 0.

    >>> [(rows.tolist(), slots.tolist()) for rows, slots in rounds(np.array([7, 3, 7]))]
    [([1, 0], [3, 7]), ([2], [7])]
    """
    if not len(slots):
        return
    one = only_round(slots)
    if one is None:
        yield from Runs.of(slots).rounds()
    else:
        yield one


def only_round(slots: npt.NDArray[Any]) -> tuple[Rows, Indices] | None:
    """Return rows and slots of the one round that the batch is; None where it is several.

    slots: (m,), one at least, each below 2³¹.

    >>> only_round(np.array([3, 7]))
    (slice(None, None, None), array([3, 7]))
    """
    if len(slots) == 1 or (slots[1:] > slots[:-1]).all():
        return _ALL, slots.astype(np.intp, copy=False)
    # slot and row in one number: to sort numbers is many times faster than to find their order
    both = np.sort(slots.astype(np.int64) << _BITS | np.arange(len(slots)))
    slots = both >> _BITS
    return (both & _ROW, slots) if (slots[1:] > slots[:-1]).all() else None
