"""The statistic on arrays: a batch of streams is moved by one sample each.

The way where nothing could be compiled, and the reference that the compiled loop is held to: both
have the same parts in the same order. The formulas and their sources are told in `kernel`.
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
    BLOCK_WORK,
    EXCESS,
    FOLLOWER,
    HOT,
    IS_RARE,
    N_BETS,
    PAIR_G,
    PAIR_N,
    PAIR_R,
    PEAK,
    PEAKS,
    RARE,
    SCALE,
    WIDER,
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
"""Rate of retries and errors that is bet against at most: a bet's factor divides by what is left
to one."""
NATS_MAX = np.float32(80.0)
"""The largest evidence that is ever told; float32 ends at e^88."""


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


class Peaks:
    """How high a stream's evidence goes while nothing has changed; arrays (n,) beside (n, 8)."""

    def __init__(self, statistic: StatisticParams) -> None:
        self._s = statistic

    def width(self, pair: Float32) -> Float32:
        """Return the mean height of the peaks above `peak_from`, 1 at least."""
        s = self._s
        prior = np.float32(s.peaks_prior)
        mean = (prior * (1 + pair[:, WIDER]) + pair[:, EXCESS]) / (prior + pair[:, PEAKS])
        return np.clip(mean, np.float32(1.0), np.float32(s.width_max))

    def told(self, pooled: Float32, width: Float32) -> Float32:
        """Return the evidence as it is told: what is above `peak_from` counts by the width."""
        start = np.float32(self._s.peak_from)
        told: Float32 = np.where(pooled > start, start + (pooled - start) / width, pooled)
        return told

    def raw(self, told: Float32, width: Float32) -> Float32:
        """Return the evidence that is told as `told`, which is `peak_from` at least."""
        start = np.float32(self._s.peak_from)
        return start + (told - start) * width

    def follow(self, pair: Float32, pooled: Float32, frozen: Bool) -> None:
        """Carry the peaks on by one step. A frozen stream's are kept until somebody has said what
        they were."""
        np.maximum(pair[:, PEAK], pooled, out=pair[:, PEAK])
        self.count(pair, (pooled < self._s.peak_over) & ~frozen)

    def count(self, pair: Float32, over: Bool) -> None:
        """End the peaks of the streams `over`; they are the streams' own."""
        s = self._s
        height = np.minimum(pair[:, PEAK] - np.float32(s.peak_from), np.float32(s.peak_max))
        counts = over & (height > 0)
        past = pair[:, PEAKS]
        keep = np.minimum(np.float32(s.peaks_memory - 1) / np.maximum(past, 1), np.float32(1.0))
        pair[:, EXCESS] = np.where(counts, keep * pair[:, EXCESS] + height, pair[:, EXCESS])
        pair[:, PEAKS] = np.where(counts, keep * past + 1, past)
        pair[over, PEAK] = 0


class Limits:
    """What the thresholds of the samples' agents allow."""

    def __init__(self, statistic: StatisticParams, nats: Float32, top: Float32) -> None:
        self.pace: Float32 = nats / np.float32(statistic.burst_steps)
        """Nats that the follower of the evidence rises by in one step, (n,)."""
        self.ahead: Float32 = self.pace * np.float32(statistic.burst_ahead)
        """Nats that the evidence may be ahead of it, (n,)."""
        self.cap: Float32 = np.exp(np.minimum(self.ahead, NATS_MAX))[:, None]
        """The factor of one metric's R in one step, (n, 1)."""
        self.ceiling: Float32 = np.exp(np.minimum(top, NATS_MAX))[:, None]
        """R, (n, 1)."""


class Sample:
    """What one sample of each of n streams comes to on the way to their evidence."""

    present: Bool
    """(n, 8), as all that is not said to be otherwise."""
    known: Bool
    scored: Bool
    raw: Float32
    y: Float32
    z0: Float32
    z: Float32
    bets: Float32
    """(5, n, 8)"""
    growth: Float32
    """(5, n, 8)"""
    white: Float32
    """Latency's scores before they were relieved of the work, (n,)."""
    work: Float32
    """(n,)"""
    worked: Bool
    """(n,)"""
    paired: Bool
    """(n, 2)"""
    joint: Float32
    """(n, 2)"""


