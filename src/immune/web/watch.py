"""What one viewer watches closely: an agent's steps and evidence, or the proof of a cure."""

from __future__ import annotations

import msgspec

from immune.errors import InvalidInput, NotFound
from immune.healing.trial import TrialState
from immune.views import Views
from immune.vitals import Vital
from immune.web.feed import Watch

STEPS_MAX = 20
"""Steps of an agent told in one tick at the most; the newest ones."""
BACK_S = 10.0
"""How far back the first look goes, so that nothing is lost between page and stream."""


class AgentNews(msgspec.Struct, frozen=True):
    """The data of an ``agent`` event."""

    agent_id: str
    at: float
    evidence: float
    """Nats, of the most telling kind of step."""
    vitals: list[Vital]
    """Steps since the last event, oldest first."""


class TrialNews(msgspec.Struct, frozen=True):
    """The data of a ``trial`` event."""

    incident_id: str
    trial: TrialState | None


class AgentWatch:
    """An agent's new steps and its evidence."""

    def __init__(self, views: Views, agent_id: str, now: float) -> None:
        self._views = views
        self._agent_id = agent_id
        self._since = now - BACK_S

    async def news(self) -> tuple[str, msgspec.Struct] | None:
        """What is new since the last look."""
        found = await self._views.vitals(self._agent_id, since=self._since, limit=STEPS_MAX)
        vitals = [vital for vital in found if vital.at > self._since]
        if vitals:
            self._since = vitals[-1].at
        evidence = round(self._views.evidence(self._agent_id), 2)
        return "agent", AgentNews(self._agent_id, self._views.now(), evidence, vitals)


class IncidentWatch:
    """How the watched return of an incident stands."""

    def __init__(self, views: Views, incident_id: str) -> None:
        self._views = views
        self._incident_id = incident_id
        self._told: TrialState | None = None

    async def news(self) -> tuple[str, msgspec.Struct] | None:
        """The trial, where it has moved."""
        trial = self._views.trial(self._incident_id)
        if trial == self._told:
            return None
        self._told = trial
        return "trial", TrialNews(self._incident_id, trial)


class Watches:
    """Makes watches."""

    def __init__(self, views: Views) -> None:
        self._views = views

    def __call__(self, subject: str) -> Watch:
        """Make one of ``agent:ID`` or ``incident:ID``; raises NotFound and InvalidInput."""
        kind, _, name = subject.partition(":")
        if kind == "agent":
            if self._views.code(name) is None:
                raise NotFound(f"no agent {name} ever reported")
            return AgentWatch(self._views, self._views.name(name), self._views.now())
        if kind == "incident" and name:
            return IncidentWatch(self._views, name)
        raise InvalidInput("watch", "is agent:ID or incident:ID")
