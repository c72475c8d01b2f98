"""The state of every agent and of the world around it, as arrays.

Nothing here is a verdict: there is no "sick". Infections and actions write these arrays, time mends
what mends by itself, and `law` says what vitals follow. Whoever writes must call `touch`.
"""

from __future__ import annotations

import hashlib
import math

import msgspec
import numpy as np

from immune.columns import Bool, Float64, Int32, Names, UInt64
from immune.simulation.catalogue import (
    FOREIGN,
    MODELS,
    PROVIDERS,
    SLOTS,
    TOOLS_EACH,
    TYPES,
)

NEVER = math.inf
SPREAD = math.log(1.5) / 2
"""Half the log of how far two agents of one type may lie apart."""


class PromptVersion(msgspec.Struct, frozen=True):
    """One version of a prompt and what it makes of a step."""

    hash: str
    latency: float = 1.0
    tokens: float = 1.0


def hash_of(text: str) -> str:
    """A prompt's hash as it is reported."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class FleetState:
    """n agents. Arrays are (n,) unless said otherwise; factors are 1 where all is well."""

    def __init__(self, n: int, rng: np.random.Generator, names: Names) -> None:
        self.n = n
        self.names = names
        self.version = 0
        """Grows with every change; what was computed from an older one is stale."""
        self._draw_births(n, rng)

        # settings: what a person or a treatment sets
        self.autonomy = np.ones(n)
        self.verbosity = np.ones(n)
        self.model = self.base_model.copy()
        self.allowed: Bool = np.ones((n, SLOTS), np.bool_)
        self.allowed[:, FOREIGN] = False
        self.prompt: Int32 = self.kind.copy()
        self.prompt_slips = np.zeros(n)
        """Probability that the prompt's examples lead a step into wrong arguments."""

        # memory: what a reset clears
        self.context = np.ones(n)
        self.memory_loop = np.zeros(n)
        """Repeated calls that it drives the agent to, in its usual calls a step."""
        self.memory_latency = np.ones(n)
        self.memory_retry = np.zeros(n)
        self.memory_drive = np.ones(n)
        """How many times more calls a planted instruction drives the agent to."""

        # process: what dies with the instance
        self.instance = np.ones(n, np.int64)
        self.planner_loop = np.zeros(n)
        self.loop_slot = np.zeros(n, np.int64)
        self.loop_hashes: UInt64 = np.ones((n, 2), np.uint64)
        self.process_latency = np.ones(n)
        self.process_tokens = np.ones(n)
        self.process_calls = np.ones(n)
        self.hung: Bool = np.zeros(n, np.bool_)

        # environment: the agent's own tools (n, SLOTS) and endpoints (n, models)
        self.tool_latency = np.ones((n, SLOTS))
        self.tool_fail = np.zeros((n, SLOTS))
        self.tool_well_at = np.full((n, SLOTS), NEVER)
        self.foreign_drive = np.ones(n)
        """What a smuggled tool's description drives the agent to; 1 where there is none."""
        self.endpoint_latency = np.ones((n, len(MODELS)))
        self.endpoint_price = np.ones((n, len(MODELS)))
        """Above 1 a dearer sibling of the model is served."""
        self.endpoint_well_at = np.full((n, len(MODELS)), NEVER)
        self.offline: Bool = np.zeros(n, np.bool_)
        """No way from the agent to any provider."""
        self.online_at = np.full(n, NEVER)

        # shared by many: providers, types, prompts
        self.provider_latency = np.ones(len(PROVIDERS))
        self.provider_error = np.zeros(len(PROVIDERS))
        self.provider_well_at = np.full(len(PROVIDERS), NEVER)
        self.type_pace = np.ones(len(TYPES))
        self.type_latency = np.ones(len(TYPES))
        self.type_calm_at = np.full(len(TYPES), NEVER)
        self.prompts = [PromptVersion(hash_of(f"{kind.name} v1")) for kind in TYPES]
        self.deployed: list[list[int]] = [[k] for k in range(len(TYPES))]
        """Per type its releases, oldest first, as indices into `prompts`."""

    def _draw_births(self, n: int, rng: np.random.Generator) -> None:
        """What each agent is by nature: never changed by anything."""
        place = np.arange(n)
        self.kind: Int32 = (place % len(TYPES)).astype(np.int32)
        """Index into `TYPES`."""
        digits = len(str(max(n // len(TYPES), 1)))
        self.ids = [
            f"{TYPES[i % len(TYPES)].name}-{i // len(TYPES) + 1:0{digits}d}" for i in range(n)
        ]
        self.index = {agent_id: i for i, agent_id in enumerate(self.ids)}
        medians = np.array([(t.latency_ms, t.input_tokens, t.output_tokens) for t in TYPES])
        self.mu: Float64 = np.log(medians)[self.kind] + rng.uniform(-SPREAD, SPREAD, (n, 3))
        """(n, 3): log median of latency_ms, input_tokens, output_tokens."""
        self.sigma: Float64 = rng.uniform((0.35, 0.3, 0.3), 0.6, (n, 3))
        means = np.array([t.tool_calls for t in TYPES])
        self.calls: Float64 = means[self.kind] * np.exp(rng.uniform(-SPREAD, SPREAD, n))
        self.retry_p: Float64 = rng.uniform(0.02, 0.1, n)
        self.error_p: Float64 = rng.uniform(0.005, 0.03, n)

        of_size = {(m.provider, m.size): k for k, m in enumerate(MODELS)}
        models = np.array([[of_size[p, t.size] for p in PROVIDERS] for t in TYPES], np.int32)
        self.base_model: Int32 = models[
            self.kind, (place // len(TYPES) + self.kind) % len(PROVIDERS)
        ]
        """Index into `MODELS`."""

        facts = self.names.facts
        toolsets = np.array([[facts.code(tool) for tool in t.toolset] for t in TYPES], np.int32)
        picks = rng.permuted(np.tile(np.arange(toolsets.shape[1]), (n, 1)), axis=1)[:, :TOOLS_EACH]
        self.tool_code: Int32 = np.zeros((n, SLOTS), np.int32)
        self.tool_code[:, :TOOLS_EACH] = toolsets[self.kind[:, None], picks]
        share = rng.uniform(1.0, 3.0, (n, TOOLS_EACH))
        self.tool_share: Float64 = share / share.sum(1, keepdims=True)
        """(n, TOOLS_EACH): how the agent's calls spread over its own tools."""

    def touch(self) -> None:
        """Say that something was changed."""
        self.version += 1

    def shares(self) -> Float64:
        """(n, TOOLS_EACH): the spread of calls over the own tools that are allowed now."""
        open_share = self.tool_share * self.allowed[:, :TOOLS_EACH]
        total: Float64 = open_share.sum(1, keepdims=True)
        return np.divide(open_share, total, out=np.zeros_like(open_share), where=total > 0)

    def tool_names(self, i: int) -> tuple[str, ...]:
        """The tools that agent i may use."""
        codes = self.tool_code[i][self.allowed[i]].tolist()
        return tuple(self.names.facts.text(code) for code in codes)

    def add_prompt(self, version: PromptVersion) -> int:
        """Add a version; returns its index."""
        self.prompts.append(version)
        return len(self.prompts) - 1

    def renew(self, i: int) -> None:
        """Replace agent i by a fresh instance of the same make in a fresh environment."""
        self.autonomy[i] = self.verbosity[i] = 1.0
        self.model[i] = self.base_model[i]
        self.allowed[i, :TOOLS_EACH] = True
        self.allowed[i, FOREIGN] = False
        self.prompt[i] = self.deployed[self.kind[i]][-1]
        self.prompt_slips[i] = 0.0
        self.clear_memory(i)
        self.instance[i] += 1
        self.planner_loop[i] = 0.0
        self.process_latency[i] = self.process_tokens[i] = self.process_calls[i] = 1.0
        self.hung[i] = False
        self.tool_latency[i] = 1.0
        self.tool_fail[i] = 0.0
        self.tool_well_at[i] = NEVER
        self.foreign_drive[i] = 1.0
        self.endpoint_latency[i] = self.endpoint_price[i] = 1.0
        self.endpoint_well_at[i] = NEVER
        self.touch()

    def clear_memory(self, i: int) -> None:
        """Empty agent i's memory, the good with the bad."""
        self.context[i] = self.memory_latency[i] = self.memory_drive[i] = 1.0
        self.memory_loop[i] = self.memory_retry[i] = 0.0
        self.touch()

    def mend(self, now: float) -> None:
        """Let the world mend what was due to mend by `now`."""
        tools = self.tool_well_at <= now
        endpoints = self.endpoint_well_at <= now
        online = self.online_at <= now
        providers = self.provider_well_at <= now
        types = self.type_calm_at <= now
        if not any(due.any() for due in (tools, endpoints, online, providers, types)):
            return
        self.tool_latency[tools], self.tool_fail[tools] = 1.0, 0.0
        self.foreign_drive[tools[:, FOREIGN]] = 1.0
        self.endpoint_latency[endpoints] = self.endpoint_price[endpoints] = 1.0
        self.offline[online] = False
        self.provider_latency[providers], self.provider_error[providers] = 1.0, 0.0
        self.type_pace[types] = self.type_latency[types] = 1.0
        for well_at, due in (
            (self.tool_well_at, tools),
            (self.endpoint_well_at, endpoints),
            (self.online_at, online),
            (self.provider_well_at, providers),
            (self.type_calm_at, types),
        ):
            well_at[due] = NEVER
        self.touch()

    def next_mend(self) -> float:
        """When the next thing mends by itself; infinite where nothing is broken."""
        return float(
            min(
                self.tool_well_at.min(),
                self.endpoint_well_at.min(),
                self.online_at.min(),
                self.provider_well_at.min(),
                self.type_calm_at.min(),
            )
        )
