"""The soak's own arithmetic: what counts as growth, and from when on."""

from __future__ import annotations

import numpy as np
import pytest

from tests.soak.memory import Memory, memory_of, theil_sen, trend


def _flat(mb: float) -> Memory:
    return Memory(rss=mb, pss=mb, anonymous=mb)


def test_the_slope_is_that_of_the_line_and_not_of_a_burst() -> None:
    """A few readings in the middle of a collection do not move it."""
    hours = np.linspace(0, 1, 101)
    mb = 100 + 0.5 * hours
    mb[::10] += 30.0
    assert theil_sen(hours, mb) == pytest.approx(0.5, abs=0.1)


def test_what_grows_in_the_warm_up_is_no_leak() -> None:
    """A process that fills its caches and then stays as it is holds."""
    hours = [n / 60 for n in range(61)]
    found = trend(hours, [_flat(min(100 + 200 * h, 150)) for h in hours], warmup_h=0.25)
    assert found.holds
    assert found.slope == pytest.approx(0.0)
    assert (found.start.rss, found.end.rss, found.readings) == (150, 150, 46)
    assert found.hours == pytest.approx(0.75)


@pytest.mark.parametrize(("mb_an_hour", "holds"), [(0.9, True), (1.0, False), (-3.0, True)])
def test_a_leak_of_a_megabyte_an_hour_fails(mb_an_hour: float, holds: bool) -> None:
    """The threshold itself is too much; what shrinks is fine."""
    hours = [float(n) for n in range(10)]
    found = trend(hours, [_flat(128 + mb_an_hour * h) for h in hours], warmup_h=1)
    assert found.slope == pytest.approx(mb_an_hour)
    assert found.least_squares == pytest.approx(mb_an_hour)
    assert found.anonymous_slope == pytest.approx(mb_an_hour)
    assert found.holds is holds


def test_there_is_no_trend_of_a_single_reading() -> None:
    """Nothing measured is no success."""
    with pytest.raises(ValueError, match="two readings"):
        trend([0.0, 1.0], [_flat(1), _flat(1)], warmup_h=0.5)


def test_a_large_array_shows_in_our_own_memory() -> None:
    """What is read is what this process has."""
    before = memory_of()
    array = np.ones(8_000_000)
    after = memory_of()
    assert after.rss - before.rss > 0.9 * array.nbytes / 1e6
    assert after.anonymous - before.anonymous > 0.9 * array.nbytes / 1e6
    assert after.rss >= after.pss > 0
