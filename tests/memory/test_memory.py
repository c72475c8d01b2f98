"""What memory takes in, how it orders rungs, and what it forbids."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immune.diagnosis.causes import Cause
from immune.healing import defaults
from immune.healing.actions import DISRUPTION, Action, Healing, Outcome
from immune.healing.params import MemoryParams
from immune.memory import ImmuneMemory

DAY = 86_400.0


def attempt(
    number: int,
    action: Action,
    outcome: Outcome,
    *,
    cause: Cause = Cause.COST_OVERRUN,
    pattern: str = "input_tokens",
    agent: str = "a",
    incident: str | None = None,
    at: float | None = None,
) -> Healing:
    """A finished attempt."""
    when = float(number) if at is None else at
    return Healing(
        key=f"{incident or number}/{number}",
        incident_id=incident or f"inc-{number}",
        agent_id=agent,
        agent_type="t",
        cause=str(cause),
        pattern=pattern,
        action=action,
        trigger="auto",
        ordered_at=when,
        applied_at=when,
        ended_at=when,
        outcome=outcome,
    )


@pytest.mark.parametrize("cause", Cause)
def test_default_value_falls(cause: Cause) -> None:
    """Each default ladder is in falling order of expected cures per disruption."""
    values = [p / DISRUPTION[action] for action, p in defaults.LADDERS[cause]]
    assert all(one > other for one, other in itertools.pairwise(values))


@given(
    cause=st.sampled_from(list(Cause)),
    chosen=st.sets(st.sampled_from(list(Action))),
    pattern=st.text(max_size=5),
    shuffled=st.randoms(use_true_random=False),
)
def test_order_without_data_is_the_default(
    cause: Cause, chosen: set[Action], pattern: str, shuffled: random.Random
) -> None:
    """Without an outcome any choice of a cause's actions keeps the default order."""
    known = [action for action in defaults.actions(cause) if action in chosen]
    offered = list(known)
    shuffled.shuffle(offered)
    assert ImmuneMemory().order(cause, pattern, offered) == known


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(list(Action)), st.booleans(), st.sampled_from(["x", "y"]),
            st.integers(0, 5),
        ),
        max_size=60,
    ),
    cause=st.sampled_from(list(Cause)),
    chosen=st.lists(st.sampled_from(list(Action)), unique=True),
)  # fmt: skip
def test_order_is_a_permutation(
    rows: list[tuple[Action, bool, str, int]], cause: Cause, chosen: list[Action]
) -> None:
    """Whatever was learned, every action offered comes exactly once."""
    memory = ImmuneMemory()
    for number, (action, cured, pattern, incident) in enumerate(rows):
        outcome = Outcome.CURED if cured else Outcome.RELAPSED
        memory.take(
            attempt(number, action, outcome, cause=cause, pattern=pattern, incident=f"i{incident}")
        )
    assert sorted(memory.order(cause, "x", chosen)) == sorted(chosen)


def test_independent_cures_order_by_value() -> None:
    """With plenty of first attempts the order is by P(cure) / disruption."""
    memory = ImmuneMemory()
    shares = {Action.RESET_MEMORY: 0.1, Action.REDUCE_AUTONOMY: 0.3, Action.SWITCH_MODEL: 0.9}
    numbers = itertools.count()
    for action, share in shares.items():
        for n in range(100):
            outcome = Outcome.CURED if n < 100 * share else Outcome.RELAPSED
            memory.take(attempt(next(numbers), action, outcome))
    assert memory.order(Cause.COST_OVERRUN, "input_tokens", list(shares)) == [
        Action.SWITCH_MODEL,
        Action.REDUCE_AUTONOMY,
        Action.RESET_MEMORY,
    ]


def test_patterns_are_told_apart() -> None:
    """What cures one look of a cause comes first for it, and for that look alone."""
    memory = ImmuneMemory()
    ladder = defaults.actions(Cause.COST_OVERRUN)
    for n in range(8):
        incident = f"inc-{n}"
        for place, action in enumerate(ladder[:3]):
            cured = Outcome.CURED if action is Action.SWITCH_MODEL else Outcome.RELAPSED
            memory.take(
                attempt(10 * n + place, action, cured, pattern="cost_only", incident=incident)
            )
        memory.take(attempt(10 * n + 9, Action.RESET_MEMORY, Outcome.CURED))
    assert memory.order(Cause.COST_OVERRUN, "cost_only", ladder)[0] is Action.SWITCH_MODEL
    assert memory.order(Cause.COST_OVERRUN, "input_tokens", ladder)[0] is Action.RESET_MEMORY


