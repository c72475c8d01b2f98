"""The default ladder of each cause: which actions, in which order, and how often we expect a cure.

The guess beside each action is what memory believes before it has seen an outcome. It is chosen so
that guess / disruption falls along each ladder: without data the order is exactly this one.
"""

from __future__ import annotations

from immune.diagnosis.causes import Cause
from immune.healing.actions import Action

A = Action

LADDERS: dict[Cause, tuple[tuple[Action, float], ...]] = {
    Cause.PROMPT_DRIFT: (
        (A.RESET_MEMORY, 0.5),
        (A.ROLLBACK_PROMPT, 0.7),
        (A.REDUCE_AUTONOMY, 0.25),
        (A.CLONE_AGENT, 0.9),
    ),
    Cause.PROMPT_INJECTION: (
        (A.RESET_MEMORY, 0.6),
        (A.REVOKE_TOOLS, 0.7),
        (A.ROLLBACK_PROMPT, 0.4),
        (A.CLONE_AGENT, 0.9),
    ),
    Cause.INFINITE_LOOP: (
        (A.REDUCE_AUTONOMY, 0.6),
        (A.RESET_MEMORY, 0.5),
        (A.CLONE_AGENT, 0.9),
    ),
    Cause.TOOL_INSTABILITY: (
        (A.REVOKE_TOOLS, 0.7),
        (A.REDUCE_AUTONOMY, 0.3),
        (A.ROLLBACK_PROMPT, 0.5),
        (A.SWITCH_MODEL, 0.4),
        (A.CLONE_AGENT, 0.9),
    ),
    Cause.MEMORY_CORRUPTION: (
        (A.RESET_MEMORY, 0.8),
        (A.CLONE_AGENT, 0.9),
    ),
    Cause.COST_OVERRUN: (
        (A.RESET_MEMORY, 0.6),
        (A.REDUCE_AUTONOMY, 0.5),
        (A.SWITCH_MODEL, 0.6),
        (A.CLONE_AGENT, 0.9),
    ),
    Cause.UNRESPONSIVE: (
        (A.WAIT, 0.3),
        (A.CLONE_AGENT, 0.9),
    ),
    Cause.EXTERNAL_CAUSE: (
        (A.WAIT, 0.7),
        (A.SWITCH_MODEL, 0.7),
    ),
    Cause.UNKNOWN: (
        (A.RESET_MEMORY, 0.5),
        (A.REDUCE_AUTONOMY, 0.4),
        (A.CLONE_AGENT, 0.9),
    ),
}

STRANGER = 0.05
"""Expected share of cures of an action that a cause's ladder does not name."""


def actions(cause: Cause) -> tuple[Action, ...]:
    """The actions of the default ladder, in order."""
    return tuple(action for action, _ in LADDERS[cause])


def expected_cure(cause: Cause, action: Action) -> float:
    """How often we expect `action` to cure `cause` before any outcome is known, 0..1."""
    return dict(LADDERS[cause]).get(action, STRANGER)
