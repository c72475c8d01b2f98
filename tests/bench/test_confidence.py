"""Bounds and intervals, against the exact values of the tables."""

from __future__ import annotations

import numpy as np
import pytest

from immune.bench.confidence import median_interval, rate_bound, rate_interval, share_interval


def test_nothing_seen_proves_three_over_the_exposure() -> None:
    """The rule of three: 72,000 agent-hours without an alarm bound the rate of a day."""
    assert rate_bound(0, 72_000 / 24) == pytest.approx(0.001)


@pytest.mark.parametrize(("events", "exact"), [(1, 4.744), (4, 9.154), (20, 29.06)])
def test_the_bound_of_some_events_is_the_exact_one_to_two_percent(
    events: int, exact: float
) -> None:
    """Upper 95 % limits of a Poisson mean."""
    assert rate_bound(events, 2.0) == pytest.approx(exact / 2, rel=0.02)


def test_the_interval_of_a_rate_is_the_exact_one_to_two_percent() -> None:
    """Ten events: 4.80 to 18.39."""
    assert rate_interval(10, 1.0) == pytest.approx((4.795, 18.39), rel=0.02)
    assert rate_interval(0, 1.0)[0] == 0.0


def test_a_median_of_which_half_were_never_found_is_never() -> None:
    """What was not found counts as endless, and takes the upper end of the interval with it."""
    delays = np.array([5.0, 6.0, 7.0, 8.0, 9.0, np.inf, np.inf, np.inf])
    median, low, high = median_interval(delays)
    assert (median, low) == (8.5, 5.0)
    assert np.isinf(high)
    assert np.isinf(median_interval(np.full(3, np.inf))[0])
    with pytest.raises(ValueError, match="no values"):
        median_interval(np.zeros(0))


def test_the_interval_of_a_median_holds_it_nineteen_times_of_twenty() -> None:
    """By order statistics, whatever the law."""
    rng = np.random.default_rng(1)
    intervals = [median_interval(rng.exponential(1.0, 61)) for _ in range(1000)]
    held = sum(low <= np.log(2) <= high for _, low, high in intervals)
    assert 940 <= held <= 990


def test_the_interval_of_a_share_stays_within_it() -> None:
    """Wilson's, also where all or none were found."""
    assert share_interval(60, 60) == pytest.approx((0.9398, 1.0), abs=1e-4)
    assert share_interval(0, 60)[0] == pytest.approx(0.0, abs=1e-12)
