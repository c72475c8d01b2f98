"""The limit of what can be known: Shiryaev-Roberts with the exact likelihoods of both laws.

R <- R·L + L₁, where L is a sample's likelihood ratio, sick against well, and L₁ that of a first
sick sample (they differ where a metric remembers). No detector of equal false alarms has a shorter
mean delay (Pollak 1985); ours must learn what this one is told.
"""

from __future__ import annotations

import numpy as np

from immune.bench.workloads.laws import Known
from immune.columns import Bool, Float64


class Oracle:
    """Watches one metric of some agents, knowing its law and how many `times` it may rise."""

    def __init__(self, law: Known, times: Float64, threshold_nats: float) -> None:
        self._law = law
        self._times = times
        self._threshold = np.exp(threshold_nats)
        self._ratio = np.zeros(len(times))
        self._before: Float64 | None = None

    def step(self, x: Float64) -> Bool:
        """Take one sample of each agent (agents,); return whose evidence has crossed. It begins
        anew for these."""
        before = x if self._before is None else self._before
        first, later = self._law.log_ratios(x, before, self._times)
        self._before = x
        self._ratio = self._ratio * np.exp(later) + np.exp(first)
        crossed: Bool = self._ratio >= self._threshold
        self._ratio[crossed] = 0.0
        return crossed