def test_cures_that_need_two_actions() -> None:
    """An action that cures only after another is ordered after it, not dropped for the clone."""
    memory = ImmuneMemory()
    ladder = defaults.actions(Cause.PROMPT_INJECTION)
    for n in range(12):
        for place, action in enumerate((Action.RESET_MEMORY, Action.REVOKE_TOOLS)):
            memory.take(
                attempt(
                    2 * n + place,
                    action,
                    Outcome.CURED if place else Outcome.RELAPSED,
                    cause=Cause.PROMPT_INJECTION,
                    pattern="new_tool",
                    incident=f"inc-{n}",
                )
            )
        memory.take(
            attempt(
                100 + n,
                Action.REVOKE_TOOLS,
                Outcome.RELAPSED,
                cause=Cause.PROMPT_INJECTION,
                pattern="new_tool",
            )
        )
    order = memory.order(Cause.PROMPT_INJECTION, "new_tool", ladder)
    assert order[:2] == [Action.RESET_MEMORY, Action.REVOKE_TOOLS]
    chance = memory.chance(Cause.PROMPT_INJECTION, "new_tool", Action.REVOKE_TOOLS)
    after = memory.chance(
        Cause.PROMPT_INJECTION, "new_tool", Action.REVOKE_TOOLS, [Action.RESET_MEMORY]
    )
    assert after > 0.85 > 0.4 > chance


@pytest.mark.parametrize(
    "outcome", [Outcome.PENDING, Outcome.FAILED, Outcome.UNREACHABLE, Outcome.SUPERSEDED]
)
def test_unproved_attempts_teach_nothing(outcome: Outcome) -> None:
    """Only what was acknowledged and then proved either way counts."""
    memory = ImmuneMemory()
    assert not memory.take(attempt(1, Action.RESET_MEMORY, outcome))
    assert memory.summary() == ()
    assert memory.banned("a", Cause.COST_OVERRUN, Action.RESET_MEMORY, 2.0) == ""


def test_an_attempt_counts_once() -> None:
    """The same row handed in again changes nothing."""
    memory = ImmuneMemory()
    row = attempt(1, Action.RESET_MEMORY, Outcome.CURED)
    assert [memory.take(row), memory.take(row)] == [True, False]
    assert [(c.action, c.tried, c.cured) for c in memory.summary()] == [(Action.RESET_MEMORY, 1, 1)]


def test_loading_in_any_order_is_taking_in_order() -> None:
    """After a restart memory knows what it knew, though the store gives the newest first."""
    rows = [
        attempt(n, action, outcome, incident=f"inc-{n // 2}")
        for n, (action, outcome) in enumerate(
            [(Action.RESET_MEMORY, Outcome.RELAPSED), (Action.REDUCE_AUTONOMY, Outcome.CURED)] * 5
        )
    ]
    taken, loaded = ImmuneMemory(), ImmuneMemory()
    for row in rows:
        taken.take(row)
    loaded.load(reversed(rows))
    assert loaded.summary() == taken.summary()
    for action in (Action.RESET_MEMORY, Action.REDUCE_AUTONOMY):
        for failed in ((), (Action.RESET_MEMORY,)):
            assert loaded.chance(
                Cause.COST_OVERRUN, "input_tokens", action, failed
            ) == taken.chance(Cause.COST_OVERRUN, "input_tokens", action, failed)


