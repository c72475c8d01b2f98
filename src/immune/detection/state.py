"""The layout of a stream's state, and what a metric's values are turned into.

The state is float32 (F, 8): F fields for each of the eight metrics, 1.5 KB. Three of the fields
hold no metrics: their eight places belong to the pairs and to the work, as named below. The
compiled loop has the same layout as C structs, and refuses to be imported if it differs.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from immune.columns import Float32, Float64
from immune.vitals import METRICS, Family, Metric

FIELDS = (
    # written by every sample
    "last", "bn", "bs", "bss", "bsc", "bxy", "bxx", "brs", "brss",
    "bg0", "bg1", "bg2", "bg3", "bg4", "r0", "r1", "r2", "r3", "r4", "pair", "pair_block",
    # read by every sample, written when a block is learned
    "centre", "inverse", "nu", "phi", "slack", "bend", "n", "ng", "g0", "g1", "g2", "g3", "g4",
    "mean", "raw", "pair_past",
    # touched only when a block is learned
    "var", "skew", "raw_var", "sxy", "sxx",
    "prior_mean", "prior_n", "prior_var", "prior_nu", "prior_phi",
)  # fmt: skip
"""What the state holds per metric: the block in waiting (b...), R, the baseline as used (centre,
1/scale, degrees of freedom, φ, slack, bend), as learned (n, mean, var, skew: the third central
moment; raw is of x itself), the bets' own past (g...) and the prior."""
AT = {name: i for i, name in enumerate(FIELDS)}
F = len(FIELDS)
WRITTEN = AT["pair_block"] + 1
"""Fields that every sample writes."""
HOT = AT["pair_past"] + 1
"""Fields that every sample reads."""
N_BETS = 5
"""Bets on each metric: `r`, `g` and `bg` have a field for each."""

# `pair`, `pair_block` and `pair_past` hold nothing of the eight metrics. Their places are:
PAIR_R = slice(0, 2)
"""of `pair`: R of latency joined with retries, and with errors"""
WORK_N = 2
"""of `pair`: samples behind latency's regression on the work"""
FOLLOWER = 3
"""of `pair`: the evidence, followed upwards at the pace that the cap on bursts allows"""
PEAK, PEAKS, EXCESS, WIDER = 4, 5, 6, 7
"""of `pair`: the height of the peak that evidence is on; how many there were; the sum of their
heights above `peak_from`; and how much wider than 1 the peers' evidence is"""
PAIR_N, PAIR_G = slice(0, 2), slice(2, 4)
"""of block and past: samples of the two pairs, and the sums of their bets"""
BLOCK_WORK = slice(4, 7)
"""of the block: samples, Σ latency·work and Σ work²"""
WY, WW, BETA, SCALE = 4, 5, 6, 7
"""of the past: the sums, the regression's coefficient, and 1/σ of what it leaves"""

RARE = slice(Metric.RETRIES, Metric.ERRORS + 1)
IS_RARE = np.array([s.family in (Family.RARE_COUNT, Family.RARE_EVENT) for s in METRICS])
IS_COUNT = np.array([s.family is Family.COUNT for s in METRICS])
UNIT = np.array([1e6 if s.metric is Metric.COST_USD else 1.0 for s in METRICS], np.float32)
SIGN = np.array([1.0 if s.sick_when_up else -1.0 for s in METRICS], np.float32)
_ANSCOMBE = np.float32(0.375)


def transform(values: Float32) -> Float32:
    """Turn (..., 8) values into what is learned: worse is up; NaN stays NaN.

    Positive metrics log(1+x), counts 2√(x + 3/8) (Anscombe 1948: a Poisson law's standard
    deviation becomes 1), retries and errors 0 or 1.
    """
    y: Float32 = np.log1p(values * UNIT) * SIGN
    counts = values[..., IS_COUNT]
    y[..., IS_COUNT] = 2 * np.sqrt(counts + _ANSCOMBE)
    rare = values[..., RARE]
    y[..., RARE] = np.where(np.isnan(rare), np.nan, rare > 0)
    return y


Deviations = TypeVar("Deviations", Float32, Float64)


def less_slack(dev: Deviations, centre: Deviations, times: float) -> Deviations:
    """Take from the interval's deviations (..., 8) what `times` as many steps would make.

    `centre` is the baseline's, -log(1 + usual interval); a slower pace stays as it is. Works in
    place.
    """
    least = centre[..., Metric.INTERVAL_S]
    slack = -least - np.log1p(np.expm1(-least) / times)
    dev[..., Metric.INTERVAL_S] -= np.clip(dev[..., Metric.INTERVAL_S], 0, np.maximum(slack, 0))
    return dev
