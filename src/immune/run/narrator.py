"""Tells in plain words what happens, one line for each thing that a person would want to know."""

from __future__ import annotations

from collections.abc import Callable

from immune.incidents import events as e
from immune.incidents.incident import Incident
from immune.incidents.states import State
from immune.ports import IncidentEvent
from immune.words import cause_name, plain, subject_name


class Narrator:
    """Turns the committed events into sentences."""

    def __init__(self, note: Callable[[float, str, str], None]) -> None:
        """`note` takes when it was, the line, and its tone: quiet, alarm, person, good or bad."""
        self._note = note

    def hear(self, line: IncidentEvent, incident: Incident) -> None:
        """Say what an event means, if it means anything to a person."""
        told = _fleet(line.event, incident) if incident.is_fleet else _agent(line.event, incident)
        if told:
            self._note(line.event.at, *told)


def _fleet(event: e.Event, incident: Incident) -> tuple[str, str] | None:
    match event:
        case e.Opened():
            return f"fleet: {incident.summary}", "person"
        case e.Released(who=who, verdict=verdict):
            return (
                f"fleet: {subject_name(incident.subject.name)} closed by {who} as {plain(verdict)}",
                "good",
            )
        case e.Subsided():
            return f"fleet: {subject_name(incident.subject.name)} is back to normal", "good"
    return None


def _agent(event: e.Event, incident: Incident) -> tuple[str, str] | None:
    name = incident.agent_id
    cause = cause_name(incident.diagnosis.cause if incident.diagnosis else "unknown")
    match event:
        case e.Opened():
            return f"{name} left its normal: suspected ({cause})", "quiet"
        case e.Confirmed(enforce=True):
            harm = f"severity {incident.severity:.1f}"
            return f"{name} is sick ({cause}, {harm}): its calls are refused", "alarm"
        case e.Confirmed(why=why):
            return f"{name} is sick ({cause}) and only watched: {why}", "alarm"
        case e.Braked(why=why):
            return f"{name} is sick but not fenced, for the brake: {why}", "person"
        case e.Subsided():
            return f"{name} went back to normal by itself", "quiet"
        case e.Overdue(contact=contact):
            return f"{name} still waits for a decision (contact {contact})", "person"
        case e.Approved(who=who):
            return f"{name}: {who} approved {', '.join(incident.covered)}", "person"
        case e.Rejected(who=who):
            return f"{name}: {who} said no; it stays fenced", "person"
        case e.HealNow(who=who):
            return f"{name}: {who} ordered {incident.current}", "person"
        case e.Applied(action=action):
            return f"{name}: {action} done; back on probation", "quiet"
        case e.Relapsed(fresh_steps=steps, why=why):
            tail = _then(incident)
            return f"{name} is still sick after {steps} fresh steps ({why}){tail}", "bad"
        case e.Verified(fresh_steps=steps):
            return f"{name} is cured: proved on {steps} fresh steps", "good"
        case e.Stale():
            return f"{name} sends no vitals on probation: nothing is proved", "bad"
        case e.Failed(action=action, why=why):
            return f"{name}: {action} failed ({why}){_then(incident)}", "bad"
        case e.Unreachable():
            return f"{name} does not answer; it stays fenced", "bad"
        case e.Released(who=who, verdict=verdict):
            return f"{name} released by {who}: {plain(verdict)}", "person"
        case e.Absorbed(by=by):
            return f"{name} is explained by {by}", "quiet"
        case e.Resumed():
            return f"{name} sends vitals again", "quiet"
        case e.Diagnosed() if incident.state is State.AWAITING_APPROVAL:
            return f"{name} waits for a person ({incident.id}): {incident.asks}", "person"
        case e.Diagnosed() if incident.state is State.PROBATION:
            return f"{name}: the cause is now {cause}, and so is what comes next", "quiet"
    return None


def _then(incident: Incident) -> str:
    if incident.state is State.HEALING:
        return f"; fenced again, trying {incident.current}"
    if incident.state is State.AWAITING_APPROVAL:
        return f"; fenced again, waits for a person ({incident.id}): {incident.asks}"
    return "; fenced again, and no action is left"
