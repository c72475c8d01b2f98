"""The rules of an incident, told as short stories."""

from __future__ import annotations

import msgspec
import pytest

from immune.diagnosis.causes import Cause, Diagnosis, RankedCause
from immune.errors import IllegalEvent
from immune.healing.actions import Action, Rung
from immune.incidents import effects as fx
from immune.incidents import events as e
from immune.incidents.incident import Incident, Subject
from immune.incidents.states import State
from immune.incidents.step import step
from tests.incidents.cases import (
    LADDER,
    diagnosed,
    failed,
    finding,
    incident,
    relapsed,
    released,
)


def play(start: Incident, *events: e.Event) -> tuple[Incident, list[fx.Effect]]:
    wishes: list[fx.Effect] = []
    for event in events:
        start, more = step(start, event)
        wishes += more
    return start, wishes


def orders(wishes: list[fx.Effect]) -> list[Action]:
    return [wish.action for wish in wishes if isinstance(wish, fx.ApplyAction)]


def applied(action: Action, key: str) -> e.Applied:
    return e.Applied(at=120.0, key=key, action=action)


def test_a_mild_case_heals_by_itself() -> None:
    """Confirmed, fenced, healed by the first rung, proved, let go."""
    case, wishes = play(
        incident(State.SUSPECTED),
        e.Confirmed(at=101.0, finding=finding(), enforce=True),
        diagnosed(),
        applied(Action.REDUCE_AUTONOMY, "inc-1/1"),
        e.Verified(at=130.0, fresh_steps=6),
    )
    assert case.state is State.RESOLVED
    assert orders(wishes) == [Action.REDUCE_AUTONOMY]
    assert [type(w) for w in wishes if isinstance(w, fx.PushFence)] == [fx.PushFence] * 2
    assert any(
        isinstance(w, fx.SetBaseline) and w.order is fx.BaselineOrder.DISCARD for w in wishes
    )


def test_in_mode_observe_nothing_is_fenced() -> None:
    """A confirmed case that may not be enforced is observed, and orders nothing."""
    case, wishes = play(
        incident(State.SUSPECTED), e.Confirmed(at=101.0, finding=finding(), enforce=False)
    )
    assert case.state is State.OBSERVED
    assert case.confirmed
    assert wishes == []


def test_a_severe_case_waits_for_a_person() -> None:
    """Severe: fenced, and nothing is ordered until somebody approves."""
    case, wishes = play(
        incident(State.SUSPECTED),
        e.Confirmed(at=101.0, finding=finding(severity=8.0), enforce=True),
        diagnosed(asks="severity 8.0"),
        e.Overdue(at=1000.0, contact=1, approval_deadline_at=1900.0),
        e.Overdue(at=1900.0, contact=2, approval_deadline_at=2800.0),
    )
    assert case.state is State.AWAITING_APPROVAL
    assert case.overdue == 2
    assert orders(wishes) == []
    case, wishes = play(
        case, e.Approved(at=2000.0, who="ann", plan=case.plan, version=case.version)
    )
    assert orders(wishes) == [Action.REDUCE_AUTONOMY]


def test_an_approval_covers_its_plan_and_nothing_more() -> None:
    """After the approved rungs have failed, the next one asks again."""
    case, wishes = play(
        incident(State.CONTAINED),
        diagnosed(asks="severity 8.0"),
        e.Approved(at=111.0, who="ann", plan=(Action.REDUCE_AUTONOMY,), version=4),
        applied(Action.REDUCE_AUTONOMY, "inc-1/1"),
        relapsed(),
    )
    assert case.state is State.AWAITING_APPROVAL
    assert case.plan == (Action.RESET_MEMORY, Action.CLONE_AGENT)
    assert orders(wishes) == [Action.REDUCE_AUTONOMY]


def test_an_approval_of_the_whole_plan_covers_the_clone() -> None:
    """A person who approved the clone as shown is not asked for it again."""
    case, wishes = play(
        incident(State.CONTAINED),
        diagnosed(asks="severity 8.0"),
        e.Approved(at=111.0, who="ann", plan=tuple(r.action for r in LADDER), version=4),
        failed(),
        failed(),
    )
    assert case.state is State.HEALING
    assert orders(wishes) == [Action.REDUCE_AUTONOMY, Action.RESET_MEMORY, Action.CLONE_AGENT]


def test_the_clone_always_asks_in_a_mild_case() -> None:
    """What cannot be undone is never done without a person."""
    case, wishes = play(incident(State.CONTAINED), diagnosed(), failed(), failed())
    assert case.state is State.AWAITING_APPROVAL
    assert case.asks == "clone_agent needs a person's approval"
    assert Action.CLONE_AGENT not in orders(wishes)


def test_newly_severe_asks_again_at_the_next_rung() -> None:
    """What was covered for a mild case is covered no more once it turns severe."""
    case, _ = play(
        incident(State.CONTAINED),
        diagnosed(),
        e.FindingAdded(at=112.0, finding=finding(severity=8.5)),
        applied(Action.REDUCE_AUTONOMY, "inc-1/1"),
        relapsed(),
    )
    assert case.state is State.AWAITING_APPROVAL
    assert case.asks == "severity rose to 8.5"


