"""Several notifiers as one."""

from __future__ import annotations

from collections.abc import Sequence

from immune.errors import Transient
from immune.incidents.effects import Notify
from immune.notify.webhook import WebhookNotifier
from immune.ports import Notifier


class SeveralNotifiers:
    """Sends by each in turn; one that fails keeps none of the others from being called."""

    def __init__(self, *notifiers: Notifier) -> None:
        self._notifiers = notifiers

    async def send(self, notices: Sequence[Notify]) -> None:
        """Raises the first Transient met; called again, all are called again: at least once."""
        fault: Transient | None = None
        for notifier in self._notifiers:
            try:
                await notifier.send(notices)
            except Transient as met:
                fault = fault or met
        if fault is not None:
            raise fault

    async def close(self) -> None:
        """Let go of connections."""
        for notifier in self._notifiers:
            if isinstance(notifier, WebhookNotifier):
                await notifier.close()
