"""Records to keep: one of each kind, with every field that a store could lose."""

from __future__ import annotations

import msgspec

from immune.detection.findings import (
    BaselineProfile,
    Facts,
    Finding,
    MetricEffect,
    MetricProfile,
    Source,
    Tier,
)
from immune.diagnosis.causes import Cause, Diagnosis, RankedCause
from immune.healing.actions import (
    Action,
    Change,
    Healing,
    Outcome,
    Rung,
    Treatment,
    TreatmentState,
)
from immune.incidents import effects as fx
from immune.incidents.incident import Incident, Probation, Subject
from immune.incidents.states import State
from immune.quarantine import Fence
from immune.vitals import Kind, ToolCall, Vital

NOW = 1_700_000_000.0

FINDING = Finding(
    "agent-1",
    Kind.RUN,
    Tier.QUARANTINE,
    Source.EVIDENCE,
    NOW,
    NOW - 10,
    20.5,
    18.1,
    7.25,
    (MetricEffect("latency_ms", 4.0, 800.0, 3200.0, evidence=12.0, affected=True),),
    Facts(prompt_hash_changed=True, new_tools=("search",), failing_tool="bank"),
)
DIAGNOSIS = Diagnosis(
    (RankedCause(Cause.PROMPT_DRIFT, 0.8), RankedCause(Cause.UNKNOWN, 0.2)),
    ("the prompt's hash changed “just” before – é",),
    "latency_ms",
)
PROFILE = BaselineProfile(
    "agent-1",
    Kind.RUN,
    450.0,
    True,
    True,
    (MetricProfile("latency_ms", 450.0, 6.7, 0.3, 800.0, 400.0, 1600.0),),
)


def incident(
    number: int = 1,
    *,
    agent: str = "agent-1",
    state: State = State.PROBATION,
    version: int = 1,
    opened_at: float = NOW,
    updated_at: float = NOW,
) -> Incident:
    return Incident(
        id=f"inc-{number}",
        run_id="run-a",
        subject=Subject("agent", agent),
        agent_type="researcher",
        state=state,
        version=version,
        opened_at=opened_at,
        updated_at=updated_at,
        onset_at=NOW - 10,
        finding=FINDING,
        severity=7.25,
        confirmed=True,
        diagnosis=DIAGNOSIS,
        ladder=(Rung(Action.RESET_MEMORY, expected="forgets"), Rung(Action.CLONE_AGENT, asks=True)),
        covered=(Action.RESET_MEMORY,),
        current=Action.RESET_MEMORY,
        probation=Probation(f"inc-{number}/1", Action.RESET_MEMORY, NOW),
        baseline=PROFILE,
        members=("agent-2",),
    )


def moved(known: Incident, state: State, at: float = NOW + 1) -> Incident:
    """The incident after one more event."""
    return msgspec.structs.replace(known, state=state, version=known.version + 1, updated_at=at)


def fence(name: str = "f-1", lifted_at: float | None = None, ordered_at: float = NOW) -> Fence:
    return Fence(name, "agent-1", "inc-1", "sick", "system", ordered_at, lifted_at=lifted_at)


def treatment(name: str, state: TreatmentState, since: float = NOW) -> Treatment:
    return Treatment(
        name,
        "agent-1",
        "inc-1",
        Action.REVOKE_TOOLS,
        (Change("tools", "search,bank", "search"),),
        since,
        since + 3600,
        state,
    )


def healing(
    attempt: int, ordered_at: float = NOW, agent: str = "agent-1", incident_id: str = "inc-1"
) -> Healing:
    return Healing(
        f"{incident_id}/{attempt}",
        incident_id,
        agent,
        "researcher",
        "prompt_drift",
        "latency_ms",
        Action.RESET_MEMORY,
        "auto",
        ordered_at,
        outcome=Outcome.RELAPSED,
    )


def push(key: str) -> fx.PushFence:
    return fx.PushFence(key=key, agent_id="agent-1")


def vital(at: float, agent: str = "agent-1", *, kind: Kind = Kind.RUN, **fields: object) -> Vital:
    known = {"received_at": at + 0.5, "latency_ms": 800.0, **fields}
    return msgspec.convert({"agent_id": agent, "kind": kind, "at": at, **known}, Vital)


FULL_VITAL = Vital(
    agent_id="agent-1",
    kind=Kind.CALL,
    at=NOW + 0.125,
    received_at=NOW + 0.25,
    step_id="span-1",
    latency_ms=800.0,
    input_tokens=1200.0,
    output_tokens=300.0,
    cost_usd=0.5,
    tool_calls=2.0,
    retries=1.0,
    errors=1.0,
    agent_type="researcher",
    model="m-1",
    provider="p",
    prompt_hash="abc",
    error_type="timeout",
    session_id="s-1",
    trace_id="t-1",
    calls=(ToolCall("search", 2**64 - 1, 7, True), ToolCall("bank", 0, 0, False)),
)
