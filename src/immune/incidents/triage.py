"""From a finding to the events that it is for its incident: who is fenced, who only watched, and
when what was planned is planned anew."""

from __future__ import annotations

from immune.detection.findings import BaselineProfile, Finding, Source, Tier
from immune.diagnosis.causes import Cause, Diagnosis
from immune.incidents import events as e
from immune.incidents.incident import Incident, Subject
from immune.incidents.states import TABLE, State
from immune.modes import Mode

SURE = 0.5
"""Confidence that another cause must have before a plan is changed for it: likelier than not."""
CLEAR = 2.0
"""Times by which it must exceed that of the plan's own cause: a plan that turns with every look
heals nothing."""


def opened(
    finding: Finding,
    *,
    incident_id: str,
    run_id: str,
    agent_type: str,
    baseline: BaselineProfile | None,
    diagnosis: Diagnosis,
) -> tuple[Incident, e.Opened]:
    """The case of an agent's first finding: always a suspicion, whatever comes next."""
    incident = Incident(
        id=incident_id,
        run_id=run_id,
        subject=Subject("agent", finding.agent_id),
        agent_type=agent_type,
        state=State.SUSPECTED,
        version=1,
        opened_at=finding.at,
        updated_at=finding.at,
        onset_at=finding.onset_at,
        finding=finding,
        severity=finding.severity,
        diagnosis=diagnosis,
        baseline=baseline,
    )
    return incident, e.Opened(at=finding.at, finding=finding, diagnosis=diagnosis)


def sick(finding: Finding) -> bool:
    """Whether the finding confirms a suspicion: the quarantine tier, or silence."""
    return finding.tier is Tier.QUARANTINE or finding.source is Source.SILENCE


def answer(
    finding: Finding, incident: Incident, diagnosis: Diagnosis, mode: Mode, brake: str
) -> e.Event:
    """What `finding` is for the open `incident`.

    `brake` says in words why no further fence may be raised; empty where one may.
    """
    at = finding.at
    added = e.FindingAdded(at=at, finding=finding, diagnosis=diagnosis)
    if incident.state not in (State.SUSPECTED, State.OBSERVED) or not sick(finding):
        return added
    why_not = finding.why_not if not finding.can_fence else ""
    if mode is Mode.OBSERVE:
        why_not = why_not or "mode observe"
    if not why_not and brake and not exempt_from_brake(finding):
        return e.Braked(at=at, finding=finding, why=brake) if _suspected(incident) else added
    if not why_not:
        return e.Confirmed(at=at, finding=finding, diagnosis=diagnosis, enforce=True)
    if _suspected(incident):
        return e.Confirmed(at=at, finding=finding, diagnosis=diagnosis, enforce=False, why=why_not)
    return added


def overturned(incident: Incident, diagnosis: Diagnosis) -> bool:
    """Whether `diagnosis`, of a further finding, clearly names another cause than the plan's."""
    if not incident.ladder or e.Diagnosed not in TABLE[incident.state]:
        return False
    planned = incident.diagnosis.cause if incident.diagnosis else Cause.UNKNOWN
    new = diagnosis.ranked[0]
    if new.cause in (planned, Cause.UNKNOWN):
        return False
    old = next((ranked.confidence for ranked in diagnosis.ranked if ranked.cause is planned), 0.0)
    return new.confidence >= max(SURE, CLEAR * old)


def replaces(incident: Incident, plan: e.Diagnosed) -> bool:
    """Whether `plan` takes the old one's place: a person who waits to decide must be left one."""
    waits = incident.state in (State.AWAITING_APPROVAL, State.REJECTED)
    return not waits or any(not rung.skipped for rung in plan.ladder)


def _suspected(incident: Incident) -> bool:
    return incident.state is State.SUSPECTED


def exempt_from_brake(finding: Finding) -> bool:
    """Whether a fence for this finding is raised whatever the brake says, and not counted by it."""
    return finding.source is Source.HARD_LIMIT
