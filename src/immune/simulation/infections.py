"""What can befall an agent: the infections, their strains, and what each does to the state.

An infection writes the state or the tools around the agent and leaves no other mark: what it looks
like follows from `law`, and what cures it from which part of the state it damaged. What breaks in
the world (a tool, an endpoint, a provider) mends by itself after a drawn time.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

import msgspec
import numpy as np

from immune.errors import InvalidInput
from immune.simulation.catalogue import FOREIGN, MODELS, PROVIDERS, SMUGGLED, TOOLS_EACH
from immune.simulation.law import TOOL_TIME
from immune.simulation.state import FleetState, PromptVersion, hash_of


class Infection(enum.StrEnum):
    """The sicknesses, in the order of the design's table: waves draw from the first seven, steady
    chaos from the first ten."""

    TOKEN_EXPLOSION = "token_explosion"  # noqa: S105  # a sickness, not a secret
    TOOL_LOOP = "tool_loop"
    LATENCY_SPIKE = "latency_spike"
    HIGH_RETRY_RATE = "high_retry_rate"
    PROMPT_DRIFT = "prompt_drift"
    MEMORY_CORRUPTION = "memory_corruption"
    FULL_MELTDOWN = "full_meltdown"
    COST_OVERRUN = "cost_overrun"
    PROMPT_INJECTION = "prompt_injection"
    SILENT = "silent"
    PROVIDER_OUTAGE = "provider_outage"
    RELEASE = "release"
    BUSY_HOUR = "busy_hour"


FLEETWIDE = frozenset({Infection.PROVIDER_OUTAGE, Infection.RELEASE, Infection.BUSY_HOUR})
"""Those that befall all agents of a provider or of a type at once."""

BENIGN = frozenset({Infection.BUSY_HOUR})


class Injection(msgspec.Struct, frozen=True):
    """One infection as it was given."""

    agent_id: str
    """For a fleet-wide one the agent by which its provider or type was chosen."""
    infection: Infection
    strain: str
    at: float
    """Epoch seconds."""
    members: tuple[str, ...] = ()
    """All agents hit; empty unless fleet-wide."""


class Wound(msgspec.Struct, frozen=True):
    """What a strain is given to work with."""

    state: FleetState
    i: int
    """Row of the agent."""
    rng: np.random.Generator
    now: float
    """Epoch seconds."""

    def size(self, low: float, high: float) -> float:
        """Draw a magnitude."""
        return float(self.rng.uniform(low, high))

    def mends(self) -> float:
        """Draw when something broken in the world will be well again."""
        return self.now + MENDS_LEAST_S + float(self.rng.exponential(MENDS_AFTER_S - MENDS_LEAST_S))

    def a_tool(self) -> int:
        """Draw one of the own tools that the agent may use."""
        allowed = np.flatnonzero(self.state.allowed[self.i, :TOOLS_EACH])
        return int(self.rng.choice(allowed))


MENDS_LEAST_S = 300.0
"""Seconds that a broken tool, endpoint or model stays broken at the least: what mends by itself
within seconds is a hiccup, and nobody's infection."""

MENDS_AFTER_S = 600.0
"""Mean time until a sick tool or endpoint recovers: a treatment lifted after 30 minutes mostly
finds it well."""

RETRY_P = 0.75
MEMORY_RETRY_P = 0.7
RELEASE_TOKENS = 1.5


def _bloated_context(w: Wound) -> None:
    w.state.context[w.i] = w.size(4, 9)


def _verbose_setting(w: Wound) -> None:
    w.state.verbosity[w.i] = w.size(4, 9)


def _stuck_planner(w: Wound) -> None:
    w.state.planner_loop[w.i] = _loop(w)


def _poisoned_memory(w: Wound) -> None:
    w.state.memory_loop[w.i] = _loop(w)


def _loop(w: Wound) -> float:
    """Choose the call that will be repeated; return how often, in usual calls a step."""
    w.state.loop_slot[w.i] = w.a_tool()
    w.state.loop_hashes[w.i] = w.rng.integers(1, 2**63, 2, np.uint64)
    return w.size(5, 11) - 1.0


def _slow_tool(w: Wound) -> None:
    slot = w.a_tool()
    share = TOOL_TIME * float(w.state.shares()[w.i, slot])
    w.state.tool_latency[w.i, slot] = 1.0 + (w.size(3, 7) - 1.0) / share
    w.state.tool_well_at[w.i, slot] = w.mends()


def _slow_model(w: Wound) -> None:
    model = w.state.model[w.i]
    w.state.endpoint_latency[w.i, model] = w.size(3, 7)
    w.state.endpoint_well_at[w.i, model] = w.mends()


def _flaky_tool(w: Wound) -> None:
    slot = w.a_tool()
    w.state.tool_fail[w.i, slot] = _on_top(RETRY_P, w.state.retry_p[w.i])
    w.state.tool_well_at[w.i, slot] = w.mends()


def _bad_arguments(w: Wound) -> None:
    w.state.prompt_slips[w.i] = _on_top(RETRY_P, w.state.retry_p[w.i])


def _on_top(wanted: float, usual: float) -> float:
    """The probability that, beside the usual one, makes the wanted one."""
    return 1.0 - (1.0 - wanted) / (1.0 - usual)


