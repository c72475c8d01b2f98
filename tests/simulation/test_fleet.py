"""The fleet's steps: who makes them, when, and that chance has one seed."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import numpy as np
import pytest

from immune.chaos import ChaosInjector
from immune.clock import ManualClock
from immune.columns import Names, VitalColumns, to_vitals
from immune.errors import InvalidInput, NotFound
from immune.healing.actions import Action
from immune.simulation.fleet import SimulatedFleet
from immune.simulation.link import SimulatedLink
from immune.vitals import CALLS_MAX, Kind, Metric, refusal


def _equal(one: VitalColumns, other: VitalColumns) -> bool:
    calls = all(
        np.array_equal(getattr(one.calls, name), getattr(other.calls, name))
        for name in ("row", "tool", "args_hash", "result_hash", "ok")
    )
    return calls and all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True)
        for name in ("agent", "at", "values", "model", "provider", "prompt_hash", "error_type")
    )


def _run(seed: int, noise: str = "real") -> list[VitalColumns]:
    clock = ManualClock()
    fleet = SimulatedFleet(12, seed=seed, noise=noise, start_at=clock.time())
    chaos = ChaosInjector(fleet, seed, "waves", warmup_s=5.0)
    link = SimulatedLink(fleet, clock)
    batches = []
    for second in range(90):
        clock.advance(1.0)
        batches.append(fleet.step(clock.time()))
        chaos.advance(clock.time())
        if second % 10 == 9:
            agent_id = fleet.agent_ids[second // 10]
            asyncio.run(link.apply(agent_id, Action.RESET_MEMORY, f"a{second}"))
            asyncio.run(link.fence(agent_id, second % 20 == 9, f"f{second}"))
    return batches


@pytest.mark.parametrize("noise", ["real", "calm", "clustered"])
def test_same_seed_same_run(noise: str) -> None:
    """The same seed and the same orders give the same vitals, call by call."""
    assert all(map(_equal, _run(3, noise), _run(3, noise)))


def test_another_seed_is_another_run() -> None:
    """Another seed gives other vitals."""
    assert not all(map(_equal, _run(3), _run(4)))


def test_every_step_once_and_in_order() -> None:
    """Each agent steps every 0.9 to 1.1 s, each step is told once, in order of its end."""
    fleet = SimulatedFleet(9, seed=1)
    at = fleet.start_at
    seen: dict[int, list[float]] = {}
    for gap in [0.3, 1.0, 0.05, 4.0, 1.0, 0.7, 12.0, 1.0]:
        batch = fleet.step(at + gap)
        assert np.all(np.diff(batch.at) >= 0)
        assert np.all((batch.at > at) & (batch.at <= at + gap))
        assert np.all(batch.received_at == at + gap)
        at += gap
        for agent, end in zip(batch.agent.tolist(), batch.at.tolist(), strict=True):
            seen.setdefault(agent, []).append(end)
    assert len(seen) == 9
    assert sum(map(len, seen.values())) == fleet.steps_made
    for ends in seen.values():
        assert all(0.9 - 1e-6 <= b - a <= 1.1 + 1e-6 for a, b in pairwise(ends))
        assert at - ends[-1] <= 1.1


def test_vitals_are_whole_and_valid() -> None:
    """A simulated vital is a run that intake would take, with all its facts."""
    names = Names()
    fleet = SimulatedFleet(6, seed=2, names=names)
    columns = fleet.step(fleet.start_at + 3)
    for vital in to_vitals(columns, names):
        assert vital.kind is Kind.RUN
        assert refusal(vital, 0, fleet.start_at + 3) is None
        assert vital.agent_type
        assert vital.agent_id.startswith(vital.agent_type)
        assert vital.model is not None
        assert vital.provider is not None
        assert vital.model.startswith(vital.provider)
        assert vital.prompt_hash is not None
        assert len(vital.calls or ()) == vital.tool_calls
        assert np.isnan(columns.values[:, Metric.INTERVAL_S]).all()


def test_a_looping_agent_reports_at_most_64_calls() -> None:
    """However often an agent calls, at most 64 calls a step are told apart."""
    fleet = SimulatedFleet(3, seed=2)
    ChaosInjector(fleet, 0).inject(fleet.agent_ids[1], "tool_loop", "planner")
    fleet.state.planner_loop[1] = 30.0
    fleet.state.touch()
    columns = fleet.step(fleet.start_at + 30)
    assert np.bincount(columns.calls.row).max() == CALLS_MAX
    assert columns.values[:, Metric.TOOL_CALLS].max() > CALLS_MAX


def test_a_fenced_agent_makes_no_step() -> None:
    """A fenced agent's steps are refused and counted, and come again when the fence falls."""
    fleet = SimulatedFleet(5, seed=2)
    fleet.step(fleet.start_at + 10)
    made = fleet.steps_made
    fleet.fence(fleet.agent_ids[2], True)
    columns = fleet.step(fleet.start_at + 20)
    assert int(fleet.codes[2]) not in columns.agent
    assert fleet.steps_refused in (9, 10, 11)
    assert fleet.steps_made - made == len(columns)
    fleet.fence(fleet.agent_ids[2], False)
    assert int(fleet.codes[2]) in fleet.step(fleet.start_at + 22).agent


def test_a_silent_agent_is_refused_nothing() -> None:
    """An agent that is silent tries no step, so a fence refuses none."""
    fleet = SimulatedFleet(5, seed=2)
    ChaosInjector(fleet, 0).inject(fleet.agent_ids[2], "silent", "crashed")
    fleet.fence(fleet.agent_ids[2], True)
    columns = fleet.step(fleet.start_at + 20)
    assert int(fleet.codes[2]) not in columns.agent
    assert fleet.steps_refused == 0


def test_history_leads_up_to_the_first_step() -> None:
    """An hour of history comes in big sorted batches, and the first step goes on from there."""
    fleet = SimulatedFleet(15, seed=2)
    batches = list(fleet.history(3600, fleet.start_at))
    at = np.concatenate([batch.at for batch in batches])
    assert 15 * 3590 < len(at) < 15 * 3610
    assert len(batches) < 20
    assert np.all(np.diff(at) >= 0)
    assert at[-1] <= fleet.start_at
    assert at[0] > fleet.start_at - 3600
    assert all(np.array_equal(batch.at, batch.received_at) for batch in batches)
    last = {a: t for b in batches for a, t in zip(b.agent.tolist(), b.at.tolist(), strict=True)}
    fresh = fleet.step(fleet.start_at + 1.1)
    for agent, end in list(zip(fresh.agent.tolist(), fresh.at.tolist(), strict=True))[::-1]:
        assert 0.9 - 1e-6 <= end - last.get(agent, end - 1) <= 2.2


def test_agents_of_one_name_each() -> None:
    """Ids are distinct, sort well, and an unknown one is not found."""
    fleet = SimulatedFleet(40, seed=2)
    assert len(set(fleet.agent_ids)) == 40
    assert fleet.place("coder-03") == fleet.agent_ids.index("coder-03")
    with pytest.raises(NotFound):
        fleet.place("nobody")


@pytest.mark.parametrize("wrong", [{"agents": 0}, {"noise": "loud"}])
def test_wrong_input_is_refused(wrong: dict[str, object]) -> None:
    """A fleet of nobody, or of an unknown noise, is refused with the field's name."""
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        SimulatedFleet(**wrong)  # type: ignore[arg-type]
