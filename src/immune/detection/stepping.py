"""The statistic on arrays: a batch of streams is moved by one sample each.

The way where nothing could be compiled, and the reference that the compiled loop is held to. The
formulas and their sources are told in `kernel`.
"""

from __future__ import annotations

import numpy as np

from immune.columns import Bool, Float32
from immune.detection.grouping import Indices, Runs
from immune.detection.merging import Laws, Merging
from immune.detection.params import LearningParams, StatisticParams
from immune.detection.state import (
    AT,
    BETA,
    FOLLOWER,
    HOT,
    IS_RARE,
    PAIR_G,
    PAIR_N,
    PAIR_R,
    RARE,
    SCALE,
    WRITTEN,
    less_slack,
    transform,
)
from immune.vitals import N_METRICS, Metric

_AT_ONCE = 2048
"""Streams stepped at once: their state, 2.5 MB, stays near the processor."""
_R = slice(AT["r0"], AT["r4"] + 1)
_G = slice(AT["g0"], AT["g4"] + 1)
_BG = slice(AT["bg0"], AT["bg4"] + 1)
_TOKENS = slice(Metric.INPUT_TOKENS, Metric.OUTPUT_TOKENS + 1)
_LATENCY = Metric.LATENCY_MS
PAIRED_BET, PAIRED_ODDS = 2, 1
"""The bet and the odds, by place, whose product the pairs bet on."""
BENT = np.float32(0.68)
"""What bending adds to the variance of a left-skewed law's scores, times bend²."""
MOST_OFTEN = np.float32(0.95)


def lanes_of(weights: tuple[float, ...], rare: tuple[float, ...]) -> Float32:
    """Return the weights of the bets as (5, 8)."""
    lanes = np.repeat(np.array(weights, np.float32)[:, None], N_METRICS, axis=1)
    lanes[:, IS_RARE] = np.array([*rare, 0.0], np.float32)[:, None]
    return lanes


class Pool:
    """How the metrics' R become one: their weighted mean."""

    def __init__(self, statistic: StatisticParams) -> None:
        self._metrics = np.array(statistic.metric_weights, np.float32)
        self._pair = np.float32(statistic.pair_weight)

    def __call__(self, by_metric: Float32, pairs: Float32, known: Bool) -> Float32:
        """Return the evidence (n,) in nats: log(1 + mean of R) over the known metrics and pairs.

        by_metric: R of each, (n, 8); pairs: (n, 2); known: (n, 8).
        """
        paired = (known[:, RARE] & known[:, _LATENCY, None]) * self._pair
        total = np.where(known, by_metric, 0) @ self._metrics + (paired * pairs).sum(axis=1)
        weight = np.maximum(known @ self._metrics + paired.sum(axis=1), np.float32(1e-6))
        pooled: Float32 = np.log1p(total / weight).astype(np.float32)
        return pooled


