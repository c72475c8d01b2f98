"""The ladder of one incident: the default rungs of its cause, in memory's order, as shown.

Rungs that the agent can't do, or that failed on it lately, stay on the ladder with the reason why
they are skipped, so that a person sees what was left out. Irreversible ones ask.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from immune.diagnosis.causes import Cause
from immune.healing import defaults
from immune.healing.actions import IRREVERSIBLE, Action, Rung
from immune.memory import ImmuneMemory

EXPECTED: dict[Action, str] = {
    Action.WAIT: "does nothing to the agent; watches whether it recovers by itself",
    Action.RESET_MEMORY: "clears its memory and context; what it was in the middle of is lost",
    Action.REDUCE_AUTONOMY: "lowers its limits on steps, calls and length until it has stayed well",
    Action.REVOKE_TOOLS: "takes the suspect tools from it until it has stayed well",
    Action.ROLLBACK_PROMPT: "puts back the prompt version that its normal was learned with",
    Action.SWITCH_MODEL: "moves it to its fallback model until it has stayed well",
    Action.CLONE_AGENT: "replaces it by a fresh copy; its memory is lost for good",
}
"""What each action does, for the person who decides."""

CANNOT = "the agent cannot do it"


def plan(
    cause: Cause,
    pattern: str,
    agent_id: str,
    capabilities: AbstractSet[Action],
    memory: ImmuneMemory,
    now: float,
    allow_irreversible: bool = False,
) -> tuple[Rung, ...]:
    """Return the ladder for one incident.

    `capabilities` is what the agent's link can do to it; waiting needs nobody. `now` is epoch
    seconds, for what failed within the last days. Skipped rungs come last.
    """
    usable: list[Action] = []
    skipped: dict[Action, str] = {}
    for action in defaults.actions(cause):
        if action not in capabilities and action is not Action.WAIT:
            skipped[action] = CANNOT
        elif ban := memory.banned(agent_id, cause, action, now):
            skipped[action] = ban
        else:
            usable.append(action)
    ordered = [*memory.order(cause, pattern, usable, agent_id, now), *skipped]
    return tuple(
        Rung(
            action=action,
            asks=action in IRREVERSIBLE and not allow_irreversible,
            skipped=skipped.get(action, ""),
            expected=_expected(cause, pattern, action, memory),
        )
        for action in ordered
    )


def _expected(cause: Cause, pattern: str, action: Action, memory: ImmuneMemory) -> str:
    record = memory.record(cause, pattern, action)
    if not record.tried:
        return EXPECTED[action]
    return f"{EXPECTED[action]}; cured {record.cured} of {record.tried} cases alike"
