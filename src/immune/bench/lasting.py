"""What lasts: a slow drift, a day's rhythm, a change that was accepted. Watched by the Sentinel.

A drift of half a per cent a minute must be told before it has doubled, by whatever finding; a daily
cycle must never be told; a lasting change that somebody accepts must be normal a hundred samples
later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from immune.bench.confidence import median_interval, share_interval
from immune.bench.figures import Figure, at_least, at_most
from immune.bench.watch import FLEET, columns
from immune.bench.workloads.laws import Cyclic, Law, LogNormal
from immune.columns import Float64, Names
from immune.detection import BaselineLearner, DetectionParams, Finding, Sentinel, Tier
from immune.vitals import N_METRICS, Metric

BASELINE = 3600
DRIFT_A_MINUTE = 1.005
DOUBLED = round(60 * np.log(2) / np.log(DRIFT_A_MINUTE))
"""Samples after which the drift has doubled the latency: 139 minutes."""
LEARNED_WITHIN = 100
WATCHED_AFTER = 1800
SIGMAS = (0.2, 0.6, 1.0)
"""Of the latency's logarithm where a drift is looked for."""
SWING = 1.5
"""Times the middle of the day that its busiest hour takes, and its quietest is quicker."""
PACES_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
_AT_ONCE = 60
_START = 1_700_000_000.0


class _Fleet:
    """Agents of one type whose latency follows a law, and the Sentinel that watches them."""

    def __init__(
        self, agents: int, law: Law, rng: np.random.Generator, pace_s: float = 1.0
    ) -> None:
        self.names, params = Names(), DetectionParams()
        self.learner = BaselineLearner(params, self.names)
        self.sentinel = Sentinel(self.learner, params, self.names)
        self.ids = [f"agent-{i}" for i in range(agents)]
        self._codes = np.array([self.names.agents.code(a) for a in self.ids], np.int32)
        self._type = np.full(agents, self.names.facts.code("worker"), np.int32)
        self._sampler = law.sampler(agents, rng)
        self._pace_s = pace_s
        self.passed = 0

    def run(self, steps: int, times: Float64) -> list[Finding]:
        """Let everybody step; `times` (steps,) is how many times the normal each step is."""
        agents = len(self._codes)
        values = np.full((steps, agents, N_METRICS), np.nan, np.float32)
        values[..., Metric.LATENCY_MS] = self._sampler(steps, 1.0) * times[:, None]
        at = _START + self._pace_s * (self.passed + np.arange(steps))
        values[..., Metric.INTERVAL_S] = self._pace_s
        if not self.passed:
            values[0, :, Metric.INTERVAL_S] = np.nan
        self.passed += steps
        seen = self.sentinel.observe(
            columns(
                np.tile(self._codes, steps),
                np.repeat(at, agents),
                values.reshape(-1, N_METRICS),
                np.tile(self._type, steps),
            )
        )
        return seen.findings

    def slices(self, steps: int, times: Float64) -> Iterator[list[Finding]]:
        """Do the same in parts."""
        for first in range(0, steps, _AT_ONCE):
            part = times[first : first + _AT_ONCE]
            yield self.run(len(part), part)

    def learn(self, steps: int) -> None:
        """Let everybody learn; what is told meanwhile is let go."""
        for findings in self.slices(steps, np.ones(steps)):
            for finding in findings:
                self.sentinel.forget(finding.agent_id)


def drift_figures(
    fleets: int, seed: int, baseline: int = BASELINE, sigmas: Sequence[float] = SIGMAS
) -> Iterable[Figure]:
    """How long a slow drift goes untold, in quiet and in noisy metrics."""
    for sigma in sigmas:
        yield _drift(fleets * FLEET, sigma, seed, baseline)


def _drift(agents: int, sigma: float, seed: int, baseline: int) -> Figure:
    fleet = _Fleet(agents, LogNormal(sigma, spread=0.2), np.random.default_rng(seed))
    fleet.learn(baseline)
    began = _START + fleet.passed
    found: dict[str, float] = {}
    times = DRIFT_A_MINUTE ** (np.arange(DOUBLED) / 60)
    for findings in fleet.slices(DOUBLED, times):
        for finding in findings:
            found.setdefault(finding.agent_id, (finding.at - began) / 60)
        if len(found) == agents:
            break
    delays = np.array([found.get(agent_id, np.inf) for agent_id in fleet.ids])
    median, low, high = median_interval(delays)
    share_low, share_high = share_interval(len(found), agents)
    return at_least(
        f"lasting/drift_half_percent_a_minute/sigma_{sigma:g}/found",
        len(found) / agents,
        0.95,
        "share before it doubles",
        note=f"of {agents}, 95 % {share_low:.3f} to {share_high:.3f}; "
        f"median {median:.0f} min, 95 % {low:.0f} to {high:.0f}",
    )


def cycle_figures(hours: float, seed: int, paces_s: Sequence[float] = PACES_S) -> Iterable[Figure]:
    """What a fleet that is busy by day is told of, at each pace."""
    for pace_s in paces_s:
        law = Cyclic(LogNormal(0.6, spread=0.2), SWING**2, pace_s=pace_s)
        fleet = _Fleet(FLEET, law, np.random.default_rng(seed), pace_s)
        steps = round(hours * 3600 / pace_s)
        told = [f for findings in fleet.slices(steps, np.ones(steps)) for f in findings]
        fences = sum(finding.tier is Tier.QUARANTINE for finding in told)
        yield at_most(
            f"lasting/daily_cycle/a_step_in_{pace_s:g}_s/findings",
            len(told),
            0,
            "in all",
            note=f"{FLEET} agents, {hours:g} h; {fences} at the quarantine tier",
        )


def acceptance_figures(
    fleets: int, seed: int, baseline: int = BASELINE, watched: int = WATCHED_AFTER
) -> Iterable[Figure]:
    """Whether a change that was accepted is normal from then on."""
    agents = fleets * FLEET
    fleet = _Fleet(agents, LogNormal(0.6, spread=0.2), np.random.default_rng(seed))
    fleet.learn(baseline)
    onset = _START + fleet.passed
    since: dict[str, float] = {}
    for findings in fleet.slices(_AT_ONCE, np.full(_AT_ONCE, 2.0)):
        for finding in findings:
            since.setdefault(finding.agent_id, finding.onset_at)
    for agent_id in fleet.ids:  # what the house does when a person says "new normal"
        fleet.learner.freeze(agent_id, since.get(agent_id, onset))
        fleet.sentinel.forget(agent_id)
        fleet.learner.thaw(agent_id, "restart")
    for _ in fleet.slices(LEARNED_WITHIN, np.full(LEARNED_WITHIN, 2.0)):
        pass
    late: set[str] = set()
    suspected = 0
    for _ in range(watched):
        findings = fleet.run(1, np.full(1, 2.0))
        late.update(finding.agent_id for finding in findings)
        levels = fleet.sentinel.levels()
        suspected = max(suspected, int((levels.evidence >= levels.suspicion).sum()))
    yield at_most(
        "lasting/accepted_change/suspected_again",
        max(len(late), suspected),
        0,
        "agents",
        note=f"of {agents}, from {LEARNED_WITHIN} to {LEARNED_WITHIN + watched} samples "
        "after the acceptance",
    )
