"""What lists show of an incident, and what the feed says of each of its steps."""

from __future__ import annotations

import msgspec

from immune.healing.actions import Action
from immune.incidents import events as e
from immune.incidents.incident import Incident
from immune.ports import IncidentEvent


class CaseSummary(msgspec.Struct, frozen=True, omit_defaults=True):
    """An incident in a list."""

    id: str
    kind: str
    """``agent``, or what a fleet incident is about."""
    name: str
    state: str
    version: int
    severity: float
    opened_at: float
    updated_at: float
    onset_at: float
    agent_type: str = ""
    cause: str | None = None
    confidence: float = 0.0
    """Of the cause, 0..1."""
    reason: str = ""
    """The strongest piece of evidence, in words."""
    summary: str = ""
    """What a fleet incident is about, in words."""
    members: int = 0
    asks: str = ""
    """Why a person must decide; empty where none must."""
    plan: tuple[Action, ...] = ()
    """What an approval of this version covers, in order."""
    current: Action | None = None
    approval_deadline_at: float | None = None
    overdue: int = 0
    fenced: bool = False
    braked: bool = False
    stale: bool = False
    """On probation without fresh vitals."""
    is_open: bool = True
    verdict: str = ""
    acknowledged_by: str = ""
    """Who looks at a fleet incident."""


class CaseMoved(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step of an incident, as the feed tells it."""

    seq: int
    """Place in the run's log."""
    incident_id: str
    at: float
    event: str
    who: str
    why: str = ""
    case: CaseSummary | None = None
    """After the event when live, as it is now when resumed; null if too old."""


def summary(incident: Incident) -> CaseSummary:
    """The summary of an incident."""
    top = incident.diagnosis.ranked[0] if incident.diagnosis else None
    return CaseSummary(
        id=incident.id,
        kind=incident.subject.kind,
        name=incident.subject.name,
        state=str(incident.state),
        version=incident.version,
        severity=round(incident.severity, 1),
        opened_at=incident.opened_at,
        updated_at=incident.updated_at,
        onset_at=incident.onset_at,
        agent_type=incident.agent_type,
        cause=str(top.cause) if top else None,
        confidence=round(top.confidence, 2) if top else 0.0,
        reason=next(iter(incident.diagnosis.reasons), "") if incident.diagnosis else "",
        summary=incident.summary,
        members=len(incident.members),
        asks=incident.asks,
        plan=incident.plan,
        current=incident.current,
        approval_deadline_at=incident.approval_deadline_at,
        overdue=incident.overdue,
        fenced=incident.fenced,
        braked=incident.braked,
        stale=incident.probation is not None and incident.probation.stale,
        is_open=incident.is_open,
        verdict=incident.verdict,
        acknowledged_by=incident.acknowledged_by,
    )


def moved(line: IncidentEvent, incident: Incident | None) -> CaseMoved:
    """What is told of one committed step."""
    return CaseMoved(
        seq=line.seq,
        incident_id=line.incident_id,
        at=line.event.at,
        event=e.name(line.event),
        who=line.event.who,
        why=line.event.why,
        case=summary(incident) if incident else None,
    )
