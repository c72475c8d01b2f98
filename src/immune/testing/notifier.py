"""A `Notifier` that keeps what it was told."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from immune.errors import Transient
from immune.incidents.effects import Notify


class RecordingNotifier:
    """Keeps every message; fails first as often as it is told to."""

    def __init__(self) -> None:
        self.messages: list[tuple[Notify, ...]] = []
        """What was delivered, one entry for each `send`."""
        self._failures: deque[Transient] = deque()

    def fail(self, *errors: Transient) -> None:
        """Raise these, one for each of the next calls, delivering nothing."""
        self._failures.extend(errors)

    @property
    def notices(self) -> list[Notify]:
        """All that was delivered, in order."""
        return [notice for message in self.messages for notice in message]

    async def send(self, notices: Sequence[Notify]) -> None:
        if self._failures:
            raise self._failures.popleft()
        self.messages.append(tuple(notices))
