"""The rivals do what they are said to do, and are judged as we are."""

from __future__ import annotations

import numpy as np
import pytest

from immune.bench.rivals.contest import FIELDS, QUIET, Outcome, contest
from immune.bench.rivals.detectors import DETECTORS, ExponentialRule, WindowRule
from immune.bench.rivals.river import river
from immune.bench.rivals.river_means import RunningMeans
from immune.errors import NotFound


def test_the_window_rule_is_the_mean_of_ten_against_the_first_fifteen() -> None:
    """By hand: 15 samples of 9 and 11, then 14 and up to the bound of three sigmas."""
    rule = WindowRule()
    assert not any(rule.step(x) for x in [9.0, 11.0] * 7 + [10.0])
    said = [rule.step(14.0) for _ in range(10)]
    # sigma is 1; the mean of ten passes 13 when eight or more of them are 14
    assert said == [False] * 7 + [True] * 3


def test_the_exponential_rule_finds_a_single_spike() -> None:
    """Beyond three sigmas of what it has learned, and not within."""
    rule = ExponentialRule()
    assert not any(rule.step(x) for x in [9.0, 11.0] * 20)
    assert not rule.step(12.0)
    assert rule.step(20.0)


@pytest.mark.parametrize("name", DETECTORS)
def test_nobody_speaks_before_the_fifteenth_sample(name: str) -> None:
    """As with us: less is no normal."""
    detector = DETECTORS[name]()
    assert not any(detector.step(x) for x in [100.0, 101.0, 900.0] * 5)


@pytest.mark.parametrize("name", [name for name in DETECTORS if name != "river_half_space_trees"])
def test_a_rival_finds_what_is_three_times_as_slow(name: str) -> None:
    """All but the trees, which need more than one metric to be good at anything."""
    rng = np.random.default_rng(1)
    detector = DETECTORS[name]()
    for x in 100 * np.exp(0.1 * rng.standard_normal(1500)):
        detector.step(x)
    assert any(detector.step(x) for x in 300 * np.exp(0.1 * rng.standard_normal(100)))


def test_alarms_close_together_are_one_episode() -> None:
    """Sixty steps of quiet after each; the first after the change counts as found."""
    said = np.zeros((300, 2), np.bool_)
    said[[20, 30, 20 + QUIET, 120], 0] = True
    said[250:, 0] = True
    outcome = Outcome(said, well=200)
    assert outcome.alarms == 2
    assert outcome.delays.tolist() == [51.0, np.inf]
    assert outcome.hours == pytest.approx(2 * 186 / 3600)
    assert outcome.said() == "50% found, median inf samples"


def test_a_contest_holds_ours_against_each_rival() -> None:
    """On the same samples; ours may not cry wolf more often."""
    figures = list(contest("latency_lognormal", agents=2, well=200, seed=1))
    assert [figure.name.split("/")[1] for figure in figures] == list(DETECTORS)
    assert all(figure.threshold == figure.rival for figure in figures)
    assert "latency_lognormal" in FIELDS


def test_the_running_means_score_before_they_learn() -> None:
    """The first sample has nothing to be held against; a spike later is far from the mean."""
    means = RunningMeans()
    for i in range(100):
        means.step([float(i % 2)] * 8)
    assert means.step([100.0] * 8) > 50


def test_without_river_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the benches need it."""
    monkeypatch.setitem(__import__("sys").modules, "river.stats", None)
    with pytest.raises(NotFound, match="pip install"):
        river("stats")
