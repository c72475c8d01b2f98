"""A stream whose evidence goes high in peace is told by its own measure, and by its peers'."""

from __future__ import annotations

import msgspec
import numpy as np

from immune.columns import Float32
from immune.detection.kernel import Kernel
from immune.detection.params import DetectionParams
from immune.detection.state import AT, EXCESS, PEAK, PEAKS, WIDER
from immune.vitals import N_METRICS, Metric
from tests.detection.conftest import MakeKernel

STATISTIC = DetectionParams().statistic
AGENTS = 40
ROWS = np.arange(AGENTS)
NATS = np.full(AGENTS, np.float32(18.3))


def latency(rng: np.random.Generator, times: float = 1.0) -> Float32:
    values = np.full((AGENTS, N_METRICS), np.nan, np.float32)
    values[:, Metric.LATENCY_MS] = 800 * rng.lognormal(0, 0.5, AGENTS) * times
    return values


def live(kernel: Kernel, steps: int, burst_every: int = 0, seed: int = 1) -> Float32:
    """Steps in which five of every `burst_every` are slow; return the evidence, (steps, AGENTS)."""
    rng = np.random.default_rng(seed)
    told = []
    for step in range(steps):
        bursts = burst_every and step > 300 and step % burst_every < 5
        told.append(kernel.step(ROWS, latency(rng, 2.5 if bursts else 1.0), NATS))
    return np.array(told)


def pair(kernel: Kernel, place: int) -> Float32:
    column: Float32 = kernel.block[:AGENTS, AT["pair"], place]
    return column


def test_bursts_that_are_usual_are_told_lower_than_the_first_were(kernel: MakeKernel) -> None:
    """The same burst, once a stream has had some dozens of them, makes less evidence."""
    made = kernel(AGENTS)
    told = live(made, 6300, burst_every=150)
    first, last = told[300:1200].max(axis=0), told[-900:].max(axis=0)
    assert np.median(last) < 0.85 * np.median(first)
    assert np.median(pair(made, PEAKS)) > 20


def test_a_quiet_stream_is_told_in_full(kernel: MakeKernel) -> None:
    """Chance's peaks are what theory says at most: they cost next to nothing."""
    made = kernel(AGENTS)
    live(made, 3000)
    width = (STATISTIC.peaks_prior + pair(made, EXCESS)) / (
        STATISTIC.peaks_prior + pair(made, PEAKS)
    )
    assert np.mean(np.maximum(width, 1)) < 1.06


def test_what_is_up_to_the_peaks_foot_is_told_as_it_is(kernel: MakeKernel) -> None:
    """Only what is above `peak_from` is divided."""
    certain = msgspec.structs.replace(STATISTIC, peaks_prior=1e6)
    wide, plain = kernel(AGENTS, certain), kernel(AGENTS, certain)
    wide.block[:AGENTS, AT["pair"], WIDER] = 1.0
    ours, theirs = live(wide, 400, 100), live(plain, 400, 100)
    low = theirs <= STATISTIC.peak_from
    np.testing.assert_allclose(ours[low], theirs[low], atol=1e-4)
    high = theirs > STATISTIC.peak_from + 1
    assert high.any()
    halved = STATISTIC.peak_from + (theirs[high] - STATISTIC.peak_from) / 2
    np.testing.assert_allclose(ours[high], halved, atol=1e-3)
    np.testing.assert_allclose(wide.evidence(ROWS)[0], ours[-1], atol=1e-3)


def test_a_sickness_is_no_peak_until_somebody_says_so(kernel: MakeKernel) -> None:
    """While frozen nothing is counted; learned it was healthy, discarded it was not."""
    made = kernel(AGENTS)
    live(made, 400)
    rng = np.random.default_rng(2)
    before = pair(made, PEAKS).copy()
    made.frozen[:AGENTS] = True
    for step in range(60):
        made.step(ROWS, latency(rng, 4.0 if step < 15 else 1.0), NATS)
    assert np.array_equal(pair(made, PEAKS), before)
    assert (pair(made, PEAK) > STATISTIC.peak_from).all()
    made.learn_all(ROWS[:20])
    made.discard(ROWS[20:])
    made.calm(ROWS)
    assert (pair(made, PEAKS)[:20] == before[:20] + 1).all()
    assert np.array_equal(pair(made, PEAKS)[20:], before[20:])
    assert (pair(made, PEAK) == 0).all()


def test_the_young_know_their_peers_bursts(kernel: MakeKernel) -> None:
    """A newcomer of a bursty type is told by the type's measure, one of another type by its own."""
    made = kernel(AGENTS)
    made.block[:30, AT["pair"], PEAKS], made.block[:30, AT["pair"], EXCESS] = 20, 40
    groups = np.where(ROWS < 35, 1, 2)
    made.share_width(ROWS, groups, peers_min=3)
    assert (pair(made, WIDER)[:35] > 0.9).all()
    assert (pair(made, WIDER)[35:] == 0).all()
    made.share_width(ROWS[30:32], groups[30:32], peers_min=3)
    assert (pair(made, WIDER)[30:32] == 0).all()


def test_the_evidence_of_some_metrics_leaves_out_what_others_make(kernel: MakeKernel) -> None:
    """Slow steps lend nothing to the tokens; all metrics together make the whole."""
    made = kernel(AGENTS)
    live(made, 400)
    rng = np.random.default_rng(3)
    for _ in range(11):
        made.step(ROWS, latency(rng, 4.0), NATS)
    told = made.step(ROWS, latency(rng, 4.0), NATS)
    every = np.ones(N_METRICS, np.bool_)
    tokens = np.zeros(N_METRICS, np.bool_)
    tokens[Metric.INPUT_TOKENS] = True
    assert abs(made.evidence_of(0, every) - told[0]) < 1e-3
    assert made.evidence_of(0, tokens) == 0
    assert abs(made.evidence_of(0, ~tokens) - told[0]) < 1e-3
