"""What an incident wants done: wishes in the imperative, kept in the outbox.

Each runs after the commit that wrote it, at least once; `key` makes a second run harmless.
"""

from __future__ import annotations

import enum

import msgspec

from immune.healing.actions import Action
from immune.incidents.events import snake


class Effect(msgspec.Struct, frozen=True, kw_only=True, tag=snake):
    """Base of all effects."""

    key: str
    """Idempotency key, unique in the outbox."""
    agent_id: str


class PushFence(Effect, frozen=True, kw_only=True):
    """Tell the enforcement points that the agent's fences changed; they read the rows."""


class ApplyAction(Effect, frozen=True, kw_only=True):
    """Order one action from the agent."""

    incident_id: str
    action: Action
    trigger: str


class LiftTreatment(Effect, frozen=True, kw_only=True):
    """Its agent has stayed well: give back what a treatment took, and watch."""

    treatment_id: str


class KeepTreatment(Effect, frozen=True, kw_only=True):
    """Its agent fell ill without it: order a treatment again."""

    treatment_id: str


class EndTreatments(Effect, frozen=True, kw_only=True):
    """The incident is over: set `lift_at` of what it left in force."""

    incident_id: str


class BaselineOrder(enum.StrEnum):
    """What becomes of the samples held back since the onset."""

    LEARN = "learn"
    DISCARD = "discard"
    RESTART = "restart"


class SetBaseline(Effect, frozen=True, kw_only=True):
    """Thaw the agent's baseline, one way or another."""

    order: BaselineOrder


class Topic(enum.StrEnum):
    """What people are told of. Never of a suspicion."""

    CONFIRMED = "confirmed"
    APPROVAL = "approval"
    OVERDUE = "overdue"
    EXHAUSTED = "exhausted"
    BRAKED = "braked"
    FLEET = "fleet"
    DEGRADED = "degraded"
    SILENCE = "silence"
    TREATMENT_KEPT = "treatment_kept"
    RESOLVED = "resolved"


class Notify(Effect, frozen=True, kw_only=True):
    """Tell a person."""

    topic: Topic
    incident_id: str
    text: str
    severity: float = 0.0


AT_AGENT = (PushFence, ApplyAction, LiftTreatment, KeepTreatment)
"""Those that call an agent."""

AnyEffect = (
    PushFence | ApplyAction | LiftTreatment | KeepTreatment | EndTreatments | SetBaseline | Notify
)
"""The closed set, for decoding from the store."""
