"""What the verbs show of the server's records; fields that are not named here are passed over."""

from __future__ import annotations

import msgspec


class Problem(msgspec.Struct):
    """An error of the server's, as application/problem+json."""

    detail: str = ""
    title: str = ""
    field: str | None = None
    current: Incident | None = None

    def words(self) -> str:
        """What to tell a person."""
        said = self.detail or self.title or "the server gave no reason"
        if self.current is not None:
            said += f"\n  now: {self.current.headline()}"
        return said


class Subject(msgspec.Struct):
    kind: str
    name: str


class RankedCause(msgspec.Struct):
    cause: str
    confidence: float


class Diagnosis(msgspec.Struct):
    ranked: list[RankedCause]
    reasons: list[str]


class Rung(msgspec.Struct):
    action: str
    asks: bool = False
    skipped: str = ""
    expected: str = ""


class Incident(msgspec.Struct):
    id: str
    subject: Subject
    state: str
    version: int
    opened_at: float
    severity: float = 0.0
    diagnosis: Diagnosis | None = None
    ladder: list[Rung] = []
    next_rung: int = 0
    asks: str = ""
    verdict: str = ""
    braked: bool = False
    current: str | None = None
    summary: str = ""

    @property
    def name(self) -> str:
        """The agent's id, or what a fleet incident is about."""
        if self.subject.kind == "agent":
            return self.subject.name
        return f"{self.subject.kind} {self.subject.name}".strip()

    @property
    def plan(self) -> list[str]:
        """The actions that an approval covers as shown."""
        return [rung.action for rung in self.ladder[self.next_rung :] if not rung.skipped]

    @property
    def cause(self) -> str:
        """The most likely cause and how sure the diagnosis is of it."""
        if self.diagnosis is None or not self.diagnosis.ranked:
            return ""
        first = self.diagnosis.ranked[0]
        return f"{first.cause} {first.confidence:.0%}"

    def headline(self) -> str:
        """The incident in one line."""
        return f"{self.id} of {self.name} is {words(self.state)} (version {self.version})"


class Line(msgspec.Struct):
    version: int
    state: str
    event: dict[str, object]


class IncidentDetail(msgspec.Struct):
    incident: Incident
    events: list[Line]


class Agent(msgspec.Struct):
    agent_id: str
    agent_type: str
    state: str
    last_seen_at: float
    evidence: float
    quarantine_at: float
    severity: float
    incident_id: str | None
    fenced: bool
    enforced: bool


class Fence(msgspec.Struct):
    id: str
    incident_id: str | None


class AgentDetail(msgspec.Struct):
    agent: Agent
    fences: list[Fence]


class TaskHealth(msgspec.Struct):
    name: str
    last_error: str = ""


class Brake(msgspec.Struct):
    fenced: int
    active: int
    room: int
    share: float
    holding: str


class WouldHave(msgspec.Struct):
    quarantined: int
    asked: int


class Status(msgspec.Struct):
    run_id: str
    version: str
    now: float
    started_at: float
    mode: str
    modes_by_type: dict[str, str]
    degraded: list[TaskHealth]
    agents: int
    active: int
    by_state: dict[str, int]
    brake: Brake
    would_have: WouldHave
    accepted: int
    queued: int
    fleet_incidents: list[Incident]


class Quarantined(msgspec.Struct):
    incident: Incident | None = None
    fence: Fence | None = None


class Infected(msgspec.Struct):
    agent_id: str
    infection: str
    strain: str


def words(name: str) -> str:
    """``awaiting_approval`` -> ``awaiting approval``."""
    return name.replace("_", " ")