def _drifted_prompt(w: Wound) -> None:
    was = w.state.prompts[w.state.deployed[w.state.kind[w.i]][-1]]
    drifted = PromptVersion(
        hash_of(f"{was.hash} drifted {w.rng.integers(2**63)}"),
        latency=was.latency * w.size(3, 6),
        tokens=was.tokens * w.size(4, 8),
    )
    w.state.prompt[w.i] = w.state.add_prompt(drifted)


def _corrupted_memory(w: Wound) -> None:
    w.state.memory_latency[w.i] = w.size(3, 6)
    w.state.memory_retry[w.i] = _on_top(MEMORY_RETRY_P, w.state.retry_p[w.i])


def _meltdown(w: Wound) -> None:
    w.state.process_latency[w.i] = w.size(3, 6)
    w.state.process_tokens[w.i] = w.size(4, 8)
    w.state.process_calls[w.i] = w.size(5, 10)


def _dearer_model(w: Wound) -> None:
    model = w.state.model[w.i]
    w.state.endpoint_price[w.i, model] = w.size(4, 8)
    w.state.endpoint_well_at[w.i, model] = w.mends()


def _injected_instruction(w: Wound) -> None:
    """Planted twice: in memory, and in the description of the tool that it smuggled in. As long
    as either is there, the agent reads it and obeys."""
    drive = w.size(1.5, 3)
    w.state.memory_drive[w.i] = w.state.foreign_drive[w.i] = drive
    name = SMUGGLED[int(w.rng.integers(len(SMUGGLED)))]
    w.state.tool_code[w.i, FOREIGN] = w.state.names.facts.code(name)
    w.state.allowed[w.i, FOREIGN] = True
    w.state.tool_well_at[w.i, FOREIGN] = w.mends()


def _crashed(w: Wound) -> None:
    w.state.hung[w.i] = True


def _provider_away(w: Wound) -> None:
    w.state.offline[w.i] = True
    w.state.online_at[w.i] = w.now + w.size(60, 300)


def _outage(w: Wound) -> None:
    provider = PROVIDERS.index(MODELS[w.state.model[w.i]].provider)
    w.state.provider_latency[provider] = w.size(3, 10)
    w.state.provider_error[provider] = 0.3
    w.state.provider_well_at[provider] = w.now + w.size(300, 600)


def _new_version(w: Wound) -> None:
    kind = w.state.kind[w.i]
    releases = w.state.deployed[kind]
    was = w.state.prompts[releases[-1]]
    new = PromptVersion(
        hash_of(f"{was.hash} released"),
        latency=was.latency,
        tokens=was.tokens * RELEASE_TOKENS,
    )
    releases.append(w.state.add_prompt(new))
    w.state.prompt[w.state.kind == kind] = releases[-1]


def _busy(w: Wound) -> None:
    kind = w.state.kind[w.i]
    w.state.type_pace[kind] = 0.5
    w.state.type_latency[kind] = 1.4
    w.state.type_calm_at[kind] = w.now + w.size(300, 900)


STRAINS: dict[Infection, dict[str, tuple[float, Callable[[Wound], None]]]] = {
    Infection.TOKEN_EXPLOSION: {
        "bloated_context": (0.7, _bloated_context),
        "verbose_setting": (0.3, _verbose_setting),
    },
    Infection.TOOL_LOOP: {
        "planner": (0.7, _stuck_planner),
        "poisoned_memory": (0.3, _poisoned_memory),
    },
    Infection.LATENCY_SPIKE: {"slow_tool": (0.8, _slow_tool), "slow_model": (0.2, _slow_model)},
    Infection.HIGH_RETRY_RATE: {
        "flaky_tool": (0.8, _flaky_tool),
        "bad_arguments": (0.2, _bad_arguments),
    },
    Infection.PROMPT_DRIFT: {"drifted_prompt": (1.0, _drifted_prompt)},
    Infection.MEMORY_CORRUPTION: {"corrupted_memory": (1.0, _corrupted_memory)},
    Infection.FULL_MELTDOWN: {"meltdown": (1.0, _meltdown)},
    Infection.COST_OVERRUN: {"dearer_model": (1.0, _dearer_model)},
    Infection.PROMPT_INJECTION: {"injected_instruction": (1.0, _injected_instruction)},
    Infection.SILENT: {"crashed": (0.7, _crashed), "provider_away": (0.3, _provider_away)},
    Infection.PROVIDER_OUTAGE: {"outage": (1.0, _outage)},
    Infection.RELEASE: {"new_version": (1.0, _new_version)},
    Infection.BUSY_HOUR: {"busy": (1.0, _busy)},
}
"""Per infection its strains: how likely each is, and what it does."""


def infect(
    state: FleetState,
    i: int,
    infection: Infection,
    strain: str | None,
    rng: np.random.Generator,
    now: float,
) -> str:
    """Do to agent i what the infection does; return the strain, drawn if None.

    Raises InvalidInput for a strain that the infection doesn't have.
    """
    strains = STRAINS[infection]
    if strain is None:
        chances = [chance for chance, _ in strains.values()]
        strain = list(strains)[int(rng.choice(len(strains), p=chances))]
    elif strain not in strains:
        raise InvalidInput("strain", f"of {infection} must be one of {', '.join(strains)}")
    strains[strain][1](Wound(state, i, rng, now))
    state.touch()
    return strain
