"""Decisions that people owe: nobody answering in time is told to the next contact.

It never decides anything: a case waits, fenced, for as long as it takes.
"""

from __future__ import annotations

from immune.casework import Casework
from immune.incidents import events as e
from immune.incidents.states import State
from immune.settings import CaseSettings


class Approvals:
    """The cases that wait for a person."""

    def __init__(self, casework: Casework, cases: CaseSettings) -> None:
        self._casework = casework
        self._cases = cases

    async def overdue(self, now: float) -> None:
        """Call the next contact for each case whose deadline is over at `now`, epoch seconds."""
        for incident in self._casework.open_incidents():
            if (
                incident.state is State.AWAITING_APPROVAL
                and incident.approval_deadline_at is not None
                and now >= incident.approval_deadline_at
            ):
                await self._casework.apply_unless_overtaken(
                    incident.id,
                    e.Overdue(
                        at=now,
                        contact=incident.overdue + 1,
                        approval_deadline_at=now + self._cases.approval_deadline_s,
                    ),
                )
