"""The oracle knows both laws exactly, and crosses when arithmetic says so."""

from __future__ import annotations

import numpy as np
import pytest

from immune.bench.delays import (
    CHANGES,
    Change,
    Delays,
    Promise,
    compared,
    delays,
)
from immune.bench.oracle import Oracle
from immune.bench.workloads.laws import AutoRegressive, LogNormal, Rare
from immune.vitals import Metric


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_the_likelihood_ratio_of_a_healthy_sample_is_one_on_average(change: Change) -> None:
    """Which makes R less the steps a martingale, and the threshold mean what it says."""
    x = change.law.sampler(4000, np.random.default_rng(5))(60, 1.0).astype(np.float64)
    times = np.full(4000, 1.2)
    ratios = [change.law.log_ratios(x[t], x[t - 1], times) for t in range(1, len(x))]
    for kind in (0, 1):
        assert np.exp([pair[kind] for pair in ratios]).mean() == pytest.approx(1.0, abs=0.03)


def test_it_crosses_at_the_step_that_arithmetic_gives() -> None:
    """Hits only, five times as likely: R is 5 + 25 + ..., past e^10 with the seventh."""
    oracle = Oracle(Rare(0.1), np.array([5.0]), 10.0)
    crossed = [bool(oracle.step(np.ones(1))[0]) for _ in range(8)]
    assert crossed == [False] * 6 + [True, False]


def test_a_metric_with_memory_shifts_at_once_and_then_by_what_is_new() -> None:
    """The first ill sample is a whole shift away from its prediction, the later a part of it."""
    law = AutoRegressive(0.5, 1.0, median=1.0)
    times = np.array([np.e])  # a shift of one deviation
    level = np.array([np.e])  # ln x = 1
    first, _ = law.log_ratios(level, np.ones(1), times)
    _, later = law.log_ratios(level, level, times)
    assert first[0] == pytest.approx((1.0 - 0.5) / 0.75)
    assert later[0] == pytest.approx((0.5 * 0.5 - 0.125) / 0.75)


def test_a_change_is_found_by_both_and_later_by_us() -> None:
    """We must learn what the oracle is told; a small fleet, five times as slow."""
    change = Change("latency", Metric.LATENCY_MS, LogNormal(0.6), (5.0,), 120)
    found = delays(change, np.full(15, 5.0), np.random.default_rng(2), baseline=600)
    assert np.isfinite(found.ours).all()
    assert np.isfinite(found.oracle).all()
    assert np.median(found.oracle) <= np.median(found.ours) <= 20


def test_what_never_changed_is_not_found() -> None:
    """Times one: the oracle has nothing to bet on, and we see nothing."""
    change = Change("latency", Metric.LATENCY_MS, LogNormal(0.6), (1.0,), 128)
    found = delays(change, np.ones(15), np.random.default_rng(2), baseline=64)
    assert np.isinf(found.ours).all()
    assert np.isinf(found.oracle).all()


def test_the_promise_is_held_against_the_oracle_of_the_same_samples() -> None:
    """The threshold is the factor times its median, and more; what is not found is endless."""
    found = Delays(np.array([10.0, 12.0, 14.0, np.inf]), np.array([8.0, 8.0, 10.0, 12.0]))
    median, share = compared("a", found, Promise(1.4, 3), least_found=0.8, within="30 min")
    assert (median.value, median.rival) == (13.0, 9.0)
    assert median.threshold == pytest.approx(15.6)
    assert median.passed
    assert (share.value, share.threshold, share.passed) == (0.75, 0.8, False)
