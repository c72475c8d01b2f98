"""What the verbs show of the server's records; fields that are not named here are passed over."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from immune.words import cause_name, percent, plain, subject_name


class Problem(msgspec.Struct):
    """An error of the server's, as application/problem+json."""

    detail: str = ""
    title: str = ""
    status: int = 0
    refused: list[Refusal] = []
    """Each item that was refused, where all of them were."""

    def words(self) -> str:
        """What to tell a person, in one line."""
        ours = [self.title] if self.status >= 500 else []
        said = ": ".join(filter(None, [*ours, self.detail])) or self.title
        return " ".join(said.split()) or "the server gave no reason"


class Refusal(msgspec.Struct):
    field: str
    reason: str


class Subject(msgspec.Struct):
    kind: str
    name: str


class RankedCause(msgspec.Struct):
    cause: str
    confidence: float

    def words(self) -> str:
        """``prompt drift 62 %``."""
        return f"{cause_name(self.cause)} {percent(self.confidence)}"


class Diagnosis(msgspec.Struct):
    ranked: list[RankedCause]
    reasons: list[str] = []

    @property
    def likeliest(self) -> str:
        """The most likely cause and how sure the diagnosis is of it."""
        return self.ranked[0].words() if self.ranked else ""


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
        return f"{plain(self.subject.kind)} {subject_name(self.subject.name)}".strip()

    @property
    def cause(self) -> str:
        """The most likely cause, where there is a diagnosis."""
        return self.diagnosis.likeliest if self.diagnosis else ""

    def headline(self) -> str:
        """The incident in one line."""
        return f"{self.id} of {self.name} is {plain(self.state)} (version {self.version})"


class Change(msgspec.Struct):
    what: str
    before: str
    after: str


class Event(msgspec.Struct):
    """Any event; a field that its type doesn't have keeps its default."""

    type: str
    at: float
    who: str = ""
    why: str = ""
    diagnosis: Diagnosis | None = None
    ladder: list[Rung] = []
    asks: str = ""
    enforce: bool = False
    plan: list[str] = []
    action: str | None = None
    changes: list[Change] = []
    contact: int = 0
    fresh_steps: int = 0
    verdict: str = ""
    by: str = ""


class Line(msgspec.Struct):
    version: int
    state: str
    event: Event


class Attempt(msgspec.Struct):
    action: str
    outcome: str
    note: str = ""


class IncidentDetail(msgspec.Struct):
    incident: Incident
    events: list[Line]
    attempts: list[Attempt] = []


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


class Bound(msgspec.Struct):
    limit: int
    used: int
    span: str
    why: str

    def words(self) -> str:
        """What it allows, how much of that is used, and why."""
        return f"{self.used:,} of at most {self.limit:,} {self.span} ({self.why})"


class Brake(msgspec.Struct):
    fenced: int
    active: int
    room: int
    share: float
    holding: str
    bounds: list[Bound] = []


class WouldHave(msgspec.Struct):
    quarantined: int
    asked: int


class HostClock(msgspec.Struct):
    agent_id: str
    behind_s: float
    put_right: bool

    def words(self) -> str:
        """``billing/triage 12 s behind``."""
        side = "behind" if self.behind_s > 0 else "ahead"
        return f"{self.agent_id} {abs(self.behind_s):,.0f} s {side}"


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
    failures: int = 0
    late: int = 0
    clocks: list[HostClock] = []
    clocks_off: int = 0


class IntakeCounts(msgspec.Struct):
    refused: dict[str, int]
    rejected: dict[str, int]
    unmapped: dict[str, int]
    retired: dict[str, int] = {}


class Quarantined(msgspec.Struct):
    incident: Incident | None = None
    fence: Fence | None = None


class Aliases(msgspec.Struct):
    aliases: dict[str, str]


class Infected(msgspec.Struct):
    agent_id: str
    infection: str
    strain: str


class Lockdown(msgspec.Struct):
    id: str
    by: str
    reason: str
    at: float
    agents: int

    def words(self, of: int = 0) -> str:
        """What it did, who ordered it, when and why, in one line; `of` is how many agents are."""
        since = f"{datetime.fromtimestamp(self.at, UTC):%Y-%m-%d %H:%M} UTC"
        fenced = (
            f"{self.agents:,} of {counted(of, 'agent')} still fenced"
            if self.agents < of
            else f"everything is fenced ({counted(self.agents, 'agent')})"
        )
        return " ".join(f"{fenced} by {self.by} since {since}: {self.reason}".split())


def counted(number: int, thing: str) -> str:
    """``1 agent``, ``1,200 agents``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
