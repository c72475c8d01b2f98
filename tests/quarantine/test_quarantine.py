"""Fences and the brake."""

from __future__ import annotations

import msgspec

from immune.incidents.events import SYSTEM
from immune.quarantine import Bound, BrakeParams, Fence, QuarantineController


def fence(agent: str, at: float = 0.0, by: str = SYSTEM, exempt: bool = False) -> Fence:
    return Fence(
        id=f"{agent}/{by}/{at}",
        agent_id=agent,
        incident_id=None if by != SYSTEM else f"inc-{agent}",
        reason="sick",
        by=by,
        ordered_at=at,
        exempt=exempt,
    )


def test_an_agent_is_refused_while_any_fence_stands() -> None:
    """Two fences: lifting one lets nothing through."""
    control = QuarantineController(BrakeParams())
    ours, hold = fence("a"), fence("a", by="ann")
    control.raised(ours)
    control.raised(hold)
    control.lowered(ours.id, "a")
    assert control.refuses("a")
    control.lowered(hold.id, "a")
    assert not control.refuses("a")
    assert control.fenced_agents() == frozenset()


def test_the_brake_holds_at_thirty_per_cent_and_never_below_five() -> None:
    """Ten agents: five fences; a hundred: thirty within the hour's twenty."""
    control = QuarantineController(BrakeParams())
    for n in range(5):
        assert control.brake(0.0, 10) == ""
        control.raised(fence(f"a{n}"))
    assert control.room(0.0, 10) == 0
    assert control.brake(0.0, 10) == "5 of 10 active agents are fenced, 5 were within the hour"
    assert control.room(0.0, 100) == 15


def test_the_hour_counts_fences_that_have_been_lifted() -> None:
    """Twenty fences an hour, even if each was lifted at once; an hour later there is room."""
    control = QuarantineController(BrakeParams())
    for n in range(20):
        row = fence(f"a{n}", at=float(n))
        control.raised(row)
        control.lowered(row.id, row.agent_id)
    assert control.room(30.0, 100) == 0
    assert control.room(3600.0 + 9.5, 100) == 10


def test_the_brake_says_what_it_allows_and_why() -> None:
    """By the share of the active agents, or by what is always allowed; off, there is no hour."""
    control = QuarantineController(BrakeParams())
    control.raised(fence("a"))
    assert control.bounds(0.0, 10_012) == (
        Bound(3003, 1, "at once", "30 % of 10,012 active agents"),
        Bound(1001, 1, "an hour", "10 % of 10,012 active agents"),
    )
    assert control.bounds(0.0, 9) == (
        Bound(5, 1, "at once", "always allowed, however small the fleet"),
        Bound(20, 1, "an hour", "always allowed, however small the fleet"),
    )
    (off,) = QuarantineController(BrakeParams(share=1.0)).bounds(0.0, 60)
    assert off == Bound(60, 0, "at once", "100 % of 60 active agents")


def test_a_relapse_is_no_new_order_of_the_hour() -> None:
    """The same case fenced three times counts once."""
    control = QuarantineController(BrakeParams())
    for at in (0.0, 10.0, 20.0):
        row = fence("a", at=at)
        control.raised(row)
        control.lowered(row.id, row.agent_id)
    assert control.room(30.0, 100) == 19


def test_persons_and_hard_limits_are_not_counted() -> None:
    """A person's hold and a hard limit take no slot."""
    control = QuarantineController(BrakeParams())
    for n in range(50):
        control.raised(fence(f"p{n}", by="ann"))
        control.raised(fence(f"h{n}", exempt=True))
    assert control.counted == 0
    assert control.room(0.0, 10) == 5


def test_a_share_of_one_turns_the_brake_off() -> None:
    """The demo's setting: everything may be fenced."""
    control = QuarantineController(BrakeParams(share=1.0))
    for n in range(15):
        assert control.brake(0.0, 15) == ""
        control.raised(fence(f"a{n}"))
    assert control.room(0.0, 15) == 0


def test_rows_read_after_a_restart_stand_as_before() -> None:
    """Order of rows does not matter, and lifted ones stay lifted."""
    control = QuarantineController(BrakeParams())
    lifted = msgspec.structs.replace(fence("b", at=5.0), lifted_at=6.0)
    control.load([lifted, fence("a", at=1.0)])
    assert control.fenced_agents() == frozenset({"a"})
    assert control.counted == 1


def test_a_confirmation_does_not_count_twice() -> None:
    """Writing the same fence again, now enforced, changes no count."""
    control = QuarantineController(BrakeParams())
    row = fence("a")
    control.raised(row)
    control.raised(msgspec.structs.replace(row, enforced_at=1.0))
    assert control.counted == 1
    assert control.standing("a")[0].enforced_at == 1.0
