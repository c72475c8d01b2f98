"""One incident: what is known of a case. What happens to it is in `step`."""

from __future__ import annotations

import msgspec

from immune.detection.findings import BaselineProfile, Finding
from immune.detection.fleet_case import FleetFinding
from immune.diagnosis.causes import Diagnosis
from immune.healing.actions import Action, Rung
from immune.incidents.states import CLOSED, FENCED, State

SEVERE = 7.0
"""Severity from which a person is asked."""


class Subject(msgspec.Struct, frozen=True):
    """What an incident is about: one agent, or what many agents share."""

    kind: str
    """``agent``, or for a fleet: outage, release, telemetry_gap or brake."""
    name: str


class Probation(msgspec.Struct, frozen=True):
    """What the watched return is judged by; enough to go on after a restart."""

    key: str
    """Of the attempt on trial; ``{incident}/by-hand`` after a repair by hand."""
    action: Action | None
    since: float
    """Only steps started after it are fresh."""
    stale: bool = False
    """No fresh vitals have come for long."""


class Incident(msgspec.Struct, frozen=True):
    """One case, from suspicion to release. `version` grows with every event."""

    id: str
    run_id: str
    subject: Subject
    agent_type: str
    state: State
    version: int
    opened_at: float
    updated_at: float
    onset_at: float
    finding: Finding | None
    """The latest one, with the worst that was seen of each metric: the estimate of the sick state
    that a cure is judged by."""
    severity: float = 0.0
    """The highest so far."""
    confirmed: bool = False
    by_person: bool = False
    """A person decided something about it: no fleet incident takes it away any more."""
    braked: bool = False
    diagnosis: Diagnosis | None = None
    ladder: tuple[Rung, ...] = ()
    next_rung: int = 0
    covered: tuple[Action, ...] = ()
    """Actions that may be taken without asking (again): by the mode, or by a person's approval."""
    asks: str = ""
    """Why a person must decide; empty where none must."""
    approval_deadline_at: float | None = None
    overdue: int = 0
    """How many contacts have been called without an answer."""
    attempts: int = 0
    trigger: str = "auto"
    current: Action | None = None
    """The action ordered or on trial; None while it is on trial and another sickness came
    meanwhile: it says nothing about that one."""
    probation: Probation | None = None
    baseline: BaselineProfile | None = None
    """Frozen at the onset."""
    verdict: str = ""
    absorbed_by: str = ""
    acknowledged_by: str = ""
    """Who looks at a fleet incident; empty where nobody said so."""
    members: tuple[str, ...] = ()
    """Agents of a fleet incident."""
    fleet: FleetFinding | None = None
    """What the fleet shares."""
    summary: str = ""
    closed_at: float | None = None

    @property
    def agent_id(self) -> str:
        """The agent's id; raises ValueError for a fleet incident."""
        if self.subject.kind != "agent":
            raise ValueError(f"incident {self.id} is about a {self.subject.kind}")
        return self.subject.name

    @property
    def is_fleet(self) -> bool:
        return self.subject.kind != "agent"

    @property
    def is_open(self) -> bool:
        return self.state not in CLOSED

    @property
    def fenced(self) -> bool:
        """Whether the system's fence stands for it."""
        return self.state in FENCED

    @property
    def attempt_key(self) -> str:
        """Idempotency key of the current attempt."""
        return f"{self.id}/{self.attempts}"

    @property
    def plan(self) -> tuple[Action, ...]:
        """What is left of the ladder, in order: what an approval covers as shown."""
        return tuple(r.action for r in self.ladder[self.next_rung :] if not r.skipped)
