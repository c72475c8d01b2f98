"""Telling people, in measure: single messages up to a number a minute, the rest as a digest."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from immune.clock import Clock
from immune.incidents.effects import Notify
from immune.ports import Notifier, OutboxRow


class Notices:
    """What was sent within the last minute, and what may still be."""

    def __init__(self, notifier: Notifier, clock: Clock, a_minute: int) -> None:
        self._notifier = notifier
        self._clock = clock
        self._a_minute = a_minute
        self._sent: deque[float] = deque()

    def held_until(self, row: OutboxRow) -> float | None:
        """When a notice that is due may be sent, or None for now; one that waited once may."""
        now = self._clock.time()
        while self._sent and self._sent[0] <= now - 60.0:
            self._sent.popleft()
        if len(self._sent) < self._a_minute or row.attempts:
            return None
        return self._sent[0] + 60.0

    def message(self, rows: Sequence[OutboxRow]) -> list[OutboxRow]:
        """Those of `rows` that go in one message with the first: alone, or all that waited."""
        if not rows[0].attempts:
            return [rows[0]]
        return [row for row in rows if row.attempts]

    async def send(self, rows: Sequence[OutboxRow]) -> None:
        """Send one message. Raises what the notifier raises, and counts it only without."""
        at = self._clock.time()
        await self._notifier.send([row.effect for row in rows if isinstance(row.effect, Notify)])
        self._sent.append(at)
