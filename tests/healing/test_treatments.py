"""What a rung leaves in force, when it is taken back, and what comes of that."""

from __future__ import annotations

import numpy as np
import pytest
from tests.healing.patients import baseline, effect, found, learned, lognormal, rows, steps

from immune.errors import IllegalEvent
from immune.healing import treatments as tr
from immune.healing.actions import (
    LIMITING,
    Action,
    ActionAnswer,
    Change,
    Healing,
    Treatment,
    TreatmentState,
)
from immune.healing.trial import Verdict
from immune.vitals import Metric

TOOLS = Change("tools", "search,mail", "mail")


def attempt(action: Action) -> Healing:
    """An attempt under way."""
    return Healing("inc-1/1", "inc-1", "a", "t", "tool_instability", "latency", action, "auto", 5.0)


def treatment(
    number: int = 1,
    *,
    agent: str = "a",
    what: str = "tools",
    lift_at: float | None = 100.0,
    state: TreatmentState = TreatmentState.IN_FORCE,
) -> Treatment:
    """A treatment; a higher number is later."""
    return Treatment(
        id=f"inc-{number}/1",
        agent_id=agent,
        incident_id=f"inc-{number}",
        action=Action.REVOKE_TOOLS,
        changes=(Change(what, "before", "after"),),
        since=float(number),
        lift_at=lift_at,
        state=state,
    )


@pytest.mark.parametrize("action", Action)
def test_only_limiting_actions_leave_something(action: Action) -> None:
    """A reset leaves nothing to lift; revoked tools stand until their incident is over."""
    left = tr.treatment_of(attempt(action), ActionAnswer(7.0, (TOOLS,)))
    assert (left is not None) == (action in LIMITING)
    if left is not None:
        assert (left.since, left.lift_at, left.changes) == (7.0, None, (TOOLS,))


def test_no_change_leaves_nothing() -> None:
    """An action that found everything as it wanted it has nothing to give back."""
    same = Change("tools", "mail", "mail")
    assert tr.treatment_of(attempt(Action.REVOKE_TOOLS), ActionAnswer(7.0, (same,))) is None
    left = tr.treatment_of(attempt(Action.REVOKE_TOOLS), ActionAnswer(7.0, (same, TOOLS)))
    assert left is not None
    assert left.changes == (TOOLS,)


def test_lifted_after_staying_well() -> None:
    """The end of the incident sets the time; a new incident takes it back."""
    left = tr.ended(treatment(lift_at=None), at=50.0, stay_well_s=1800.0)
    assert left.lift_at == 1850.0
    assert tr.due([left], 1849.0) == []
    assert tr.due([left], 1850.0) == [left]
    assert tr.ill_again(left).lift_at is None
    assert tr.due([tr.ill_again(left)], 1e9) == []


def test_kept_stays_kept() -> None:
    """What a person was told of is theirs to lift."""
    kept = treatment(state=TreatmentState.KEPT, lift_at=None)
    assert tr.ended(kept, 50.0) == kept
    assert tr.ill_again(kept) == kept
    assert tr.due([kept], 1e9) == []


def test_lifted_in_the_opposite_order() -> None:
    """Each gives back what it found, so the later one goes first, one at a time."""
    first, second = treatment(1), treatment(2)
    assert tr.due([first, second], 200.0) == [second]
    on_trial = tr.lifting(second, 200.0)
    assert tr.due([first, on_trial], 200.0) == []
    lifted = tr.settled(on_trial, Verdict.CURED)
    assert tr.due([first, lifted], 300.0) == [first]


def test_kept_keeps_those_below_it() -> None:
    """Under a kept treatment of the same thing nothing can be given back exactly."""
    kept = treatment(2, state=TreatmentState.KEPT)
    assert tr.due([treatment(1), kept], 200.0) == []
    other = treatment(1, what="model")
    assert tr.due([other, kept], 200.0) == [other]


def test_agents_do_not_wait_for_one_another() -> None:
    """One of each agent is lifted at a time."""
    both = [treatment(1, agent="a"), treatment(1, agent="b")]
    assert tr.due(both, 200.0) == both


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        (Verdict.CURED, TreatmentState.LIFTED),
        (Verdict.RELAPSED, TreatmentState.KEPT),
        (Verdict.UNDECIDED, TreatmentState.LIFTING),
    ],
)
def test_trial_settles_it(verdict: Verdict, state: TreatmentState) -> None:
    """Proved well it is lifted for good; sick again it is kept."""
    assert tr.settled(tr.lifting(treatment(), 200.0), verdict).state is state


def test_out_of_turn_is_refused() -> None:
    """What is not in force can't be lifted, and what is not on trial not be settled."""
    with pytest.raises(IllegalEvent, match="is lifted, not in_force"):
        tr.lifting(treatment(state=TreatmentState.LIFTED), 1.0)
    with pytest.raises(IllegalEvent, match="is in_force, not lifting"):
        tr.settled(treatment(), Verdict.CURED)


def test_lifting_is_tried_on_the_incidents_metrics() -> None:
    """The slow tool given back: slow again is a relapse, quick is for good."""
    law = lognormal(0.3)
    known = baseline(learned(Metric.LATENCY_MS, law(np.random.default_rng(1), 600, 1.0)))
    slow = found(effect(Metric.LATENCY_MS, 5.0))
    on_trial = tr.lifting(treatment(), 200.0)
    for latency, verdict in ((5000.0, Verdict.RELAPSED), (1000.0, Verdict.CURED)):
        trial = tr.lift_trial(on_trial, slow, known)
        assert trial.feed(steps(20), rows(20, latency_ms=latency)).fresh_steps == 0
        fresh = trial.feed(steps(20, 201.0), rows(20, latency_ms=latency))
        assert fresh.verdict is verdict


def test_learning_waits_for_all_of_them() -> None:
    """Nothing is learned while a limiting treatment stands or is on trial."""
    lifted = treatment(state=TreatmentState.LIFTED)
    assert tr.learns([])
    assert tr.learns([lifted])
    for state in set(TreatmentState) - {TreatmentState.LIFTED}:
        assert not tr.learns([lifted, treatment(2, state=state)])
