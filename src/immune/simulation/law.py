"""From the state to the law of vitals: what a step of each agent will look like, but for chance.

Pure arithmetic over `FleetState`. The fleet draws its vitals from it; the ground truth in `chaos`
judges by `Law.own` and `Law.shared` whether a law is a sick one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from immune.columns import Bool, Float64, Int32
from immune.simulation.catalogue import FOREIGN, MODELS, PROVIDERS, SLOTS, TOOLS_EACH, TYPES
from immune.simulation.state import FleetState

TOOL_TIME = 0.5
"""Share of a step's time that a sound agent spends in tools."""

HARM_FACTOR = 1.35
"""Times its normal from which a metric is a sickness; treatments stay below it."""

HARM_RISE = 0.1
"""Rise of the probability of retries or errors from which it is a sickness."""

# columns of `Law.table`
MU = slice(0, 3)
SIGMA = slice(3, 6)
PRICE = slice(6, 8)
FREE, LOOP, RETRY, TOOL_RETRY, ERROR, PROVIDER_ERROR = range(8, 14)

# columns of `Law.codes`
AGENT, TYPE, MODEL, PROVIDER, PROMPT = range(5)


@dataclass(frozen=True, slots=True)
class Law:
    """What the steps of n agents are drawn from.

    table (n, 14): log medians and sigmas of latency, input and output tokens; USD per input and
    output token; Poisson means of free and of repeated calls; probabilities of retries (and of
    those by a tool) and of an error (and of those by the provider). codes (n, 5): codes of agent,
    type, served model, provider, prompt. spread (n, 5): cumulated share of calls by tool slot.
    """

    table: Float64
    codes: Int32
    spread: Float64
    flaky: npt.NDArray[np.int64]
    """(n,): slot of the tool that fails most."""
    interval_s: Float64
    steps: Bool
    """(n,): whether it makes steps at all."""
    loops: bool
    """Whether any agent repeats calls."""
    own: Bool
    """(n,): something of its own makes its law a sick one. What a treatment holds down (fewer
    tools, less autonomy) is left out: it hides a sickness and doesn't cure it."""
    shared: Bool
    """(n,): its provider does."""


def law_of(state: FleetState, interval_s: float, agent_codes: Int32) -> Law:
    """Compute the law that the state implies."""
    n = state.n
    every = np.arange(n)
    latency, tokens, prompt_code = _prompts(state)
    model, base = state.model, state.base_model
    slowness = np.array([m.slowness for m in MODELS])
    usd = np.array([(m.usd_per_input_token, m.usd_per_output_token) for m in MODELS])
    provider_of = np.array([PROVIDERS.index(m.provider) for m in MODELS])
    provider = provider_of[model]
    dearness = state.endpoint_price[every, model]

    shares = state.shares()
    own_tools = state.tool_latency[:, :TOOLS_EACH]
    in_tools = 1.0 + TOOL_TIME * (shares * (own_tools - 1.0)).sum(1)
    latency = (
        latency[state.prompt]
        * state.memory_latency
        * state.process_latency
        * state.endpoint_latency[every, model]
        * in_tools
    )
    moved = slowness[model] / slowness[base]
    prompt_tokens = tokens[state.prompt]
    swollen = prompt_tokens * state.process_tokens
    inputs = state.context * swollen
    outputs = state.verbosity * swollen

    smuggled = np.where(state.allowed[:, FOREIGN], state.foreign_drive, 1.0)
    drive = np.maximum(state.memory_drive, smuggled)
    room = (0.5 + 0.5 * state.autonomy) * (0.7 + 0.3 * state.allowed[:, :TOOLS_EACH].mean(1))
    driven = state.process_calls * drive
    repeated = state.planner_loop + state.memory_loop
    loop = state.calls * room * repeated

    fails = np.where(state.allowed, state.tool_fail, 0.0)
    by_tool = 1.0 - (1.0 - fails).prod(1)
    retry = 1.0 - (1.0 - state.retry_p) * (1.0 - by_tool) * (1.0 - state.prompt_slips) * (
        1.0 - state.memory_retry
    )
    by_provider = state.provider_error[provider]
    error = 1.0 - (1.0 - state.error_p) * (1.0 - by_provider)

    table = np.empty((n, 14))
    table[:, MU] = state.mu
    table[:, 0] += np.log(
        latency * moved * state.provider_latency[provider] * state.type_latency[state.kind]
    )
    table[:, 1] += np.log(inputs)
    table[:, 2] += np.log(outputs * (0.7 + 0.3 * state.autonomy))
    table[:, SIGMA] = state.sigma
    table[:, PRICE] = usd[model] * dearness[:, None]
    table[:, FREE] = state.calls * room * driven
    table[:, LOOP] = loop
    table[:, RETRY] = retry
    table[:, TOOL_RETRY] = by_tool
    table[:, ERROR] = error
    table[:, PROVIDER_ERROR] = by_provider

    silent = state.hung | state.offline
    deployed = np.array([tokens[releases[-1]] for releases in state.deployed])[state.kind]
    own = (
        silent
        | (latency > HARM_FACTOR)
        | (np.maximum(inputs, outputs) / deployed > HARM_FACTOR)
        | (dearness > HARM_FACTOR)
        | (driven + repeated > HARM_FACTOR)
        | (retry - state.retry_p > HARM_RISE)
    )
    return Law(
        table=table,
        codes=_codes(state, agent_codes, dearness, provider, prompt_code),
        spread=_spread(shares, np.where(smuggled > 1.0, 1.0 - 1.0 / smuggled, 0.0)),
        flaky=fails.argmax(1),
        interval_s=interval_s * state.type_pace[state.kind],
        steps=~silent,
        loops=bool(loop.any()),
        own=own,
        shared=(state.provider_latency[provider] > HARM_FACTOR) | (by_provider > HARM_RISE),
    )


def _prompts(state: FleetState) -> tuple[Float64, Float64, Int32]:
    code = state.names.facts.code
    return (
        np.array([p.latency for p in state.prompts]),
        np.array([p.tokens for p in state.prompts]),
        np.array([code(p.hash) for p in state.prompts], np.int32),
    )


def _codes(
    state: FleetState,
    agent_codes: Int32,
    dearness: Float64,
    provider: npt.NDArray[np.int64],
    prompt_code: Int32,
) -> Int32:
    code = state.names.facts.code
    served = np.array([code(m.name) for m in MODELS], np.int32)
    dearer = np.array([code(m.dearer) for m in MODELS], np.int32)
    codes = np.empty((state.n, 5), np.int32)
    codes[:, AGENT] = agent_codes
    codes[:, TYPE] = np.array([code(t.name) for t in TYPES], np.int32)[state.kind]
    codes[:, MODEL] = np.where(dearness > 1.0, dearer[state.model], served[state.model])
    codes[:, PROVIDER] = np.array([code(p) for p in PROVIDERS], np.int32)[provider]
    codes[:, PROMPT] = prompt_code[state.prompt]
    return codes


def _spread(shares: Float64, foreign: Float64) -> Float64:
    """Cumulate the shares of calls; `foreign` is the smuggled tool's."""
    spread = np.empty((len(shares), SLOTS))
    np.cumsum(shares * (1.0 - foreign)[:, None], axis=1, out=spread[:, :TOOLS_EACH])
    spread[:, FOREIGN] = 1.0
    # rounding must leave nothing for a tool that nobody smuggled in
    spread[:, TOOLS_EACH - 1][foreign == 0.0] = 1.0
    return spread
