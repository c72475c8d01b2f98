"""The layout of a stream's state, and what a metric's values are turned into.

The state is float32 (F, 8): F fields for each of the eight metrics, about 1.3 KB.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from immune.columns import Float32, Float64
from immune.vitals import METRICS, Family, Metric

FIELDS = (
    # written by every sample
    "last", "bn", "bs", "bss", "bxy", "bxx", "brs", "brss",
    "bg0", "bg1", "bg2", "bg3", "r0", "r1", "r2", "r3",
    # read by every sample, written when a block is learned
    "centre", "inverse", "nu", "phi", "slack", "n", "ng", "g0", "g1", "g2", "g3", "mean", "raw",
    # touched only when a block is learned
    "var", "raw_var", "sxy", "sxx", "prior_mean", "prior_n", "prior_var", "prior_nu", "prior_phi",
)  # fmt: skip
"""What the state holds per metric: the block in waiting (b...), R, the baseline as used (centre,
1/scale, degrees of freedom, φ, slack), as learned (n, mean, var; raw is of x itself), the bets'
own past (g...) and the prior."""
AT = {name: i for i, name in enumerate(FIELDS)}
F = len(FIELDS)
WRITTEN = AT["r3"] + 1
"""Fields that every sample writes."""
HOT = AT["raw"] + 1
"""Fields that every sample reads."""

RARE = slice(Metric.RETRIES, Metric.ERRORS + 1)
IS_RARE = np.array([s.family in (Family.RARE_COUNT, Family.RARE_EVENT) for s in METRICS])
_UNIT = np.array([1e6 if s.metric is Metric.COST_USD else 1.0 for s in METRICS], np.float32)
SIGN = np.array([1.0 if s.sick_when_up else -1.0 for s in METRICS], np.float32)


def transform(values: Float32) -> Float32:
    """Turn (..., 8) values into what is learned: worse is up; NaN stays NaN."""
    y: Float32 = np.log1p(values * _UNIT) * SIGN
    rare = values[..., RARE]
    y[..., RARE] = np.where(np.isnan(rare), np.nan, rare > 0)
    return y


Deviations = TypeVar("Deviations", Float32, Float64)


def less_slack(dev: Deviations, centre: Deviations, times: float) -> Deviations:
    """Take from the interval's deviations (..., 8) what `times` as many steps would make.

    `centre` is the baseline's; a slower pace stays as it is. Works in place.
    """
    usual = np.expm1(-centre[..., Metric.INTERVAL_S])
    slack = np.log1p(usual) - np.log1p(usual / times)
    dev[..., Metric.INTERVAL_S] -= np.clip(dev[..., Metric.INTERVAL_S], 0, np.maximum(slack, 0))
    return dev
