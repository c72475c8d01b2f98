"""The laws that the benches draw from are the laws that they name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from immune.bench.workloads.fleets import HEALTHY, UNLIKE
from immune.bench.workloads.laws import (
    AutoRegressive,
    Bimodal,
    Bursting,
    Cyclic,
    Exponential,
    Gamma,
    Law,
    LogNormal,
    Poisson,
    Rare,
    RareRuns,
)
from immune.columns import Float32
from immune.vitals import Metric


def draw(law: Law, steps: int = 4000, agents: int = 20, times: float = 1.0) -> Float32:
    """Some samples in two slices, to pass the seam between them."""
    sampler = law.sampler(agents, np.random.default_rng(7))
    return np.concatenate([sampler(steps // 2, times), sampler(steps - steps // 2, times)])


@pytest.mark.parametrize(
    ("law", "measure", "expected"),
    [
        (LogNormal(0.6), np.median, 800.0),
        (AutoRegressive(0.5, 0.6), np.median, 800.0),
        (Gamma(2.0), np.mean, 800.0),
        (Poisson(3.0), np.mean, 3.0),
        (Rare(0.05), np.mean, 0.05),
        (Exponential(), np.mean, 1.0),
    ],
)
def test_a_law_has_its_centre_and_times_multiplies_it(
    law: Law, measure: Callable[[Float32], float], expected: float
) -> None:
    """Well, and twice as ill."""
    assert measure(draw(law)) == pytest.approx(expected, rel=0.05)
    assert measure(draw(law, times=2.0)) == pytest.approx(2 * expected, rel=0.05)


def test_the_spreads_and_the_memory_are_as_said() -> None:
    """Deviation of the logarithm; correlation of neighbours across the seam of slices too."""
    logs = np.log(draw(AutoRegressive(0.5, 0.6)))
    assert logs.std() == pytest.approx(0.6, rel=0.05)
    assert np.corrcoef(logs[1999], logs[2000])[0, 1] > 0.1
    assert np.corrcoef(logs[:-1].ravel(), logs[1:].ravel())[0, 1] == pytest.approx(0.5, abs=0.03)


def test_every_agent_may_have_a_median_of_its_own() -> None:
    """Given as an array, or drawn with a spread."""
    own = np.array([100.0, 1000.0])
    medians = np.median(draw(LogNormal(0.3, own), agents=2), axis=0)
    assert medians == pytest.approx(own, rel=0.05)
    apart = np.median(draw(LogNormal(0.3, spread=0.2), agents=200), axis=0)
    assert np.log(apart).std() == pytest.approx(0.2, rel=0.2)


def test_retries_in_runs_come_in_threes() -> None:
    """Also over the seam of two slices; runs that touch make longer ones."""
    hits = draw(RareRuns(0.002, 3), steps=20_000) > 0
    edges = np.diff(hits.astype(int), axis=0)
    assert hits.mean() == pytest.approx(0.006, rel=0.2)
    for agent in range(hits.shape[1]):
        start, end = np.flatnonzero(edges[:, agent] == 1), np.flatnonzero(edges[:, agent] == -1)
        if hits[0, agent]:
            end = end[1:]
        lengths = end - start[: len(end)]
        assert (lengths >= 3).all()


def test_bursts_are_as_long_and_as_rare_as_said() -> None:
    """Five steps of 2.5 times, from one step in 600 on."""
    quiet = LogNormal(0.001, 100.0)
    high = draw(Bursting(quiet, 5, 2.5, 600), steps=20_000) > 200
    assert high.mean() == pytest.approx(5 / 600, rel=0.2)


def test_a_daily_cycle_swings_by_its_ratio() -> None:
    """Between trough and peak; a week of work rests for two days."""
    calm = LogNormal(0.001, 100.0)
    day = draw(Cyclic(calm, 1.5), steps=86_400, agents=1)
    assert day.max() / day.min() == pytest.approx(1.5, rel=0.02)
    week = draw(Cyclic(calm, 1.5, weekly=True), steps=7 * 86_400, agents=1)
    assert (week < week.min() * 1.01).mean() > 2 / 7


def test_the_cache_answers_its_share() -> None:
    """30 % at an eighth."""
    fast = draw(Bimodal(0.3, 8.0, 0.1, spread=0.0)) < 300
    assert fast.mean() == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("name", [*HEALTHY, "unlike"])
def test_a_workload_is_seeded_and_reports_what_a_vital_may(name: str) -> None:
    """The same seed gives the same samples; no value is negative or endless."""
    workload = HEALTHY.get(name, UNLIKE)
    one, two = (workload.start(30, np.random.default_rng(3))(40) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    reported = one[~np.isnan(one)]
    assert len(reported)
    assert (reported >= 0).all()
    assert np.isfinite(reported).all()
    assert one.dtype == np.float32


def test_all_metrics_are_correlated_or_missing_as_said() -> None:
    """A copula of .7 between agents alike; a half of the values missing."""
    together = HEALTHY["all_correlated"].start(1, np.random.default_rng(1))(20_000)[:, 0]
    logs = np.log(together[:, [Metric.LATENCY_MS, Metric.COST_USD]])
    assert np.corrcoef(logs.T)[0, 1] == pytest.approx(0.7, abs=0.03)
    assert together[:, Metric.TOOL_CALLS].mean() == pytest.approx(3.0, rel=0.05)
    assert together[:, Metric.ERRORS].mean() == pytest.approx(0.01, rel=0.3)
    half = HEALTHY["all_half_missing"].start(50, np.random.default_rng(1))(200)
    assert np.isnan(half).mean() == pytest.approx(0.5, abs=0.02)
