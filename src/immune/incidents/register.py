"""What may be saved of cases, whatever they are stored in.

A case is saved on top of the version it was read at, and a subject has one open case. Whoever
comes second is refused: two people who decided at once, or two findings about one agent.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from immune.errors import IllegalEvent, StaleVersion
from immune.incidents.incident import Incident, Subject


class Register:
    """The version of each case, and the open case of each subject; what is absent is neither."""

    def __init__(self, versions: dict[str, int], open_cases: dict[Subject, str]) -> None:
        self._versions = versions
        self._open = open_cases

    @property
    def open_cases(self) -> Collection[str]:
        """The ids of the open cases."""
        return self._open.values()

    def enter(self, saved: Sequence[tuple[Incident, int]]) -> None:
        """Enter cases, each with the version it was read at (0 for a new one): all of them or none.

        Raises StaleVersion where a case has moved on, and IllegalEvent for a second open case.
        """
        versions: dict[str, int] = {}
        taken: dict[Subject, str | None] = {}
        for incident, expected in saved:
            actual = versions.get(incident.id, self._versions.get(incident.id, 0))
            if actual != expected:
                raise StaleVersion(incident.id, expected, actual)
            subject = incident.subject
            other = taken.get(subject, self._open.get(subject))
            if incident.is_open and other not in (None, incident.id):
                raise IllegalEvent(
                    f"{subject.kind} {subject.name} has an open incident already ({other}): "
                    "add to that one"
                )
            versions[incident.id] = incident.version
            if incident.is_open or other == incident.id:
                taken[subject] = incident.id if incident.is_open else None
        self._versions |= versions
        for subject, case in taken.items():
            if case is None:
                self._open.pop(subject, None)
            else:
                self._open[subject] = case
