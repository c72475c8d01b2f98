"""Since when, and by how much: the scan of the last samples once evidence has crossed a tier.

Joint generalised likelihood ratio: for every possible onset τ each metric contributes
n·max(z̄,0)²/2 over the n samples since (for retries and errors n·KL of the rate since against the
learned rate), less a toll that keeps chance out; the onset is the τ with the greatest sum. A metric
is affected when its own contribution there, its baseline's error allowed for, is clearly above
chance and its change large enough to matter. Source: Siegmund & Venkatraman 1995.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from immune.columns import Bool, Float32, Float64
from immune.detection.findings import MetricEffect
from immune.detection.params import EpisodeParams
from immune.detection.state import IS_RARE, RARE, less_slack, transform
from immune.vitals import METRICS, N_METRICS, Family, Metric

_TOLL = 2.0
_CLIP = 5.0


@dataclass(frozen=True, slots=True)
class Normal:
    """A baseline as the scan needs it; each float64 (8,)."""

    centre: Float64
    """Mean of y; the rate for retries and errors."""
    spread: Float64
    """Standard deviation of y."""
    samples: Float64
    """Observations behind the mean, the prior's included; 0 for a metric never learned."""
    phi: Float64
    raw_mean: Float64
    """Mean of the metric itself."""
    interval_slack: float
    """Times as many steps that are nobody's harm."""


@dataclass(frozen=True, slots=True)
class Onset:
    """Where the change began, as place in the samples and as time."""

    index: int
    at: float


def residuals(values: Float32, normal: Normal) -> Float64:
    """Return (n, 8) standardised residuals, worse is up; NaN where missing or never learned."""
    y = transform(values).astype(np.float64)
    z: Float64 = less_slack(y - normal.centre, normal.centre, normal.interval_slack) / normal.spread
    z[:, normal.samples < 1] = np.nan
    return z


def _contributions(z: Float64, y: Float64, normal: Normal) -> Float64:
    """Return (n, 8): each metric's nats if the change began at that sample."""
    present = ~np.isnan(z)
    n = np.cumsum(present[::-1], axis=0)[::-1].astype(np.float64)
    sums = np.cumsum(np.where(present, np.clip(z, -_CLIP, _CLIP), 0)[::-1], axis=0)[::-1]
    some = np.maximum(n, 1)
    # φ stretches the error of both means, the baseline's own adds to it
    error = (1 / some + 1 / np.maximum(normal.samples, 1)) * (1 + normal.phi) / (1 - normal.phi)
    nats = np.maximum(sums / some, 0) ** 2 / (2 * error)
    hits = np.cumsum(np.where(present, y, 0)[::-1], axis=0)[::-1]
    nats[:, RARE] = _binomial(hits[:, RARE] / some[:, RARE], n[:, RARE], normal.centre[RARE])
    out: Float64 = np.where(n > 0, nats, 0)
    return out


def _binomial(rate: Float64, n: Float64, normal: Float64) -> Float64:
    p = np.clip(normal, 1e-3, 0.999)
    q = np.clip(np.maximum(rate, p), 1e-3, 0.999)
    nats: Float64 = n * (q * np.log(q / p) + (1 - q) * np.log((1 - q) / (1 - p)))
    return nats


def find_onset(at: Float64, values: Float32, normal: Normal) -> Onset:
    """Return the likeliest onset among the samples; at least one sample is needed."""
    z = residuals(values, normal)
    nats = _contributions(z, transform(values).astype(np.float64), normal)
    total = np.maximum(nats - _TOLL, 0).sum(axis=1)
    index = int(np.argmax(total)) if total.any() else len(at) - 1
    return Onset(index, float(at[index]))


def effects_since(
    values: Float32, normal: Normal, params: EpisodeParams
) -> tuple[MetricEffect, ...]:
    """Say what happened to each metric over these samples, all since the onset.

    Positive metrics by the ratio of geometric means, drawn towards 1 by as much as few samples are
    unsure of it; counts by the ratio of means, the interval turned round; retries and errors by
    the rise of their rate. Metrics never learned are left out.
    """
    if not len(values):
        return ()
    z = residuals(values, normal)
    y = transform(values).astype(np.float64)
    nats = _contributions(z, y, normal)[0]
    seen = ~np.isnan(z)
    count = np.maximum(seen.sum(axis=0), 1)
    mean_y = np.where(seen, y, 0).sum(axis=0) / count
    error = normal.spread**2 * (1 + normal.phi) / (1 - normal.phi) / count
    certain = _SIZES**2 / (_SIZES**2 + error)
    mean_y = np.where(IS_RARE, mean_y, normal.centre + certain * (mean_y - normal.centre))
    mean_x = np.where(seen, values, 0).sum(axis=0, dtype=np.float64) / count
    effects = []
    for spec in METRICS:
        j = spec.metric
        if not seen[:, j].any():
            continue
        increase = 0.0
        if IS_RARE[j]:
            usual, now = float(normal.centre[j]), float(mean_y[j])
            increase = now - usual
            ratio = now / max(usual, 1e-3)
            enough = increase >= params.affected_increase
        else:
            usual, now = (
                _typical(spec.family, j, normal.centre[j], normal.raw_mean[j]),
                _typical(spec.family, j, mean_y[j], mean_x[j]),
            )
            least = float(_LEAST[j])
            ratio = max(now, least) / max(usual, least)
            ratio = ratio if spec.sick_when_up else 1 / ratio
            enough = ratio >= params.affected_ratio
        affected = bool(enough and nats[j] >= params.affected_nats)
        effects.append(
            MetricEffect(
                metric=j.label,
                ratio=ratio,
                normal=usual,
                now=now,
                increase=increase,
                evidence=float(nats[j]) if affected else 0.0,
                affected=affected,
            )
        )
    return tuple(effects)


_SIZES = 1.2
"""Standard deviation of the log of how many times worse a sick metric becomes: ×3.3."""

_LEAST = np.array([1.0, 1.0, 1.0, 1e-6, 0.1, 0, 0, 1e-3])
"""Below it a metric's value is as good as zero, and ratios to it say nothing."""


def _typical(family: Family, j: Metric, mean_y: float, mean_x: float) -> float:
    if family is Family.COUNT:
        return float(mean_x)
    return natural(j, mean_y)


def natural(j: Metric, y: float) -> float:
    """Turn y of a positive metric back into its own unit."""
    if j is Metric.INTERVAL_S:
        return float(np.expm1(-y))
    x = float(np.expm1(y))
    return x / 1e6 if j is Metric.COST_USD else x


def affected_lanes(effects: tuple[MetricEffect, ...]) -> Bool:
    """Return bool (8,): which metrics are affected."""
    lanes = np.zeros(N_METRICS, np.bool_)
    for effect in effects:
        lanes[Metric[effect.metric.upper()]] = effect.affected
    return lanes
