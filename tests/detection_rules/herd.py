"""A small fleet whose vitals obey plain laws, watched by the real detector tick by tick."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from immune.columns import KIND_CODE, CallColumns, Names, VitalColumns
from immune.detection.baseline import BaselineLearner
from immune.detection.findings import Finding, Tier
from immune.detection.fleet import FleetFinding, FleetWatch
from immune.detection.params import DetectionParams
from immune.detection.sentinel import Sentinel
from immune.detection.silence import Silence
from immune.vitals import N_METRICS, Kind, Metric

LATENCY, INPUT, OUTPUT, COST, TOOLS = range(5)
INFECTIONS = ("spike", "tokens", "loop", "retries", "drift", "memory", "meltdown")


class Herd:
    """n agents of one step a second. `worse` multiplies their metrics; chances are of retries and
    errors. Agent i is of provider i // 3 % providers and of type i % types, and uses its two tools.
    """

    def __init__(self, n: int = 15, *, seed: int, providers: int = 3, types: int = 3) -> None:
        rng = self.rng = np.random.default_rng(seed)
        self.n, self.now = n, 1e6
        self.names, params = Names(), DetectionParams()
        self.learner = BaselineLearner(params, self.names)
        self.facts = self.learner.facts
        self.sentinel = Sentinel(self.learner, params, self.names)
        self.watch = FleetWatch(params.rules.fleet, self.names)
        budget = params.budgets.false_suspicions_per_agent_day
        self.silence = Silence(params.rules.silence, self.names, budget)
        self.codes = np.array([self.names.agents.code(f"a{i}") for i in range(n)], np.int32)
        self.provider = np.arange(n) // 3 % providers
        self.type = np.arange(n) % types
        self.prompt = self._facts("prompt", self.type)
        self.model = self._facts("model", self.provider)
        self.tools = self._facts("tool", np.repeat(self.type, 2) * 2 + np.tile([0, 1], n))
        self.usual = np.exp(rng.normal([6.5, 7, 5.5], 0.3, (n, 3)))
        self.spread = rng.uniform(0.3, 0.5, (n, 3))
        self.worse = np.ones((n, 5))
        self.retries, self.errors = np.full(n, 0.03), np.full(n, 0.01)
        self.away = np.zeros(n, np.bool_)

    def _facts(self, label: str, of: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        return np.array([self.names.facts.code(f"{label}{i}") for i in of], np.int32)

    def members(self, provider: int) -> list[int]:
        return np.flatnonzero(self.provider == provider).tolist()

    def ids(self, agents: Iterable[int]) -> set[str]:
        return {f"a{i}" for i in agents}

    def tick(self) -> tuple[list[Finding], list[FleetFinding]]:
        """Let each agent make one step; return the quarantines and what the fleet's watch says."""
        self.now += 1
        columns = self._steps()
        self.silence.observe(columns)
        singles = self.sentinel.observe(columns).findings
        news = self.watch.watch(
            self.now,
            self.sentinel.fleet_levels(),
            self.sentinel.scan,
            self.facts,
            self.silence.sweep(self.now),
        )
        return [f for f in singles if f.tier is Tier.QUARANTINE and f.can_fence], news

    def run(self, ticks: int) -> tuple[list[Finding], list[FleetFinding]]:
        quarantines: list[Finding] = []
        found: list[FleetFinding] = []
        for _ in range(ticks):
            singles, news = self.tick()
            quarantines += singles
            found += news
        return quarantines, found

    def _steps(self) -> VitalColumns:
        rng, n = self.rng, self.n
        times = np.exp(self.spread * rng.standard_normal((n, 3)))
        values = np.empty((n, N_METRICS), np.float32)
        values[:, :COST] = self.usual * times * self.worse[:, :COST]
        tokens = values[:, Metric.INPUT_TOKENS] + 5 * values[:, Metric.OUTPUT_TOKENS]
        values[:, Metric.COST_USD] = 3e-6 * tokens * self.worse[:, COST]
        values[:, Metric.TOOL_CALLS] = rng.poisson(3 * self.worse[:, TOOLS])
        values[:, Metric.RETRIES] = rng.random(n) < self.retries
        values[:, Metric.ERRORS] = rng.random(n) < self.errors
        values[:, Metric.INTERVAL_S] = np.exp(0.05 * rng.standard_normal(n))
        here = np.flatnonzero(~self.away)
        at = np.full(len(here), self.now)
        row = np.repeat(np.arange(len(here), dtype=np.int32), 2)
        calls = CallColumns(
            row,
            self.tools.reshape(-1, 2)[here].reshape(-1),
            rng.integers(1, 2**60, len(row)).astype(np.uint64),
            rng.integers(1, 2**60, len(row)).astype(np.uint64),
            np.ones(len(row), np.bool_),
        )
        return VitalColumns(
            agent=self.codes[here],
            kind=np.full(len(here), KIND_CODE[Kind.RUN], np.uint8),
            at=at,
            received_at=at,
            values=values[here],
            agent_type=self._facts("type", self.type)[here],
            model=self.model[here],
            provider=self._facts("provider", self.provider)[here],
            prompt_hash=self.prompt[here],
            error_type=np.zeros(len(here), np.int32),
            calls=calls,
        )

    # ---- what happens to them

    def infect(self, agent: int, infection: str) -> None:
        rng = self.rng
        if infection in ("spike", "drift", "memory", "meltdown"):
            self.worse[agent, LATENCY] = rng.uniform(3, 7)
        if infection in ("tokens", "drift", "meltdown"):
            self.worse[agent, [INPUT, OUTPUT]] = rng.uniform(4, 8)
        if infection in ("loop", "meltdown"):
            self.worse[agent, TOOLS] = rng.uniform(5, 10)
        if infection in ("retries", "memory"):
            self.retries[agent] = 0.75

    def outage(self, agents: Iterable[int]) -> None:
        agents = list(agents)
        self.worse[agents, LATENCY] = self.rng.uniform(3, 10, len(agents))
        self.errors[agents] = 0.3

    def recover(self, agents: Iterable[int]) -> None:
        agents = list(agents)
        self.worse[agents] = 1
        self.retries[agents], self.errors[agents] = 0.03, 0.01
