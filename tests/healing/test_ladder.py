"""The ladder as a person sees it, and why a person must decide."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immune.diagnosis.causes import Cause, Diagnosis, RankedCause
from immune.healing import defaults
from immune.healing.actions import IRREVERSIBLE, Action, Healing, Outcome
from immune.healing.healer import Healer
from immune.healing.ladder import CANNOT, EXPECTED, plan
from immune.healing.limits import HealingLimits
from immune.healing.params import HealingParams, LimitParams
from immune.memory import ImmuneMemory

ALL = frozenset(Action)
HOUR = 3600.0

DESIGN = {
    Cause.PROMPT_DRIFT: "reset_memory, rollback_prompt, reduce_autonomy, clone_agent",
    Cause.PROMPT_INJECTION: "reset_memory, revoke_tools, rollback_prompt, clone_agent",
    Cause.INFINITE_LOOP: "reduce_autonomy, reset_memory, clone_agent",
    Cause.TOOL_INSTABILITY: (
        "revoke_tools, reduce_autonomy, rollback_prompt, switch_model, clone_agent"
    ),
    Cause.MEMORY_CORRUPTION: "reset_memory, clone_agent",
    Cause.COST_OVERRUN: "reset_memory, reduce_autonomy, switch_model, clone_agent",
    Cause.UNRESPONSIVE: "wait, clone_agent",
    Cause.EXTERNAL_CAUSE: "wait, switch_model",
    Cause.UNKNOWN: "reset_memory, reduce_autonomy, clone_agent",
}
"""The table of design.md, section 7."""


def outcome(number: int, action: Action, ended: Outcome, cause: Cause, agent: str) -> Healing:
    """A finished attempt, one an incident, one a second."""
    at = float(number)
    return Healing(
        f"inc-{number}/1", f"inc-{number}", agent, "t", str(cause), "p", action, "auto",
        at, at, at, ended,
    )  # fmt: skip


@pytest.mark.parametrize("cause", Cause)
def test_default_ladders(cause: Cause) -> None:
    """Without a memory the ladder is the design's, each rung said in words, the clone asking."""
    rungs = plan(cause, "p", "a", ALL, ImmuneMemory(), 0.0)
    assert ", ".join(rung.action for rung in rungs) == DESIGN[cause]
    assert all(rung.expected == EXPECTED[rung.action] and not rung.skipped for rung in rungs)
    assert {rung.action for rung in rungs if rung.asks} <= IRREVERSIBLE


@given(
    cause=st.sampled_from(list(Cause)),
    can=st.sets(st.sampled_from(list(Action))),
    outcomes=st.lists(
        st.tuples(
            st.sampled_from(list(Action)), st.booleans(), st.sampled_from(list(Cause)),
            st.sampled_from("ab"),
        ),
        max_size=30,
    ),
)  # fmt: skip
def test_ladders_hold_what_they_promise(
    cause: Cause, can: set[Action], outcomes: list[tuple[Action, bool, Cause, str]]
) -> None:
    """Whatever was learned: the cause's actions once each, nothing the agent can't do, nothing
    that failed and was not cured since, and no clone without asking."""
    memory = ImmuneMemory()
    failed: dict[tuple[Cause, str, Action], bool] = {}
    for number, (action, cured, of, agent) in enumerate(outcomes):
        ended = Outcome.CURED if cured else Outcome.RELAPSED
        memory.take(outcome(number, action, ended, of, agent))
        failed[of, agent, action] = not cured
        if cured:  # the sickness that resisted is over
            failed = {key: no and key[:2] != (of, agent) for key, no in failed.items()}
    rungs = plan(cause, "p", "a", can, memory, 1000.0)
    assert sorted(rung.action for rung in rungs) == sorted(defaults.actions(cause))
    for rung in rungs:
        if not rung.skipped:
            assert rung.action in can or rung.action is Action.WAIT
            assert not failed.get((cause, "a", rung.action), False)
        assert rung.asks == (rung.action in IRREVERSIBLE)


