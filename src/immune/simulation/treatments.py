"""What each action does to an agent, and how a limiting one is taken back.

An action changes the state that it names in its answer, and nothing else. It knows nothing of
infections: a cure is a matter of which part of the state was damaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from immune.errors import ActionFailed
from immune.healing.actions import Action, Change
from immune.simulation.catalogue import FOREIGN, MODELS, TOOLS_EACH, elsewhere
from immune.simulation.state import FleetState

REDUCED_AUTONOMY = 0.7
"""The share of its planning budget that an agent is left with; costs it some 15 % of its calls."""

AUTONOMY, TOOLS, MODEL = "autonomy", "allowed_tools", "model"
"""What limiting actions change, as written in `Change.what`."""

SLOW_TOOL = 1.5
"""Times its usual latency from which the agent's runtime drops a tool when told to drop some."""

FAILING_TOOL = 0.05
"""Probability of failure from which it does."""


def act(state: FleetState, i: int, action: Action) -> tuple[Change, ...]:
    """Do `action` to agent i; return what really changed."""
    changes = _ACTS[action](state, i)
    state.touch()
    return tuple(change for change in changes if change.before != change.after)


def give_back(state: FleetState, i: int, changes: Iterable[Change]) -> tuple[Change, ...]:
    """Restore what the changes of a limiting treatment took; return what really changed.

    Autonomy and model return to exactly the value from before. Tools that the treatment took are
    allowed again; what another treatment took stays away. Raises ActionFailed for a model that
    doesn't exist.
    """
    undone: list[Change] = []
    for change in changes:
        if change.what == AUTONOMY:
            undone.append(_set_autonomy(state, i, float(change.before)))
        elif change.what == MODEL:
            undone.append(_set_model(state, i, _model_named(change.before)))
        elif change.what == TOOLS:
            taken = set(change.before.split(",")) - set(change.after.split(","))
            before = state.tool_names(i)
            codes = [state.names.facts.code(tool) for tool in taken]
            state.allowed[i] |= np.isin(state.tool_code[i], codes)
            undone.append(Change(TOOLS, ",".join(before), ",".join(state.tool_names(i))))
    state.touch()
    return tuple(change for change in undone if change.before != change.after)


def _wait(state: FleetState, i: int) -> list[Change]:
    return []


def _reset_memory(state: FleetState, i: int) -> list[Change]:
    tokens = float(np.exp(state.mu[i, 1]))
    before = tokens * float(state.context[i])
    state.clear_memory(i)
    return [
        Change("memory", "kept", "cleared"),
        Change("context_tokens", f"{before:.0f}", f"{tokens:.0f}"),
    ]


def _reduce_autonomy(state: FleetState, i: int) -> list[Change]:
    verbosity = float(state.verbosity[i])
    state.verbosity[i] = 1.0
    state.planner_loop[i] = 0.0
    return [
        _set_autonomy(state, i, min(REDUCED_AUTONOMY, float(state.autonomy[i]))),
        Change("verbosity", f"{verbosity:.1f}", "1.0"),
        Change("planner", "running", "restarted"),
    ]


def _revoke_tools(state: FleetState, i: int) -> list[Change]:
    """Take away tools that are slow, failing or not the agent's own; else its least used one."""
    before = state.tool_names(i)
    allowed = state.allowed[i]
    bad = allowed & ((state.tool_latency[i] > SLOW_TOOL) | (state.tool_fail[i] > FAILING_TOOL))
    bad[FOREIGN] = allowed[FOREIGN]
    own = allowed[:TOOLS_EACH]
    share = np.where(own, state.tool_share[i], np.inf)
    if not bad.any():
        bad[share.argmin()] = True
    if not (own & ~bad[:TOOLS_EACH]).any():
        # an agent without any tool could do no work: it keeps the one it needs most
        bad[np.where(own, state.tool_share[i], -1.0).argmax()] = False
    state.allowed[i] = allowed & ~bad
    return [Change(TOOLS, ",".join(before), ",".join(state.tool_names(i)))]


def _rollback_prompt(state: FleetState, i: int) -> list[Change]:
    """Back to the version that is deployed; from that one to the release before it."""
    releases = state.deployed[state.kind[i]]
    before = int(state.prompt[i])
    slips = bool(state.prompt_slips[i])
    if before == releases[-1] and not slips and len(releases) > 1:
        state.prompt[i] = releases[-2]
    elif before not in releases[:-1]:
        state.prompt[i] = releases[-1]
    state.prompt_slips[i] = 0.0
    return [
        Change("prompt_hash", state.prompts[before].hash, state.prompts[state.prompt[i]].hash),
        Change("prompt_examples", "edited" if slips else "as deployed", "as deployed"),
    ]


def _switch_model(state: FleetState, i: int) -> list[Change]:
    return [_set_model(state, i, elsewhere(int(state.model[i])))]


def _clone_agent(state: FleetState, i: int) -> list[Change]:
    instance = int(state.instance[i])
    tools, autonomy, model = state.tool_names(i), float(state.autonomy[i]), int(state.model[i])
    prompt = int(state.prompt[i])
    state.renew(i)
    return [
        Change("instance", str(instance), str(instance + 1)),
        Change("prompt_hash", state.prompts[prompt].hash, state.prompts[state.prompt[i]].hash),
        Change(TOOLS, ",".join(tools), ",".join(state.tool_names(i))),
        Change(AUTONOMY, repr(autonomy), repr(float(state.autonomy[i]))),
        Change(MODEL, MODELS[model].name, MODELS[state.model[i]].name),
    ]


def _set_autonomy(state: FleetState, i: int, value: float) -> Change:
    before = float(state.autonomy[i])
    state.autonomy[i] = value
    return Change(AUTONOMY, repr(before), repr(value))


def _set_model(state: FleetState, i: int, model: int) -> Change:
    before = int(state.model[i])
    state.model[i] = model
    return Change(MODEL, MODELS[before].name, MODELS[model].name)


def _model_named(name: str) -> int:
    for place, model in enumerate(MODELS):
        if model.name == name:
            return place
    raise ActionFailed(f"there is no model {name!r} to go back to")


_ACTS: dict[Action, Callable[[FleetState, int], list[Change]]] = {
    Action.WAIT: _wait,
    Action.RESET_MEMORY: _reset_memory,
    Action.REDUCE_AUTONOMY: _reduce_autonomy,
    Action.REVOKE_TOOLS: _revoke_tools,
    Action.ROLLBACK_PROMPT: _rollback_prompt,
    Action.SWITCH_MODEL: _switch_model,
    Action.CLONE_AGENT: _clone_agent,
}
