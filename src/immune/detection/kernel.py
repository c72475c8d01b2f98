"""The statistic: a self-normalised Shiryaev-Roberts e-detector over eight metrics at once.

Per metric: y = log(1+x) (cost in micro-USD, the interval's sign turned; counts 2√(x+3/8)); the
residual against the baseline as a t variable, turned into a normal z, bent where the law leans to
the left as a gamma law does, whitened by an AR(1) estimate; latency less what the step's tokens
explain of it. Bets e^{δz}, each cut off at what a step may win, divided by its own past mean and
by e^{|δ|κ}; R <- (1+R)·L. Retries and errors bet on "this step had one" with the likelihood ratio
of raised odds against the upper bound of the learned rate. Two pairs, latency with retries and
with errors, bet on the product of both. The evidence is log(1 + mean of R) over the bets and the
metrics and pairs ever seen.

A sample is scored before it is learned; samples wait in a block and are learned together, unless
the evidence is high or the stream is frozen. Sources: Shiryaev 1963 and Roberts 1966 for R; Shin,
Ramdas & Rinaldo, "E-detectors", 2023, for bets in place of likelihoods; Hawkins 1987 for the
self-starting residual; Wallace 1959 for t to z; Prentice 1974 for the log-gamma law's likelihood.
The loop is compiled where it could be (`compiled`), else done on arrays (`stepping`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from immune.columns import Bool, Float32, Int64
from immune.detection import stepping
from immune.detection.grouping import Indices, grown
from immune.detection.merging import Laws, Merging
from immune.detection.params import LearningParams, StatisticParams
from immune.detection.peers import shared_width
from immune.detection.state import (
    AT,
    FOLLOWER,
    IS_RARE,
    PAIR_R,
    PEAK,
    RARE,
    SCALE,
    WIDER,
    F,
)
from immune.detection.stepping import Peaks, Pool, lanes_of
from immune.vitals import N_METRICS, Metric


class Steps(Protocol):
    """What moves the state: the compiled loop or the arrays' way, alike but for the time."""

    def step(
        self,
        block: Float32,
        frozen: Bool,
        rows: Indices,
        values: Float32,
        nats: Float32,
        evidence: Float32,
    ) -> None:
        """Score and learn samples in their order; writes the evidence after each.

        block: (capacity, F, 8), frozen: (capacity,), both by stream; the others as for
        `Kernel.step`, contiguous.
        """


_AT_ONCE = 1024
"""Streams whose prior is joined at once: what is computed on the way stays near the processor."""
_Way = Callable[[StatisticParams, LearningParams], Steps]
_arrays: _Way = stepping.Stepper
try:
    from immune.detection import compiled
except ModuleNotFoundError:
    _fastest = _arrays
else:
    _fastest = compiled.Stepper
COMPILED = _fastest is not _arrays
"""Whether the compiled loop is there; without it a tick takes eight times as long."""


