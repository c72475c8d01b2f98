"""What the statistic takes from its samples beyond a shift of one metric: the law's lean, the work
behind a step, two metrics at once."""

from __future__ import annotations

import numpy as np
import pytest

from immune.columns import Float32, Float64
from immune.detection.kernel import Kernel
from immune.detection.params import DetectionParams, StatisticParams
from immune.detection.state import AT, BETA, PAIR_R
from immune.vitals import N_METRICS, Metric
from tests.detection.conftest import MakeKernel

STATISTIC = DetectionParams().statistic
NATS = np.float32(18.3)
AGENTS = 60
ROWS = np.arange(AGENTS)
LATENCY = Metric.LATENCY_MS


def other(**values: float) -> StatisticParams:
    """The parameters, but for these."""
    return type(STATISTIC)(
        **{n: getattr(STATISTIC, n) for n in STATISTIC.__struct_fields__} | values
    )


def step(made: Kernel, values: Float32) -> Float32:
    return made.step(ROWS, values, np.full(AGENTS, NATS))


def delay(made: Kernel, well: list[Float32], sick: list[Float32]) -> float:
    """Mean number of sick steps until the evidence crosses the threshold."""
    for values in well:
        step(made, values)
    made.calm(ROWS)
    crossed = np.array([step(made, values) > NATS for values in sick])
    return float(np.where(crossed.any(axis=0), crossed.argmax(axis=0) + 1, len(sick)).mean())


def only(**metrics: Float64) -> Float32:
    """Samples (AGENTS, 8) of these metrics, the others missing."""
    values = np.full((AGENTS, N_METRICS), np.nan)
    for name, column in metrics.items():
        values[:, Metric[name]] = column
    return values.astype(np.float32)


def test_a_slow_down_of_gamma_latency_is_found_sooner_by_bending(kernel: MakeKernel) -> None:
    """The logarithm of a gamma law leans to the left; its likelihood ratio is no normal one's."""

    def steps(count: int, factor: float) -> list[Float32]:
        return [only(LATENCY_MS=factor * 400 * rng.gamma(1.5, 1, AGENTS)) for _ in range(count)]

    rng = np.random.default_rng(1)
    well, sick = steps(700, 1.0), steps(100, 2.5)
    bent, straight = kernel(AGENTS), kernel(AGENTS, other(bend_min=10.0))
    assert delay(bent, well, sick) < 0.9 * delay(straight, well, sick)
    assert np.median(bent.block[:AGENTS, AT["bend"], LATENCY]) > 0.3
    assert not straight.block[:AGENTS, AT["bend"], LATENCY].any()


def test_a_symmetric_law_is_not_bent(kernel: MakeKernel) -> None:
    """Log-normal latency leans to no side: what chance makes it lean is shrunk away."""
    rng = np.random.default_rng(2)
    made = kernel(AGENTS)
    for _ in range(700):
        step(made, only(LATENCY_MS=800 * np.exp(0.4 * rng.standard_normal(AGENTS))))
    assert np.mean(made.block[:AGENTS, AT["bend"], LATENCY] > 0) < 0.3
    assert made.block[:AGENTS, AT["bend"], LATENCY].max() < 0.5


def day(pace_s: float, hours: float, swing: float) -> list[Float32]:
    """Latency that swings by `swing` to each side of its middle in a day, a step in `pace_s`."""
    rng = np.random.default_rng(12)
    hour = rng.uniform(0, 24, AGENTS)
    at = hour[None] + np.arange(0, hours, pace_s / 3600)[:, None]
    noise = 0.4 * rng.standard_normal(at.shape)
    latency = 800 * np.exp(np.log(swing) * np.sin(2 * np.pi * at / 24) + noise)
    return [only(LATENCY_MS=one, INTERVAL_S=np.full(AGENTS, pace_s)) for one in latency]


@pytest.mark.parametrize("pace_s", [20.0, 60.0, 300.0])
def test_a_daily_cycle_of_a_slow_agent_is_no_evidence(kernel: MakeKernel, pace_s: float) -> None:
    """Half as slow again by day as on average raises nothing, however few steps a day has."""
    made = kernel(AGENTS)
    once_in_1000_days = np.log(1000 * 86_400 / pace_s)
    for values in day(pace_s, hours=36, swing=1.5):
        assert (step(made, values) < once_in_1000_days).all()


@pytest.mark.parametrize(("pace_s", "within"), [(20.0, 30), (60.0, 40), (300.0, 80)])
def test_a_slow_agent_that_takes_twice_as_long_is_found(
    kernel: MakeKernel, pace_s: float, within: int
) -> None:
    """What is forgiven of a cycle leaves enough of a change that no cycle makes."""
    well = day(pace_s, hours=1800 * pace_s / 3600, swing=1.0)
    sick = [2.2 * values for values in day(pace_s, hours=200 * pace_s / 3600, swing=1.0)]
    for values in sick:
        values[:, Metric.INTERVAL_S] = pace_s  # which is no longer
    assert delay(kernel(AGENTS), well, sick) < within


