"""The step from what is known of an incident and what happened to what is known next.

It is the whole rule book of an incident: pure, total over the state table, and loud where the table
has no row. It knows no deadline's length (events carry deadlines) and no store.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import msgspec

from immune.detection.findings import Finding, Source, worst
from immune.errors import IllegalEvent
from immune.incidents import effects as fx
from immune.incidents import events as e
from immune.incidents import plan
from immune.incidents.incident import SEVERE, Incident, Probation
from immune.incidents.states import TABLE, State
from immune.words import plain, subject_name

Step = tuple[Incident, tuple[fx.Effect, ...]]


def step(incident: Incident, event: e.Event) -> Step:
    """Apply `event`; return the next incident and the effects it wishes for.

    Raises IllegalEvent, leaving everything as it was, where the table has no row for it.
    """
    targets = TABLE[incident.state].get(type(event))
    if targets is None or (incident.by_person and isinstance(event, e.Absorbed)):
        raise IllegalEvent(
            f"incident {incident.id} is {incident.state}: {e.name(event)} does not apply"
        )
    moved, wishes = _RULES[type(event)](incident, event)
    if moved.state not in targets:
        raise AssertionError(f"{e.name(event)} led {incident.state} to {moved.state}")
    moved = msgspec.structs.replace(moved, version=incident.version + 1, updated_at=event.at)
    if not moved.is_open:
        moved = msgspec.structs.replace(moved, closed_at=event.at)
    return moved, (*wishes, *_crossing(incident, moved))


def _crossing(before: Incident, after: Incident) -> tuple[fx.Effect, ...]:
    """Effects that follow from where it went, whatever led there."""
    key = f"{after.id}/v{after.version}"
    if after.is_fleet:
        what = f"{plain(after.subject.kind)} is over: {subject_name(after.subject.name)}"
        text = f"{what}, {plain(after.verdict)}" if after.verdict else what
        over = fx.Notify(
            key=f"{key}/over", agent_id="", topic=fx.Topic.RESOLVED, incident_id=after.id, text=text
        )
        return () if after.is_open else (over,)
    wishes: list[fx.Effect] = []
    if before.fenced != after.fenced:
        wishes.append(fx.PushFence(key=f"{key}/fence", agent_id=after.agent_id))
    if after.state is State.HEALING and (
        before.state is not State.HEALING or after.attempts != before.attempts
    ):
        assert after.current is not None
        wishes.append(
            fx.ApplyAction(
                key=after.attempt_key,
                agent_id=after.agent_id,
                incident_id=after.id,
                action=after.current,
                trigger=after.trigger,
            )
        )
    if after.state is State.AWAITING_APPROVAL and before.state is not State.AWAITING_APPROVAL:
        wishes.append(_notify(after, fx.Topic.APPROVAL, f"needs a decision: {after.asks}"))
    if after.state is State.EXHAUSTED and before.state is not State.EXHAUSTED:
        wishes.append(
            _notify(after, fx.Topic.EXHAUSTED, "no action is left; it stays fenced until you act")
        )
    if not after.is_open and before.is_open and before.confirmed:
        wishes.append(
            fx.EndTreatments(key=f"{key}/treatments", agent_id=after.agent_id, incident_id=after.id)
        )
        if before.ladder:  # of a case that was only watched nobody was told
            wishes.append(_notify(after, fx.Topic.RESOLVED, f"is over: {after.state}"))
    return tuple(wishes)


def _notify(incident: Incident, topic: fx.Topic, text: str) -> fx.Notify:
    return fx.Notify(
        key=f"{incident.id}/{topic}/{incident.version}",
        agent_id=incident.agent_id,
        topic=topic,
        incident_id=incident.id,
        text=f"{incident.agent_id} {text}",
        severity=incident.severity,
    )


def _baseline(incident: Incident, order: fx.BaselineOrder) -> fx.SetBaseline:
    return fx.SetBaseline(
        key=f"{incident.id}/v{incident.version + 1}/baseline",
        agent_id=incident.agent_id,
        order=order,
    )


def _with_finding(incident: Incident, finding: Finding) -> Incident:
    known = incident.finding.effects if incident.finding else ()
    return msgspec.structs.replace(
        incident,
        finding=msgspec.structs.replace(finding, effects=worst(known, finding.effects)),
        severity=max(incident.severity, finding.severity),
        onset_at=min(incident.onset_at, finding.onset_at),
    )


def _move(incident: Incident, state: State, **changes: Any) -> Incident:
    return msgspec.structs.replace(incident, state=state, **changes)


# --- suspicion -------------------------------------------------------------------------------


def _confirmed(incident: Incident, event: e.Confirmed) -> Step:
    known = _with_finding(incident, event.finding)
    state = State.CONTAINED if event.enforce else State.OBSERVED
    moved = _move(
        known, state, confirmed=True, braked=False, diagnosis=event.diagnosis or known.diagnosis
    )
    if event.finding.source is Source.SILENCE:
        return moved, (_notify(moved, fx.Topic.SILENCE, "has gone silent"),)
    if not event.enforce:
        return moved, ()
    return moved, (_notify(moved, fx.Topic.CONFIRMED, "is sick and quarantined"),)


def _braked(incident: Incident, event: e.Braked) -> Step:
    known = _with_finding(incident, event.finding)
    moved = _move(known, incident.state, braked=True)
    if incident.braked:
        return moved, ()
    return moved, (
        _notify(moved, fx.Topic.BRAKED, f"is sick but not quarantined, for the brake: {event.why}"),
    )


def _subsided(incident: Incident, event: e.Subsided) -> Step:
    moved = _move(incident, State.DISMISSED, verdict="subsided")
    wishes = () if incident.is_fleet else (_baseline(incident, fx.BaselineOrder.LEARN),)
    return moved, wishes


def _quarantined(incident: Incident, event: e.QuarantinedByPerson) -> Step:
    moved = _move(incident, State.CONTAINED, confirmed=True, by_person=True, braked=False)
    return moved, ()


def _finding_added(incident: Incident, event: e.FindingAdded) -> Step:
    known = _with_finding(incident, event.finding)
    # a ladder and its cause belong together: only `Diagnosed` changes both
    if event.diagnosis is not None and (
        not known.ladder
        or known.diagnosis is None
        or known.diagnosis.cause is event.diagnosis.cause
    ):
        known = msgspec.structs.replace(known, diagnosis=event.diagnosis)
    if known.severity >= SEVERE > incident.severity and incident.covered:
        # newly severe: what was covered for a milder case is covered no more
        known = msgspec.structs.replace(
            known, covered=(), asks=f"severity rose to {known.severity:.1f}"
        )
    return known, ()


# --- decisions -------------------------------------------------------------------------------


def _diagnosed(incident: Incident, event: e.Diagnosed) -> Step:
    if incident.state is not State.CONTAINED:
        return _replanned(incident, event)
    known = msgspec.structs.replace(
        incident,
        diagnosis=event.diagnosis,
        ladder=event.ladder,
        next_rung=0,
        asks=event.asks,
        covered=() if event.asks else plan.unasked(event.ladder),
    )
    return plan.next_rung(known, event.approval_deadline_at), ()


def _replanned(incident: Incident, event: e.Diagnosed) -> Step:
    moved = plan.changed(incident, event)
    if moved.state is not State.AWAITING_APPROVAL:
        return moved, ()
    text = f"needs a decision anew, the cause is now {event.diagnosis.cause}: {moved.asks}"
    return moved, (_notify(moved, fx.Topic.APPROVAL, text),)


def _approved(incident: Incident, event: e.Approved) -> Step:
    known = msgspec.structs.replace(
        incident, covered=event.plan, asks="", by_person=True, trigger="approval"
    )
    first = event.plan[0]
    return plan.order(plan.at(known, first), first, "approval"), ()


def _rejected(incident: Incident, event: e.Rejected) -> Step:
    moved = _move(
        incident, State.REJECTED, by_person=True, approval_deadline_at=None, overdue=0, covered=()
    )
    return moved, ()


def _overdue(incident: Incident, event: e.Overdue) -> Step:
    moved = msgspec.structs.replace(
        incident, overdue=event.contact, approval_deadline_at=event.approval_deadline_at
    )
    text = f"has waited for a decision, and nobody answered (contact {event.contact})"
    return moved, (_notify(moved, fx.Topic.OVERDUE, text),)


def _heal_now(incident: Incident, event: e.HealNow) -> Step:
    if event.action is None:
        if not incident.plan:
            raise IllegalEvent(f"incident {incident.id} has no rung left: name an action")
        action, covered = incident.plan[0], incident.plan
    else:
        action, covered = event.action, (event.action,)
    known = msgspec.structs.replace(
        plan.at(incident, action), covered=covered, by_person=True, asks=""
    )
    return plan.order(known, action, "heal_now"), ()


# --- healing ---------------------------------------------------------------------------------


def _applied(incident: Incident, event: e.Applied) -> Step:
    trial = Probation(event.key, event.action, event.at)
    return _move(incident, State.PROBATION, probation=trial), ()


def _failed(incident: Incident, event: e.Failed) -> Step:
    return plan.next_rung(plan.past_rung(incident), event.approval_deadline_at), ()


def _relapsed(incident: Incident, event: e.Relapsed) -> Step:
    if not incident.ladder:
        # repaired by hand while it was only watched: it is watched again, and never was fenced
        return _move(incident, State.OBSERVED, probation=None), ()
    return plan.next_rung(plan.past_rung(incident), event.approval_deadline_at), ()


def _unreachable(incident: Incident, event: e.Unreachable) -> Step:
    return _move(incident, State.EXHAUSTED, current=None), ()


def _verified(incident: Incident, event: e.Verified) -> Step:
    moved = _move(incident, State.RESOLVED, verdict="verified")
    return moved, (_baseline(incident, fx.BaselineOrder.DISCARD),)


def _stale(incident: Incident, event: e.Stale) -> Step:
    return _flagged(incident, True), ()


def _resumed(incident: Incident, event: e.Resumed) -> Step:
    return _flagged(incident, False), ()


def _flagged(incident: Incident, stale: bool) -> Incident:
    assert incident.probation is not None
    trial = msgspec.structs.replace(incident.probation, stale=stale)
    return msgspec.structs.replace(incident, probation=trial)


# --- ends ------------------------------------------------------------------------------------

_THAW = {
    e.Verdict.FALSE_ALARM: fx.BaselineOrder.LEARN,
    e.Verdict.NEW_NORMAL: fx.BaselineOrder.RESTART,
}


def _released(incident: Incident, event: e.Released) -> Step:
    known = msgspec.structs.replace(incident, by_person=True, verdict=str(event.verdict))
    if event.verdict is e.Verdict.FIXED_BY_HAND and not incident.is_fleet:
        trial = Probation(f"{incident.id}/by-hand", None, event.at)
        return _move(
            known, State.PROBATION, probation=trial, current=None, approval_deadline_at=None
        ), ()
    moved = _move(known, State.DISMISSED, approval_deadline_at=None, probation=None)
    order = _THAW.get(event.verdict, fx.BaselineOrder.DISCARD)
    return moved, () if incident.is_fleet else (_baseline(incident, order),)


def _absorbed(incident: Incident, event: e.Absorbed) -> Step:
    moved = _move(incident, State.DISMISSED, verdict="absorbed", absorbed_by=event.by)
    return moved, (_baseline(incident, fx.BaselineOrder.DISCARD),)


def _acknowledged(incident: Incident, event: e.Acknowledged) -> Step:
    return _move(incident, incident.state, acknowledged_by=event.who), ()


_RULES = cast(
    "dict[type[e.Event], Callable[[Incident, e.Event], Step]]",
    {
        e.Confirmed: _confirmed,
        e.Braked: _braked,
        e.Subsided: _subsided,
        e.QuarantinedByPerson: _quarantined,
        e.Diagnosed: _diagnosed,
        e.Approved: _approved,
        e.Rejected: _rejected,
        e.Overdue: _overdue,
        e.HealNow: _heal_now,
        e.Applied: _applied,
        e.Failed: _failed,
        e.Unreachable: _unreachable,
        e.Verified: _verified,
        e.Relapsed: _relapsed,
        e.Stale: _stale,
        e.Resumed: _resumed,
        e.FindingAdded: _finding_added,
        e.Released: _released,
        e.Absorbed: _absorbed,
        e.Acknowledged: _acknowledged,
    },
)
