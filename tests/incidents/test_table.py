"""The state table, exhaustively: every pair of state and event."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from immune.errors import IllegalEvent
from immune.incidents import effects as fx
from immune.incidents import events as e
from immune.incidents.incident import Subject
from immune.incidents.states import CLOSED, FENCED, OPEN, TABLE, State
from immune.incidents.step import step
from tests.incidents.cases import every_event, incident

PAIRS = list(itertools.product(State, every_event()))


def label(part: State | e.Event) -> str:
    return e.name(part) if isinstance(part, e.Event) else part.value


@pytest.mark.parametrize(
    ("state", "event"),
    PAIRS,
    ids=lambda x: getattr(x, "value", e.name(x) if isinstance(x, e.Event) else x),
)
def test_every_pair_is_in_the_table_or_refused(state: State, event: e.Event) -> None:
    """An event leads where the table says, or raises and changes nothing."""
    before = incident(state)
    frozen = msgspec.json.encode(before)
    targets = TABLE[state].get(type(event))
    if targets is None:
        with pytest.raises(IllegalEvent, match="inc-1"):
            step(before, event)
    else:
        after, _ = step(before, event)
        assert after.state in targets
        assert after.version == before.version + 1
        assert after.updated_at == event.at
        assert (after.closed_at is not None) == (after.state in CLOSED)
    assert msgspec.json.encode(before) == frozen


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=label)
def test_a_fence_is_pushed_exactly_when_it_rises_or_falls(state: State, event: e.Event) -> None:
    """The enforcement points hear of every change of the fence, and of nothing else."""
    if type(event) not in TABLE[state]:
        return
    before = incident(state)
    after, wishes = step(before, event)
    pushes = [wish for wish in wishes if isinstance(wish, fx.PushFence)]
    assert len(pushes) == (before.fenced != after.fenced)


def test_every_open_state_can_be_left_by_a_person() -> None:
    """No quarantine is without a way out."""
    for state in OPEN:
        assert e.Released in TABLE[state]


def test_every_event_is_used_somewhere() -> None:
    """The table has no event that nothing can cause."""
    used = {event for row in TABLE.values() for event in row}
    assert used == {type(event) for event in every_event()}


def test_closed_states_are_final_and_unfenced() -> None:
    """What is over stays over."""
    for state in CLOSED:
        assert TABLE[state] == {}
        assert state not in FENCED


def test_nothing_the_system_does_leaves_a_pending_decision() -> None:
    """Nobody answering is never a decision: only a person's event ends the waiting."""
    by_system = {e.Overdue, e.FindingAdded, e.Absorbed}
    leaving = {
        event
        for event, targets in TABLE[State.AWAITING_APPROVAL].items()
        if targets != (State.AWAITING_APPROVAL,)
    }
    assert leaving - by_system == {e.Approved, e.Rejected, e.Released}


def test_a_fleet_incident_is_never_fenced() -> None:
    """A fleet incident is only looked at, and closed."""
    fleet = incident(State.OBSERVED, Subject("provider", "acme"))
    for event in every_event():
        if isinstance(event, e.Subsided | e.Released):
            after, wishes = step(fleet, event)
            assert not after.fenced
            assert not any(isinstance(wish, fx.PushFence | fx.SetBaseline) for wish in wishes)


@pytest.mark.parametrize("event", every_event(), ids=e.name)
def test_events_survive_the_store(event: e.Event) -> None:
    """Every event reads back as it was written."""
    assert msgspec.json.decode(msgspec.json.encode(event), type=e.AnyEvent) == event