def test_skipped_rungs_say_why() -> None:
    """What the agent can't do and what failed on it stay on the ladder, with the reason."""
    memory = ImmuneMemory()
    memory.take(outcome(0, Action.RESET_MEMORY, Outcome.RELAPSED, Cause.COST_OVERRUN, "a"))
    can = ALL - {Action.SWITCH_MODEL}
    rungs = plan(Cause.COST_OVERRUN, "p", "a", can, memory, 2 * HOUR)
    assert [(rung.action, rung.skipped) for rung in rungs] == [
        (Action.REDUCE_AUTONOMY, ""),
        (Action.CLONE_AGENT, ""),
        (Action.RESET_MEMORY, "it failed against cost_overrun on this agent 2 h ago"),
        (Action.SWITCH_MODEL, CANNOT),
    ]


def test_record_is_shown() -> None:
    """A rung says how often it cured cases alike."""
    memory = ImmuneMemory()
    for number, ended in enumerate([Outcome.CURED, Outcome.CURED, Outcome.RELAPSED]):
        memory.take(outcome(number, Action.RESET_MEMORY, ended, Cause.UNKNOWN, "b"))
    rung = plan(Cause.UNKNOWN, "p", "a", ALL, memory, 9.0)[0]
    assert rung.expected.endswith("; cured 2 of 3 cases alike")


def diagnosis(cause: Cause) -> Diagnosis:
    """A diagnosis without doubt."""
    return Diagnosis((RankedCause(cause, 1.0),), (), "p")


class TestAsks:
    """Why a person must decide."""

    @pytest.mark.parametrize(
        ("severity", "ask_mode", "earlier", "asks"),
        [
            (6.9, False, [], ""),
            (7.0, False, [], "severity 7.0"),
            (8.1, True, [], "severity 8.1, mode ask"),
            (2.0, False, [0.0], ""),
            (2.0, False, [0.0, 5.0], "third incident in 24 h"),
            (9.0, False, [0.0, 5.0], "severity 9.0, third incident in 24 h"),
            (2.0, False, [0.0, -25 * HOUR], ""),
        ],
    )
    def test_reasons(
        self, severity: float, ask_mode: bool, earlier: list[float], asks: str
    ) -> None:
        """Severity, mode and what keeps coming back, all that hold."""
        made = Healer().plan(
            agent_id="a",
            agent_type="t",
            diagnosis=diagnosis(Cause.COST_OVERRUN),
            severity=severity,
            capabilities=ALL,
            ask_mode=ask_mode,
            now=10.0,
            earlier_incidents=earlier,
        )
        assert made.asks == asks
        assert made.ladder[0].action is Action.RESET_MEMORY

    def test_waves_of_healing(self) -> None:
        """Past the fleet's rate a person is asked, and within the hour no more."""
        limits = HealingLimits(LimitParams(fleet_heals=3))
        assert limits.reason([], [0.0, 1.0], 10.0) == ""
        assert limits.reason([], [0.0, 1.0, 2.0], 10.0) == (
            "3 healing actions in the fleet in 1 h, at most 3 go without a person"
        )
        assert limits.reason([], [0.0, 1.0, 2.0], HOUR + 1.0) == ""

    def test_limits_can_be_off(self) -> None:
        """None turns a limit off."""
        limits = HealingLimits(LimitParams(agent_incidents=None, fleet_heals=None))
        assert limits.reason([0.0] * 99, [0.0] * 999, 1.0) == ""

    @pytest.mark.parametrize(("types", "asks"), [((), True), (("t",), False), (("*",), False)])
    def test_irreversible_asks_unless_allowed(self, types: tuple[str, ...], asks: bool) -> None:
        """Cloning always asks, unless a setting allows it for the type."""
        made = Healer(HealingParams(irreversible_types=types)).plan(
            agent_id="a",
            agent_type="t",
            diagnosis=diagnosis(Cause.MEMORY_CORRUPTION),
            severity=2.0,
            capabilities=ALL,
            ask_mode=False,
            now=10.0,
        )
        assert [rung.asks for rung in made.ladder] == [False, asks]


def test_outcomes_reach_memory() -> None:
    """What the healer is told, the next plan knows."""
    healer = Healer()
    assert healer.took(outcome(0, Action.WAIT, Outcome.RELAPSED, Cause.UNRESPONSIVE, "a"))
    assert healer.memory.banned("a", Cause.UNRESPONSIVE, Action.WAIT, 1.0)
