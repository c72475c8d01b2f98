"""The bets' means and where they are cut, against plain integration."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from immune.detection.bets import ceiling_of, mean_of
from immune.detection.params import StatisticParams

DELTAS = (0.35, 0.7, 1.4, 2.8, -1.4)


def integrated(delta: float, ceiling: float) -> float:
    """E min(e^{δz}, ceiling), by a fine sum."""
    z = np.linspace(-12, 12, 200_001)
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return float((np.minimum(np.exp(delta * z), ceiling) * density).sum() * (z[1] - z[0]))


@pytest.mark.parametrize("delta", DELTAS)
@pytest.mark.parametrize("ceiling", [1.5, 10.0, 300.0])
def test_the_mean_is_that_of_the_cut_bet(delta: float, ceiling: float) -> None:
    """While nothing has changed a bet, cut or not, wins on average what it is divided by."""
    assert mean_of(delta, ceiling) == pytest.approx(integrated(delta, ceiling), rel=1e-4)


@pytest.mark.parametrize("delta", DELTAS)
def test_an_uncut_bet_has_the_mean_of_the_law(delta: float) -> None:
    """e^{δ²/2}; a cut so far out that it never bites changes nothing."""
    assert mean_of(delta, math.inf) == math.exp(delta * delta / 2)
    assert mean_of(delta, math.exp(abs(delta) * 12)) == pytest.approx(math.exp(delta * delta / 2))


@pytest.mark.parametrize("delta", DELTAS)
@pytest.mark.parametrize("nats", [0.5, 2.5, 4.0, 50.0])
def test_no_bet_wins_more_than_it_may(delta: float, nats: float) -> None:
    """Cut and divided by its mean, the largest win is `nats`, or the clipped score's if that is
    less."""
    ceiling = ceiling_of(delta, 4.0, nats)
    most = math.log(ceiling / mean_of(delta, ceiling))
    uncut = 4.0 * abs(delta)
    assert most <= nats + 1e-6
    assert most == pytest.approx(nats, abs=1e-6) or math.log(ceiling) == pytest.approx(uncut)


def test_a_bet_on_less_mirrors_a_bet_on_more() -> None:
    """The normal law is symmetric, so −δ is cut where δ is."""
    assert ceiling_of(-1.4, 4.0, 2.0) == pytest.approx(ceiling_of(1.4, 4.0, 2.0))
    assert mean_of(-1.4, 5.0) == pytest.approx(mean_of(1.4, 5.0))


def test_the_bets_of_the_default_win_nothing_on_normal_scores() -> None:
    """Drawn at random, each bet over its mean is 1 on average."""
    draws = np.array(NormalDist().samples(400_000, seed=1))
    s = StatisticParams()
    for delta in s.bets:
        ceiling = ceiling_of(delta, s.z_clip, s.bet_nats)
        won = np.minimum(np.exp(delta * draws), ceiling) / mean_of(delta, ceiling)
        assert won.mean() == pytest.approx(1.0, abs=5 * won.std() / math.sqrt(len(draws)))
