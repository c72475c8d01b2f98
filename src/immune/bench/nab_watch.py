"""A machine's metric as the kernel can watch it, and its evidence as NAB's anomaly scores.

A machine metric is no agent's vital: both directions are odd, it has its hours of the day, and a
single spike is an anomaly. So a stream becomes four metrics of one agent: its level, and its
departure from the same time on the days before, each upwards and downwards. The kernel runs with a
configuration of its own: small bets with much slack and a wide clip, which see spikes and forget
shifts, a long memory, and no gate, as nobody here says what became of an anomaly. A score is told
once an episode, and less when the stream has been as odd before. Configuration and mapping were
chosen on the training half of the streams; whatever of it the defaults might change is fixed here.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque

import numpy as np

from immune.bench.nab_score import Stream, probation
from immune.columns import Float32, Float64
from immune.detection.kernel import Kernel
from immune.detection.params import LearningParams, StatisticParams
from immune.vitals import N_METRICS, Metric

STATISTIC = StatisticParams(
    bet=0.15,
    weights=(0.3, 0.3, 0.25, 0.15, 0.0),
    metric_weights=(1.0,) * N_METRICS,
    bets_prior=16.0,
    bet_nats=60.0,
    burst_steps=1.0,
    kappa_min=4.5,
    kappa_young=2.5,
    kappa_first=0.0,
    drift=0.0,
    z_clip=20.0,
    ar_clip=20.0,
    ar_max=0.0,
    ar_prior=0.0,
    bend_max=0.0,
    work_clip=0.0,
    work_share_max=0.0,
    spread_floor=0.05,
    width_max=1.0,
    ceiling_nats=8.0,
)
LEARNING = LearningParams(memory=8000.0, gate=1e30, gate_odd=1e30)
NATS = 78.0
"""Threshold that the cap of a step is a share of: as high as float32 can tell."""
NEW_HIGH = 300
"""Samples that the evidence must pass to be told again: one episode, one alarm."""

_WIDEST = 30.0
"""Deviations of the probationary beginning beyond which a value is as odd as it can be."""
_OFFSET = _WIDEST + 5.0
_LANES = (Metric.INPUT_TOKENS, Metric.OUTPUT_TOKENS, Metric.COST_USD, Metric.LATENCY_MS)
_DAY_S = 86_400.0
_DAYS_WEIGHT = 0.3
_LEVEL_WEIGHT = 0.05


def anomaly_scores(stream: Stream) -> Float64:
    """Return each sample's score, (n,), none of which knows a later sample than the probation's.

    The score is the evidence where it is the highest of the last `NEW_HIGH` samples, less as much
    as the stream is used to that; else 0.
    """
    kernel = Kernel(STATISTIC, LEARNING)
    kernel.grow(1)
    n = len(stream.values)
    evidence = kernel.step(np.zeros(n, np.intp), _vitals(stream), np.full(n, NATS, np.float32))
    return unusual(new_highs(evidence.astype(np.float64), NEW_HIGH))


def new_highs(values: Float64, within: int) -> Float64:
    """Return the values that are higher than all of the last `within`, 0 in place of the others.

    >>> new_highs(np.array([1.0, 3.0, 2.0, 2.5, 4.0, 1.0]), 2).tolist()
    [1.0, 3.0, 0.0, 0.0, 4.0, 0.0]
    """
    highs = np.zeros(len(values))
    falling: deque[tuple[int, float]] = deque()  # candidates for the highest, in order of time
    for place, value in enumerate(values.tolist()):
        while falling and falling[0][0] < place - within:
            falling.popleft()
        if not falling or value > falling[0][1]:
            highs[place] = value
        while falling and falling[-1][1] <= value:
            falling.pop()
        falling.append((place, value))
    return highs


def unusual(highs: Float64) -> Float64:
    """Divide each high by √(1 + how many earlier ones were at least as high): what happens often
    is normal here.

    >>> unusual(np.array([0.0, 4.0, 0.0, 4.0, 6.0, 3.0])).tolist()
    [0.0, 4.0, 0.0, 2.82842712474619, 6.0, 1.5]
    """
    scores = np.zeros(len(highs))
    known: list[float] = []
    for place in np.flatnonzero(highs > 0).tolist():
        high = float(highs[place])
        rank = bisect_left(known, high)
        scores[place] = high / math.sqrt(1 + len(known) - rank)
        known.insert(rank, high)
    return scores


def _vitals(stream: Stream) -> Float32:
    """Return (n, 8): in four metrics what the kernel takes the logarithm of."""
    first = probation(len(stream.values))
    level, days = stream.values, departures(stream)
    spread = float(level[:first].std()) or max(0.01 * abs(float(level[:first].mean())), 1e-6)
    usual = 1.4826 * float(np.median(np.abs(days[:first]))) or float(days[:first].std())
    usual = max(usual or 1e-3 * spread, 1e-6 * spread)
    values = np.full((len(level), N_METRICS), np.nan, np.float32)
    sides = [
        sign * np.clip(z, -_WIDEST, _WIDEST)
        for z in ((level - level[:first].mean()) / spread, days / usual)
        for sign in (1.0, -1.0)
    ]
    for lane, side in zip(_LANES, sides, strict=True):
        values[:, lane] = np.expm1(_OFFSET + side)
    values[:, Metric.COST_USD] /= 1e6  # its logarithm is of micro-USD
    return values


def departures(stream: Stream) -> Float64:
    """Return by how much each sample departs from the same time on the days before, (n,).

    On the first day, from the level so far.
    """
    step_s = float(np.median(np.diff(stream.at)))
    slots = max(round(_DAY_S / step_s), 1)
    slot = np.round((stream.at - stream.at[0]) / step_s).astype(int) % slots
    profile: list[float | None] = [None] * slots
    level = float(stream.values[0])
    apart = np.zeros(len(slot))
    for place, (k, value) in enumerate(zip(slot.tolist(), stream.values.tolist(), strict=True)):
        usual = profile[k]
        apart[place] = value - (level if usual is None else usual)
        profile[k] = value if usual is None else usual + _DAYS_WEIGHT * (value - usual)
        level += _LEVEL_WEIGHT * (value - level)
    return apart
