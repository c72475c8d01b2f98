"""How often trials err, and how long they take, on simulated agents.

Measured with 12,000 half-cured agents each (baseline of 600): false cures 0 for latency (normal,
t4) and tool calls, 2 for retries; with AR(1) .5 in latency about 1 in 1,000.
"""

from __future__ import annotations

import math

import pytest
from tests.healing.patients import (
    Law,
    counts,
    events,
    heavy,
    lognormal,
    median_steps,
    share,
    tried,
)

from immune.healing.trial import Verdict
from immune.vitals import Metric

LAWS: dict[str, tuple[Metric, Law, float, float]] = {
    "latency": (Metric.LATENCY_MS, lognormal(0.25), 4.0, 8),
    "wide latency": (Metric.LATENCY_MS, lognormal(0.4), 4.0, 13),
    "heavy latency": (Metric.LATENCY_MS, heavy(0.4), 4.0, 13),
    "tool calls": (Metric.TOOL_CALLS, counts, 7.0, 11),
}
"""name -> metric, law, infection's ratio, most steps that a true cure may take (median)."""


@pytest.mark.parametrize("name", LAWS)
def test_true_cures_are_quick(name: str) -> None:
    """Cured agents are proved so within about ten steps, and hardly ever held for sick."""
    metric, law, ratio, most = LAWS[name]
    ends = tried(metric, law, ratio=ratio, now=1.0, trials=300)
    assert share(ends, Verdict.CURED) >= 0.99
    assert median_steps(ends) <= most


@pytest.mark.parametrize("name", LAWS)
def test_half_cured_are_not_let_go(name: str) -> None:
    """Agents cured only to the root of their sickness never pass; a few steps tell."""
    metric, law, ratio, _ = LAWS[name]
    ends = tried(metric, law, ratio=ratio, now=max(1.5, math.sqrt(ratio)), trials=400)
    assert share(ends, Verdict.CURED) == 0
    assert median_steps(ends) <= 8


@pytest.mark.parametrize("name", LAWS)
def test_sick_relapse_at_once(name: str) -> None:
    """Agents as sick as before are found out with the fifth step."""
    metric, law, ratio, _ = LAWS[name]
    ends = tried(metric, law, ratio=ratio, now=ratio, trials=200)
    assert share(ends, Verdict.RELAPSED) == 1
    assert median_steps(ends) == 5


def test_retries_take_longer() -> None:
    """A step without a retry says little: a cure takes about 50 steps, a half cure still fails."""
    well, sick = 0.03, 0.75
    half = max(2 * well, 0.3 * (well + sick), well + 0.1)
    cured = tried(Metric.RETRIES, events, ratio=sick, now=well, well=well, trials=200)
    assert share(cured, Verdict.CURED) >= 0.98
    assert 40 <= median_steps(cured) <= 60
    halves = tried(Metric.RETRIES, events, ratio=sick, now=half, well=well, trials=300)
    assert share(halves, Verdict.CURED) == 0
    ill = tried(Metric.RETRIES, events, ratio=sick, now=sick, well=well, trials=100)
    assert share(ill, Verdict.RELAPSED) == 1


def test_young_baselines_err_on_the_safe_side() -> None:
    """With 15 samples learned, half cures don't pass; true ones may take longer."""
    law = lognormal(0.4)
    halves = tried(Metric.LATENCY_MS, law, ratio=5.0, now=math.sqrt(5), learned_from=15, trials=300)
    assert share(halves, Verdict.CURED) <= 0.005
    cured = tried(Metric.LATENCY_MS, law, ratio=5.0, now=1.0, learned_from=15, trials=200)
    assert share(cured, Verdict.CURED) >= 0.95


def test_autocorrelation_is_priced_in() -> None:
    """Where each step resembles the one before, errors stay rare on both sides."""
    law = lognormal(0.4, phi=0.5)
    halves = tried(Metric.LATENCY_MS, law, ratio=5.0, now=math.sqrt(5), trials=300)
    assert share(halves, Verdict.CURED) <= 0.005
    cured = tried(Metric.LATENCY_MS, law, ratio=5.0, now=1.0, trials=300)
    assert share(cured, Verdict.CURED) >= 0.96