class Kernel:
    """The state of all streams, and the step that moves it.

    `block` is float32 (capacity, F, 8); a row of it is all that is known of a stream.
    `use_compiled=False` takes the arrays' way even where the compiled loop is there.
    """

    def __init__(
        self,
        statistic: StatisticParams,
        learning: LearningParams,
        *,
        use_compiled: bool = COMPILED,
    ) -> None:
        laws = Laws(statistic, learning)
        self._statistic = statistic
        self._blank = np.zeros((F, N_METRICS), np.float32)
        self._blank[AT["prior_mean"], IS_RARE] = 0.1
        self._blank[AT["prior_n"], IS_RARE] = 5.0  # Jeffreys' half a hit, and a little more
        self._blank[AT["inverse"]] = 1.0
        self._blank[AT["ng"]] = statistic.bets_prior
        self._blank[AT["g0"] : AT["g4"] + 1] = statistic.bets_prior * laws.means[:, None]
        self._blank[AT["pair_past"], SCALE] = 1.0
        phi = np.where(IS_RARE, statistic.ar_prior_rare, statistic.ar_prior)
        self._blank[AT["prior_phi"]] = phi
        self.block: Float32 = np.zeros((0, F, N_METRICS), np.float32)
        self.frozen: Bool = np.zeros(0, np.bool_)
        self._streams = 0
        self._merging = Merging(statistic, learning)
        way = _fastest if use_compiled else _arrays
        self._stepper: Steps = way(statistic, learning)
        self._pool = Pool(statistic)
        self._peaks = Peaks(statistic)
        self._weight = lanes_of(statistic.weights, statistic.rare_weights)

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` streams; new ones know nothing."""
        if capacity > self._streams:
            self.block = grown(self.block, capacity, 0)
            self.frozen = grown(self.frozen, capacity, 0)
            self.block[self._streams : capacity] = self._blank
            self._streams = capacity

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
        self.block[rows, AT["r0"] : AT["r4"] + 1] = 0
        self.block[rows, AT["pair"], PAIR_R] = 0
        self.block[rows, AT["pair"], FOLLOWER] = 0
        self.block[rows, AT["pair"], PEAK] = 0

    def discard(self, rows: Indices) -> None:
        """Forget the samples that wait to be learned."""
        self.block[rows, AT["bn"] : AT["bg4"] + 1] = 0
        self.block[rows, AT["pair_block"]] = 0

    def learn_all(self, rows: Indices) -> None:
        """Learn the samples that wait, whatever the evidence, and that its peak was healthy."""
        pairs = self.block[rows, AT["pair"]]
        self._peaks.count(pairs, np.ones(len(rows), np.bool_))
        self.block[rows, AT["pair"]] = pairs
        at, lanes = np.nonzero(self.block[rows, AT["bn"]] > 0)
        self._merging.learn(self.block, rows[at], lanes)

    def set_prior(self, rows: Indices, prior: Float32) -> None:
        """Give these streams a prior: (n, 5, 8), in the order of the last five fields."""
        for first in range(0, len(rows), _AT_ONCE):
            some = rows[first : first + _AT_ONCE]
            self.block[some, AT["prior_mean"] :] = prior[first : first + _AT_ONCE]
            every = np.tile(np.arange(N_METRICS), len(some))
            self._merging.derive(self.block, np.repeat(some, N_METRICS), every)

    def share_width(self, rows: Indices, groups: Int64, peers_min: int) -> None:
        """Let streams of a group, (n,), know from each other how high evidence goes in peace."""
        pairs = self.block[rows, AT["pair"]]
        worth = self._statistic.peaks_prior
        self.block[rows, AT["pair"], WIDER] = shared_width(groups, pairs, peers_min, worth)

    def evidence(self, rows: Indices) -> tuple[Float32, Float32]:
        """Return the evidence now in nats, (n,), and that of each metric alone, (n, 8)."""
        ratio = self.block[rows, AT["r0"] : AT["r4"] + 1]
        by_metric = (ratio * self._weight).sum(axis=1)
        pairs = self.block[rows, AT["pair"], PAIR_R]
        known = self.block[rows, AT["n"]] + self.block[rows, AT["bn"]] > 0
        return self._told(rows, self._pool(by_metric, pairs, known)), np.log1p(by_metric)

    def evidence_of(self, row: int, lanes: Bool) -> float:
        """Return the evidence in nats that these metrics of one stream make, (8,), by themselves.

        The others count as metrics without any; a pair counts where either of its metrics does.
        """
        rows = np.array([row])
        state = self.block[row]
        ratio = (state[AT["r0"] : AT["r4"] + 1] * self._weight).sum(axis=0) * lanes
        pairs = state[AT["pair"], PAIR_R] * (lanes[RARE] | lanes[Metric.LATENCY_MS])
        known = self.block[rows, AT["n"]] + self.block[rows, AT["bn"]] > 0
        return float(self._told(rows, self._pool(ratio[None], pairs[None], known))[0])

    def _told(self, rows: Indices, pooled: Float32) -> Float32:
        return self._peaks.told(pooled, self._peaks.width(self.block[rows, AT["pair"]]))

    def intervals(self, rows: Indices) -> Float32:
        """Return each stream's usual seconds between steps, (n,); NaN where none was learned."""
        learned = self.block[:, AT["n"], Metric.INTERVAL_S][rows] > 0
        usual = np.expm1(-self.block[:, AT["centre"], Metric.INTERVAL_S][rows])
        interval: Float32 = np.where(learned, usual, np.float32(np.nan))
        return interval

    def step(self, rows: Indices, values: Float32, quarantine_nats: Float32) -> Float32:
        """Score a batch, then learn it.

        rows: stream of each sample (n,), each stream's in order of time; values: (n, 8), NaN where
        missing; quarantine_nats: (n,), the threshold that the cap per sample is a share of.
        Returns the evidence in nats after each sample, (n,).
        """
        evidence = np.zeros(len(rows), np.float32)
        self._stepper.step(
            self.block,
            self.frozen,
            np.ascontiguousarray(rows, np.intp),
            np.ascontiguousarray(values, np.float32),
            np.ascontiguousarray(quarantine_nats, np.float32),
            evidence,
        )
        return evidence
