"""The healing rows of an incident: one for each attempt, kept in step with its events."""

from __future__ import annotations

import msgspec

from immune.healing.actions import Healing, Outcome
from immune.incidents import events as e
from immune.incidents.incident import Incident
from immune.incidents.states import State


def ordered(incident: Incident, at: float) -> Healing:
    """The row of the attempt that `incident`, just gone into healing, ordered."""
    assert incident.current is not None
    return Healing(
        key=incident.attempt_key,
        incident_id=incident.id,
        agent_id=incident.agent_id,
        agent_type=incident.agent_type,
        cause=str(incident.diagnosis.cause) if incident.diagnosis else "unknown",
        pattern=incident.diagnosis.pattern if incident.diagnosis else "",
        action=incident.current,
        trigger=incident.trigger,
        ordered_at=at,
    )


_OUTCOME: dict[type[e.Event], Outcome] = {
    e.Verified: Outcome.CURED,
    e.Relapsed: Outcome.RELAPSED,
    e.Failed: Outcome.FAILED,
    e.Unreachable: Outcome.UNREACHABLE,
    e.Released: Outcome.SUPERSEDED,
    e.Absorbed: Outcome.SUPERSEDED,
}


def after(
    attempt: Healing | None, before: Incident, moved: Incident, event: e.Event
) -> tuple[Healing, ...]:
    """Rows to write for `event`, the running attempt's first.

    `attempt` is the incident's running one, if any; the last row of the answer is the running one
    afterwards where its outcome is pending.
    """
    rows: list[Healing] = []
    if attempt is not None and attempt.outcome is Outcome.PENDING:
        if isinstance(event, e.Applied):
            rows.append(
                msgspec.structs.replace(attempt, applied_at=event.at, changes=event.changes)
            )
        elif isinstance(event, e.Diagnosed) and before.current is not None and not moved.current:
            # another sickness came meanwhile: how it ends says nothing about this action
            rows.append(
                msgspec.structs.replace(attempt, ended_at=event.at, outcome=Outcome.SUPERSEDED)
            )
        elif outcome := _OUTCOME.get(type(event)):
            steps = event.fresh_steps if isinstance(event, e.Verified | e.Relapsed) else 0
            rows.append(
                msgspec.structs.replace(
                    attempt, ended_at=event.at, outcome=outcome, fresh_steps=steps, note=event.why
                )
            )
    if moved.state is State.HEALING and moved.attempts != before.attempts:
        rows.append(ordered(moved, event.at))
    return tuple(rows)
