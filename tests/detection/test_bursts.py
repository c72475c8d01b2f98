"""What a burst of few steps can do: how far evidence rises in them, whatever they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immune.columns import Float32
from immune.detection.kernel import Kernel
from immune.detection.params import StatisticParams
from immune.vitals import METRICS, Family, Metric
from tests.detection.conftest import MakeKernel
from tests.detection.workload import Watch, Workload, columns

STATISTIC = StatisticParams()
STREAMS = 16
ROWS = np.arange(STREAMS)
NEVER = 8
"""Steps of which one less never fences from calm."""

Multipliers = st.floats(1.0, 1e6)
Sets = st.sets(st.sampled_from(list(Metric)), min_size=1)


def burst(values: Float32, times: float, metrics: set[Metric]) -> Float32:
    """The same steps, so many times worse in these metrics; what is rare, happens."""
    worse = values.copy()
    for metric in metrics:
        if METRICS[metric].family in (Family.RARE_COUNT, Family.RARE_EVENT):
            worse[:, metric] = 1
        elif metric is Metric.INTERVAL_S:
            worse[:, metric] /= times
        else:
            worse[:, metric] = (worse[:, metric] + 1) * times
    return worse


@pytest.fixture(scope="module")
def lived(kernel: MakeKernel) -> tuple[Kernel, Float32]:
    """A kernel of some learned streams, and its state then."""
    made, work = kernel(STREAMS), Workload(STREAMS, 3)
    for _ in range(300):
        made.step(ROWS, work.values(), np.full(STREAMS, 18.3, np.float32))
    return made, made.block.copy()


@settings(max_examples=60)
@given(
    seed=st.integers(0, 1000),
    odd=st.integers(0, 6),
    steps=st.integers(1, 12),
    times=Multipliers,
    metrics=Sets,
    threshold=st.floats(7.0, 25.0),
    calm=st.booleans(),
)
def test_so_many_steps_raise_the_evidence_by_so_much_at_most(
    lived: tuple[Kernel, Float32],
    seed: int,
    odd: int,
    steps: int,
    times: float,
    metrics: set[Metric],
    threshold: float,
    calm: bool,
) -> None:
    """k steps add (k + 1.5) / 9.5 of the threshold to what was there: from none, seven don't reach
    it, and each 1 / 9.5 of it that was there before takes one step off."""
    (made, block), work = lived, Workload(STREAMS, 3)
    made.block[:] = block
    work.rng = np.random.default_rng(seed)
    nats = np.full(STREAMS, threshold, np.float32)
    for _ in range(odd):
        made.step(ROWS, burst(work.values(), 2.0, {Metric.LATENCY_MS}), nats)
    if calm:
        made.calm(ROWS)
    before = made.evidence(ROWS)[0]
    for step in range(1, steps + 1):
        after = made.step(ROWS, burst(work.values(), times, metrics), nats)
        added = (step + STATISTIC.burst_ahead - 1) / STATISTIC.burst_steps * threshold
        # evidence is log(1 + R), and it is R that is cut down
        assert (after <= np.logaddexp(0, before + added) + 1e-3).all()
        if calm and step < NEVER:
            assert (after < threshold).all()


@settings(max_examples=30)
@given(
    seed=st.integers(0, 3),
    steps=st.integers(1, NEVER - 1),
    times=Multipliers,
    metrics=Sets,
    loose=st.booleans(),
)
def test_fewer_than_eight_steps_from_calm_never_fence(
    watches: dict[int, Watch],
    seed: int,
    steps: int,
    times: float,
    metrics: set[Metric],
    loose: bool,
) -> None:
    """Whatever they are: no finding of theirs may fence, in one batch or step by step."""
    watch = watches[seed]
    work, sentinel, before = watch.work, watch.sentinel, watch.learner.kernel.block.copy()
    for agent_id in work.ids:
        sentinel.forget(agent_id)
    at = work.at.max() + np.arange(1.0, steps + 1)
    values = [burst(work.values(), times, metrics) for _ in at]
    every = [
        columns(work.codes, np.full(len(work.codes), t), v, work.type)
        for t, v in zip(at, values, strict=True)
    ]
    if not loose:
        n = len(work.codes)
        every = [
            columns(np.tile(work.codes, steps), np.repeat(at, n), np.concatenate(values), work.type)
        ]
    found = [finding for step in every for finding in sentinel.observe(step).findings]
    assert [finding for finding in found if finding.tier == "quarantine"] == []
    watch.learner.kernel.block[: len(before)] = before


@pytest.fixture(scope="module")
def watches() -> dict[int, Watch]:
    """Fleets that may fence, whose evidence each example sets to zero."""
    made = {seed: Watch(6, seed) for seed in range(4)}
    for watch in made.values():
        watch.run(500)
        assert all(watch.learner.standing(row).can_fence for row in range(6))
    return made
