"""The person on call, for runs in which nobody is."""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec

from immune.detection.findings import Source
from immune.errors import InvalidInput
from immune.incidents.incident import Incident
from immune.incidents.states import State


class Policy(enum.StrEnum):
    """What the operator says to every plan."""

    APPROVE = "approve"
    REJECT = "reject"
    ABSENT = "absent"


class Verb(enum.StrEnum):
    """What the operator does about an incident."""

    APPROVE = "approve"
    REJECT = "reject"
    QUARANTINE = "quarantine"
    """Fence an agent that has gone silent: the system itself only watches it."""
    ACCEPT = "accept"
    """Take a release for the new normal."""


class Decision(msgspec.Struct, frozen=True):
    """A word on an incident as it was shown at this version."""

    incident_id: str
    version: int
    verb: Verb


class Operator:
    """Decides on whatever has waited for `delay_s`, each version once; or never, if absent.

    An operator that approves also takes up what the system only watches and never would by itself:
    silent agents, which it quarantines, and releases, which it accepts as new normal.
    """

    def __init__(self, policy: str = Policy.APPROVE, delay_s: float = 10.0) -> None:
        if policy not in tuple(Policy):
            raise InvalidInput("operator", f"must be one of {', '.join(Policy)}")
        self._policy = Policy(policy)
        self._delay_s = delay_s
        self._waiting: dict[tuple[str, str, int], float] = {}
        """(incident, state, attempts) -> since when it has been seen waiting."""
        self._decided: dict[tuple[str, str, int], int] = {}
        """The same -> the version that was decided on."""

    def decide(self, incidents: Iterable[Incident], now: float) -> list[Decision]:
        """What the operator says now; those of `incidents` that need no word are passed over.

        Call it with all open incidents: who is absent from them waits anew.
        """
        waiting = {
            (incident.id, str(incident.state), incident.attempts): (incident, verb)
            for incident in incidents
            if (verb := self._verb(incident))
        }
        self._waiting = {key: self._waiting.get(key, now) for key in waiting}
        self._decided = {key: v for key, v in self._decided.items() if key in waiting}
        decisions = []
        for key, (incident, verb) in waiting.items():
            waited = now - self._waiting[key]
            if waited >= self._delay_s and self._decided.get(key) != incident.version:
                self._decided[key] = incident.version
                decisions.append(Decision(incident.id, incident.version, verb))
        return decisions

    def _verb(self, incident: Incident) -> Verb | None:
        """What there is to say; None for nothing."""
        if self._policy is Policy.ABSENT:
            return None
        if incident.state is State.AWAITING_APPROVAL:
            return Verb(self._policy)
        if self._policy is not Policy.APPROVE:
            return None
        if incident.subject.kind == "release" and incident.is_open:
            return Verb.ACCEPT
        if (
            incident.state is State.OBSERVED
            and incident.finding is not None
            and incident.finding.source is Source.SILENCE
        ):
            return Verb.QUARANTINE
        return None
