"""How long a change goes unnoticed, against an oracle that knows everything.

Agents learn their normal for an hour, then one metric changes to `times` its law. The delay is the
number of changed samples until the evidence crosses the quarantine tier; the oracle watches the
same samples at the same threshold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import numpy as np

from immune.bench.alarms import READY
from immune.bench.confidence import median_interval, share_interval
from immune.bench.figures import Figure, at_least, at_most
from immune.bench.oracle import Oracle
from immune.bench.watch import FLEET, SLICE, Watch, nats
from immune.bench.workloads.laws import (
    AutoRegressive,
    Gamma,
    Known,
    LogNormal,
    Poisson,
    Rare,
)
from immune.columns import Float32, Float64, Rows
from immune.vitals import N_METRICS, Metric

BASELINE = 3600
HALF_AN_HOUR = 1800


class Change(NamedTuple):
    """A law, and what may become of it."""

    name: str
    metric: Metric
    law: Known
    times: tuple[float, ...]
    horizon: int = HALF_AN_HOUR
    """Samples within which it must be found."""


class Promise(NamedTuple):
    """Median delay: at most `factor` times the oracle's and `more` samples."""

    factor: float
    more: float


SHIFTS = (1.5, 2.0, 5.0)
PROMISES = {1.5: Promise(1.6, 3), 2.0: Promise(1.4, 3), 5.0: Promise(1.5, 7)}
RARE = Promise(1.4, 3)

CHANGES = (
    Change("latency_lognormal", Metric.LATENCY_MS, LogNormal(0.6), SHIFTS),
    Change("tokens_lognormal", Metric.OUTPUT_TOKENS, LogNormal(0.8, 665.0), SHIFTS),
    Change("calls_poisson", Metric.TOOL_CALLS, Poisson(3.0), SHIFTS),
    Change("latency_gamma", Metric.LATENCY_MS, Gamma(2.0), SHIFTS),
    Change("latency_autocorrelated", Metric.LATENCY_MS, AutoRegressive(0.5, 0.6), SHIFTS),
    Change("errors_1_percent", Metric.ERRORS, Rare(0.01), (10.0,), 2 * HALF_AN_HOUR),
    Change("retries_5_percent", Metric.RETRIES, Rare(0.05, more=0.5), (5.0,), 2 * HALF_AN_HOUR),
)


class Delays(NamedTuple):
    """Samples until found, one for each agent; inf where it was not within the horizon."""

    ours: Float64
    oracle: Float64


class Watched(Protocol):
    """Agents whose evidence can be had: a `Watch`, or a nursery."""

    def step(self, values: Float32, agents: Rows | None = None) -> Float32: ...

    def calm(self, agents: Rows) -> None: ...


def delays(
    change: Change,
    times: Float64,
    rng: np.random.Generator,
    baseline: int,
    watch: Watched | None = None,
) -> Delays:
    """Let each agent learn `baseline` samples and then change by its own of `times` (agents,)."""
    agents = len(times)
    sampler, threshold = change.law.sampler(agents, rng), nats()[1]
    watch = watch or Watch(agents)
    oracle = Oracle(change.law, times, threshold)
    unready = READY - 1
    for steps in _slices(baseline):
        x = sampler(steps, 1.0)
        evidence = watch.step(_values(x, change.metric))[unready:]
        unready = max(unready - steps, 0)
        watch.calm(np.flatnonzero(evidence.max(axis=0, initial=0) >= threshold))
        for sample in x.astype(np.float64):
            oracle.step(sample)
    ours, theirs = np.full(agents, np.inf), np.full(agents, np.inf)
    passed = 0
    for steps in _slices(change.horizon):
        left = np.flatnonzero(np.isinf(ours))
        if not len(left) and np.isfinite(theirs).all():
            break
        x = sampler(steps, times)
        for step, sample in enumerate(x.astype(np.float64), start=1):
            crossed = oracle.step(sample)
            theirs[crossed] = np.minimum(theirs[crossed], passed + step)
        if len(left):
            crosses = watch.step(_values(x[:, left], change.metric), left) >= threshold
            crosses[:unready] = False
            unready = max(unready - steps, 0)
            first = passed + 1 + crosses.argmax(axis=0)
            ours[left] = np.where(crosses.any(axis=0), first, np.inf)
        passed += steps
    return Delays(ours, theirs)


def _slices(steps: int) -> Iterator[int]:
    for first in range(0, steps, SLICE):
        yield min(SLICE, steps - first)


def _values(x: Float32, metric: Metric) -> Float32:
    values = np.full((*x.shape, N_METRICS), np.nan, np.float32)
    values[..., metric] = x
    return values


def delay_figures(change: Change, fleets: int, rng: np.random.Generator) -> Iterable[Figure]:
    """Measure one law at all of its changes, `fleets` of fifteen agents each."""
    each = fleets * FLEET
    found = delays(change, np.repeat(np.array(change.times), each), rng, BASELINE)
    for k, times in enumerate(change.times):
        mine = slice(k * each, (k + 1) * each)
        promise = PROMISES.get(times, RARE) if len(change.times) > 1 else RARE
        yield from compared(
            f"delay/{change.name}/x{times:g}",
            Delays(found.ours[mine], found.oracle[mine]),
            promise,
            least_found=0.95,
            within=f"{change.horizon // 60} min",
        )


def compared(
    name: str, found: Delays, promise: Promise, least_found: float, within: str
) -> Iterator[Figure]:
    """Yield the median beside what is promised of the oracle's, and the share found at all."""
    median, low, high = median_interval(found.ours)
    oracle, oracle_low, oracle_high = median_interval(found.oracle)
    yield at_most(
        f"{name}/median",
        median,
        promise.factor * oracle + promise.more,
        "samples",
        rival=oracle,
        note=f"95 % {low:g} to {high:g}; oracle {oracle:g} ({oracle_low:g} to {oracle_high:g}), "
        f"promised {promise.factor:g} × oracle + {promise.more:g}; {len(found.ours)} changes",
    )
    hits, of = int(np.isfinite(found.ours).sum()), len(found.ours)
    below, above = share_interval(hits, of)
    yield at_least(
        f"{name}/found",
        hits / of,
        least_found,
        f"share within {within}",
        note=f"{hits} of {of}, 95 % {below:.3f} to {above:.3f}",
    )
