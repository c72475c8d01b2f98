"""river's exponentially weighted mean and variance of each metric, as a measure of speed.

The plainest detector that can be made of river: score each metric by its deviation from the
running mean, then learn it.
"""

from __future__ import annotations

import math

from immune.bench.rivals.river import river
from immune.vitals import N_METRICS

FADING = 0.02


class RunningMeans:
    """One agent's eight means and variances."""

    __slots__ = ("_pairs",)

    def __init__(self) -> None:
        stats = river("stats")
        self._pairs = [(stats.EWMean(FADING), stats.EWVar(FADING)) for _ in range(N_METRICS)]

    def step(self, values: list[float]) -> float:
        """Take one sample of all metrics in; return its largest deviation, in sigmas."""
        largest = 0.0
        for (mean, variance), value in zip(self._pairs, values, strict=True):
            spread = math.sqrt(max(variance.get(), 1e-12))
            largest = max(largest, abs(value - mean.get()) / spread)
            mean.update(value)
            variance.update(value)
        return largest
