"""The statistic by itself: batching, missing metrics, caps, blocks."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immune.columns import Float32
from immune.detection.kernel import Kernel
from immune.detection.params import DetectionParams
from immune.detection.state import AT, FIELDS
from immune.vitals import N_METRICS, Metric
from tests.detection.conftest import MakeKernel
from tests.detection.workload import Workload

PARAMS = DetectionParams()
NATS = np.float32(18.3)


def samples(steps: int, seed: int = 0, factor: float = 1.0) -> Float32:
    """The same agent's steps; `seed` is their chance alone."""
    work = Workload(1, 0)
    work.rng = np.random.default_rng(seed)
    work.factors[:, Metric.LATENCY_MS] = factor
    return np.concatenate([work.values() for _ in range(steps)])


def feed(made: Kernel, values: Float32, stream: int = 0) -> Float32:
    rows = np.full(len(values), stream)
    return made.step(rows, values, np.full(len(values), NATS))


@settings(max_examples=8)
@given(
    seed=st.integers(0, 1000),
    cuts=st.lists(st.integers(1, 119), max_size=6),
)
def test_any_batching_gives_the_same_evidence(
    kernel: MakeKernel, seed: int, cuts: list[int]
) -> None:
    """How a stream's samples are cut into batches, and mixed with others', makes no difference."""
    values = {stream: samples(120, seed + stream) for stream in range(3)}
    one_by_one = kernel()
    singly = {
        stream: np.concatenate([feed(one_by_one, v[None], stream) for v in values[stream]])
        for stream in values
    }
    batched = kernel()
    order = np.random.default_rng(seed)
    bounds = [0, *sorted(set(cuts)), 120]
    got: dict[int, list[Float32]] = {stream: [] for stream in values}
    for start, stop in itertools.pairwise(bounds):
        rows = np.repeat(np.arange(3), stop - start)
        order.shuffle(rows)
        batch = np.empty((len(rows), N_METRICS), np.float32)
        for stream, v in values.items():
            batch[rows == stream] = v[start:stop]
        evidence = batched.step(rows, batch, np.full(len(rows), NATS))
        for stream in got:
            got[stream].append(evidence[rows == stream])
    for stream, parts in got.items():
        np.testing.assert_allclose(np.concatenate(parts), singly[stream], rtol=1e-5)
    np.testing.assert_allclose(batched.block, one_by_one.block, rtol=1e-4, atol=1e-5)


def test_a_missing_metric_keeps_its_state(kernel: MakeKernel) -> None:
    """What was not measured is neither scored nor learned, and the others don't notice."""
    values = samples(100)
    made = kernel()
    feed(made, values)
    before = made.block[0].copy()
    gap = samples(1, seed=9)
    gap[:, Metric.COST_USD] = np.nan
    feed(made, gap)
    of_metrics = [AT[field] for field in FIELDS if not field.startswith("pair")]
    np.testing.assert_array_equal(
        made.block[0, of_metrics, Metric.COST_USD], before[of_metrics, Metric.COST_USD]
    )
    assert made.block[0, AT["bn"], Metric.LATENCY_MS] != before[AT["bn"], Metric.LATENCY_MS]


def test_metrics_never_reported_do_not_dilute_the_evidence(kernel: MakeKernel) -> None:
    """The mean is over the metrics that a stream has: one sick of two counts more than of eight."""
    well, sick = samples(200), samples(4, seed=1)
    sick[:, Metric.TOOL_CALLS] *= 2
    full, partial = kernel(), kernel()
    feed(full, well)
    of_eight = feed(full, sick)[-1]
    for values in (well, sick):
        values[:, : Metric.TOOL_CALLS] = np.nan
        values[:, Metric.RETRIES : Metric.INTERVAL_S] = np.nan
    feed(partial, well)
    assert feed(partial, sick)[-1] > of_eight + 1


def test_a_sample_is_scored_before_it_is_learned(kernel: MakeKernel) -> None:
    """The evidence of a first wild sample is what the baseline without it says."""
    made = kernel()
    feed(made, samples(200))
    wild = samples(1, factor=50.0)
    before = made.block[0, AT["mean"], Metric.LATENCY_MS]
    rise = feed(made, wild)[0]
    assert rise > made.evidence(np.array([1]))[0][0]
    assert made.block[0, AT["mean"], Metric.LATENCY_MS] == before


@pytest.mark.parametrize(("steps", "calm"), [(5, False), (7, True)])
def test_a_short_burst_cannot_fence(kernel: MakeKernel, steps: int, calm: bool) -> None:
    """However wild in however many metrics: five steps from any day's evidence, seven from none."""
    work = Workload(100, 3)
    made = kernel(100)
    rows, nats = np.arange(100), np.full(100, NATS)
    for _ in range(300):
        made.step(rows, work.values(), nats)
    if calm:
        made.calm(rows)
    top = np.zeros(100, np.float32)
    for _ in range(steps):
        burst = work.values() * np.float32(1000)
        burst[:, [Metric.RETRIES, Metric.ERRORS]] = 1
        burst[:, Metric.INTERVAL_S] = 1e-4
        top = made.step(rows, burst, nats)
    assert top.max() < NATS
    assert top.min() > NATS / 2


