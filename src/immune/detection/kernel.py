"""The statistic: a self-normalised Shiryaev-Roberts e-detector over eight metrics at once.

Per metric: y = log(1+x) (cost in micro-USD, the interval's sign turned); the residual against the
baseline as a t variable, turned into a normal z, clipped, whitened by an AR(1) estimate; bets
e^{δz}, each divided by its own past mean and by e^{|δ|κ}; R <- (1+R)·L. Retries and errors bet on
"this step had one" with the likelihood ratio of raised odds against the upper bound of the learned
rate. The evidence is log(1 + mean of R) over the bets and the metrics ever seen.

A sample is scored before it is learned; samples wait in a block and are learned together, unless
the evidence is high or the stream is frozen. Sources: Shiryaev 1963 and Roberts 1966 for R; Shin,
Ramdas & Rinaldo, "E-detectors", 2023, for bets in place of likelihoods; Hawkins 1987 for the
self-starting residual; Wallace 1959 for t to z. A compiled kernel may take
this one's place: batches in, evidence out, rows of float32 to save.
"""

from __future__ import annotations

import numpy as np

from immune.columns import Bool, Float32
from immune.detection.grouping import Indices, Runs
from immune.detection.merging import Merging
from immune.detection.params import LearningParams, StatisticParams
from immune.detection.state import AT, HOT, IS_RARE, RARE, WRITTEN, F, less_slack, transform
from immune.vitals import N_METRICS, Metric

_AT_ONCE = 2048
"""Streams stepped at once: their state, 2.5 MB, stays near the processor."""


