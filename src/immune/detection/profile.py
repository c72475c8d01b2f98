"""A learned normal in numbers that a person and the verification can use.

Bands are the 1st and 99th percentile: of a log-normal law for positive metrics, of a negative
binomial (Poisson where the counts vary no more than their mean) for counts, 0 and 1 for events.
"""

from __future__ import annotations

import math

import numpy as np

from immune.columns import Float32
from immune.detection.findings import MetricProfile
from immune.detection.onset import natural
from immune.detection.state import AT, IS_RARE
from immune.vitals import METRICS, Family, Metric

_Z99 = 2.326


def describe(state: Float32) -> tuple[MetricProfile, ...]:
    """Return the profile of each metric that the stream's state (F, 8) has learned."""
    return tuple(
        _metric(spec.metric, spec.family, state[:, spec.metric].astype(np.float64))
        for spec in METRICS
        if state[AT["n"], spec.metric] > 0
    )


def _metric(metric: Metric, family: Family, s: np.ndarray) -> MetricProfile:
    n, k0 = float(s[AT["n"]]), float(s[AT["prior_n"]])
    if IS_RARE[metric]:
        rate = float((n * s[AT["mean"]] + k0 * s[AT["prior_mean"]]) / (n + k0))
        return MetricProfile(
            metric=metric.label,
            samples=n,
            centre=rate,
            spread=math.sqrt(rate * (1 - rate)),
            median=float(rate > 0.5),
            low=0.0,
            high=float(rate > 0.01),
            rate=rate,
            mean=rate,
            dispersion=1 - rate,
        )
    y = float(s[AT["centre"]])
    spread = 1 / max(float(s[AT["inverse"]]), 1e-6)
    mean = float(s[AT["raw"]])
    dispersion = float(s[AT["raw_var"]]) / mean if mean > 0 else 1.0
    if family is Family.COUNT:
        low, median, high = count_quantiles(mean, dispersion, (0.01, 0.5, 0.99))
        centre, spread = math.log1p(mean), math.sqrt(dispersion * mean) / (1 + mean)
    else:
        low, median, high = sorted(natural(metric, y + q * spread) for q in (-_Z99, 0.0, _Z99))
        centre = -y if metric is Metric.INTERVAL_S else y
    return MetricProfile(
        metric=metric.label,
        samples=n,
        centre=centre,
        spread=spread,
        median=median,
        low=max(low, 0.0),
        high=high,
        mean=mean,
        dispersion=dispersion,
    )


def count_quantiles(mean: float, dispersion: float, shares: tuple[float, ...]) -> tuple[float, ...]:
    """Return quantiles of the negative binomial law with this mean and variance/mean.

    >>> count_quantiles(3.0, 1.0, (0.01, 0.5, 0.99))
    (0.0, 3.0, 8.0)
    """
    if mean <= 0:
        return tuple(0.0 for _ in shares)
    top = int(mean + 10 * math.sqrt(mean * max(dispersion, 1.0)) + 10)
    k = np.arange(top + 1)
    if dispersion <= 1.01:
        steps = np.log(mean / np.maximum(k, 1))
        start = -mean
    else:
        size, q = mean / (dispersion - 1), 1 - 1 / dispersion
        steps = np.log(q * (size + np.maximum(k - 1, 0)) / np.maximum(k, 1))
        start = size * math.log(1 - q)
    steps[0] = start
    total = np.cumsum(np.exp(np.cumsum(steps)))
    return tuple(float(np.searchsorted(total, share * total[-1])) for share in shares)
