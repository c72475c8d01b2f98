"""Who is sick in an outage: many suffer one thing together, and some of them one of their own.

Of 1,000 agents 60 % share a provider, model or tool that becomes slow and fails; a tenth of the
fleet, all of them among these, falls ill at the same moment. Watched as in the house: the fleet's
watch is asked on each step before a single finding counts, and what counts is the agent's own part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from immune.bench.confidence import share_interval
from immune.bench.figures import Figure, at_least, at_most
from immune.columns import KIND_CODE, Bool, CallColumns, Float32, Int32, Names, VitalColumns
from immune.detection import BaselineLearner, DetectionParams, Finding, Sentinel, Tier
from immune.detection.fleet import FleetFinding, FleetWatch
from immune.vitals import N_METRICS, Kind, Metric

DIMENSIONS = ("provider", "model", "tool")
SICKNESSES = {
    "tokens": Metric.OUTPUT_TOKENS,
    "retries": Metric.RETRIES,
    "tool_calls": Metric.TOOL_CALLS,
}
"""Of the minority, by name, and the metric that they show it in."""
AGENTS = 1000
SEEDS = 10
CALM, WATCHED = 600, 60
"""Steps before the onset and after it."""
ACCUSED_MAX, FOUND_MIN = 0.001, 0.95
_SHARED, _SICK = 0.6, 0.1
_START = 1_700_000_000.0
_SIZED = [Metric.LATENCY_MS, Metric.INPUT_TOKENS, Metric.OUTPUT_TOKENS]


class Troubled:
    """A fleet, a step a second, that an outage and a sickness will befall together."""

    def __init__(self, agents: int, dimension: str, sickness: str, seed: int) -> None:
        which = DIMENSIONS.index(dimension), list(SICKNESSES).index(sickness)
        rng = self._rng = np.random.default_rng([seed, *which])
        self._names, params = Names(), DetectionParams()
        self._learner = BaselineLearner(params, self._names)
        self._sentinel = Sentinel(self._learner, params, self._names)
        self.watch = FleetWatch(params.rules.fleet, self._names)
        self._sickness = sickness
        self._codes = np.array([self._names.agents.code(f"a{i}") for i in range(agents)], np.int32)
        shared = rng.permutation(agents)[: round(_SHARED * agents)]
        self.shares: Bool = np.zeros(agents, np.bool_)
        self.shares[shared] = True
        self.sick: Bool = np.zeros(agents, np.bool_)
        self.sick[shared[: round(_SICK * agents)]] = True
        split = np.where(self.shares, self._fact("bad"), self._fact("good")).astype(np.int32)
        same = np.full(agents, self._fact("one"), np.int32)
        self._facts = {name: split if name == dimension else same for name in DIMENSIONS}
        types = [self._fact(f"type-{i % 4}") for i in range(agents)]
        self._types: Int32 = np.array(types, np.int32)
        self._usual = np.exp(rng.normal([6.5, 7, 5.5], 0.3, (agents, 3)))
        self._times = rng.uniform(3, 6, agents)
        self._now = _START

    def _fact(self, text: str) -> int:
        return self._names.facts.code(text)

    def step(self, *, ill: bool) -> tuple[list[Finding], list[FleetFinding]]:
        """Let everybody step; return what the Sentinel and then the fleet's watch say."""
        self._now += 1
        told = self._sentinel.observe(self._columns(self._values(ill))).findings
        levels, scan = self._sentinel.fleet_levels(), self._sentinel.scan
        shared = self.watch.watch(self._now, levels, scan, self._learner.facts)
        return told + self.watch.grown_up(), shared

    def place(self, agent_id: str) -> int:
        """Return the agent's place in `shares` and `sick`."""
        return int(agent_id[1:])

    def _values(self, ill: bool) -> Float32:
        rng, agents = self._rng, len(self._codes)
        values = np.full((agents, N_METRICS), np.nan, np.float32)
        values[:, _SIZED] = self._usual * np.exp(0.4 * rng.standard_normal((agents, 3)))
        values[:, Metric.TOOL_CALLS] = rng.poisson(3, agents)
        values[:, Metric.RETRIES] = rng.random(agents) < 0.03
        values[:, Metric.ERRORS] = rng.random(agents) < 0.01
        values[:, Metric.INTERVAL_S] = 1
        if not ill:
            return values
        values[self.shares, Metric.LATENCY_MS] *= self._times[self.shares]
        values[self.shares, Metric.ERRORS] = rng.random(int(self.shares.sum())) < 0.2
        metric, sick = SICKNESSES[self._sickness], int(self.sick.sum())
        if metric is Metric.OUTPUT_TOKENS:
            values[self.sick, metric] *= 6
        elif metric is Metric.RETRIES:
            values[self.sick, metric] = rng.random(sick) < 0.6
        else:
            values[self.sick, metric] = rng.poisson(18, sick)
        return values

    def _columns(self, values: Float32) -> VitalColumns:
        rng, agents = self._rng, len(self._codes)
        at, nothing = np.full(agents, self._now), np.zeros(agents, np.int32)
        hashes = rng.integers(1, 2**60, (2, agents)).astype(np.uint64)
        fine = np.ones(agents, np.bool_)
        rows = np.arange(agents, dtype=np.int32)
        return VitalColumns(
            agent=self._codes,
            kind=np.full(agents, KIND_CODE[Kind.RUN], np.uint8),
            at=at,
            received_at=at,
            values=values,
            agent_type=self._types,
            model=self._facts["model"],
            provider=self._facts["provider"],
            prompt_hash=nothing,
            error_type=nothing,
            calls=CallColumns(rows, self._facts["tool"], hashes[0], hashes[1], fine),
        )