class Kernel:
    """The state of all streams, and the step that moves it.

    `block` is float32 (capacity, F, 8); a row of it is all that is known of a stream.
    """

    def __init__(self, statistic: StatisticParams, learning: LearningParams) -> None:
        self._s = statistic
        self._l = learning
        self._blank = np.zeros((F, N_METRICS), np.float32)
        self._blank[AT["prior_mean"], IS_RARE] = 0.1
        self._blank[AT["prior_n"], IS_RARE] = 5.0  # Jeffreys' half a hit, and a little more
        bets = np.array(statistic.bets, np.float32)[:, None]
        self._blank[AT["inverse"]] = 1.0
        self._blank[AT["ng"]] = statistic.bets_prior
        self._blank[AT["g0"] : AT["g3"] + 1] = statistic.bets_prior * np.exp(bets**2 / 2)
        phi = np.where(IS_RARE, statistic.ar_prior_rare, statistic.ar_prior)
        self._blank[AT["prior_phi"]] = phi
        self.block: Float32 = np.zeros((0, F, N_METRICS), np.float32)
        self.frozen: Bool = np.zeros(0, np.bool_)
        self._merging = Merging(statistic, learning)
        self._delta = np.array(statistic.bets, np.float32)[:, None, None]
        self._weight = self._lanes(statistic.weights)
        self._gate_weight = self._lanes(statistic.gate_weights)
        self._tilt = np.array(statistic.rare_odds, np.float32)[:, None, None]

    @staticmethod
    def _lanes(weights: tuple[float, ...]) -> Float32:
        lanes = np.repeat(np.array(weights, np.float32)[:, None], N_METRICS, axis=1)
        lanes[:, IS_RARE] = 1 / len(weights)
        return lanes[:, None, :]

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` streams; new ones know nothing."""
        more = capacity - len(self.block)
        if more > 0:
            self.block = np.concatenate([self.block, np.tile(self._blank, (more, 1, 1))])
            self.frozen = np.concatenate([self.frozen, np.zeros(more, np.bool_)])

    @property
    def blank_prior(self) -> Float32:
        """The prior (5, 8) of a stream without peers."""
        return self._blank[AT["prior_mean"] :].copy()

    def blank(self, rows: Indices) -> None:
        """Forget all about these streams."""
        self.block[rows] = self._blank
        self.frozen[rows] = False

    def calm(self, rows: Indices) -> None:
        """Set the evidence of these streams to zero; what was learned and what waits stays."""
        self.block[rows, AT["r0"] : AT["r3"] + 1] = 0

    def discard(self, rows: Indices) -> None:
        """Forget the samples that wait to be learned."""
        self.block[rows, AT["bn"] : AT["bg3"] + 1] = 0

    def learn_all(self, rows: Indices) -> None:
        """Learn the samples that wait, whatever the evidence."""
        at, lanes = np.nonzero(self.block[rows, AT["bn"]] > 0)
        self._merging.learn(self.block, rows[at], lanes)

    def set_prior(self, rows: Indices, prior: Float32) -> None:
        """Give these streams a prior: (n, 5, 8), in the order of the last five fields."""
        self.block[rows, AT["prior_mean"] :] = prior
        every = np.tile(np.arange(N_METRICS), len(rows))
        self._merging.derive(self.block, np.repeat(rows, N_METRICS), every)

    def evidence(self, rows: Indices) -> tuple[Float32, Float32]:
        """Return the evidence now in nats, (n,), and that of each metric alone, (n, 8)."""
        ratio = self.block[rows, AT["r0"] : AT["r3"] + 1]
        by_metric = (ratio * self._weight.transpose(1, 0, 2)).sum(axis=1)
        known = self.block[rows, AT["n"]] + self.block[rows, AT["bn"]] > 0
        return self._pool(by_metric, known), np.log1p(by_metric)

    def intervals(self, rows: Indices) -> Float32:
        """Return each stream's usual seconds between steps, (n,); NaN where none was learned."""
        learned = self.block[rows, AT["n"], Metric.INTERVAL_S] > 0
        usual = np.expm1(-self.block[rows, AT["centre"], Metric.INTERVAL_S])
        interval: Float32 = np.where(learned, usual, np.float32(np.nan))
        return interval

    @staticmethod
    def _pool(by_metric: Float32, known: Bool) -> Float32:
        total = np.where(known, by_metric, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        pooled: Float32 = np.log1p(total).astype(np.float32)
        return pooled

    def step(
        self, rows: Indices, values: Float32, quarantine_nats: Float32
    ) -> tuple[Float32, Float32]:
        """Score a batch, then learn it.

        rows: stream of each sample (n,), in order of time; values: (n, 8), NaN where missing;
        quarantine_nats: (n,), the threshold that the cap per sample is a share of. Returns the
        evidence in nats after each sample, (n,), and that of each metric alone, (n, 8).
        """
        evidence = np.zeros(len(rows), np.float32)
        by_metric = np.zeros((len(rows), N_METRICS), np.float32)
        for every, streams in Runs.of(rows).rounds():
            for start in range(0, len(every), _AT_ONCE):
                part = every[start : start + _AT_ONCE]
                evidence[part], by_metric[part] = self._step(
                    streams[start : start + _AT_ONCE], values[part], quarantine_nats[part]
                )
        return evidence, by_metric

    def _step(self, rows: Indices, values: Float32, nats: Float32) -> tuple[Float32, Float32]:
        state = np.ascontiguousarray(self.block[rows, :HOT].transpose(1, 0, 2))
        present = ~np.isnan(values)
        y = transform(values)
        np.copyto(y, 0.0, where=~present)
        raw = np.where(present, values, np.float32(0.0))
        first = present & (state[AT["n"]] == 0) & (state[AT["bn"]] == 0)
        if first.any():  # sums are kept around the first sample, for float32's sake
            for field, start in (("mean", y), ("raw", raw)):
                np.copyto(state[AT[field]], start, where=first)
                self.block[rows, AT[field]] = state[AT[field]]

        z0, z = self._residuals(state, y)
        scored = present & (state[AT["n"]] >= self._l.block_min)
        growth, bets = self._growth(state, y, z, nats)
        ratio = state[AT["r0"] : AT["r3"] + 1]
        known = present | (state[AT["n"]] + state[AT["bn"]] > 0)
        before = self._pool((ratio * self._weight).sum(axis=0), known)
        ceiling = np.exp(nats + np.float32(self._s.ceiling_nats))[:, None]
        np.copyto(ratio, np.minimum((1 + ratio) * growth, ceiling), where=scored)
        by_metric = (ratio * self._weight).sum(axis=0)
        pooled = self._pool(by_metric, known)
        too_much = pooled - before - nats / np.float32(self._s.burst_steps)
        if (too_much > 0).any():
            less = np.exp(-np.maximum(too_much, 0))[:, None]
            ratio *= less
            by_metric *= less
            pooled = self._pool(by_metric, known)
        gated = (ratio * self._gate_weight).sum(axis=0)

        count = present.astype(np.float32)
        seen = scored.astype(np.float32)
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
        state[AT["brs"]] += raw_dev
        state[AT["brss"]] += raw_dev * raw_dev
        state[AT["bg0"] : AT["bg3"] + 1] += bets * seen
        self.block[rows, :WRITTEN] = state[:WRITTEN].transpose(1, 0, 2)

        n, waiting = state[AT["n"]], state[AT["bn"]]
        full = self._is_due(n, waiting, gated) & present & ~self.frozen[rows][:, None]
        if full.any():
            at, lanes = np.nonzero(full)
            self._merging.learn(self.block, rows[at], lanes)

        return pooled, np.log1p(by_metric)

    def _is_due(self, n: Float32, waiting: Float32, gated: Float32) -> Bool:
        """Whether a block may be learned: full, and neither odd of late nor clearly changed."""
        p = self._l
        need = np.clip(n * p.block_share, p.block_min, p.block_max)
        odd = gated > p.gate_odd
        due = (waiting >= need) & (~odd | (waiting >= need + p.patience)) & (gated <= p.gate)
        whole: Bool = due | (waiting >= p.relearn * self._merging.memory)
        return whole

    def _residuals(self, state: Float32, y: Float32) -> tuple[Float32, Float32]:
        """Return the residuals as normal scores, and the same after whitening."""
        s = self._s
        centre = state[AT["centre"]]
        t = less_slack(y - centre, centre, s.interval_slack) * state[AT["inverse"]]
        nu = np.maximum(state[AT["nu"]], 3)
        z0 = np.sqrt(nu * np.log1p(t * t / nu)) * ((8 * nu + 1) / (8 * nu + 3))
        z0 = np.copysign(np.minimum(z0, s.ar_clip), t)
        z0[:, RARE] = t[:, RARE]
        phi = state[AT["phi"]]
        z = (z0 - phi * state[AT["last"]]) / np.sqrt(1 - phi * phi)
        return z0, np.clip(z, -s.z_clip, s.z_clip)

    def _growth(
        self, state: Float32, y: Float32, z: Float32, nats: Float32
    ) -> tuple[Float32, Float32]:
        """Return the factors of R and the plain bets, both (4, n, 8)."""
        alone = nats + np.float32(np.log(N_METRICS))  # what one metric needs to carry the mean
        cap = np.exp(alone / np.float32(self._s.burst_steps))[:, None]
        bets = np.exp(self._delta * z)
        past = (state[AT["ng"]] + 1) / (state[AT["g0"] : AT["g3"] + 1] + bets)
        growth = bets * past * np.exp(-np.abs(self._delta) * state[AT["slack"]])
        growth = np.minimum(growth, cap)

        # Bernoulli: centre is the rate, 1/inverse its deviation, slack the rate that is bet against
        memory = state[AT["phi"], :, RARE] * state[AT["last"], :, RARE]
        rate = state[AT["slack"], :, RARE] + memory / np.maximum(state[AT["inverse"], :, RARE], 1)
        rate = np.clip(rate, self._s.rare_floor, 0.95)
        hit = np.minimum(self._tilt / (1 + rate * (self._tilt - 1)), cap)
        miss = (1 - rate * hit) / (1 - rate)
        growth[:, :, RARE] = np.where(y[:, RARE] > 0, hit, miss)
        return growth, bets
