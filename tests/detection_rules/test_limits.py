"""Hard limits speak at once, in words, and only of what somebody has set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detection_rules.steps import START, batch, cut, step

from immune.columns import Names
from immune.detection.findings import Source, Tier
from immune.detection.hits import Hit
from immune.detection.limits import HardLimits
from immune.detection.rule_params import Limits
from immune.errors import InvalidInput
from immune.vitals import Kind, Vital


def watch(limits: Limits, *vitals: Vital, one_by_one: bool = True) -> list[Hit]:
    names = Names()
    rule = HardLimits(limits, names)
    batches = [[vital] for vital in vitals] if one_by_one else [list(vitals)]
    return [hit for part in batches for hit in rule.observe(batch(names, part))]


def test_nothing_is_limited_until_somebody_sets_a_limit() -> None:
    """Without settings even a monstrous step passes."""
    monster = step(0, cost_usd=1e6, input_tokens=1e9, tool_calls=1e5, latency_ms=1e9)
    assert watch(Limits(), monster) == []


def test_one_step_above_the_ceiling_is_told_in_words() -> None:
    """A step of 12.40 USD under a limit of 10 USD is a quarantine of severity 8 at least."""
    (hit,) = watch(Limits(step_cost_usd=10), step(0, cost_usd=12.4))
    assert hit.facts.limit == "cost_usd 12.40 in one step, limit 10.00"
    assert hit.tier is Tier.QUARANTINE
    assert hit.source is Source.HARD_LIMIT
    assert hit.severity_floor == 8
    assert hit.can_fence
    assert hit.at == START


def test_the_ceiling_itself_is_allowed() -> None:
    """Exactly the limit is within it."""
    assert watch(Limits(step_tool_calls=8), step(0, tool_calls=8.0)) == []


def test_tokens_are_input_and_output_together() -> None:
    """700 in and 400 out pass a limit of 1,000; a missing half counts as nothing."""
    (hit,) = watch(
        Limits(step_tokens=1000),
        step(0, input_tokens=700.0, output_tokens=400.0),
        step(1, input_tokens=700.0),
        step(2),
    )
    assert hit.facts.limit == "tokens 1100 in one step, limit 1000"


def test_a_step_that_passes_two_limits_is_one_hit() -> None:
    """Both limits are named."""
    (hit,) = watch(
        Limits(step_latency_ms=1000, step_tool_calls=5), step(0, latency_ms=2000.0, tool_calls=6.0)
    )
    assert hit.facts.limit == (
        "tool_calls 6 in one step, limit 5; latency_ms 2000 in one step, limit 1000"
    )


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_session_adds_up(one_by_one: bool) -> None:
    """The session's fourth step passes its limit; steps outside of sessions don't count."""
    steps = [step(t, cost_usd=3.0, session_id="s") for t in range(4)]
    steps.append(step(2.5, cost_usd=100.0))
    steps.append(step(2.6, cost_usd=9.0, session_id="other"))
    (hit,) = watch(Limits(session_cost_usd=10), *steps, one_by_one=one_by_one)
    assert hit.facts.limit == "cost_usd 12.00 in one session, limit 10.00"
    assert hit.at == START + 3


def test_a_passed_session_is_told_again_only_when_doubled() -> None:
    """A session that goes on is not told at every step."""
    steps = [step(t, tool_calls=1.0, session_id="s") for t in range(50)]
    assert [hit.at - START for hit in watch(Limits(session_tool_calls=10), *steps)] == [10, 22, 46]


def test_a_session_is_forgotten_after_an_idle_hour() -> None:
    """Who comes back after an hour begins anew."""
    steps = [step(t, cost_usd=6.0, session_id="s") for t in (0, 3700, 7400)]
    assert watch(Limits(session_cost_usd=10), *steps) == []


def test_idle_sessions_leave_no_memory() -> None:
    """A million sessions a day don't grow the table without bound."""
    names = Names()
    rule = HardLimits(Limits(session_cost_usd=10), names)
    for t in range(0, 20_000, 100):
        rule.observe(batch(names, [step(t, cost_usd=1.0, session_id=f"s{t}")]))
    assert rule.open_sessions < 60


@pytest.mark.parametrize("one_by_one", [False, True])
def test_an_hour_adds_up_and_slides(one_by_one: bool) -> None:
    """Six dollars every 25 minutes pass a limit of 10 an hour; every 65 minutes they don't."""
    often = [step(t * 1500, cost_usd=6.0) for t in range(2)]
    (hit,) = watch(Limits(hour_cost_usd=10), *often, one_by_one=one_by_one)
    assert hit.facts.limit == "cost_usd 12.00 in one hour, limit 10.00"
    seldom = [step(t * 3900, cost_usd=6.0) for t in range(9)]
    assert watch(Limits(hour_cost_usd=10), *seldom, one_by_one=one_by_one) == []


def test_a_new_hour_is_told_anew() -> None:
    """A limit passed again after a quiet hour is news."""
    bursts = [step(t, cost_usd=6.0) for t in (0, 1, 8000, 8001)]
    assert [hit.at - START for hit in watch(Limits(hour_cost_usd=10), *bursts)] == [1, 8001]


def test_calls_and_runs_are_summed_apart() -> None:
    """A run's cost is that of its calls: they must not add up."""
    both = [step(t, cost_usd=6.0, kind=kind) for t, kind in enumerate((Kind.CALL, Kind.RUN))]
    assert watch(Limits(hour_cost_usd=10), *both) == []


def test_a_retired_agent_starts_with_an_empty_hour() -> None:
    """Nothing is left of an agent that was retired."""
    names = Names()
    rule = HardLimits(Limits(hour_cost_usd=10), names)
    rule.observe(batch(names, [step(0, cost_usd=9.0)]))
    rule.retire(names.agents.code("a"))
    assert rule.observe(batch(names, [step(1, cost_usd=9.0)])) == []


def test_a_limit_of_nothing_is_refused() -> None:
    """Zero would stop every agent; to switch a limit off it is left out."""
    with pytest.raises(InvalidInput, match=r"limits\.step_cost_usd"):
        Limits(step_cost_usd=0)


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]), st.integers(0, 900), st.integers(0, 5), st.booleans()
        ),
        max_size=60,
    ),
    st.integers(0, 2**32 - 1),
)
def test_sums_are_those_counted_by_hand(story: list[tuple[str, int, int, bool]], seed: int) -> None:
    """However the stream is cut, an agent is told first at the step where its hour passes."""
    now, vitals = 0.0, []
    for agent, pause_s, calls, in_session in story:
        now += pause_s
        session_id = "s" if in_session else None
        vitals.append(step(now, agent=agent, tool_calls=float(calls), session_id=session_id))
    first: dict[str, float] = {}
    for last in vitals:
        minute = last.at // 60
        hour = sum(
            vital.tool_calls or 0
            for vital in vitals
            if vital.agent_id == last.agent_id
            and vital.at <= last.at
            and minute - vital.at // 60 < 60
            and vitals.index(vital) <= vitals.index(last)
        )
        if hour > 12:
            first.setdefault(last.agent_id, last.at)
    names = Names()
    rule = HardLimits(Limits(hour_tool_calls=12), names)
    rng = np.random.default_rng(seed)
    told: dict[str, float] = {}
    for part in cut(vitals, rng):
        for hit in rule.observe(batch(names, part)):
            told.setdefault(names.agents.text(hit.agent), hit.at)
    assert told == first