@dataclass
class Outcome:
    """What was told in some runs."""

    bystanders: int = 0
    """Agents with the outage and nothing else."""
    accused: int = 0
    """Of these, with a finding of their own that fences."""
    suspected: int = 0
    """Of these, with any finding of their own after the fleet's, which absorbs earlier ones."""
    outsiders_accused: int = 0
    """Agents without the outage, with a finding that fences."""
    sick: int = 0
    delays: list[int] = field(default_factory=list)
    """Steps until these had a finding of their own that fences and names their sickness; those
    who never had are left out."""
    runs: int = 0
    right: int = 0
    """Runs with exactly one fleet finding, of the right group."""

    def add(self, agents: int, dimension: str, sickness: str, seed: int) -> None:
        """Take in one run."""
        fleet = Troubled(agents, dimension, sickness, seed)
        for _ in range(CALM):
            fleet.step(ill=False)
        shown = SICKNESSES[sickness].label
        shared: list[FleetFinding] = []
        fenced, suspected = set[int](), set[int]()
        found: dict[int, int] = {}
        for passed in range(1, WATCHED + 1):
            findings, news = fleet.step(ill=True)
            shared += news
            for finding in findings:
                own, agent = fleet.watch.judge(finding), fleet.place(finding.agent_id)
                if own is None:
                    continue
                if shared:
                    suspected.add(agent)
                if own.tier is not Tier.QUARANTINE or not own.can_fence:
                    continue
                fenced.add(agent)
                if shown in {effect.metric for effect in own.affected}:
                    found.setdefault(agent, passed)
        bystander = fleet.shares & ~fleet.sick
        self.bystanders += int(bystander.sum())
        self.accused += sum(bool(bystander[agent]) for agent in fenced)
        self.suspected += sum(bool(bystander[agent]) for agent in suspected)
        self.outsiders_accused += sum(not fleet.shares[agent] for agent in fenced)
        self.sick += int(fleet.sick.sum())
        self.delays += [passed for agent, passed in found.items() if fleet.sick[agent]]
        self.runs += 1
        subjects = [(one.kind, one.dimension, one.name) for one in shared]
        self.right += subjects == [("outage", dimension, "bad")]

    def shared_figures(self, name: str) -> Iterator[Figure]:
        """Yield what is said of those who have the outage alone, and of the outage itself."""
        low, high = share_interval(self.accused, self.bystanders)
        yield at_most(
            f"{name}/bystanders_accused",
            self.accused / self.bystanders,
            ACCUSED_MAX,
            "share",
            note=f"{self.accused} of {self.bystanders}, 95 % {low:.5f} to {high:.5f}; "
            f"{self.suspected} suspected; without the outage {self.outsiders_accused} accused",
        )
        low, high = share_interval(self.right, self.runs)
        yield at_least(
            f"{name}/one_fleet_finding_and_right",
            self.right / self.runs,
            1.0,
            "share of runs",
            note=f"{self.right} of {self.runs}, 95 % {low:.3f} to {high:.3f}",
        )

    def found_figure(self, name: str) -> Figure:
        """Return what is said of the sick."""
        hits = len(self.delays)
        low, high = share_interval(hits, self.sick)
        median = f"median {np.median(self.delays):g} steps" if hits else "none"
        return at_least(
            f"{name}/sick_found",
            hits / self.sick,
            FOUND_MIN,
            f"share within {WATCHED} steps",
            note=f"{hits} of {self.sick}, 95 % {low:.4f} to {high:.4f}; {median}",
        )


def outage_figures(dimension: str, seeds: Sequence[int], agents: int = AGENTS) -> Iterable[Figure]:
    """Measure the outages of one dimension, with each sickness; intervals are Wilson's."""
    every = Outcome()
    for sickness in SICKNESSES:
        every.sick, every.delays = 0, []
        for seed in seeds:
            every.add(agents, dimension, sickness, seed)
        yield every.found_figure(f"fleet/{dimension}/{sickness}")
    yield from every.shared_figures(f"fleet/{dimension}")
