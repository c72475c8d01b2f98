"""The bench's parts: what lasts, what is picked, and what a kernel on its stand is measured by."""

from __future__ import annotations

import numpy as np
import pytest

from immune.bench import run_bench
from immune.bench.lasting import acceptance_figures, cycle_figures
from immune.bench.options import Options
from immune.bench.throughput import BYTES_MAX, Stand
from immune.bench.youth import AGES, young_age_figures
from immune.detection.kernel import COMPILED
from immune.errors import NotFound


def test_parts_are_picked_by_the_beginning_of_their_name() -> None:
    """Each figure of one change, beside its oracle."""
    report = run_bench("detection", Options(quick=True, only="delay/errors"))
    names = [figure.name for figure in report.figures]
    assert names == ["delay/errors_1_percent/x10/median", "delay/errors_1_percent/x10/found"]
    median = report.figures[0]
    assert median.rival is not None
    assert median.threshold == pytest.approx(1.4 * median.rival + 3)


def test_a_part_that_is_not_there_is_refused() -> None:
    """Rather than passing with nothing measured."""
    with pytest.raises(NotFound, match="begins with nothing"):
        run_bench("detection", Options(only="nothing"))


def test_the_same_seed_gives_the_same_figures() -> None:
    """And another one others."""
    one, same, other = (
        run_bench("detection", Options(quick=True, seeds=(seed,), only="delay/retries"))
        for seed in (1, 1, 2)
    )
    assert one.figures == same.figures
    assert one.figures != other.figures


def test_an_accepted_change_and_a_quiet_night_raise_nothing() -> None:
    """Watched by the Sentinel, as in the house."""
    (accepted,) = acceptance_figures(1, 1, baseline=300, watched=60)
    (cycle,) = cycle_figures(0.05, 1, [1.0])
    assert (accepted.value, accepted.passed) == (0, True)
    assert (cycle.value, cycle.passed) == (0, True)


def test_young_agents_are_told_at_every_age() -> None:
    """What is found of the sick, and who of the well is accused."""
    figures = list(young_age_figures(20, 1))
    assert len(figures) == 2 * len(AGES)
    assert all(figure.value == 0 for figure in figures if "/well/" in figure.name)
    found = [figure.value for figure in figures if "/x5/" in figure.name]
    assert found[-1] == 1.0


@pytest.mark.parametrize("use_compiled", sorted({False, COMPILED}))
def test_a_kernel_on_its_stand_is_fed_one_sample_an_agent(use_compiled: bool) -> None:
    """In ticks, alone, and as the rival is; its state is counted by the agent."""
    stand = Stand(8, use_compiled=use_compiled)
    before = stand.kernel.evidence(np.arange(8))[0]
    assert len(stand.round(3)) == 3
    assert len(stand.one_at_a_time(10)) == 10
    assert (stand.kernel.evidence(np.arange(8))[0] != before).all()
    assert stand.rival_rate(16) > 0
    assert 0 < stand.bytes_per_agent() <= BYTES_MAX
