"""How a block of waiting samples becomes part of a baseline, and what the kernel reads of it.

Means and variances are merged by Chan, Golub & LeVeque 1979, with a memory: counts are capped, so
that old samples fade. What is learned and what the peers lend are then joined into the baseline as
used: centre, scale, degrees of freedom, φ and slack.
"""

from __future__ import annotations

import numpy as np

from immune.columns import Float32
from immune.detection.grouping import Indices
from immune.detection.params import LearningParams, StatisticParams
from immune.detection.state import AT, IS_RARE
from immune.vitals import METRICS, Family


class Pairs:
    """The state of some (stream, metric) pairs, field by field; written back by `store`."""

    def __init__(self, block: Float32, rows: Indices, lanes: Indices) -> None:
        self._block, self._rows, self._lanes = block, rows, lanes
        self._state: Float32 = block[rows, :, lanes]

    def __getitem__(self, field: str) -> Float32:
        column: Float32 = self._state[:, AT[field]]
        return column

    def __setitem__(self, field: str, value: Float32) -> None:
        self._state[:, AT[field]] = value

    def clear(self, first: str, last: str) -> None:
        """Set the fields from `first` to `last` to zero."""
        self._state[:, AT[first] : AT[last] + 1] = 0

    def store(self) -> None:
        """Write all fields back."""
        self._block[self._rows, :, self._lanes] = self._state


class Merging:
    """The arithmetic of learning, on pairs of stream and metric."""

    def __init__(self, statistic: StatisticParams, learning: LearningParams) -> None:
        self._s = statistic
        self._block_min = learning.block_min
        memory = np.where(IS_RARE, learning.memory_rare, learning.memory)
        self.memory: Float32 = memory.astype(np.float32)
        """Samples that each metric's baseline remembers, (8,)."""
        counts = np.array([spec.family is Family.COUNT for spec in METRICS])
        floor = np.where(counts, statistic.count_spread_floor, statistic.spread_floor)
        self._var_floor = (floor**2).astype(np.float32)

    def learn(self, block: Float32, rows: Indices, lanes: Indices) -> None:
        """Merge the waiting blocks of these pairs into their baselines."""
        s = Pairs(block, rows, lanes)
        memory = self.memory[lanes]
        n, bn = s["n"].copy(), np.maximum(s["bn"], 1)
        total = n + bn
        for mean, var, sums, squares in (
            ("mean", "var", "bs", "bss"),
            ("raw", "raw_var", "brs", "brss"),
        ):
            shift = s[sums] / bn
            inside = np.maximum(s[squares] / bn - shift * shift, 0)
            s[var] = (n * s[var] + bn * inside + shift * shift * n * bn / total) / total
            s[mean] += shift * bn / total
        s["n"] = np.minimum(total, memory)

        scored: Float32 = np.where(n >= self._block_min, bn, 0).astype(np.float32)
        room = (memory - scored) / np.maximum(s["ng"], 1)
        keep: Float32 = np.clip(room, 0, 1).astype(np.float32)
        for k in range(4):
            s[f"g{k}"] = keep * s[f"g{k}"] + s[f"bg{k}"]
        s["ng"] = keep * s["ng"] + scored
        fade: Float32 = np.clip(1 - scored / memory, 0, 1).astype(np.float32)
        s["sxy"] = fade * s["sxy"] + s["bxy"]
        s["sxx"] = fade * s["sxx"] + s["bxx"]
        s.clear("bn", "bg3")
        self._derive(s, lanes)

    def derive(self, block: Float32, rows: Indices, lanes: Indices) -> None:
        """Join what was learned and the prior anew."""
        self._derive(Pairs(block, rows, lanes), lanes)

    def _derive(self, s: Pairs, lanes: Indices) -> None:
        p = self._s
        n, k0, nu0 = s["n"], s["prior_n"], s["prior_nu"]
        apart = s["mean"] - s["prior_mean"]
        total = np.maximum(n + k0, 1)
        centre = s["mean"] - apart * k0 / total
        nu = np.maximum(n + nu0 - 1, 3)
        var = (n * s["var"] + nu0 * s["prior_var"] + apart * apart * n * k0 / total) / nu
        var = np.maximum(var, self._var_floor[lanes]) * (1 + 1 / total)
        slack = np.maximum(p.kappa_min, p.kappa_young / np.sqrt(total))
        phi = (s["sxy"] + p.ar_shrink * s["prior_phi"]) / (s["sxx"] + p.ar_shrink)

        rare = IS_RARE[lanes]
        rate = np.clip(centre, p.rare_floor, 1 - p.rare_floor)
        s["centre"] = np.where(rare, rate, centre)
        s["inverse"] = 1 / np.sqrt(np.where(rare, rate * (1 - rate), var))
        s["nu"] = nu
        s["phi"] = np.clip(phi, 0, p.ar_max)
        s["slack"] = np.where(rare, _wilson(rate, total, p.rare_slack), slack)
        s.store()


def _wilson(rate: Float32, n: Float32, errors: float) -> Float32:
    """Return the upper bound of a rate seen in n steps, `errors` standard errors up (1927)."""
    square = errors * errors / n
    root = errors * np.sqrt(rate * (1 - rate) / n + square / (4 * n))
    bound: Float32 = (rate + square / 2 + root) / (1 + square)
    return bound