def test_evidence_has_a_ceiling(kernel: MakeKernel) -> None:
    """A long sickness does not pile up evidence that a recovery would need hours to undo."""
    made = kernel()
    feed(made, samples(300))
    top = feed(made, samples(200, factor=9.0)).max()
    assert NATS < top <= NATS + PARAMS.statistic.ceiling_nats + 0.1


def test_sick_samples_are_not_learned(kernel: MakeKernel) -> None:
    """While the evidence is high the block waits; the baseline stays where it was."""
    made = kernel()
    feed(made, samples(600))
    before = made.block[0, AT["centre"], Metric.LATENCY_MS]
    feed(made, samples(300, seed=2, factor=5.0))
    assert abs(made.block[0, AT["centre"], Metric.LATENCY_MS] - before) < 0.1


def test_a_lasting_change_that_nobody_takes_up_is_learned_in_the_end(kernel: MakeKernel) -> None:
    """After twice its memory a baseline gives in, so that no stream accuses for ever."""
    made = kernel()
    feed(made, samples(300))
    memory = int(PARAMS.learning.relearn * PARAMS.learning.memory)
    evidence = feed(made, samples(memory + 400, seed=3, factor=5.0))
    assert evidence[200] > NATS
    assert evidence[-1] < NATS / 2


def test_a_frozen_stream_merges_nothing(kernel: MakeKernel) -> None:
    """Frozen, samples wait; afterwards they are learned or forgotten as ordered."""
    made = kernel(2)
    for stream in (0, 1):
        feed(made, samples(200), stream)
    made.frozen[:2] = True
    n = made.block[:, AT["n"]].copy()
    for stream in (0, 1):
        feed(made, samples(300, seed=4), stream)
    np.testing.assert_array_equal(made.block[:, AT["n"]], n)
    made.learn_all(np.array([0]))
    made.discard(np.array([1]))
    assert (made.block[0, AT["n"]] > n[0]).all()
    np.testing.assert_array_equal(made.block[1, AT["n"]], n[1])
    assert not made.block[:2, AT["bn"]].any()


def test_one_outlier_does_not_blunt_a_steady_metric(kernel: MakeKernel) -> None:
    """A pause of an hour is learned as six spreads, not as an hour."""
    made = kernel()
    feed(made, samples(200))
    pause = samples(1)
    pause[:, Metric.INTERVAL_S] = 3600
    sharp = made.block[0, AT["inverse"], Metric.INTERVAL_S]
    feed(made, np.concatenate([pause, samples(64, seed=5)]))
    assert made.block[0, AT["inverse"], Metric.INTERVAL_S] > 0.6 * sharp


def test_steps_twice_as_often_are_no_evidence(kernel: MakeKernel) -> None:
    """A busy hour doubles the pace; a runaway multiplies it."""
    made = kernel(2)
    for stream, faster in ((0, 2), (1, 6)):
        feed(made, samples(300), stream)
        made.calm(np.array([stream]))
        values = samples(40, seed=6)
        values[:, Metric.INTERVAL_S] /= faster
        feed(made, values, stream)
    evidence = made.evidence(np.arange(2))[0]
    assert evidence[0] < 6
    assert evidence[1] > NATS


def test_a_change_for_the_better_is_no_evidence(kernel: MakeKernel) -> None:
    """An agent that becomes five times faster is not sick, and its old normal is kept a while."""
    made = kernel()
    feed(made, samples(600))
    before = made.block[0, AT["centre"], Metric.LATENCY_MS]
    evidence = feed(made, samples(120, seed=7, factor=0.2))
    assert evidence.max() < 6
    assert abs(made.block[0, AT["centre"], Metric.LATENCY_MS] - before) < 0.3


@settings(max_examples=30)
@given(
    values=st.lists(
        st.lists(
            st.one_of(st.just(np.nan), st.floats(0, 1e9, width=32)),
            min_size=N_METRICS,
            max_size=N_METRICS,
        ),
        min_size=1,
        max_size=80,
    )
)
def test_no_input_makes_the_state_unsound(kernel: MakeKernel, values: list[list[float]]) -> None:
    """Zeros, gaps and huge values leave finite numbers, and evidence within its bounds."""
    made = kernel(1)
    evidence = feed(made, np.array(values, np.float32))
    assert np.isfinite(evidence).all()
    assert (evidence >= 0).all()
    assert (evidence <= NATS + PARAMS.statistic.ceiling_nats + 0.1).all()
    assert np.isfinite(made.block[0]).all()


def test_without_the_compiled_loop_the_arrays_serve() -> None:
    """Where nothing was compiled the kernel is there all the same, and says which way it takes."""
    code = (
        "import sys; sys.modules['immune.detection.compiled'] = None\n"
        "from immune.detection import kernel, stepping\n"
        "from immune.detection.params import LearningParams, StatisticParams\n"
        "made = kernel.Kernel(StatisticParams(), LearningParams())\n"
        "print(kernel.COMPILED, type(made._stepper) is stepping.Stepper)"
    )
    done = subprocess.run(  # noqa: S603  # our own interpreter and our own text
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "True"]
