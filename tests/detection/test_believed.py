"""What no step can have: refused at the library's door, and never learned past it."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from immune.columns import Names, from_vitals
from immune.detection import Tier
from immune.detection.believed import believed
from immune.errors import InvalidInput
from immune.vitals import N_METRICS, Metric, Vital
from tests.detection.workload import START, Watch, columns


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("latency_ms", math.inf, "is not a finite number"),
        ("latency_ms", math.nan, "is not a finite number"),
        ("latency_ms", 1e300, "is more than 1e.15"),
        ("tool_calls", -1.0, "is negative"),
        ("errors", 0.5, "must be 0 or 1"),
        ("errors", 2.0, "must be 0 or 1"),
        ("at", math.inf, "is not a finite number"),
        ("at", math.nan, "is not a finite number"),
    ],
)
def test_what_no_step_can_have_is_refused_by_name(field: str, value: float, reason: str) -> None:
    """The library's door says which agent, which field and why, as intake does."""
    well = Vital(agent_id="well", at=1.0, latency_ms=800.0, errors=1.0)
    odd: dict[str, float] = {"at": 2.0, "latency_ms": 800.0, field: value}
    with pytest.raises(InvalidInput, match=f"^agent odd: {field}: {reason}"):
        from_vitals([well, msgspec.convert({"agent_id": "odd", **odd}, Vital), well], Names())


@pytest.mark.parametrize("value", [math.inf, -math.inf, -1.0, 3e38])
@pytest.mark.parametrize("metric", list(Metric))
def test_one_impossible_value_blinds_no_stream(metric: Metric, value: float) -> None:
    """Columns filled by other means than ours: what is impossible counts as missing."""
    watch = Watch(1, seed=400)
    watch.run(200)
    batch = watch.work.step()
    batch.values[0, metric] = value
    watch.sentinel.observe(batch)
    assert np.isnan(watch.learner.ring.last(0)[1][-1, metric])
    watch.run(400)
    assert np.isfinite(watch.learner.kernel.block[0]).all()
    watch.work.factors[0, Metric.LATENCY_MS] = 6.0
    assert Tier.QUARANTINE in {finding.tier for finding in watch.run(20)}


def test_a_step_without_a_time_is_none() -> None:
    """It is left out, and the clock of the watch goes on."""
    at = START + np.array([0.0, np.inf, np.nan, 3.0])
    left = believed(columns([1, 1, 2, 2], at, np.ones((4, N_METRICS), np.float32)))
    assert left.at.tolist() == [START, START + 3.0]
    assert left.agent.tolist() == [1, 2]
