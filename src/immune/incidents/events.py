"""What can happen to an incident: facts in the past tense, kept forever in its timeline."""

from __future__ import annotations

import enum

import msgspec

from immune.detection.findings import Finding
from immune.diagnosis.causes import Diagnosis
from immune.healing.actions import Action, Change, Rung

SYSTEM = "system"
"""Who decided, where no person did."""


def snake(camel: str) -> str:
    """``HealNow`` -> ``heal_now``: the name in the store, the table and the API."""
    return "".join("_" + c.lower() if c.isupper() else c for c in camel).lstrip("_")


class Verdict(enum.StrEnum):
    """What a person who releases an agent says of the case."""

    FALSE_ALARM = "false_alarm"
    """It was well all along: learn what was held back."""
    NEW_NORMAL = "new_normal"
    """It changed for good and that is fine: learn its normal anew."""
    FIXED_BY_HAND = "fixed_by_hand"
    """Somebody repaired it: forget what was held back, and watch the cure."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=snake):
    """Base of all events. `at` is epoch seconds, `who` a person's name or ``system``."""

    at: float
    who: str = SYSTEM
    why: str = ""


class Opened(Event, frozen=True, kw_only=True):
    """The first entry of every timeline; no transition."""

    finding: Finding | None = None
    diagnosis: Diagnosis | None = None


class Confirmed(Event, frozen=True, kw_only=True):
    """The quarantine tier was crossed. `enforce` is False where it may only be observed."""

    finding: Finding
    enforce: bool
    diagnosis: Diagnosis | None = None


class Braked(Event, frozen=True, kw_only=True):
    """It would have been fenced, but for the brake on ourselves."""

    finding: Finding


class Subsided(Event, frozen=True, kw_only=True):
    """The evidence fell back by itself."""


class QuarantinedByPerson(Event, frozen=True, kw_only=True):
    """A person fenced the agent and made this its case."""


class Diagnosed(Event, frozen=True, kw_only=True):
    """The cause is ranked and the ladder ordered: at first, and again where a further finding
    clearly names another cause. `asks` names why a person must decide, if so."""

    diagnosis: Diagnosis
    ladder: tuple[Rung, ...]
    asks: str = ""
    approval_deadline_at: float


class Approved(Event, frozen=True, kw_only=True):
    """A person approved this ordered plan, as shown at this version."""

    plan: tuple[Action, ...]
    version: int


class Rejected(Event, frozen=True, kw_only=True):
    """A person said no; the fence stays."""

    version: int


class Overdue(Event, frozen=True, kw_only=True):
    """Nobody answered in time. Never a decision."""

    contact: int
    """How many times the next contact has been called so far, this one included."""
    approval_deadline_at: float


class HealNow(Event, frozen=True, kw_only=True):
    """A person orders healing after a rejection, or after the ladder was exhausted."""

    action: Action | None = None


class Applied(Event, frozen=True, kw_only=True):
    """The agent acknowledged the action: its vitals from `at` on are fresh."""

    key: str
    action: Action
    changes: tuple[Change, ...] = ()


class Failed(Event, frozen=True, kw_only=True):
    """The agent answered, and the action did not happen."""

    key: str
    action: Action
    approval_deadline_at: float


class Unreachable(Event, frozen=True, kw_only=True):
    """The agent did not answer, as often as was tried."""

    key: str
    action: Action


class Verified(Event, frozen=True, kw_only=True):
    """Fresh vitals prove the cure."""

    fresh_steps: int


class Relapsed(Event, frozen=True, kw_only=True):
    """Fresh vitals prove that the sickness is still there, or could not prove the cure in time."""

    fresh_steps: int
    approval_deadline_at: float


class Stale(Event, frozen=True, kw_only=True):
    """No fresh vitals came: the probation waits, flagged."""


class Resumed(Event, frozen=True, kw_only=True):
    """Fresh vitals came again: the probation is stale no more."""


class FindingAdded(Event, frozen=True, kw_only=True):
    """A further finding on the same agent, scored and diagnosed anew."""

    finding: Finding
    diagnosis: Diagnosis | None = None


class Released(Event, frozen=True, kw_only=True):
    """A person let the agent go, with a verdict."""

    verdict: Verdict


class Absorbed(Event, frozen=True, kw_only=True):
    """A fleet incident explains it."""

    by: str
    """The fleet incident's id."""


class Acknowledged(Event, frozen=True, kw_only=True):
    """A person is looking at what many agents share; nothing else changes."""


AnyEvent = (
    Opened
    | Confirmed
    | Braked
    | Subsided
    | QuarantinedByPerson
    | Diagnosed
    | Approved
    | Rejected
    | Overdue
    | HealNow
    | Applied
    | Failed
    | Unreachable
    | Verified
    | Relapsed
    | Stale
    | Resumed
    | FindingAdded
    | Released
    | Absorbed
    | Acknowledged
)
"""The closed set, for decoding from the store."""


def name(event: Event | type[Event]) -> str:
    """The event's name: ``heal_now``."""
    return snake((event if isinstance(event, type) else type(event)).__name__)
