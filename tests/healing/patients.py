"""Agents on trial: a baseline learned from chance, an infection's finding, and fresh vitals."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from immune.columns import Float32
from immune.detection.findings import (
    BaselineProfile,
    Finding,
    MetricEffect,
    MetricProfile,
    Source,
    Tier,
)
from immune.healing.actions import Action
from immune.healing.trial import Trial, TrialState, Verdict
from immune.vitals import N_METRICS, Kind, Metric

Floats = npt.NDArray[np.float64]
Law = Callable[[np.random.Generator, int, float], Floats]
"""(generator, n, how sick) -> n values; 1 is well, for rates it is the probability itself."""


def lognormal(spread: float, phi: float = 0.0) -> Law:
    """Latency-like: median 1,000, AR(1) in logs."""

    def law(rng: np.random.Generator, n: int, times: float) -> Floats:
        z = rng.standard_normal(n)
        for i in range(1, n) if phi else ():
            z[i] = phi * z[i - 1] + math.sqrt(1 - phi * phi) * z[i]
        return np.asarray(1000.0 * times * np.exp(spread * z), np.float64)

    return law


def heavy(spread: float) -> Law:
    """Latency-like with Student's t of 4 degrees in logs."""

    def law(rng: np.random.Generator, n: int, times: float) -> Floats:
        z = rng.standard_t(4, n) / math.sqrt(2)
        return np.asarray(1000.0 * times * np.exp(spread * z), np.float64)

    return law


def counts(rng: np.random.Generator, n: int, times: float) -> Floats:
    """Tool calls: 3 a step."""
    return rng.poisson(3.0 * times, n).astype(np.float64)


def events(rng: np.random.Generator, n: int, p: float) -> Floats:
    """Retries: steps with one."""
    return (rng.random(n) < p).astype(np.float64)


def learned(metric: Metric, values: Floats) -> MetricProfile:
    """What the learner would know after `values`."""
    y = np.log1p(values * 1e6 if metric is Metric.COST_USD else values)
    mean = float(values.mean())
    return MetricProfile(
        metric=metric.label,
        samples=float(len(values)),
        centre=float(y.mean()),
        spread=float(y.std(ddof=1)),
        median=float(np.median(values)),
        low=float(np.quantile(values, 0.01)),
        high=float(np.quantile(values, 0.99)),
        rate=float((values > 0).mean()),
        mean=mean,
        dispersion=float(values.var(ddof=1)) / mean if mean else 1.0,
    )


def baseline(*profiles: MetricProfile, ready: bool = True) -> BaselineProfile:
    """A baseline of these metrics."""
    samples = profiles[0].samples if profiles else 0.0
    return BaselineProfile("a", Kind.RUN, samples, ready, ready, profiles)


def effect(metric: Metric, ratio: float, normal: float = 0.0, now: float = 0.0) -> MetricEffect:
    """What detection said of an affected metric."""
    rare = metric in (Metric.RETRIES, Metric.ERRORS)
    increase = now - normal if rare else 0.0
    return MetricEffect(metric.label, ratio, normal, now, increase, 20.0, affected=True)


def found(*effects: MetricEffect, source: Source = Source.EVIDENCE) -> Finding:
    """A finding with these affected metrics."""
    return Finding(
        agent_id="a",
        kind=Kind.RUN,
        tier=Tier.QUARANTINE,
        source=source,
        at=0.0,
        onset_at=-40.0,
        evidence=25.0,
        threshold=20.0,
        severity=5.0,
        effects=effects,
    )


def rows(n: int, **metrics: float | Floats) -> Float32:
    """n steps with these metrics, NaN elsewhere."""
    values = np.full((n, N_METRICS), np.nan, np.float32)
    for label, column in metrics.items():
        values[:, Metric[label.upper()]] = column
    return values


def steps(n: int, first: float = 1.0) -> Floats:
    """Starting times, one a second."""
    return first + np.arange(n, dtype=np.float64)


def tried(
    metric: Metric,
    law: Law,
    *,
    ratio: float,
    now: float,
    well: float = 1.0,
    learned_from: int = 600,
    trials: int,
    seed: int = 1,
) -> list[TrialState]:
    """Try `trials` agents whose infection was `ratio` and who now stand at `now`."""
    rng = np.random.default_rng(seed)
    ends = []
    for _ in range(trials):
        known = baseline(learned(metric, law(rng, learned_from, well)))
        seen = ratio * math.exp(0.15 * rng.standard_normal())
        sign = effect(metric, seen, normal=well, now=ratio)
        trial = Trial.begin(found(sign), known, Action.RESET_MEMORY, 0.0)
        fresh = rows(200, **{metric.label: law(rng, 200, now)})
        ends.append(trial.feed(steps(200), fresh))
    return ends


def share(ends: list[TrialState], verdict: Verdict) -> float:
    """Share of trials that ended so."""
    return float(np.mean([end.verdict is verdict for end in ends]))


def median_steps(ends: list[TrialState]) -> float:
    """Fresh steps until the end."""
    return float(np.median([end.fresh_steps for end in ends]))
