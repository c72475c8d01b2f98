"""Figures and reports: what passes, what does not, and what is printed."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from immune.bench import benches, run_bench
from immune.bench.figures import Figure, Report, at_least, at_most
from immune.bench.naive import NaiveSentinel
from immune.bench.options import Options
from immune.columns import Names, from_vitals
from immune.errors import NotFound
from immune.vitals import Vital


@pytest.mark.parametrize(
    ("figure", "passed"),
    [
        (at_most("a", 5.0, 5.0, "ms"), True),
        (at_most("a", 5.1, 5.0, "ms"), False),
        (at_least("a", 0.99, 0.99, "share"), True),
        (at_least("a", 0.98, 0.99, "share"), False),
        (at_most("a", None, 5.0, "ms"), False),
        (at_least("a", math.nan, 0.0, "ms"), False),
        (at_most("a", math.inf, 5.0, "ms"), False),
    ],
)
def test_a_figure_passes_on_the_good_side_only(figure: Figure, passed: bool) -> None:
    """What was not measured never passes."""
    assert figure.passed is passed


def test_a_report_without_figures_does_not_pass() -> None:
    """Nothing measured is nothing proved."""
    assert not Report("loop", False, []).passed


def test_the_report_prints_what_it_promises() -> None:
    """The object of `immune bench NAME --json`."""
    report = Report("loop", True, [at_most("a", 1.0, 2.0, "ms", rival=3.0)])
    assert msgspec.json.decode(report.to_json()) == {
        "bench": "loop",
        "quick": True,
        "figures": [
            {
                "name": "a",
                "value": 1.0,
                "unit": "ms",
                "threshold": 2.0,
                "sense": "at_most",
                "rival": 3.0,
                "pass": True,
            }
        ],
        "pass": True,
    }


def test_an_unknown_benchmark_is_refused_with_the_known_ones() -> None:
    """The error lists what there is."""
    with pytest.raises(NotFound, match="loop"):
        run_bench("nothing", Options())
    assert "loop" in benches()


def test_the_naive_rule_alarms_on_a_tripled_latency_and_on_noise() -> None:
    """The rival does what it is said to do: it finds the sick, and cries wolf."""
    rng = np.random.default_rng(1)
    latency = 800 * np.exp(0.6 * rng.standard_normal(4000))
    latency[3800:] *= 5
    names = Names()
    naive = NaiveSentinel()
    naive.observe(
        from_vitals(
            [Vital(agent_id="a", at=float(t), latency_ms=x) for t, x in enumerate(latency)], names
        )
    )
    sick = [at for _, at in naive.alarms if at >= 3800]
    well = [at for _, at in naive.alarms if at < 3800]
    assert sick
    assert sick[0] < 3815
    assert len(well) >= 3
