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
from immune.detection.state import IS_COUNT, IS_RARE, RARE, SIGN, UNIT, less_slack, transform
from immune.vitals import METRICS, N_METRICS, Metric

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


@dataclass(frozen=True, slots=True)
class Scored:
    """Samples beside their baseline: `at` (n,), the others (n, 8)."""

    at: Float64
    values: Float32
    y: Float64
    z: Float64
    """Standardised residuals, worse is up; NaN where missing or never learned."""
    normal: Normal

    @classmethod
    def of(cls, at: Float64, values: Float32, normal: Normal) -> Scored:
        """Score these samples."""
        y = transform(values).astype(np.float64)
        z = less_slack(y - normal.centre, normal.centre, normal.interval_slack) / normal.spread
        z[:, normal.samples < 1] = np.nan
        return cls(at, values, y, z, normal)

    def where(self, which: Bool) -> Scored:
        """Return those of the samples, (n,)."""
        if which.all():
            return self
        return Scored(self.at[which], self.values[which], self.y[which], self.z[which], self.normal)


def _by_onset(scored: Scored) -> Float64:
    """Return (n, 8): each metric's nats if the change began at that sample."""
    present = ~np.isnan(scored.z)
    n = np.cumsum(present[::-1], axis=0)[::-1].astype(np.float64)
    sums = np.cumsum(_clipped(scored.z, present)[::-1], axis=0)[::-1]
    hits = np.cumsum(np.where(present, scored.y, 0)[::-1, RARE], axis=0)[::-1]
    return _contributions(n, sums, hits, scored.normal)


def _of_all(scored: Scored) -> Float64:
    """Return (8,): the same if it began at the first."""
    present = ~np.isnan(scored.z)
    hits = np.where(present, scored.y, 0)[:, RARE].sum(axis=0)
    n = present.sum(axis=0, dtype=np.float64)
    return _contributions(n, _clipped(scored.z, present).sum(axis=0), hits, scored.normal)


def _clipped(z: Float64, present: Bool) -> Float64:
    clipped: Float64 = np.minimum(np.maximum(np.where(present, z, 0), -_CLIP), _CLIP)
    return clipped


def _contributions(n: Float64, sums: Float64, hits: Float64, normal: Normal) -> Float64:
    """Return the nats, (..., 8), of n samples with these sums of residuals; hits: (..., 2)."""
    some = np.maximum(n, 1)
    # φ stretches the error of both means, the baseline's own adds to it
    error = (1 / some + 1 / np.maximum(normal.samples, 1)) * (1 + normal.phi) / (1 - normal.phi)
    nats = np.maximum(sums / some, 0) ** 2 / (2 * error)
    nats[..., RARE] = _binomial(hits / some[..., RARE], n[..., RARE], normal.centre[RARE])
    out: Float64 = np.where(n > 0, nats, 0)
    return out


def _binomial(rate: Float64, n: Float64, normal: Float64) -> Float64:
    p = np.minimum(np.maximum(normal, 1e-3), 0.999)
    q = np.minimum(np.maximum(rate, p), 0.999)
    nats: Float64 = n * (q * np.log(q / p) + (1 - q) * np.log((1 - q) / (1 - p)))
    return nats


def find_onset(scored: Scored) -> Onset:
    """Return the likeliest onset among the samples; at least one sample is needed."""
    total = np.maximum(_by_onset(scored) - _TOLL, 0).sum(axis=1)
    index = int(np.argmax(total)) if total.any() else len(scored.at) - 1
    return Onset(index, float(scored.at[index]))


def effects_of(scored: Scored, params: EpisodeParams) -> tuple[MetricEffect, ...]:
    """Say what happened to each metric over these samples, all since the onset.

    Positive metrics by the ratio of geometric means, drawn towards 1 by as much as few samples are
    unsure of it; counts by the ratio of means, the interval turned round; retries and errors by
    the rise of their rate. Metrics never learned are left out.
    """
    values, normal = scored.values, scored.normal
    if not len(values):
        return ()
    nats, seen = _of_all(scored), ~np.isnan(scored.z)
    count = np.maximum(seen.sum(axis=0), 1)
    mean_y = np.where(seen, scored.y, 0).sum(axis=0) / count
    error = normal.spread**2 * (1 + normal.phi) / (1 - normal.phi) / count
    certain = _SIZES**2 / (_SIZES**2 + error)
    mean_y = np.where(IS_RARE, mean_y, normal.centre + certain * (mean_y - normal.centre))
    mean_x = np.where(seen, values, 0).sum(axis=0, dtype=np.float64) / count
    known: Bool = np.any(seen, axis=0)
    evidence: list[float] = nats.tolist()
    usual: list[float] = _typical(normal.centre, normal.raw_mean).tolist()
    now: list[float] = _typical(mean_y, mean_x).tolist()
    return tuple(_effect(j, evidence[j], usual[j], now[j], params) for j in Metric if known[j])


def _effect(
    metric: Metric, evidence: float, usual: float, now: float, params: EpisodeParams
) -> MetricEffect:
    increase = 0.0
    if metric in (Metric.RETRIES, Metric.ERRORS):
        increase = now - usual
        ratio = now / max(usual, 1e-3)
        enough = increase >= params.affected_increase
    else:
        ratio = max(now, _LEAST[metric]) / max(usual, _LEAST[metric])
        ratio = ratio if METRICS[metric].sick_when_up else 1 / ratio
        enough = ratio >= params.affected_ratio
    affected = enough and evidence >= params.affected_nats
    return MetricEffect(
        metric=_LABELS[metric],
        ratio=ratio,
        normal=usual,
        now=now,
        increase=increase,
        evidence=evidence if affected else 0.0,
        affected=affected,
    )


_SIZES = 1.2
"""Standard deviation of the log of how many times worse a sick metric becomes: ×3.3."""

_LEAST = (1.0, 1.0, 1.0, 1e-6, 0.1, 0.0, 0.0, 1e-3)
"""Below it a metric's value is as good as zero, and ratios to it say nothing."""

_LABELS = tuple(metric.label for metric in Metric)
_IS_POSITIVE = ~(IS_RARE | IS_COUNT)


def _typical(mean_y: Float64, mean_x: Float64) -> Float64:
    """Return (8,) in the metrics' units: of positive ones the geometric mean, of counts the mean,
    of rare ones the rate."""
    positive = np.expm1(np.where(_IS_POSITIVE, mean_y, 0) * SIGN) / UNIT
    return np.where(_IS_POSITIVE, positive, np.where(IS_RARE, mean_y, mean_x))


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
