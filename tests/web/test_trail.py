"""The trail: the last minutes of every agent's evidence, and no more."""

from __future__ import annotations

import numpy as np

from immune.columns import Float32, Int32
from immune.web.trail import SAMPLE_S, SAMPLES, Trail


def _codes(*codes: int) -> Int32:
    return np.array(codes, np.int32)


def _shares(*shares: float) -> Float32:
    return np.array(shares, np.float32)


def test_an_agent_s_trail_begins_when_it_came() -> None:
    """Others were there before it."""
    trail = Trail()
    trail.add(100.0, _codes(1), _shares(0.1))
    trail.add(102.0, _codes(1, 5), _shares(0.2, 0.9))
    assert trail.of(1).share == [0.1, 0.2]
    assert trail.of(5).share == [0.9]
    assert (trail.of(5).until, trail.of(5).step_s) == (102.0, SAMPLE_S)
    assert trail.of(3).share == trail.of(99).share == trail.of(None).share == []


def test_a_sample_is_taken_every_other_second() -> None:
    """However often it is asked for one."""
    trail = Trail()
    for tenth in range(100):
        trail.add(100.0 + tenth / 10, _codes(1), _shares(0.5))
    assert len(trail.of(1).share) == 5


def test_only_the_last_minutes_are_kept() -> None:
    """The oldest samples make way, and what is beyond all measure is cut."""
    trail = Trail()
    for n in range(SAMPLES + 10):
        trail.add(100.0 + SAMPLE_S * n, _codes(2), _shares(9.0 if n == SAMPLES else n / 1000))
    share = trail.of(2).share
    assert len(share) == SAMPLES
    assert share[0] == 0.01
    assert max(share) == 2.5