def workers(
    rng: np.random.Generator, count: int, *, tokens: float = 1.0, slow: float = 1.0
) -> list[Float32]:
    """Steps whose latency goes with their tokens: ×2 tokens take ×2 the time."""
    made = []
    for _ in range(count):
        size = np.exp(0.5 * rng.standard_normal(AGENTS)) * tokens
        noise = np.exp(0.2 * rng.standard_normal(AGENTS))
        made.append(only(LATENCY_MS=800 * size * noise * slow, INPUT_TOKENS=1500 * size))
    return made


def without_tokens(steps: list[Float32]) -> list[Float32]:
    return [only(LATENCY_MS=values[:, LATENCY].astype(np.float64)) for values in steps]


def test_latency_that_its_tokens_explain_is_no_evidence(kernel: MakeKernel) -> None:
    """Half as much work again takes half as long again: latency by itself is not what changed."""
    rng = np.random.default_rng(3)
    steps = workers(rng, 500) + workers(rng, 15, tokens=1.5)
    told, untold = kernel(AGENTS), kernel(AGENTS)
    for values, bare in zip(steps, without_tokens(steps), strict=True):
        step(told, values)
        step(untold, bare)
    assert (told.block[:AGENTS, AT["pair_past"], BETA] > 0.5).all()
    of_latency = [np.median(made.evidence(ROWS)[1][:, LATENCY]) for made in (told, untold)]
    assert of_latency[0] < of_latency[1] - 2


def test_a_slow_down_that_tokens_do_not_explain_is_found_sooner(kernel: MakeKernel) -> None:
    """Less of the latency is left to chance once the work is known."""
    rng = np.random.default_rng(4)
    well, sick = workers(rng, 500), workers(rng, 80, slow=1.6)
    # latency alone counts in both: tokens are no evidence here
    weights = (STATISTIC.metric_weights[0], *(0.0,) * 7)
    known = type(STATISTIC)(metric_weights=weights)
    told, untold = kernel(AGENTS, known), kernel(AGENTS, known)
    assert delay(told, well, sick) < 0.8 * delay(untold, without_tokens(well), without_tokens(sick))


def test_slow_and_failing_at_once_is_found_sooner_as_a_pair(kernel: MakeKernel) -> None:
    """Neither alone says as much as both in the same step."""
    rng = np.random.default_rng(5)

    def steps(count: int, slow: float, retry_rate: float) -> list[Float32]:
        made = []
        for _ in range(count):
            retry = rng.random(AGENTS) < retry_rate
            time = 800 * np.exp(0.5 * rng.standard_normal(AGENTS)) * np.where(retry, slow, 1.0)
            made.append(only(LATENCY_MS=time, RETRIES=retry.astype(float), ERRORS=np.zeros(AGENTS)))
        return made

    well, sick = steps(500, 1.0, 0.05), steps(120, 2.5, 0.5)
    paired, apart = kernel(AGENTS), kernel(AGENTS, other(pair_weight=0.0))
    assert delay(paired, well, sick) < delay(apart, well, sick)
    of_retries, of_errors = paired.block[:AGENTS, AT["pair"], PAIR_R].T
    assert np.median(of_retries) > 1e3 * np.median(of_errors)


@pytest.mark.parametrize("steps", [8, 100, 600])
def test_the_moments_of_many_blocks_are_those_of_all_samples(
    kernel: MakeKernel, steps: int
) -> None:
    """Mean, variance and third moment, merged block by block, against a direct computation."""
    rng = np.random.default_rng(6)
    times = 500 * rng.gamma(2.0, 1.0, (steps, AGENTS))
    made = kernel(AGENTS)
    for row in times:
        step(made, only(LATENCY_MS=row))
    made.learn_all(ROWS)
    y = np.log1p(times.astype(np.float32).astype(np.float64))
    apart = y - y.mean(axis=0)
    state = made.block[:AGENTS, :, LATENCY]
    np.testing.assert_allclose(state[:, AT["n"]], steps)
    inside = (np.abs(apart) < 4 * y.std(axis=0)).all(axis=0)  # none cut off as an outlier
    assert inside.sum() > 10
    for field, power, tolerance in (("var", 2, 1e-3), ("skew", 3, 5e-3)):
        direct = (apart**power).mean(axis=0)
        np.testing.assert_allclose(
            state[inside, AT[field]], direct[inside], rtol=tolerance, atol=tolerance
        )
    np.testing.assert_allclose(state[inside, AT["mean"]], y.mean(axis=0)[inside], rtol=1e-5)
    raw = times.astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(state[:, AT["raw"]], raw.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(state[:, AT["raw_var"]], raw.var(axis=0), rtol=1e-3)