def test_rejected_stays_fenced_until_heal_now() -> None:
    """A no keeps the fence; only a person's order heals."""
    case, wishes = play(
        incident(State.AWAITING_APPROVAL), e.Rejected(at=111.0, who="ann", version=3)
    )
    assert case.fenced
    assert orders(wishes) == []
    case, wishes = play(case, e.HealNow(at=120.0, who="ann"))
    assert orders(wishes) == [Action.REDUCE_AUTONOMY]
    assert case.trigger == "heal_now"


def test_heal_now_with_an_action_covers_only_that() -> None:
    """A named action runs once; whatever follows asks."""
    case, _ = play(
        incident(State.REJECTED),
        e.HealNow(at=120.0, who="ann", action=Action.RESET_MEMORY),
        applied(Action.RESET_MEMORY, "inc-1/1"),
        relapsed(),
    )
    assert case.state is State.AWAITING_APPROVAL
    assert case.plan == (Action.CLONE_AGENT,)


def test_exhausted_needs_a_named_action() -> None:
    """With no rung left, heal now must say what to do."""
    with pytest.raises(IllegalEvent, match="name an action"):
        step(incident(State.EXHAUSTED), e.HealNow(at=120.0, who="ann"))
    case, _ = step(
        incident(State.EXHAUSTED), e.HealNow(at=120.0, who="ann", action=Action.CLONE_AGENT)
    )
    assert case.state is State.HEALING
    case, _ = play(case, failed())
    assert case.state is State.EXHAUSTED
    assert case.fenced


def test_skipped_rungs_are_passed_over() -> None:
    """What the agent cannot do is shown, and not tried."""
    ladder = (Rung(Action.RESET_MEMORY, skipped="the agent cannot do it"), *LADDER)
    event = msgspec.structs.replace(diagnosed(), ladder=ladder)
    case, wishes = play(incident(State.CONTAINED), event)
    assert orders(wishes) == [Action.REDUCE_AUTONOMY]
    assert case.plan[0] is Action.REDUCE_AUTONOMY


def test_a_ladder_with_nothing_to_do_is_exhausted_and_calls_a_person() -> None:
    """No action left keeps the fence up and notifies."""
    event = msgspec.structs.replace(
        diagnosed(), ladder=tuple(msgspec.structs.replace(r, skipped="no link") for r in LADDER)
    )
    case, wishes = play(incident(State.CONTAINED), event)
    assert case.state is State.EXHAUSTED
    assert [w.topic for w in wishes if isinstance(w, fx.Notify)] == [fx.Topic.EXHAUSTED]


def test_a_relapse_raises_the_fence_before_the_next_action() -> None:
    """Fence first, then the next rung."""
    case, wishes = play(incident(State.PROBATION), relapsed())
    kinds = [type(wish) for wish in wishes]
    assert kinds.index(fx.PushFence) < kinds.index(fx.ApplyAction)
    assert case.current is Action.RESET_MEMORY


@pytest.mark.parametrize(
    ("verdict", "order"),
    [
        (e.Verdict.FALSE_ALARM, fx.BaselineOrder.LEARN),
        (e.Verdict.NEW_NORMAL, fx.BaselineOrder.RESTART),
    ],
)
def test_a_release_says_what_becomes_of_the_baseline(
    verdict: e.Verdict, order: fx.BaselineOrder
) -> None:
    """A false alarm is learned, a new normal begins anew."""
    case, wishes = play(incident(State.AWAITING_APPROVAL), released(verdict))
    assert case.state is State.DISMISSED
    assert [w.order for w in wishes if isinstance(w, fx.SetBaseline)] == [order]


def test_fixed_by_hand_is_watched_like_any_cure() -> None:
    """A repair by hand goes on probation, and can relapse."""
    case, _ = play(incident(State.EXHAUSTED), released(e.Verdict.FIXED_BY_HAND))
    assert case.state is State.PROBATION
    assert not case.fenced
    case, _ = play(case, relapsed())
    assert case.state is State.EXHAUSTED
    assert case.fenced


def test_a_persons_case_is_not_taken_by_a_fleet_incident() -> None:
    """Once a person has decided, no fleet incident dismisses the case."""
    case, _ = play(
        incident(State.OBSERVED), e.QuarantinedByPerson(at=111.0, who="ann", why="I saw it")
    )
    with pytest.raises(IllegalEvent):
        step(case, e.Absorbed(at=112.0, by="inc-9"))


def test_a_suspicion_notifies_nobody() -> None:
    """People are not woken for a suspicion, nor for its end."""
    _, wishes = play(
        incident(State.SUSPECTED),
        e.FindingAdded(at=111.0, finding=finding()),
        e.Subsided(at=150.0),
    )
    assert not any(isinstance(wish, fx.Notify) for wish in wishes)


def test_the_brake_notifies_once() -> None:
    """A braked case says so once, however often it is braked."""
    event = e.Braked(at=111.0, finding=finding(), why="5 of 10 are fenced")
    case, wishes = play(incident(State.SUSPECTED), event, event, event)
    assert case.state is State.SUSPECTED
    assert [w.topic for w in wishes if isinstance(w, fx.Notify)] == [fx.Topic.BRAKED]


