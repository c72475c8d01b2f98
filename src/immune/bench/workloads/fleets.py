"""The named workloads: which metrics an agent reports, and by which laws.

Each is healthy; whoever wants a sick one multiplies a law by `times`. A workload starts a `Source`
of slices (steps, agents, 8), NaN where a metric is not reported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from immune.bench.workloads.laws import (
    AutoRegressive,
    Bimodal,
    Bursting,
    Cyclic,
    Exponential,
    Gamma,
    Law,
    LogNormal,
    LogT,
    Poisson,
    Rare,
    RareRuns,
)
from immune.columns import Float32
from immune.vitals import N_METRICS, Metric

Source = Callable[[int], Float32]
"""steps -> (steps, agents, 8)."""


class Workload(Protocol):
    """What some agents report."""

    def start(self, agents: int, rng: np.random.Generator) -> Source:
        """Begin anew for so many agents."""


@dataclass(frozen=True)
class Alone:
    """One metric by one law."""

    metric: Metric
    law: Law

    def start(self, agents: int, rng: np.random.Generator) -> Source:
        sampler = self.law.sampler(agents, rng)

        def draw(steps: int) -> Float32:
            values = np.full((steps, agents, N_METRICS), np.nan, np.float32)
            values[:, :, self.metric] = sampler(steps, 1.0)
            return values

        return draw


@dataclass(frozen=True)
class Together:
    """All eight metrics at once, any two of them correlated alike (a Gaussian copula).

    Latency and tokens are log-normal, cost follows from tokens' law, calls are Poisson, retries and
    errors rare, intervals near one second. `present` is the share of values that are reported.
    """

    correlation: float
    present: float = 1.0

    def start(self, agents: int, rng: np.random.Generator) -> Source:
        sigma = np.array([0.6, 0.8, 0.8, 0.8, 0, 0, 0, 0.1], np.float32)
        medians = np.array([800, 1500, 300, 0.01, 1, 1, 1, 1], np.float32)
        own = np.exp(0.2 * rng.standard_normal((agents, N_METRICS))).astype(np.float32)
        calls = np.cumsum(_poisson_masses(3.0)).astype(np.float32)
        common = np.float32(np.sqrt(self.correlation))
        alone = np.float32(np.sqrt(1 - self.correlation))

        def draw(steps: int) -> Float32:
            z = rng.standard_normal((steps, agents, N_METRICS), np.float32)
            z *= alone
            z += common * rng.standard_normal((steps, agents, 1), np.float32)
            values: Float32 = np.exp(z * sigma)
            values *= medians * own
            values[..., Metric.TOOL_CALLS] = np.searchsorted(calls, _phi(z[..., Metric.TOOL_CALLS]))
            values[..., Metric.RETRIES] = z[..., Metric.RETRIES] > _Z95
            values[..., Metric.ERRORS] = z[..., Metric.ERRORS] > _Z99
            if self.present < 1:
                values[rng.random(values.shape, np.float32) >= self.present] = np.nan
            return values

        return draw


@dataclass(frozen=True)
class Mixed:
    """Agents that have nothing in common: medians over three decades, calm and wild, with heavy
    tails, with memory, with some metrics only. All are of one type."""

    def start(self, agents: int, rng: np.random.Generator) -> Source:
        medians = np.ones((agents, N_METRICS), np.float32)
        medians[:, :4] = 10 ** rng.uniform((2, 2, 1, -3), (5, 4, 3, 0), (agents, 4))
        medians[:, Metric.INTERVAL_S] = 10 ** rng.uniform(-0.5, 1, agents)
        sigma = np.zeros((agents, N_METRICS), np.float32)
        sigma[:, :4] = rng.uniform(0.15, 1.2, (agents, 4))
        sigma[:, Metric.INTERVAL_S] = rng.uniform(0.05, 1.0, agents)
        calls = rng.uniform(0.2, 20, agents) * (rng.random(agents) < 0.8)
        retries, errors = rng.uniform(0, 0.2, agents), rng.uniform(0, 0.05, agents)
        heavy = rng.random(agents) < 1 / 3
        phi = np.where(rng.random(agents) < 1 / 3, 0.5, 0.0).astype(np.float32)[:, None]
        fresh = np.sqrt(1 - phi * phi)
        reported = rng.random((agents, N_METRICS)) < 0.7
        reported[~reported.any(axis=1), Metric.LATENCY_MS] = True
        state = rng.standard_normal((agents, N_METRICS), np.float32)

        def draw(steps: int) -> Float32:
            z = rng.standard_normal((steps, agents, N_METRICS), np.float32)
            chi = rng.standard_gamma(2.0, (steps, int(heavy.sum()), 1), np.float32) * 2
            z[:, heavy] /= np.sqrt(chi / 4)  # Student's t with four degrees of freedom
            z[:, heavy] *= np.float32(0.75)
            for step in z:
                step *= fresh
                step += phi * state
                state[:] = step
            values: Float32 = np.exp(np.clip(z * sigma, -12, 12)) * medians
            values[..., Metric.TOOL_CALLS] = rng.poisson(calls, z.shape[:2])
            values[..., Metric.RETRIES] = rng.random(z.shape[:2]) < retries
            values[..., Metric.ERRORS] = rng.random(z.shape[:2]) < errors
            values[:, ~reported] = np.nan
            return values

        return draw


_Z95, _Z99 = 1.6448536, 2.3263479


def _phi(z: Float32) -> Float32:
    """The normal distribution function, to 7.5e-8 (Abramowitz & Stegun 26.2.17)."""
    t = 1 / (1 + np.float32(0.2316419) * np.abs(z))
    poly = np.zeros_like(t)
    for c in (1.330274429, -1.821255978, 1.781477937, -0.356563782, 0.319381530):
        poly = (poly + np.float32(c)) * t
    tail = poly * np.exp(-z * z / 2) * np.float32(0.3989422804)
    return np.where(z > 0, 1 - tail, tail)


def _poisson_masses(mean: float, top: int = 40) -> Float32:
    steps = np.r_[-mean, np.log(mean / np.arange(1, top))]
    masses: Float32 = np.exp(np.cumsum(steps)).astype(np.float32)
    return masses


_LATENCY = LogNormal(0.6, spread=0.2)

HEALTHY: dict[str, Workload] = {
    "latency_lognormal": Alone(Metric.LATENCY_MS, _LATENCY),
    "tokens_lognormal": Alone(Metric.OUTPUT_TOKENS, LogNormal(0.8, 665.0, 0.2)),
    "calls_poisson": Alone(Metric.TOOL_CALLS, Poisson(3.0)),
    "errors_1_percent": Alone(Metric.ERRORS, Rare(0.01)),
    "retries_5_percent": Alone(Metric.RETRIES, Rare(0.05, more=0.5)),
    "latency_heavy_tail": Alone(Metric.LATENCY_MS, LogT(0.45, 4)),
    "latency_daily_cycle": Alone(Metric.LATENCY_MS, Cyclic(_LATENCY, 2.25)),
    "latency_weekly_cycle": Alone(Metric.LATENCY_MS, Cyclic(_LATENCY, 2.25, weekly=True)),
    "latency_autocorrelated": Alone(Metric.LATENCY_MS, AutoRegressive(0.5, 0.6, spread=0.2)),
    "latency_bursts": Alone(Metric.LATENCY_MS, Bursting(_LATENCY, 5, 2.5, 600)),
    "latency_gamma": Alone(Metric.LATENCY_MS, Gamma(2.0)),
    "latency_bimodal": Alone(Metric.LATENCY_MS, Bimodal(0.3, 8.0, 0.6)),
    "intervals_poisson": Alone(Metric.INTERVAL_S, Exponential()),
    "intervals_bursty": Alone(Metric.INTERVAL_S, Bursting(Exponential(), 5, 0.1, 60)),
    "retries_in_runs": Alone(Metric.RETRIES, RareRuns(0.002, 3)),
    "all_correlated": Together(0.7),
    "all_half_missing": Together(0.0, present=0.5),
}
"""What fleets of fifteen report, by name."""

UNLIKE = Mixed()
"""What a thousand agents without a likeness report."""
