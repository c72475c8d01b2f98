"""How a block of waiting samples becomes part of a baseline, and what the kernel reads of it.

Means and variances are merged by Chan, Golub & LeVeque 1979, third moments by Pébay 2008, with a
memory: counts are capped, so that old samples fade. What is learned and what the peers lend are
then joined into the baseline as used: centre, scale, degrees of freedom, φ, slack and bend.
"""

from __future__ import annotations

import numpy as np

from immune.columns import Float32, Float64
from immune.detection.bets import ceiling_of, mean_of
from immune.detection.grouping import Indices
from immune.detection.params import LearningParams, StatisticParams
from immune.detection.state import (
    AT,
    BETA,
    BLOCK_WORK,
    IS_COUNT,
    IS_RARE,
    N_BETS,
    PAIR_G,
    PAIR_N,
    RARE,
    SCALE,
    WORK_N,
    WW,
    WY,
)
from immune.vitals import Metric


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


DAILY = np.float32(2 * np.pi / 86_400)
"""ω of a day, in radians a second."""
SMALL_BETS = 2
"""Bets that win so little a step that chance in their past matters."""


class Laws:
    """What the parameters say of each metric and each bet; arrays of eight and of five."""

    def __init__(self, statistic: StatisticParams, learning: LearningParams) -> None:
        memory = np.where(IS_RARE, learning.memory_rare, learning.memory)
        self.memory: Float32 = memory.astype(np.float32)
        """Samples that each metric's baseline remembers."""
        floor = np.where(IS_COUNT, statistic.count_spread_floor, statistic.spread_floor)
        self.var_floor: Float32 = (floor**2).astype(np.float32)
        """Variance that is assumed at least."""
        ceilings = [ceiling_of(d, statistic.z_clip, statistic.bet_nats) for d in statistic.bets]
        means = [mean_of(d, c) for d, c in zip(statistic.bets, ceilings, strict=True)]
        self.ceilings: Float32 = np.array(ceilings, np.float32)
        """Where each bet is cut off."""
        self.means: Float32 = np.array(means, np.float32)
        """What each bet wins on average while nothing has changed and the law is normal."""
        small = np.arange(len(means)) < SMALL_BETS
        self.least_means: Float32 = np.where(small, self.means, 0).astype(np.float32)
        """What a bet's own past counts for at least: two per cent too little of a small bet, which
        a lucky youth leaves behind, would in some hundred steps accuse a healthy agent."""


