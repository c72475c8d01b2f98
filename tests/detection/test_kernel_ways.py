"""The compiled loop is held to the arrays' way: same decisions, same evidence, same state."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immune.columns import Float32
from immune.detection.grouping import Indices
from immune.detection.kernel import Kernel
from immune.detection.params import DetectionParams
from immune.detection.state import AT, FIELDS, IS_RARE, F
from immune.vitals import N_METRICS, Metric
from tests.detection.workload import Workload

pytestmark = pytest.mark.compiled

PARAMS = DetectionParams()
AGREE_NATS = 1e-3


class BothWays:
    """Two kernels, one of each way, that are given the same and must come to the same."""

    def __init__(self, streams: int) -> None:
        self.kernels = [
            Kernel(PARAMS.statistic, PARAMS.learning, use_compiled=way) for way in (True, False)
        ]
        self.grow(streams)

    def grow(self, streams: int) -> None:
        for kernel in self.kernels:
            kernel.grow(streams)

    def step(self, rows: Indices, values: Float32, nats: Float32) -> Float32:
        ours, theirs = (kernel.step(rows, values, nats) for kernel in self.kernels)
        np.testing.assert_allclose(ours, theirs, atol=AGREE_NATS, rtol=0)
        np.testing.assert_array_equal(ours > nats, theirs > nats)
        return ours

    def agree(self) -> None:
        """Blocks are learned at the same samples, and all else is the same to float32."""
        ours, theirs = (kernel.block for kernel in self.kernels)
        for count in ("n", "bn"):
            np.testing.assert_array_equal(ours[:, AT[count]], theirs[:, AT[count]])
        for field, place in AT.items():
            size = np.abs(theirs[:, place]).max(initial=1e-3)
            np.testing.assert_allclose(
                ours[:, place], theirs[:, place], rtol=2e-3, atol=2e-4 * size, err_msg=field
            )


def test_a_long_life_is_the_same_both_ways() -> None:
    """Gaps, several samples of one agent in a batch, newcomers, freezing, discarding, relearning,
    thresholds of their own, sickness and change for the better: never a decision apart."""
    fleet, ways = Workload(40, 5), BothWays(24)
    rng = np.random.default_rng(6)
    nats = rng.uniform(9, 24, 40).astype(np.float32)
    known, fenced = 24, 0
    for tick in range(900):
        if tick == 200:  # in mid-batch: their rows come between those of the old
            known = 40
            ways.grow(40)
        if tick == 400:
            fleet.factors[:6, Metric.LATENCY_MS] = 4
            fleet.factors[6:10, Metric.LATENCY_MS] = 0.3
            fleet.factors[10:14, [Metric.INPUT_TOKENS, Metric.COST_USD]] = 3
            fleet.factors[14:18, Metric.INTERVAL_S] = 5
            fleet.retry_rate[16:22] = 0.6
        if tick == 600:
            fleet.factors[:] = 1
        twice = rng.random(40) < 0.2
        agents = rng.permutation(np.concatenate([np.arange(40), np.flatnonzero(twice)]))
        agents = agents[agents < known]
        first, second = fleet.values(), fleet.values()
        again = np.zeros(len(agents), np.bool_)
        again[np.unique(agents, return_index=True)[1]] = True
        values = np.where(again[:, None], first[agents], second[agents])
        values[rng.random(values.shape) < 0.1] = np.nan
        values[agents % 7 == 3, Metric.COST_USD] = np.nan
        fenced += int((ways.step(agents, values, nats[agents]) > nats[agents]).sum())
        for kernel in ways.kernels:
            if tick == 450:
                kernel.frozen[:8] = True
            if tick == 650:
                kernel.frozen[:8] = False
                kernel.learn_all(np.arange(4))
                kernel.discard(np.arange(4, 8))
                kernel.calm(np.arange(8))
                kernel.blank(np.array([30]))
        if tick % 50 == 0:
            ways.agree()
    ways.agree()
    assert fenced > 100


@settings(max_examples=25, derandomize=True)
@given(data=st.data())
def test_whatever_comes_the_ways_agree(data: st.DataObject) -> None:
    """Zeros, gaps, huge values, any mixture of three agents and any threshold."""
    ways = BothWays(3)
    count = data.draw(st.integers(1, 60))
    metric = st.one_of(st.just(np.nan), st.just(0.0), st.floats(0, 1e9, width=32))
    drawn = data.draw(
        st.lists(
            st.lists(metric, min_size=N_METRICS, max_size=N_METRICS), min_size=count, max_size=count
        )
    )
    rows = data.draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
    nats = data.draw(st.floats(7, 40, width=32))
    ways.step(np.array(rows), np.array(drawn, np.float32), np.full(count, nats, np.float32))
    ways.agree()


def test_slow_agents_are_the_same_both_ways() -> None:
    """A step in a second, in two, in ten, in a minute, in an hour: each has a memory of its own."""
    fleet, ways = Workload(10, 7), BothWays(10)
    fleet.factors[:, Metric.INTERVAL_S] = 1 / np.repeat([1, 2, 10, 60, 3600], 2)
    nats = np.full(10, 20, np.float32)
    told = 0
    for tick in range(2600):
        if tick == 2500:
            fleet.factors[:, Metric.LATENCY_MS] = 4
        told += int((ways.step(np.arange(10), fleet.values(), nats) > nats).sum())
        if tick % 100 == 0:
            ways.agree()
    ways.agree()
    assert told > 100


def test_a_threshold_beyond_all_evidence_is_never_crossed() -> None:
    """Where float32 would end in infinity both ways stop at the same evidence."""
    ways, work = BothWays(5), Workload(5, 1)
    nats = np.full(5, 200, np.float32)
    for _ in range(60):
        ways.step(np.arange(5), work.values(), nats)
    work.factors[:] = 50
    top = np.concatenate([ways.step(np.arange(5), work.values(), nats) for _ in range(60)])
    assert 50 < top.max() < 100


def grown_up() -> tuple[Float32, Workload]:
    """The states of some streams that hold something in every field, and their fleet."""
    work = Workload(30, 8)
    made = Kernel(PARAMS.statistic, PARAMS.learning, use_compiled=False)
    made.grow(30)
    prior = made.blank_prior
    prior[0] = np.where(IS_RARE, 0.1, [6.7, 7.3, 5.7, 7.8, 3.9, 0, 0, -0.7])
    prior[1:4] = [[10.0], [0.2], [30.0]]
    made.set_prior(np.arange(30), np.repeat(prior[None], 30, 0))
    nats = np.full(30, 18.3, np.float32)
    for tick in range(260):
        values = work.values()
        values[:, Metric.LATENCY_MS] = 800 * work.rng.gamma(2.0, 0.5, 30)
        if tick > 252:
            values[:, [Metric.RETRIES, Metric.ERRORS]] = 1
        made.step(np.arange(30), values, nats)
    return made.block[:30].copy(), work


BLOCK, WORK = grown_up()
NEXT = [WORK.values() for _ in range(40)]


def after(block: Float32, *, use_compiled: bool) -> tuple[Float32, Float32]:
    """The evidence of each of the next samples, and the states after the first and the last."""
    made = Kernel(PARAMS.statistic, PARAMS.learning, use_compiled=use_compiled)
    made.grow(len(block))
    made.block[: len(block)] = block
    rows, nats = np.arange(len(block)), np.full(len(block), 18.3, np.float32)
    evidence = [made.step(rows, NEXT[0], nats)]
    soon = made.block[: len(block)].copy()
    evidence += [made.step(rows, values, nats) for values in NEXT[1:]]
    return np.array(evidence), np.array([soon, made.block[: len(block)]])


PLAIN = after(BLOCK, use_compiled=True)


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_is_read_where_it_is_written(field: str) -> None:
    """What is written to a field by its name changes what comes after, in both ways alike."""
    assert BLOCK.shape[1] == F
    block = BLOCK.copy()
    block[:, AT[field]] *= np.float32(0.97)
    ours, theirs = (after(block, use_compiled=way) for way in (True, False))
    np.testing.assert_allclose(ours[0], theirs[0], atol=AGREE_NATS, rtol=0)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-2, atol=1e-2)
    assert not np.array_equal(ours[1], PLAIN[1])


def test_what_one_way_has_learned_the_other_goes_on_with() -> None:
    """A baseline saved by an installation with the loop is as good in one without it."""
    learned = [after(BLOCK, use_compiled=way)[1][-1] for way in (True, False)]
    ours, theirs = after(learned[0], use_compiled=False), after(learned[1], use_compiled=True)
    np.testing.assert_allclose(ours[0], theirs[0], atol=AGREE_NATS, rtol=0)