def test_a_fleet_incident_has_no_agent() -> None:
    """Asking a fleet incident for its agent is a mistake that says so."""
    with pytest.raises(ValueError, match="provider"):
        _ = incident(State.OBSERVED, Subject("provider", "acme")).agent_id


SLOW = Diagnosis((RankedCause(Cause.TOOL_INSTABILITY, 0.9),), ("latency",), "latency_ms")
OTHER_LADDER = (
    Rung(Action.REVOKE_TOOLS),
    Rung(Action.REDUCE_AUTONOMY),
    Rung(Action.CLONE_AGENT, asks=True),
)


def changed(asks: str = "") -> e.Diagnosed:
    """Another cause has become clear."""
    return e.Diagnosed(
        at=115.0, diagnosis=SLOW, ladder=OTHER_LADDER, asks=asks, approval_deadline_at=1015.0
    )


def added(onset_at: float) -> e.FindingAdded:
    return e.FindingAdded(
        at=114.0, finding=msgspec.structs.replace(finding(), onset_at=onset_at), diagnosis=SLOW
    )


def test_a_further_finding_alone_changes_neither_cause_nor_ladder() -> None:
    """The two belong together: only a new plan changes both."""
    case, _ = play(incident(State.PROBATION), added(onset_at=105.0))
    assert case.diagnosis == incident().diagnosis
    assert case.ladder == LADDER


def test_after_a_change_of_cause_the_next_rung_is_the_new_ladders() -> None:
    """What is on trial goes on; what follows it is for what the agent has now."""
    case, wishes = play(incident(State.PROBATION), added(onset_at=105.0), changed())
    assert (case.state, orders(wishes)) == (State.PROBATION, [])
    case, wishes = play(case, relapsed())
    assert orders(wishes) == [Action.REVOKE_TOOLS]


def test_what_failed_on_the_same_sickness_is_not_tried_again_under_another_name() -> None:
    """Its onset lies before the action: the action has had its chance."""
    case, wishes = play(incident(State.PROBATION), added(onset_at=90.0), changed())
    assert case.plan == (Action.REVOKE_TOOLS, Action.CLONE_AGENT)
    assert [bool(rung.skipped) for rung in case.ladder] == [False, False, True]
    case, wishes = play(case, relapsed(), failed())
    assert orders(wishes) == [Action.REVOKE_TOOLS]
    assert case.state is State.AWAITING_APPROVAL


def test_on_another_sickness_the_same_action_may_be_tried_again() -> None:
    """Its onset lies after the action: that one says nothing about it."""
    ladder = (Rung(Action.REDUCE_AUTONOMY), Rung(Action.REVOKE_TOOLS))
    event = msgspec.structs.replace(changed(), ladder=ladder)
    _, wishes = play(incident(State.PROBATION), added(onset_at=105.0), event, relapsed())
    assert orders(wishes) == [Action.REDUCE_AUTONOMY]


def test_what_was_approved_covers_no_other_plan() -> None:
    """Where mode or severity ask, the changed plan asks again."""
    case, wishes = play(
        incident(State.CONTAINED),
        diagnosed(asks="mode ask"),
        e.Approved(at=111.0, who="ann", plan=tuple(r.action for r in LADDER), version=4),
        applied(Action.REDUCE_AUTONOMY, "inc-1/1"),
        changed(asks="mode ask"),
        relapsed(),
    )
    assert (case.state, case.asks) == (State.AWAITING_APPROVAL, "mode ask")
    assert orders(wishes) == [Action.REDUCE_AUTONOMY]


def test_an_order_after_a_no_covers_no_other_plan_either() -> None:
    """A person ordered one action for one sickness; nothing else follows by itself."""
    case, _ = play(
        incident(State.REJECTED),
        e.HealNow(at=110.0, who="ann", action=Action.RESET_MEMORY),
        applied(Action.RESET_MEMORY, "inc-1/1"),
        changed(),
        relapsed(),
    )
    assert case.state is State.AWAITING_APPROVAL


def test_who_waits_for_a_decision_waits_for_one_on_the_new_plan() -> None:
    """The plan shown is another one, a person is told, and nothing is decided."""
    case, wishes = play(incident(State.AWAITING_APPROVAL), changed())
    assert case.state is State.AWAITING_APPROVAL
    assert case.plan == (Action.REVOKE_TOOLS, Action.REDUCE_AUTONOMY, Action.CLONE_AGENT)
    assert [w.topic for w in wishes if isinstance(w, fx.Notify)] == [fx.Topic.APPROVAL]


def test_a_stale_probation_is_so_no_more_when_vitals_come() -> None:
    """Flagged, and cleared."""
    case, _ = play(incident(State.PROBATION), e.Stale(at=230.0))
    assert case.probation is not None
    assert case.probation.stale
    case, _ = play(case, e.Resumed(at=240.0))
    assert case.probation is not None
    assert not case.probation.stale
