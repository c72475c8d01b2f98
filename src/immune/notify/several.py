"""Several notifiers as one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from immune.errors import Transient
from immune.incidents.effects import Notify
from immune.notify.webhook import WebhookNotifier
from immune.ports import Notifier


class SeveralNotifiers:
    """Sends by all at once; one that fails keeps none of the others from being called."""

    def __init__(self, *notifiers: Notifier) -> None:
        self._notifiers = notifiers

    async def send(self, notices: Sequence[Notify]) -> None:
        """Raises what one of them raised, an unexpected fault before a Transient; called again,
        all are called again: at least once."""
        sending = (notifier.send(notices) for notifier in self._notifiers)
        answers = await asyncio.gather(*sending, return_exceptions=True)
        faults = [answer for answer in answers if isinstance(answer, BaseException)]
        for fault in sorted(faults, key=lambda fault: isinstance(fault, Transient)):
            raise fault

    async def close(self) -> None:
        """Let go of connections."""
        for notifier in self._notifiers:
            if isinstance(notifier, WebhookNotifier):
                await notifier.close()
