"""What can be done to an agent, what was done, and what it left in force."""

from __future__ import annotations

import enum

import msgspec


class Action(enum.StrEnum):
    """One rung of a ladder."""

    WAIT = "wait"
    RESET_MEMORY = "reset_memory"
    REDUCE_AUTONOMY = "reduce_autonomy"
    REVOKE_TOOLS = "revoke_tools"
    ROLLBACK_PROMPT = "rollback_prompt"
    SWITCH_MODEL = "switch_model"
    CLONE_AGENT = "clone_agent"


DISRUPTION: dict[Action, float] = {
    Action.WAIT: 0.5,
    Action.RESET_MEMORY: 1.0,
    Action.REDUCE_AUTONOMY: 1.0,
    Action.REVOKE_TOOLS: 2.0,
    Action.ROLLBACK_PROMPT: 2.0,
    Action.SWITCH_MODEL: 2.0,
    Action.CLONE_AGENT: 6.0,
}
"""How much an action disturbs the agent's work, relative to a reset of its memory."""

IRREVERSIBLE = frozenset({Action.CLONE_AGENT})
"""Actions that always ask a person, unless a setting allows them for a type of agent."""

LIMITING = frozenset({Action.REDUCE_AUTONOMY, Action.REVOKE_TOOLS, Action.SWITCH_MODEL})
"""Actions that leave something in force that must be lifted one day."""


class Change(msgspec.Struct, frozen=True):
    """One thing that an action really changed on the agent, as the agent reported it."""

    what: str
    before: str
    after: str


class ActionAnswer(msgspec.Struct, frozen=True):
    """An agent's acknowledgement: when it took effect and what changed."""

    at: float
    """Epoch seconds; only steps started after it are fresh."""
    changes: tuple[Change, ...] = ()


class Rung(msgspec.Struct, frozen=True):
    """One step of an incident's ladder, as it is shown to a person."""

    action: Action
    asks: bool = False
    """Always needs a person's approval."""
    skipped: str = ""
    """Why it is passed over (the agent can't do it; it failed lately); empty where it is not."""
    expected: str = ""
    """What it would do, in plain words."""


class Outcome(enum.StrEnum):
    """How one attempt at healing ended."""

    PENDING = "pending"
    """Ordered or applied, and not yet proved either way."""
    CURED = "cured"
    RELAPSED = "relapsed"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    SUPERSEDED = "superseded"
    """A person, a fleet incident or another sickness came before it was proved: counts as
    neither."""


class Healing(msgspec.Struct, frozen=True):
    """One attempt: one action for one incident."""

    key: str
    """Idempotency key; ``{incident}/{attempt}``."""
    incident_id: str
    agent_id: str
    agent_type: str
    cause: str
    pattern: str
    action: Action
    trigger: str
    """``auto``, ``approval`` or ``heal_now``."""
    ordered_at: float
    applied_at: float | None = None
    ended_at: float | None = None
    outcome: Outcome = Outcome.PENDING
    fresh_steps: int = 0
    """Steps started after the acknowledgement that the proof rests on."""
    changes: tuple[Change, ...] = ()
    note: str = ""


class TreatmentState(enum.StrEnum):
    """Where a limiting treatment stands."""

    IN_FORCE = "in_force"
    LIFTING = "lifting"
    """Lifted, and on probation for it."""
    LIFTED = "lifted"
    KEPT = "kept"
    """Lifting it brought the sickness back; it was re-applied and a person was told."""


class Treatment(msgspec.Struct, frozen=True):
    """What a rung left in force on an agent, and when to try to take it back."""

    id: str
    agent_id: str
    incident_id: str
    action: Action
    changes: tuple[Change, ...]
    """With the values from before, which lifting restores exactly."""
    since: float
    lift_at: float | None = None
    """When to try to take it back; None while its incident is open."""
    state: TreatmentState = TreatmentState.IN_FORCE
    lifted_at: float | None = None
