"""Times in four bytes, and the tool calls that are kept with them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from immune.columns import Float64
from immune.detection.grouping import Runs
from immune.detection.recent_calls import RecentCalls
from immune.detection.stamps import stamps, times

DAY_S = 86_400.0


@given(
    st.floats(1.5e9, 4e9),
    st.lists(st.floats(0, 49 * DAY_S), min_size=1, max_size=20),
)
def test_a_stamp_tells_its_time_to_the_millisecond(latest: float, ages: list[float]) -> None:
    """Whatever the date, for 49 days back."""
    at = latest - np.array(ages)
    assert np.abs(times(stamps(at), np.array(latest)) - at).max() <= 0.0011


def test_a_call_at_the_very_onset_belongs_to_it() -> None:
    """An onset is the end of a step, and the calls of that step are of the sickness."""
    at: Float64 = np.linspace(1.8e9, 1.8e9 + 60.37, 60)
    calls = RecentCalls(48)
    calls.grow(2)
    agent, same = np.ones(len(at), np.intp), np.ones(len(at), np.int32)
    calls.observe(Runs.of(agent), np.arange(len(at)), agent == 1, same, at)
    for onset in (12, 30, 59):
        assert calls.since(1, at[onset]).place.tolist() == list(range(onset, 60))
    calls.forget(1)
    assert len(calls.since(1, 0.0)) == 0
