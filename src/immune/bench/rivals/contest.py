"""The same samples for us and for everybody else.

Each agent is well for a while, which tells false alarms, and then twice as slow (or busy, or five
times as faulty), which tells what the silence was worth. An alarm is followed by sixty steps of
quiet, as an episode; the first one after the change counts as the finding. Rivals are slow, so the
exposure is small.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from immune.bench.alarms import READY, STEPS_PER_HOUR
from immune.bench.confidence import median_interval
from immune.bench.figures import Figure, at_most
from immune.bench.rivals.detectors import DETECTORS, Detector
from immune.bench.watch import Watch, nats
from immune.bench.workloads.laws import (
    AutoRegressive,
    Bursting,
    Law,
    LogNormal,
    LogT,
    Poisson,
    Rare,
)
from immune.columns import Bool, Float32, Float64
from immune.vitals import N_METRICS, Metric

QUIET = 60
HORIZON = 600
_LATENCY = LogNormal(0.6, spread=0.2)

FIELDS: dict[str, tuple[Metric, Law, float]] = {
    "latency_lognormal": (Metric.LATENCY_MS, _LATENCY, 2.0),
    "latency_heavy_tail": (Metric.LATENCY_MS, LogT(0.45, 4), 2.0),
    "latency_autocorrelated": (Metric.LATENCY_MS, AutoRegressive(0.5, 0.6, spread=0.2), 2.0),
    "latency_bursts": (Metric.LATENCY_MS, Bursting(_LATENCY, 5, 2.5, 600), 2.0),
    "tokens_lognormal": (Metric.OUTPUT_TOKENS, LogNormal(0.8, 665.0, 0.2), 2.0),
    "calls_poisson": (Metric.TOOL_CALLS, Poisson(3.0), 2.0),
    "retries_5_percent": (Metric.RETRIES, Rare(0.05, more=0.5), 5.0),
}


class Outcome:
    """What one contestant said of each agent."""

    def __init__(self, said: Bool, well: int) -> None:
        agents = said.shape[1]
        self.alarms: int = sum(_episodes(said[READY - 1 : well, a]) for a in range(agents))
        self.hours: float = (well - READY + 1) * agents / STEPS_PER_HOUR
        sick = said[well:]
        self.delays: Float64 = np.where(sick.any(axis=0), 1.0 + sick.argmax(axis=0), np.inf)

    @property
    def per_1000_hours(self) -> float:
        return 1000 * self.alarms / self.hours

    def said(self) -> str:
        """Tell how fast it found the sick, and how many."""
        median = median_interval(self.delays)[0]
        return f"{np.isfinite(self.delays).mean():.0%} found, median {median:g} samples"


def _episodes(said: Bool) -> int:
    count, quiet_until = 0, -1
    for step in np.flatnonzero(said).tolist():
        if step > quiet_until:
            count += 1
            quiet_until = step + QUIET
    return count


def contest(name: str, agents: int, well: int, seed: int) -> Iterator[Figure]:
    """Let everybody watch `agents` that are well for so many steps, then sick."""
    metric, law, times = FIELDS[name]
    sampler = law.sampler(agents, np.random.default_rng(seed))
    x = np.concatenate([sampler(well, 1.0), sampler(HORIZON, times)])
    ours = Outcome(_ours(x, metric), well)
    for rival, begin in DETECTORS.items():
        theirs = Outcome(_theirs(x, [begin() for _ in range(agents)]), well)
        yield at_most(
            f"rivals/{rival}/{name}",
            ours.per_1000_hours,
            theirs.per_1000_hours,
            "false alarms in 1,000 agent-hours",
            rival=theirs.per_1000_hours,
            note=f"in {ours.hours:.0f} h; ×{times:g}: ours {ours.said()}; theirs {theirs.said()}",
        )


def _ours(x: Float32, metric: Metric) -> Bool:
    """Evidence beyond the quarantine tier; found agents begin at zero again."""
    threshold = nats()[1]
    values = np.full((*x.shape, N_METRICS), np.nan, np.float32)
    values[..., metric] = x
    watch, said = Watch(x.shape[1]), np.zeros(x.shape, np.bool_)
    for first in range(0, len(x), 8):
        part = slice(first, first + 8)
        said[part] = watch.step(values[part]) >= threshold
        watch.calm(np.flatnonzero(said[part].any(axis=0)))
    return said


def _theirs(x: Float32, detectors: list[Detector]) -> Bool:
    said = [[d.step(v) for v in x[:, a].tolist()] for a, d in enumerate(detectors)]
    return np.array(said, np.bool_).T
