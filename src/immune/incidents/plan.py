"""Where an incident stands on its ladder: the next rung, what covers it, and a ladder made anew.

Pure steps of one incident, without the effects: those follow from where it went.
"""

from __future__ import annotations

import msgspec

from immune.healing.actions import Action, Rung
from immune.incidents import events as e
from immune.incidents.incident import Incident
from immune.incidents.states import State

TRIED = "it was tried or passed over in this case"
"""Why a rung of a ladder made anew is skipped, where the sickness is still the same."""


def unasked(ladder: tuple[Rung, ...]) -> tuple[Action, ...]:
    """The actions that need no person by themselves."""
    return tuple(rung.action for rung in ladder if not rung.asks and not rung.skipped)


def next_rung(incident: Incident, approval_deadline_at: float) -> Incident:
    """Order the next rung that the agent can do, ask for it, or find that none is left."""
    for place in range(incident.next_rung, len(incident.ladder)):
        rung = incident.ladder[place]
        if rung.skipped:
            continue
        here = msgspec.structs.replace(incident, next_rung=place)
        if rung.action in incident.covered:
            return order(here, rung.action, incident.trigger)
        asks = incident.asks or f"{rung.action} needs a person's approval"
        return msgspec.structs.replace(
            here,
            state=State.AWAITING_APPROVAL,
            asks=asks,
            approval_deadline_at=approval_deadline_at,
            overdue=0,
            current=None,
            probation=None,
        )
    return msgspec.structs.replace(
        incident,
        state=State.EXHAUSTED,
        next_rung=len(incident.ladder),
        current=None,
        probation=None,
        approval_deadline_at=None,
    )


def order(incident: Incident, action: Action, trigger: str) -> Incident:
    """Into healing, with one more attempt."""
    return msgspec.structs.replace(
        incident,
        state=State.HEALING,
        current=action,
        attempts=incident.attempts + 1,
        trigger=trigger,
        probation=None,
        approval_deadline_at=None,
        overdue=0,
    )


def at(incident: Incident, action: Action) -> Incident:
    """Point the ladder at `action` where it is still ahead; else leave it."""
    for place in range(incident.next_rung, len(incident.ladder)):
        if incident.ladder[place].action is action:
            return msgspec.structs.replace(incident, next_rung=place)
    return incident


def past_rung(incident: Incident) -> Incident:
    """The ladder after the current action failed: past it, if it was the next rung."""
    here = incident.next_rung
    if here < len(incident.ladder) and incident.ladder[here].action is incident.current:
        return msgspec.structs.replace(incident, next_rung=here + 1)
    return incident


def changed(incident: Incident, event: e.Diagnosed) -> Incident:
    """Another cause is clear: what comes next is its ladder, and what was approved covers none.

    What runs or is on trial goes on. Who waits for a decision, waits for one on the new plan.
    """
    other = _is_another_sickness(incident)
    done = frozenset[Action]() if other else _tried(incident)
    rungs = [
        msgspec.structs.replace(rung, skipped=TRIED)
        if rung.action in done and not rung.skipped
        else rung
        for rung in event.ladder
    ]
    ladder = tuple(sorted(rungs, key=lambda rung: bool(rung.skipped)))  # first what is to be tried
    why = f"the cause is now {event.diagnosis.cause}"
    known = msgspec.structs.replace(
        incident, diagnosis=event.diagnosis, ladder=ladder, next_rung=0, covered=()
    )
    if incident.state in (State.AWAITING_APPROVAL, State.REJECTED):
        return msgspec.structs.replace(known, asks=event.asks or why)
    # a person's order after a no was for the sickness as it was then
    asks = event.asks or (why if incident.trigger == "heal_now" else "")
    return msgspec.structs.replace(
        known,
        asks=asks,
        covered=() if asks else unasked(ladder),
        trigger="auto",
        current=None if other else incident.current,
    )


def _is_another_sickness(incident: Incident) -> bool:
    """Whether the latest finding began after the action on trial was done."""
    return (
        incident.state is State.PROBATION
        and incident.probation is not None
        and incident.finding is not None
        and incident.finding.onset_at > incident.probation.since
    )


def _tried(incident: Incident) -> frozenset[Action]:
    """What is behind on the ladder, the action on its way or on trial included."""
    behind = [rung.action for rung in incident.ladder[: incident.next_rung] if not rung.skipped]
    earlier = [rung.action for rung in incident.ladder if rung.skipped == TRIED]
    running = [incident.current] if incident.current is not None else []
    return frozenset([*behind, *earlier, *running])
