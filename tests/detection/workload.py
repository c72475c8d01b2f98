"""A small fleet of healthy numbers to detect in: the design's agents without their physics.

Log-normal latency, correlated tokens, cost from tokens, Poisson tool calls, rare retries and
errors, a step a second. `factors` and `retry_rate` make agents sick.
"""

from __future__ import annotations

import numpy as np

from immune.columns import CallColumns, Float32, Float64, Names, VitalColumns
from immune.detection import BaselineLearner, DetectionParams, Finding, Observation, Sentinel
from immune.vitals import N_METRICS, Kind, Metric

START = 1_700_000_000.0
RUN = 1
"""Code of `Kind.RUN`."""


class Workload:
    """Makes one step of every agent at a time."""

    def __init__(
        self, agents: int, seed: int, agent_type: str = "worker", names: Names | None = None
    ) -> None:
        self.names = names or Names()
        self.rng = np.random.default_rng(seed)
        self.ids = [f"agent-{seed}-{i}" for i in range(agents)]
        self.codes = np.array([self.names.agents.code(a) for a in self.ids], np.int32)
        self.type = self.names.facts.code(agent_type)
        spread = self.rng.uniform(0.8, 1.25, (4, agents))
        self.typical = np.array([800.0, 1500.0, 300.0, 3.5])[:, None] * spread
        self.sigma = self.rng.uniform(0.35, 0.55, (3, agents))
        self.factors = np.ones((agents, N_METRICS))
        self.retry_rate = self.rng.uniform(0.02, 0.1, agents)
        self.error_rate = self.rng.uniform(0.005, 0.03, agents)
        self.at = START + self.rng.uniform(0, 1, agents)

    def values(self) -> Float32:
        """Draw (agents, 8)."""
        n = len(self.codes)
        noise = self.rng.standard_normal((3, n))
        noise[2] = (noise[1] + noise[2]) / np.sqrt(2)
        out = np.empty((n, N_METRICS))
        out[:, :3] = (self.typical[:3] * np.exp(self.sigma * noise)).T * self.factors[:, :3]
        out[:, 3] = (out[:, 1] * 1e-6 + out[:, 2] * 3e-6) * self.factors[:, 3]
        out[:, 4] = self.rng.poisson(self.typical[3] * self.factors[:, 4])
        out[:, 5] = self.rng.random(n) < self.retry_rate
        out[:, 6] = self.rng.random(n) < self.error_rate
        out[:, 7] = self.rng.uniform(0.9, 1.1, n) / self.factors[:, 7]
        return out.astype(np.float32)

    def step(self, only: list[int] | None = None) -> VitalColumns:
        """One step of every agent, or of these, in order of time."""
        values = self.values()
        self.at = self.at + values[:, Metric.INTERVAL_S]
        order = np.argsort(self.at)
        if only is not None:
            order = order[np.isin(order, only)]
        return columns(self.codes[order], self.at[order], values[order], self.type)


def columns(agent: object, at: Float64, values: Float32, agent_type: int = 0) -> VitalColumns:
    """Vitals of kind run with these metrics."""
    codes = np.asarray(agent, np.int32)
    nothing = np.zeros(len(codes), np.int32)
    return VitalColumns(
        agent=codes,
        kind=np.full(len(codes), RUN, np.uint8),
        at=at,
        received_at=at,
        values=values,
        agent_type=np.full(len(codes), agent_type, np.int32),
        model=nothing,
        provider=nothing,
        prompt_hash=nothing,
        error_type=nothing,
        calls=CallColumns.empty(),
    )


class Watch:
    """A workload and the Sentinel that watches it."""

    def __init__(
        self,
        agents: int,
        seed: int,
        params: DetectionParams | None = None,
        agent_type: str = "worker",
    ) -> None:
        self.params = params or DetectionParams()
        self.work = Workload(agents, seed, agent_type)
        self.learner = BaselineLearner(self.params, self.work.names)
        self.sentinel = Sentinel(self.learner, self.params, self.work.names)

    def run(self, steps: int, only: list[int] | None = None) -> list[Finding]:
        """Let the fleet step; return what was found."""
        return [f for seen in self.observations(steps, only) for f in seen.findings]

    def observations(self, steps: int, only: list[int] | None = None) -> list[Observation]:
        """Let the fleet step; return what came of each."""
        return [self.sentinel.observe(self.work.step(only)) for _ in range(steps)]

    def until(self, agent: int, tier: str, limit: int = 300) -> tuple[int, Finding] | None:
        """Step until an agent's finding of this tier; return the steps it took, and it."""
        for step in range(1, limit + 1):
            for finding in self.run(1):
                if finding.agent_id == self.work.ids[agent] and finding.tier == tier:
                    return step, finding
        return None

    def evidence(self, agent: int) -> float:
        return self.sentinel.evidence(self.work.ids[agent])

    @property
    def kind(self) -> Kind:
        return Kind.RUN