class TestBan:
    """A rung that failed is not repeated for the same agent and cause for 7 days."""

    def test_holds_for_seven_days(self) -> None:
        """It ends with the seventh day."""
        memory = ImmuneMemory()
        memory.take(attempt(1, Action.RESET_MEMORY, Outcome.RELAPSED, at=1000.0))
        banned = memory.banned("a", Cause.COST_OVERRUN, Action.RESET_MEMORY, 1000.0 + 3 * DAY)
        assert banned == "it failed against cost_overrun on this agent 3 days ago"
        assert not memory.banned("a", Cause.COST_OVERRUN, Action.RESET_MEMORY, 1000.0 + 7 * DAY)

    def test_is_for_one_agent_and_cause(self) -> None:
        """Another agent, cause or action is free."""
        memory = ImmuneMemory()
        memory.take(attempt(1, Action.RESET_MEMORY, Outcome.RELAPSED))
        assert not memory.banned("b", Cause.COST_OVERRUN, Action.RESET_MEMORY, 2.0)
        assert not memory.banned("a", Cause.UNKNOWN, Action.RESET_MEMORY, 2.0)
        assert not memory.banned("a", Cause.COST_OVERRUN, Action.SWITCH_MODEL, 2.0)

    @pytest.mark.parametrize("cure", [Action.RESET_MEMORY, Action.SWITCH_MODEL])
    def test_ends_with_a_cure(self, cure: Action) -> None:
        """Once anything has cured the agent of it, the sickness that resisted is over."""
        memory = ImmuneMemory()
        memory.take(attempt(1, Action.RESET_MEMORY, Outcome.RELAPSED))
        memory.take(attempt(2, cure, Outcome.CURED))
        assert not memory.banned("a", Cause.COST_OVERRUN, Action.RESET_MEMORY, 3.0)

    def test_what_cured_goes_before_what_had_failed(self) -> None:
        """The next time, the agent gets first what helped it the last time; for 7 days."""
        memory = ImmuneMemory()
        memory.take(attempt(1, Action.RESET_MEMORY, Outcome.RELAPSED))
        memory.take(attempt(2, Action.SWITCH_MODEL, Outcome.CURED, incident="inc-1"))
        ladder = defaults.actions(Cause.COST_OVERRUN)

        def cure_first(agent: str, now: float) -> bool:
            ordered = memory.order(Cause.COST_OVERRUN, "input_tokens", ladder, agent, now)
            return ordered.index(Action.SWITCH_MODEL) < ordered.index(Action.RESET_MEMORY)

        assert cure_first("a", 3.0)
        assert not cure_first("b", 3.0)
        assert not cure_first("a", 8 * DAY)

    def test_can_be_turned_off(self) -> None:
        """With a length of 0 nothing is banned."""
        memory = ImmuneMemory(MemoryParams(ban_s=0.0))
        memory.take(attempt(1, Action.RESET_MEMORY, Outcome.RELAPSED))
        assert not memory.banned("a", Cause.COST_OVERRUN, Action.RESET_MEMORY, 1.0)

    def test_shows_on_the_agents_record(self) -> None:
        """The page shows what was tried on the agent, and until when it will not be again."""
        memory = ImmuneMemory()
        memory.take(attempt(1, Action.RESET_MEMORY, Outcome.RELAPSED))
        memory.take(attempt(2, Action.REDUCE_AUTONOMY, Outcome.RELAPSED))
        latest, earlier = memory.tried("a")
        assert (latest.action, latest.cured, latest.banned_until) == (
            Action.REDUCE_AUTONOMY,
            0,
            2.0 + 7 * DAY,
        )
        assert (earlier.action, earlier.tried, earlier.banned_until) == (
            Action.RESET_MEMORY,
            1,
            1.0 + 7 * DAY,
        )
        assert memory.tried("nobody") == ()


def test_off_is_the_default_without_bans() -> None:
    """``--memory off`` orders as if nothing had ever happened, and still counts."""
    memory = ImmuneMemory(enabled=False)
    for n in range(30):
        memory.take(attempt(n, Action.RESET_MEMORY, Outcome.RELAPSED))
    ladder = defaults.actions(Cause.COST_OVERRUN)
    assert tuple(memory.order(Cause.COST_OVERRUN, "input_tokens", ladder)) == ladder
    assert memory.banned("a", Cause.COST_OVERRUN, Action.RESET_MEMORY, 31.0) == ""
    assert memory.summary()[0].tried == 30


def test_courses_are_bounded() -> None:
    """Incidents without end leave no memory without end."""
    memory = ImmuneMemory(MemoryParams(incidents_max=10))
    for n in range(50):
        memory.take(attempt(n, Action.RESET_MEMORY, Outcome.RELAPSED))
    assert len(memory._courses) == 10


def test_an_agent_that_is_gone_is_forgotten_and_what_it_taught_is_not() -> None:
    """Its bans end with it; the fleet's chances stay as they were."""
    memory = ImmuneMemory()
    memory.take(attempt(1, Action.RESET_MEMORY, Outcome.RELAPSED))
    chance = memory.chance(Cause.COST_OVERRUN, "input_tokens", Action.RESET_MEMORY)
    assert memory.banned("a", Cause.COST_OVERRUN, Action.RESET_MEMORY, 2.0)
    memory.forget("a")
    assert memory.tried("a") == ()
    assert not memory.banned("a", Cause.COST_OVERRUN, Action.RESET_MEMORY, 2.0)
    assert memory.chance(Cause.COST_OVERRUN, "input_tokens", Action.RESET_MEMORY) == chance
