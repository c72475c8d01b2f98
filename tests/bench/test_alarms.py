"""Counting alarms: what is one, what is the same one, and what an exposure proves."""

from __future__ import annotations

import numpy as np
import pytest

from immune.bench.alarms import READY, Alarms, Tally, watch_healthy
from immune.bench.watch import Watch, nats
from immune.bench.workloads.fleets import HEALTHY, UNLIKE
from immune.bench.youth import LIFETIME, watch_newcomers
from immune.columns import Float32

SUSPICION, QUARANTINE = nats()


def slices(*evidence: list[float]) -> list[Float32]:
    return [np.array(part, np.float32)[:, None] for part in evidence]


def test_the_thresholds_are_those_of_the_default_budgets() -> None:
    """Once in 30 agent-days; twice a week for ten thousand agents."""
    assert pytest.approx(np.log(30 * 86_400), abs=1e-4) == SUSPICION
    assert pytest.approx(np.log(86_400 * 35_000), abs=1e-3) == QUARANTINE


def test_an_episode_is_one_suspicion_until_it_has_fallen_back() -> None:
    """Over the seams of slices too; a dip that stays above the share ends nothing."""
    alarms = Alarms()
    tally = Tally(1, alarms)
    for part in slices([1.0, 16.0, 12.0, 16.0], [14.0, 16.0, 4.0], [16.0, 16.0, 1.0]):
        assert not len(tally.count(part))
    assert (alarms.suspicions, alarms.quarantines, alarms.steps) == (2, 0, 10)
    assert alarms.highest == 16.0


def test_a_quarantine_is_one_alarm_and_begins_anew() -> None:
    """It is named, to be set to zero, and counted once a slice."""
    alarms = Alarms()
    tally = Tally(1, alarms)
    accused = [tally.count(part).tolist() for part in slices([5.0, 19.0, 25.0], [1.0, 16.0])]
    assert accused == [[0], []]
    assert (alarms.suspicions, alarms.quarantines) == (2, 1)


def test_the_figures_claim_what_the_exposure_can_show() -> None:
    """24,000 agent-hours without an alarm prove at most three in a thousand agent-days."""
    quarantines, suspicions = Alarms(steps=24_000 * 3600, suspicions=500).figures("calm")
    assert (quarantines.value, quarantines.threshold, quarantines.passed) == (0, 0, True)
    assert "at most 3 in 1,000 agent-days" in quarantines.note
    assert suspicions.value == 0.5
    assert suspicions.passed
    assert not Alarms(steps=3600, quarantines=1).figures("wild")[0].passed


@pytest.mark.parametrize("name", ["latency_lognormal", "all_half_missing", "unlike"])
def test_every_step_from_the_fifteenth_on_is_counted(name: str) -> None:
    """Past the learner's first samples, and past the kernel's whole slices."""
    workload, fleet = HEALTHY.get(name, UNLIKE), 15
    alarms = watch_healthy(workload, 30, 400, np.random.default_rng(1), fleet)
    assert alarms.steps == 30 * 400
    assert alarms.quarantines == 0
    assert alarms.highest > 0


def test_slices_of_any_length_give_the_same_evidence() -> None:
    """The kernel's state does not know how its samples were cut."""
    values = HEALTHY["latency_lognormal"].start(15, np.random.default_rng(4))(480)
    whole, cut = Watch(15), Watch(15)
    whole.step(values[:320])
    cut.step(values[:320])
    one = whole.step(values[320:])
    parts = [cut.step(values[a:b]) for a, b in ((320, 333), (333, 400), (400, 480))]
    np.testing.assert_allclose(np.concatenate(parts), one, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("alone", [True, False])
def test_newcomers_live_for_120_samples_and_are_counted_from_their_fifteenth(alone: bool) -> None:
    """Retired and begun anew until the exposure is reached, with peers or without."""
    rng = np.random.default_rng(1)
    alarms = watch_newcomers(HEALTHY["latency_lognormal"], 20, 2.0, rng, alone=alone)
    each = 20 * (LIFETIME - READY + 1)
    assert alarms.steps == -(-2 * 3600 // each) * each
    assert alarms.quarantines == 0