class Stepper:
    """Scores and learns samples, many streams at once; the constants are the parameters'."""

    def __init__(self, statistic: StatisticParams, learning: LearningParams) -> None:
        self._s = statistic
        self._l = learning
        self._laws = Laws(statistic, learning)
        self._merging = Merging(statistic, learning)
        self._delta = np.abs(np.array(statistic.bets, np.float32))[:, None, None]
        self._ceilings = self._laws.ceilings[:, None, None]
        self._least = self._laws.least_means[:, None, None]
        self._weight = lanes_of(statistic.weights, statistic.rare_weights)[:, None, :]
        self._gate_weight = lanes_of(statistic.gate_weights, statistic.rare_weights)[:, None, :]
        self._pool = Pool(statistic)
        self._peaks = Peaks(statistic)
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
        width = self._peaks.width(state[AT["pair"]])
        top = self._peaks.raw(nats + np.float32(self._s.ceiling_nats), width)
        limits = Limits(self._s, nats, top)
        m = Sample()
        self._read(state, m, values)
        self._residuals(state, m)
        self._relieved(state, m)
        self._growth(state, m, limits)
        ratio = state[_R]
        np.copyto(ratio, np.minimum((1 + ratio) * m.growth, limits.ceiling), where=m.scored)
        self._bet_on_pairs(state, m, limits)
        by_metric = (ratio * self._weight).sum(axis=0)
        pairs, follower = state[AT["pair"]][:, PAIR_R], state[AT["pair"], :, FOLLOWER]
        pooled = self._pool(by_metric, pairs, m.known)
        too_much = pooled - (follower + limits.ahead)
        if (too_much > 0).any():
            less = np.exp(-np.maximum(too_much, 0))[:, None]
            ratio *= less
            pairs *= less
            pooled = self._pool(by_metric * less, pairs, m.known)
        np.minimum(pooled, follower + limits.pace, out=follower)
        self._peaks.follow(state[AT["pair"]], pooled, frozen[rows] != 0)
        self._keep(state, m)
        block[rows, :WRITTEN] = state[:WRITTEN].transpose(1, 0, 2)
        for name in ("mean", "raw"):
            block[rows, AT[name]] = state[AT[name]]

        due = m.present & (frozen[rows] == 0)[:, None]
        due &= self._is_due(state, self._merging.span(self._merging.pace(block, rows)))
        if due.any():
            at, lanes = np.nonzero(due)
            self._merging.learn(block, rows[at], lanes)
        return self._peaks.told(pooled, width)

    def _read(self, state: Float32, m: Sample, values: Float32) -> None:
        """Turn values into what is learned; say what of it is there."""
        m.present = ~np.isnan(values)
        m.raw = np.where(m.present, values, np.float32(0.0))
        m.y = np.where(m.present, transform(values), np.float32(0.0))
        n = state[AT["n"]]
        past = n + state[AT["bn"]] > 0
        m.scored = m.present & (n >= self._l.block_min)
        m.known = m.present | past
        first = m.present & ~past
        if first.any():  # sums are kept around the first sample, for float32's sake
            np.copyto(state[AT["mean"]], m.y, where=first)
            np.copyto(state[AT["raw"]], m.raw, where=first)

    def _residuals(self, state: Float32, m: Sample) -> None:
        """The residuals as normal scores, and the same after whitening."""
        s = self._s
        centre = state[AT["centre"]]
        t = less_slack(m.y - centre, centre, s.interval_slack) * state[AT["inverse"]]
        nu = np.maximum(state[AT["nu"]], 3)
        z = np.sqrt(nu * np.log1p(t * t / nu)) * ((8 * nu + 1) / (8 * nu + 3))
        z = np.copysign(np.minimum(z, s.ar_clip), t)
        bent = state[AT["bend"]] > 0
        if bent.any():
            b = state[AT["bend"]][bent]
            bowed = (np.expm1(b * z[bent]) / b - b / 2) / np.sqrt(1 + BENT * b * b)
            z[bent] = np.clip(bowed, -s.ar_clip, s.ar_clip)
        z[:, RARE] = t[:, RARE]
        phi = state[AT["phi"]]
        m.z0 = z
        m.z = np.clip((z - phi * state[AT["last"]]) / np.sqrt(1 - phi * phi), -s.z_clip, s.z_clip)

    def _relieved(self, state: Float32, m: Sample) -> None:
        """Take from latency's scores what the steps' tokens explain of them."""
        told = m.scored[:, _TOKENS]
        count = told.sum(axis=1)
        m.white = m.z[:, _LATENCY].copy()
        m.worked = (count > 0) & m.scored[:, _LATENCY]
        work = np.where(told, m.z[:, _TOKENS], 0).sum(axis=1) / np.maximum(count, 1)
        m.work = np.clip(work, -self._s.work_clip, self._s.work_clip).astype(np.float32)
        past = state[AT["pair_past"]]
        relieved = (m.white - past[:, BETA] * m.work) * past[:, SCALE]
        relieved = np.clip(relieved, -self._s.z_clip, self._s.z_clip)
        m.z[:, _LATENCY] = np.where(m.worked, relieved, m.white)

    def _growth(self, state: Float32, m: Sample, limits: Limits) -> None:
        """The factors of R and the plain bets, both (5, n, 8), and the pairs' bets."""
        bets = np.empty((N_BETS, *m.z.shape), np.float32)
        bets[0] = np.exp(np.float32(self._s.bet) * m.z)
        for k in (1, 2, 3):
            np.multiply(bets[k - 1], bets[k - 1], out=bets[k])
        np.divide(1, bets[2], out=bets[4])
        np.minimum(bets, self._ceilings, out=bets)
        past = (state[_G] + bets) / (state[AT["ng"]] + 1)
        growth = bets / np.maximum(past, self._least)
        growth *= np.exp(-self._delta * state[AT["slack"]])
        slow = growth[PAIRED_BET, :, _LATENCY, None].copy()
        np.minimum(growth, limits.cap, out=growth)

        # Bernoulli: centre is the rate, 1/inverse its deviation, slack the rate that is bet against
        memory = state[AT["phi"], :, RARE] * state[AT["last"], :, RARE]
        rate = state[AT["slack"], :, RARE] + memory / np.maximum(state[AT["inverse"], :, RARE], 1)
        rate = np.clip(rate, self._s.rare_floor, MOST_OFTEN)
        hit = np.minimum(self._odds / (1 + rate * (self._odds - 1)), limits.cap)
        miss = (1 - rate * hit) / (1 - rate)
        growth[:4, :, RARE] = np.where(m.y[:, RARE] > 0, hit, miss)
        growth[4, :, RARE] = 0
        m.bets, m.growth, m.joint = bets, growth, slow * growth[PAIRED_ODDS, :, RARE]

    def _bet_on_pairs(self, state: Float32, m: Sample, limits: Limits) -> None:
        """Slow and failing at once: the product of both bets over its own past mean."""
        m.paired = m.scored[:, RARE] & m.scored[:, _LATENCY, None]
        past, prior = state[AT["pair_past"]], np.float32(self._s.bets_prior)
        growth = m.joint * (past[:, PAIR_N] + prior + 1) / (past[:, PAIR_G] + prior + m.joint)
        growth = np.minimum(np.minimum(growth, m.joint), limits.cap)
        pairs = state[AT["pair"]][:, PAIR_R]
        np.copyto(pairs, np.minimum((1 + pairs) * growth, limits.ceiling), where=m.paired)

    def _keep(self, state: Float32, m: Sample) -> None:
        """Put the samples into the blocks that wait to be learned."""
        present, scored = m.present.astype(np.float32), m.scored.astype(np.float32)
        last, z0 = state[AT["last"]], m.z0 * scored
        widest = np.where(m.scored & ~IS_RARE, self._s.ar_clip / state[AT["inverse"]], np.inf)
        dev = np.clip(m.y - state[AT["mean"]], -widest, widest) * present
        raw_dev = (m.raw - state[AT["raw"]]) * present
        state[AT["bxy"]] += z0 * last
        state[AT["bxx"]] += last * last * scored
        np.copyto(last, z0, where=m.present)
        state[AT["bn"]] += present
        state[AT["bs"]] += dev
        state[AT["bss"]] += dev * dev
        state[AT["bsc"]] += dev * dev * dev
        state[AT["brs"]] += raw_dev
        state[AT["brss"]] += raw_dev * raw_dev
        state[_BG] += m.bets * np.where(IS_RARE, 0, scored)
        waits = state[AT["pair_block"]]
        waits[:, PAIR_N] += m.paired
        waits[:, PAIR_G] += np.where(m.paired, m.joint, 0)
        told = np.stack([np.ones_like(m.work), m.white * m.work, m.work * m.work])
        waits[:, BLOCK_WORK] += np.where(m.worked, told, 0).T

    def _is_due(self, state: Float32, span: Float32) -> Bool:
        """Whether a block may be learned: full, and neither odd of late nor clearly changed."""
        p, waiting = self._l, state[AT["bn"]]
        held = np.where(IS_RARE, state[AT["n"]], np.minimum(state[AT["n"]], span[:, None]))
        need = np.clip(held * p.block_share, p.block_min, p.block_max)
        gated = (state[_R] * self._gate_weight).sum(axis=0)
        calm = (gated <= p.gate_odd) | (waiting >= need * (1 + p.patience))
        anyway = waiting >= p.relearn * self._laws.memory
        due: Bool = (waiting >= need) & ((calm & (gated <= p.gate)) | anyway)
        return due
