"""Chance is as the design says, for each kind of noise."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import pytest

from immune.columns import Float64, VitalColumns
from immune.simulation.catalogue import MODELS, TYPES
from immune.simulation.fleet import SimulatedFleet
from immune.vitals import Metric

STEPS = 4000
AGENTS = 24
LATENCY, INPUT, OUTPUT, COST, TOOLS, RETRIES, ERRORS = (Metric(k) for k in range(7))


@functools.cache
def _values(noise: str) -> tuple[SimulatedFleet, list[Float64]]:
    fleet = SimulatedFleet(AGENTS, seed=5, noise=noise)
    batches: list[VitalColumns] = list(fleet.history(STEPS))
    agent = np.concatenate([b.agent for b in batches])
    values = np.concatenate([b.values for b in batches]).astype(np.float64)
    return fleet, [values[agent == code] for code in fleet.codes]


def test_real_sizes_are_log_normal_with_sigmas_of_their_own() -> None:
    """Latency and tokens have each agent's own median and sigma, within the design's ranges."""
    fleet, values = _values("real")
    assert np.all((fleet.state.sigma >= [0.35, 0.3, 0.3]) & (fleet.state.sigma <= 0.6))
    for i, mine in enumerate(values):
        logs = np.log(mine[:, [LATENCY, INPUT, OUTPUT]])
        assert logs.mean(0) == pytest.approx(fleet.state.mu[i], abs=0.05)
        assert logs.std(0) == pytest.approx(fleet.state.sigma[i], rel=0.06)
        skew = ((logs - logs.mean(0)) ** 3).mean(0) / logs.std(0) ** 3
        assert np.all(np.abs(skew) < 0.25)


def test_real_sizes_are_correlated() -> None:
    """A step that takes long takes many tokens: correlation about .5 on the log scale."""
    for mine in _values("real")[1]:
        r = np.corrcoef(np.log(mine[:, [LATENCY, INPUT, OUTPUT]]).T)
        assert r[[0, 0, 1], [1, 2, 2]] == pytest.approx(0.5, abs=0.07)


def test_agents_of_a_type_lie_within_one_and_a_half() -> None:
    """The medians of two agents of one type differ by at most ×1.5, and types differ."""
    state = SimulatedFleet(600, seed=1).state
    for kind in range(len(TYPES)):
        of_type = np.exp(state.mu[state.kind == kind])
        assert np.all(of_type.max(0) / of_type.min(0) <= 1.5 + 1e-9)
        assert np.all(of_type.max(0) / of_type.min(0) > 1.4)
        calls = state.calls[state.kind == kind]
        assert calls.max() / calls.min() <= 1.5 + 1e-9
    assert state.calls.min() > 2.0
    assert state.calls.max() < 6.0


@pytest.mark.parametrize("noise", ["real", "calm", "clustered"])
def test_cost_is_linear_in_tokens(noise: str) -> None:
    """Cost is tokens times the model's prices, to the cent's fraction."""
    fleet, values = _values(noise)
    for i, mine in enumerate(values):
        model = MODELS[fleet.state.model[i]]
        cost = (
            mine[:, INPUT] * model.usd_per_input_token
            + mine[:, OUTPUT] * model.usd_per_output_token
        )
        assert np.allclose(mine[:, COST], cost, rtol=1e-5)


@pytest.mark.parametrize("noise", ["real", "calm"])
def test_counts_and_rates(noise: str) -> None:
    """Tool calls are Poisson; retries and errors have each agent's own probability."""
    fleet, values = _values(noise)
    state = fleet.state
    assert np.all((state.retry_p >= 0.02) & (state.retry_p <= 0.1))
    assert np.all((state.error_p >= 0.005) & (state.error_p <= 0.03))
    for i, mine in enumerate(values):
        assert mine[:, TOOLS].mean() == pytest.approx(state.calls[i], rel=0.06)
        assert mine[:, TOOLS].var() / mine[:, TOOLS].mean() == pytest.approx(1.0, abs=0.12)
        assert (mine[:, RETRIES] > 0).mean() == pytest.approx(state.retry_p[i], abs=0.02)
        assert mine[:, ERRORS].mean() == pytest.approx(state.error_p[i], abs=0.01)
        assert set(np.unique(mine[:, ERRORS])) <= {0.0, 1.0}
        assert np.all(mine[:, RETRIES] == np.rint(mine[:, RETRIES]))