class Stepper:
    """Scores and learns samples, many streams at once; the constants are the parameters'."""

    def __init__(self, statistic: StatisticParams, learning: LearningParams) -> None:
        self._s = statistic
        self._l = learning
        self._laws = Laws(statistic, learning)
        self._merging = Merging(statistic, learning)
        self._delta = np.abs(np.array(statistic.bets, np.float32))[:, None, None]
        self._ceilings = self._laws.ceilings[:, None, None]
        self._weight = lanes_of(statistic.weights, statistic.rare_weights)[:, None, :]
        self._gate_weight = lanes_of(statistic.gate_weights, statistic.rare_weights)[:, None, :]
        self._pool = Pool(statistic)
        self._odds = np.array(statistic.rare_odds, np.float32)[:, None, None]

    def step(
        self,
        block: Float32,
        frozen: Bool,
        rows: Indices,
        values: Float32,
        nats: Float32,
        evidence: Float32,
    ) -> None:
        """Score and learn samples in their order; writes the evidence after each."""
        for every, streams in Runs.of(rows).rounds():
            for start in range(0, len(every), _AT_ONCE):
                part, at = every[start : start + _AT_ONCE], streams[start : start + _AT_ONCE]
                evidence[part] = self._step(block, frozen, at, values[part], nats[part])

    def _step(
        self, block: Float32, frozen: Bool, rows: Indices, values: Float32, nats: Float32
    ) -> Float32:
        state = np.ascontiguousarray(block[rows, :HOT].transpose(1, 0, 2))
        present = ~np.isnan(values)
        y = transform(values)
        np.copyto(y, 0.0, where=~present)
        raw = np.where(present, values, np.float32(0.0))
        first = present & (state[AT["n"]] == 0) & (state[AT["bn"]] == 0)
        if first.any():  # sums are kept around the first sample, for float32's sake
            for field, start in (("mean", y), ("raw", raw)):
                np.copyto(state[AT[field]], start, where=first)
                block[rows, AT[field]] = state[AT[field]]

        scored = present & (state[AT["n"]] >= self._l.block_min)
        known = present | (state[AT["n"]] + state[AT["bn"]] > 0)
        z0, white = self._residuals(state, y)
        z, work, worked = self._relieved(state, white, scored)
        ratio, pairs = state[_R], state[AT["pair"]][:, PAIR_R]
        pace = nats / np.float32(self._s.burst_steps)
        ahead = pace * np.float32(self._s.burst_ahead)
        cap = np.exp(ahead)[:, None]
        ceiling = np.exp(nats + np.float32(self._s.ceiling_nats))[:, None]
        growth, bets, joint = self._growth(state, y, z, cap)
        np.copyto(ratio, np.minimum((1 + ratio) * growth, ceiling), where=scored)
        paired = scored[:, RARE] & scored[:, _LATENCY, None]
        self._bet_on_pairs(state, joint, cap, ceiling, paired)
        by_metric = (ratio * self._weight).sum(axis=0)
        pooled = self._pool(by_metric, pairs, known)
        follower = state[AT["pair"], :, FOLLOWER]
        too_much = pooled - (follower + ahead)
        if (too_much > 0).any():
            less = np.exp(-np.maximum(too_much, 0))[:, None]
            ratio *= less
            pairs *= less
            pooled = self._pool(by_metric * less, pairs, known)
        np.minimum(pooled, follower + pace, out=follower)
        gated = (ratio * self._gate_weight).sum(axis=0)

        count, seen = present.astype(np.float32), scored.astype(np.float32)
        z0 *= seen
        widest = np.where(scored & ~IS_RARE, self._s.ar_clip / state[AT["inverse"]], np.inf)
        dev = np.clip(y - state[AT["mean"]], -widest, widest) * count
        raw_dev = (raw - state[AT["raw"]]) * count
        last = state[AT["last"]]
        state[AT["bxy"]] += z0 * last
        state[AT["bxx"]] += last * last * seen
        np.copyto(last, z0, where=present)
        state[AT["bn"]] += count
        state[AT["bs"]] += dev
        state[AT["bss"]] += dev * dev
        state[AT["bsc"]] += dev * dev * dev
        state[AT["brs"]] += raw_dev
        state[AT["brss"]] += raw_dev * raw_dev
        state[_BG] += bets * np.where(IS_RARE, 0, seen)
        waits = state[AT["pair_block"]]
        waits[:, PAIR_N] += paired
        waits[:, PAIR_G] += np.where(paired, joint, 0)
        explained = white[:, _LATENCY] * work
        waits[:, 4:7] += np.where(worked, np.stack([worked, explained, work * work]), 0).T
        block[rows, :WRITTEN] = state[:WRITTEN].transpose(1, 0, 2)

        due = self._is_due(state[AT["n"]], state[AT["bn"]], gated)
        due &= present & (frozen[rows] == 0)[:, None]
        if due.any():
            at, lanes = np.nonzero(due)
            self._merging.learn(block, rows[at], lanes)
        return pooled

    def _is_due(self, n: Float32, waiting: Float32, gated: Float32) -> Bool:
        """Whether a block may be learned: full, and neither odd of late nor clearly changed."""
        p = self._l
        need = np.clip(n * p.block_share, p.block_min, p.block_max)
        odd = gated > p.gate_odd
        due = (waiting >= need) & (~odd | (waiting >= need * (1 + p.patience))) & (gated <= p.gate)
        whole: Bool = due | ((waiting >= need) & (waiting >= p.relearn * self._laws.memory))
        return whole

    def _residuals(self, state: Float32, y: Float32) -> tuple[Float32, Float32]:
        """Return the residuals as normal scores, and the same after whitening."""
        s = self._s
        centre = state[AT["centre"]]
        t = less_slack(y - centre, centre, s.interval_slack) * state[AT["inverse"]]
        nu = np.maximum(state[AT["nu"]], 3)
        z0 = np.sqrt(nu * np.log1p(t * t / nu)) * ((8 * nu + 1) / (8 * nu + 3))
        z0 = np.copysign(np.minimum(z0, s.ar_clip), t)
        bend = state[AT["bend"]]
        bent = bend > 0
        if bent.any():
            b, z = bend[bent], z0[bent]
            bowed = (np.expm1(b * z) / b - b / 2) / np.sqrt(1 + BENT * b * b)
            z0[bent] = np.clip(bowed, -s.ar_clip, s.ar_clip)
        z0[:, RARE] = t[:, RARE]
        phi = state[AT["phi"]]
        z = (z0 - phi * state[AT["last"]]) / np.sqrt(1 - phi * phi)
        return z0, np.clip(z, -s.z_clip, s.z_clip)

    def _relieved(
        self, state: Float32, white: Float32, scored: Bool
    ) -> tuple[Float32, Float32, Bool]:
        """Take from latency's scores what the steps' tokens explain; return the work, too."""
        told = scored[:, _TOKENS]
        count = told.sum(axis=1)
        worked = (count > 0) & scored[:, _LATENCY]
        work = np.where(told, white[:, _TOKENS], 0).sum(axis=1) / np.maximum(count, 1)
        work = np.clip(work, -self._s.work_clip, self._s.work_clip).astype(np.float32)
        past = state[AT["pair_past"]]
        z = white.copy()
        relieved = (white[:, _LATENCY] - past[:, BETA] * work) * past[:, SCALE]
        relieved = np.clip(relieved, -self._s.z_clip, self._s.z_clip)
        z[:, _LATENCY] = np.where(worked, relieved, white[:, _LATENCY])
        return z, work, worked

    def _growth(
        self, state: Float32, y: Float32, z: Float32, cap: Float32
    ) -> tuple[Float32, Float32, Float32]:
        """Return the factors of R and the plain bets, both (5, n, 8), and the pairs' bets."""
        base = np.exp(np.float32(self._s.bet) * z)
        bets = np.empty((5, *z.shape), np.float32)
        bets[0] = base
        for k in (1, 2, 3):
            np.multiply(bets[k - 1], bets[k - 1], out=bets[k])
        np.divide(1, bets[2], out=bets[4])
        np.minimum(bets, self._ceilings, out=bets)
        growth = bets * (state[AT["ng"]] + 1) / (state[_G] + bets)
        growth *= np.exp(-self._delta * state[AT["slack"]])
        slow = growth[PAIRED_BET, :, _LATENCY, None].copy()
        np.minimum(growth, cap, out=growth)

        # Bernoulli: centre is the rate, 1/inverse its deviation, slack the rate that is bet against
        memory = state[AT["phi"], :, RARE] * state[AT["last"], :, RARE]
        rate = state[AT["slack"], :, RARE] + memory / np.maximum(state[AT["inverse"], :, RARE], 1)
        rate = np.clip(rate, self._s.rare_floor, MOST_OFTEN)
        hit = np.minimum(self._odds / (1 + rate * (self._odds - 1)), cap)
        miss = (1 - rate * hit) / (1 - rate)
        growth[:4, :, RARE] = np.where(y[:, RARE] > 0, hit, miss)
        growth[4, :, RARE] = 0
        return growth, bets, slow * growth[PAIRED_ODDS, :, RARE]

    def _bet_on_pairs(
        self, state: Float32, joint: Float32, cap: Float32, ceiling: Float32, paired: Bool
    ) -> None:
        """Slow and failing at once: the product of both bets over its own past mean."""
        past, prior = state[AT["pair_past"]], np.float32(self._s.bets_prior)
        growth = joint * (past[:, PAIR_N] + prior + 1) / (past[:, PAIR_G] + prior + joint)
        growth = np.minimum(np.minimum(growth, joint), cap)
        pairs = state[AT["pair"]][:, PAIR_R]
        np.copyto(pairs, np.minimum((1 + pairs) * growth, ceiling), where=paired)
