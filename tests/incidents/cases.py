"""Incidents and events to test with."""

from __future__ import annotations

from immune.detection.findings import Finding, Source, Tier
from immune.diagnosis.causes import Cause, Diagnosis, RankedCause
from immune.healing.actions import Action, Rung
from immune.incidents import events as e
from immune.incidents.incident import Incident, Probation, Subject
from immune.incidents.states import State
from immune.vitals import Kind

DEADLINE = 900.0

DIAGNOSIS = Diagnosis((RankedCause(Cause.INFINITE_LOOP, 0.9),), ("tool calls 7 times normal",), "t")

LADDER = (
    Rung(Action.REDUCE_AUTONOMY),
    Rung(Action.RESET_MEMORY),
    Rung(Action.CLONE_AGENT, asks=True),
)


def finding(
    tier: Tier = Tier.QUARANTINE,
    severity: float = 5.0,
    source: Source = Source.EVIDENCE,
    can_fence: bool = True,
) -> Finding:
    return Finding(
        agent_id="a",
        kind=Kind.RUN,
        tier=tier,
        source=source,
        at=100.0,
        onset_at=95.0,
        evidence=20.0,
        threshold=18.0,
        severity=severity,
        can_fence=can_fence,
        why_not="" if can_fence else "young",
    )


def incident(state: State = State.SUSPECTED, subject: Subject | None = None) -> Incident:
    """An incident as it would be in `state`."""
    healing = state in (State.HEALING, State.PROBATION)
    return Incident(
        id="inc-1",
        run_id="r",
        subject=subject or Subject("agent", "a"),
        agent_type="coder",
        state=state,
        version=3,
        opened_at=100.0,
        updated_at=100.0,
        onset_at=95.0,
        finding=finding(),
        severity=5.0,
        confirmed=state is not State.SUSPECTED,
        diagnosis=DIAGNOSIS,
        ladder=LADDER,
        next_rung=len(LADDER) if state is State.EXHAUSTED else 0,
        covered=(Action.REDUCE_AUTONOMY, Action.RESET_MEMORY) if healing else (),
        attempts=1 if healing else 0,
        current=Action.REDUCE_AUTONOMY if healing else None,
        probation=Probation("inc-1/1", Action.REDUCE_AUTONOMY, 100.0)
        if state is State.PROBATION
        else None,
    )


def every_event() -> list[e.Event]:
    """One event of each kind, but for the timeline's first."""
    at = 110.0
    plan = (Action.REDUCE_AUTONOMY, Action.RESET_MEMORY)
    return [
        e.Confirmed(at=at, finding=finding(), enforce=True),
        e.Braked(at=at, finding=finding(), why="5 of 10 are fenced"),
        e.Subsided(at=at),
        e.QuarantinedByPerson(at=at, who="ann", why="looks wrong"),
        e.Diagnosed(at=at, diagnosis=DIAGNOSIS, ladder=LADDER, approval_deadline_at=at + DEADLINE),
        e.Approved(at=at, who="ann", plan=plan, version=3),
        e.Rejected(at=at, who="ann", version=3),
        e.Overdue(at=at, contact=1, approval_deadline_at=at + DEADLINE),
        e.HealNow(at=at, who="ann", action=Action.RESET_MEMORY),
        e.Applied(at=at, key="inc-1/1", action=Action.REDUCE_AUTONOMY),
        failed(at),
        e.Unreachable(at=at, key="inc-1/1", action=Action.REDUCE_AUTONOMY),
        e.Verified(at=at, fresh_steps=6),
        relapsed(at),
        e.Stale(at=at),
        e.Resumed(at=at),
        e.FindingAdded(at=at, finding=finding()),
        released(e.Verdict.FALSE_ALARM, at),
        e.Absorbed(at=at, by="inc-9"),
        e.Acknowledged(at=at, who="ann"),
    ]


def failed(at: float = 110.0) -> e.Failed:
    return e.Failed(
        at=at, key="inc-1/1", action=Action.REDUCE_AUTONOMY, approval_deadline_at=at + DEADLINE
    )


def relapsed(at: float = 110.0) -> e.Relapsed:
    return e.Relapsed(at=at, fresh_steps=9, approval_deadline_at=at + DEADLINE)


def released(verdict: e.Verdict, at: float = 110.0) -> e.Released:
    return e.Released(at=at, who="ann", verdict=verdict)


def diagnosed(asks: str = "", at: float = 110.0) -> e.Diagnosed:
    return e.Diagnosed(
        at=at, diagnosis=DIAGNOSIS, ladder=LADDER, asks=asks, approval_deadline_at=at + DEADLINE
    )