class Merging:
    """The arithmetic of learning, on pairs of stream and metric."""

    def __init__(self, statistic: StatisticParams, learning: LearningParams) -> None:
        self._s = statistic
        self._l = learning
        self._laws = Laws(statistic, learning)

    def learn(self, block: Float32, rows: Indices, lanes: Indices) -> None:
        """Merge the waiting blocks of these pairs into their baselines.

        A block holds Σd, Σd² and Σd³ of the deviations d from the mean so far, so that they are
        small numbers; `shift` is by how much the block's own mean is off that mean.
        """
        s = Pairs(block, rows, lanes)
        memory = self._laws.memory[lanes]
        n, bn = s["n"].copy(), np.maximum(s["bn"], 1)
        total = n + bn
        pace = self.pace(block, rows)
        faster = np.where(IS_RARE[lanes], 0, bn / (self.span(pace) + bn))
        gain = np.maximum(bn / total, faster)
        shift, second = s["bs"] / bn, s["bss"] / bn
        inside = np.maximum(second - shift * shift, 0)
        third = s["bsc"] / bn - 3 * shift * second + 2 * shift**3
        skew = (
            n * s["skew"]
            + bn * third
            + 3 * shift * n * bn / total * (inside - s["var"])
            + shift**3 * n * bn * (n - bn) / (total * total)
        ) / total
        s["skew"] = skew.astype(np.float32)
        s["var"] = (n * s["var"] + bn * inside + shift * shift * n * bn / total) / total
        s["mean"] += shift * gain
        shift = s["brs"] / bn
        inside = np.maximum(s["brss"] / bn - shift * shift, 0)
        s["raw_var"] = (n * s["raw_var"] + bn * inside + shift * shift * n * bn / total) / total
        s["raw"] += shift * gain
        s["n"] = np.minimum(total, memory)

        scored: Float32 = np.where(n >= self._l.block_min, bn, 0).astype(np.float32)
        keep = _share((memory - scored) / np.maximum(s["ng"], 1))
        for k in range(N_BETS):
            s[f"g{k}"] = keep * s[f"g{k}"] + s[f"bg{k}"]
        s["ng"] = keep * s["ng"] + scored
        fade = _share(1 - scored / memory)
        s["sxy"] = fade * s["sxy"] + s["bxy"]
        s["sxx"] = fade * s["sxx"] + s["bxx"]
        s.clear("bn", "bg4")
        self._derive(s, lanes, pace)
        latency = rows[lanes == Metric.LATENCY_MS]
        if len(latency):
            self._learn_joint(block, latency)

    def _learn_joint(self, block: Float32, rows: Indices) -> None:
        """Merge what the pairs and latency's regression on the work have waiting.

        Not while retries or errors look odd: their pairs' past would hide the sickness that comes.
        The regression goes through zero, as both are scores; a share of the variance explained is
        what the scores are widened by again.
        """
        memory, p = self._laws.memory, self._s
        state = block[rows]
        waits, past = state[:, AT["pair_block"]], state[:, AT["pair_past"]]
        odds = np.array(p.rare_weights, np.float32)[:, None]
        ratio = (state[:, AT["r0"] : AT["r3"] + 1, RARE] * odds).sum(axis=1)
        take = ratio <= self._l.gate_odd
        keep = _share((memory[RARE] - waits[:, PAIR_N]) / np.maximum(past[:, PAIR_N], 1))
        for places in (PAIR_N, PAIR_G):
            past[:, places] = np.where(
                take, keep * past[:, places] + waits[:, places], past[:, places]
            )
        wn, wy, ww = waits[:, BLOCK_WORK].T
        fade = _share(1 - wn / memory[Metric.LATENCY_MS])
        n = state[:, AT["pair"], WORK_N]
        n[:] = fade * n + wn
        past[:, WY] = fade * past[:, WY] + wy
        past[:, WW] = fade * past[:, WW] + ww
        known = n > 0
        beta = past[known, WY] / (past[known, WW] + p.work_shrink)
        share = np.minimum(beta * beta * past[known, WW] / n[known], p.work_share_max)
        past[known, BETA], past[known, SCALE] = beta, 1 / np.sqrt(1 - share)
        waits[:] = 0
        block[rows] = state

    def derive(self, block: Float32, rows: Indices, lanes: Indices) -> None:
        """Join what was learned and the prior anew."""
        self._derive(Pairs(block, rows, lanes), lanes, self.pace(block, rows))

    def pace(self, block: Float32, rows: Indices) -> Float32:
        """Return by how much each stream is slower than `slow_from_s`, (n,); 1 where it is not."""
        known = block[rows, AT["n"], Metric.INTERVAL_S] > 0
        interval = np.expm1(-block[rows, AT["centre"], Metric.INTERVAL_S])
        slower = np.maximum(interval / np.float32(self._l.slow_from_s), 1)
        pace: Float32 = np.where(known, slower, np.float32(1.0))
        return pace

    def span(self, pace: Float32) -> Float32:
        """Return the samples that the mean of a stream of this pace holds at most."""
        held = np.float32(self._l.memory) * pace ** np.float32(-self._l.slow_power)
        span: Float32 = np.maximum(held, np.float32(self._l.slow_least))
        return span

    def lag(self, pace: Float32) -> Float32:
        """Return by how many log units a slow stream's mean is behind a daily cycle, (n,).

        A mean that forgets with the time constant τ follows a wave of frequency ω so that what is
        left of it is ωτ/√(1 + (ωτ)²) of its height.
        """
        p = self._l
        turns = self.span(pace) * pace * np.float32(DAILY * p.slow_from_s * (1 + p.block_share))
        behind = np.float32(p.slow_swing) * turns / np.sqrt(1 + turns * turns)
        lag: Float32 = np.where(pace > 1, behind, np.float32(0.0))
        return lag

    def _derive(self, s: Pairs, lanes: Indices, pace: Float32) -> None:
        """Normal-inverse-gamma: the prior's mean is worth prior_n samples, its variance prior_nu.

        The variance is a new sample's, so it holds the mean's own uncertainty, too. What the slack
        and the bend are for is told with their parameters.
        """
        p = self._s
        n, k0, nu0 = s["n"], s["prior_n"], s["prior_nu"]
        apart = s["mean"] - s["prior_mean"]
        rare, count = IS_RARE[lanes], IS_COUNT[lanes]
        sized = ~rare & ~count
        held: Float32 = np.where(rare, n, np.minimum(n, self.span(pace)))
        total = np.maximum(held + k0, 1)
        centre = s["mean"] - apart * k0 / total
        nu = np.maximum(n + nu0 - 1, 3)
        var = (n * s["var"] + nu0 * s["prior_var"] + apart * apart * held * k0 / total) / nu
        floor = self._laws.var_floor[lanes]
        var = np.maximum(var, floor) * (1 + 1 / total)
        phi = (s["sxy"] + p.ar_shrink * s["prior_phi"]) / (s["sxx"] + p.ar_shrink)

        rate = np.clip(centre, p.rare_floor, 1 - p.rare_floor)
        s["centre"] = np.where(rare, rate, centre)
        s["inverse"] = 1 / np.sqrt(np.where(rare, rate * (1 - rate), var))
        s["nu"] = nu
        s["phi"] = np.clip(phi, 0, p.ar_max)
        slack = np.maximum(p.kappa_min, p.kappa_young / np.sqrt(total) + p.kappa_first / total)
        whitened = np.sqrt((1 - s["phi"]) / (1 + s["phi"]))  # what whitening leaves of a drift
        lag = self.lag(pace)
        # 2√x moves by √x for each log unit of x
        drift = np.where(count, lag * centre / 2, np.maximum(np.float32(p.drift), lag))
        slack = np.where(rare, slack, np.maximum(slack, drift * s["inverse"] * whitened))
        errors = p.rare_slack * (1 + 1 / (1 + rate * total / p.rare_slack_hits))
        s["slack"] = np.where(rare, _wilson(rate, total, errors), slack)
        spread = np.sqrt(np.maximum(s["var"], floor)) ** 3
        bend = -s["skew"] / spread * n / (n + p.bend_shrink)
        follows = sized & (bend > p.bend_min) & (s["var"] > floor)
        s["bend"] = np.where(follows, np.minimum(bend, p.bend_max), 0)
        s.store()


def _share(x: Float32 | Float64) -> Float32:
    part: Float32 = np.clip(x, 0, 1).astype(np.float32)
    return part


def _wilson(rate: Float32, n: Float32, errors: Float32) -> Float32:
    """Return the upper bound of a rate seen in n steps, `errors` standard errors up (1927)."""
    square = errors * errors / n
    root = errors * np.sqrt(rate * (1 - rate) / n + square / (4 * n))
    bound: Float32 = (rate + square / 2 + root) / (1 + square)
    return bound
