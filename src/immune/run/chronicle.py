"""Says what happened in the order of its time, though it becomes known in another.

Cases are written side by side, and a step of one may be committed before an earlier step of
another. So each line waits a moment for those before it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

HOLD_S = 1.0
"""How long a line waits: commits that overtake one another are tenths of a second apart."""


class Chronicle:
    """Lines that wait to be said."""

    def __init__(self, started_at: float, say: Callable[[str, str], None]) -> None:
        """`say` takes a line and its tone: quiet, alarm, person, good or bad."""
        self._started_at = started_at
        self._say = say
        self._waiting: list[tuple[float, int, str, str]] = []
        self._noted = 0

    def note(self, at: float, text: str, tone: str) -> None:
        """Keep a line on what happened `at`, epoch seconds, to be said."""
        self._noted += 1
        heapq.heappush(self._waiting, (at, self._noted, text, tone))

    def tell(self, until: float) -> None:
        """Say the lines on what happened up to `until`, epoch seconds."""
        while self._waiting and self._waiting[0][0] <= until:
            at, _, text, tone = heapq.heappop(self._waiting)
            self._say(f"{at - self._started_at:7.1f} s  {text}", tone)