def test_calm_is_uniform_by_a_fifth() -> None:
    """Calm sizes stay within ±20 % of the middle and fill that range evenly."""
    fleet, values = _values("calm")
    for i, mine in enumerate(values):
        relative = mine[:, [LATENCY, INPUT, OUTPUT]] / np.exp(fleet.state.mu[i])
        assert relative.min() > 0.79
        assert relative.max() < 1.21
        assert relative.mean(0) == pytest.approx(1.0, abs=0.01)
        assert relative.std(0) == pytest.approx(0.4 / np.sqrt(12), rel=0.05)


def _lag(values: Float64, by: int) -> float:
    x = np.log(values) - np.log(values).mean()
    return float((x[by:] * x[:-by]).mean() / x.var())


def test_clustered_latency_remembers() -> None:
    """Clustered latency is AR(1) with φ = .5 and the same sigma; real latency remembers nothing."""
    fleet, values = _values("clustered")
    for i, mine in enumerate(values):
        assert _lag(mine[:, LATENCY], 1) == pytest.approx(0.5, abs=0.08)
        assert _lag(mine[:, LATENCY], 2) == pytest.approx(0.25, abs=0.1)
        assert np.log(mine[:, LATENCY]).std() == pytest.approx(fleet.state.sigma[i, 0], rel=0.1)
        assert _lag(mine[:, INPUT], 1) == pytest.approx(0.0, abs=0.08)
    assert np.mean([_lag(mine[:, LATENCY], 1) for mine in _values("real")[1]]) == pytest.approx(
        0, abs=0.02
    )


def _triples(retried: npt.NDArray[np.bool_]) -> float:
    return float((retried[2:] & retried[1:-1] & retried[:-2]).mean())


def test_clustered_retries_come_in_runs() -> None:
    """Runs of three retries start on .2 % of clustered steps, far oftener than by chance."""
    chance = np.mean([_triples(mine[:, RETRIES] > 0) for mine in _values("real")[1]])
    runs = np.mean([_triples(mine[:, RETRIES] > 0) for mine in _values("clustered")[1]])
    assert runs - chance == pytest.approx(0.0025, abs=0.001)


def test_clustered_memory_crosses_batches() -> None:
    """What clustered noise remembers lasts from one call of `step` to the next."""
    fleet = SimulatedFleet(1, seed=1, noise="clustered")
    latency = [
        fleet.step(fleet.start_at + second).values[:, LATENCY].astype(np.float64)
        for second in range(1, 3001)
    ]
    assert _lag(np.concatenate(latency), 1) == pytest.approx(0.5, abs=0.06)


def test_healthy_agents_repeat_no_call() -> None:
    """Hashes repeat only where an agent loops, and never are 0, which means unknown."""
    fleet = SimulatedFleet(20, seed=3)
    calls = fleet.step(fleet.start_at + 200).calls
    assert len(np.unique(calls.args_hash)) == len(calls)
    assert len(np.unique(calls.result_hash)) == len(calls)
    assert (calls.args_hash > 0).all()


def test_calls_use_the_agents_own_tools_by_their_share() -> None:
    """An agent calls only its own four tools, as often as its habit says; retries fail a call."""
    fleet = SimulatedFleet(6, seed=3)
    columns = fleet.step(fleet.start_at + 2000)
    state, calls = fleet.state, columns.calls
    agent = columns.agent[calls.row]
    for i, code in enumerate(fleet.codes):
        tool = calls.tool[agent == code]
        used = [(tool == slot).mean() for slot in state.tool_code[i, :4]]
        assert used == pytest.approx(state.tool_share[i], abs=0.03)
        assert sum(used) == pytest.approx(1.0)
    failed = np.unique(calls.row[~calls.ok])
    assert (columns.values[failed, RETRIES] > 0).all()
    retried = (columns.values[:, RETRIES] > 0) & (columns.values[:, TOOLS] > 0)
    assert len(failed) == retried.sum()
