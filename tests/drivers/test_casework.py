"""Casework: one transaction an event, and nobody wins twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from tests.incidents.cases import diagnosed, finding, incident, relapsed, released

from immune.casework import Casework
from immune.clock import ManualClock
from immune.errors import IllegalEvent, NotFound, StaleVersion, StoreDown
from immune.healing.actions import Action, Healing, Outcome
from immune.incidents import effects as fx
from immune.incidents import events as e
from immune.incidents.incident import Incident
from immune.incidents.states import State
from immune.ports import IncidentEvent, Unit
from immune.quarantine import BrakeParams, QuarantineController
from immune.supervisor import Supervisor
from immune.testing import MemoryWorkflow


class Desk:
    """A casework on a fake store, with what it told."""

    def __init__(self, workflow: MemoryWorkflow | None = None) -> None:
        self.workflow = workflow or MemoryWorkflow("r")
        self.quarantine = QuarantineController(BrakeParams())
        clock = ManualClock()
        self.supervisor = Supervisor(clock)
        self.casework = Casework(self.workflow, self.quarantine, clock, self.supervisor)
        self.told: list[tuple[IncidentEvent, Incident]] = []
        self.casework.listeners.append(lambda line, case: self.told.append((line, case)))

    async def opened(self) -> Incident:
        case = Incident(
            **{
                **{f: getattr(incident(), f) for f in Incident.__struct_fields__},
                "version": 1,
                "confirmed": False,
            }
        )
        return await self.casework.open(case, e.Opened(at=100.0, finding=finding()))

    async def contained(self) -> Incident:
        case = await self.opened()
        return await self.casework.apply(
            case.id, e.Confirmed(at=101.0, finding=finding(), enforce=True), diagnosed(at=101.0)
        )


async def test_an_incident_its_timeline_its_fence_and_its_wishes_are_written_together() -> None:
    """After a confirmation everything that follows from it is in the store."""
    desk = Desk()
    case = await desk.contained()
    assert case.state is State.HEALING
    assert await desk.workflow.incident(case.id) == case
    assert [e.name(line.event) for line in await desk.workflow.events()] == [
        "opened",
        "confirmed",
        "diagnosed",
    ]
    fences = await desk.workflow.fences()
    assert [(f.agent_id, f.incident_id) for f in fences] == [("a", case.id)]
    effects = [row.effect for row in await desk.workflow.due_effects(1000.0)]
    assert [type(x) for x in effects] == [fx.Notify, fx.PushFence, fx.ApplyAction]
    assert desk.quarantine.refuses("a")
    assert desk.casework.outbox_grew.is_set()


async def test_a_refused_event_changes_nothing() -> None:
    """An illegal event leaves store, memory and fence as they were."""
    desk = Desk()
    case = await desk.contained()
    lines = len(await desk.workflow.events())
    with pytest.raises(IllegalEvent):
        await desk.casework.apply(case.id, e.Verified(at=110.0, fresh_steps=6))
    assert desk.casework.get(case.id) == case
    assert await desk.workflow.incident(case.id) == case
    assert len(await desk.workflow.events()) == lines


async def test_the_second_of_several_events_can_spoil_the_first() -> None:
    """Events applied together are written together or not at all."""
    desk = Desk()
    case = await desk.opened()
    with pytest.raises(IllegalEvent):
        await desk.casework.apply(
            case.id,
            e.Confirmed(at=101.0, finding=finding(), enforce=True),
            e.Verified(at=102.0, fresh_steps=6),
        )
    assert (await desk.workflow.incident(case.id)) == case
    assert await desk.workflow.fences() == []
    assert not desk.quarantine.refuses("a")


async def test_of_two_decisions_on_one_version_one_wins() -> None:
    """The slower of two people is told that somebody decided meanwhile."""
    desk = Desk()
    case = await desk.opened()
    case = await desk.casework.apply(
        case.id, e.Confirmed(at=101.0, finding=finding(), enforce=True), diagnosed("severity 8")
    )
    yes = e.Approved(at=105.0, who="ann", plan=case.plan, version=case.version)
    no = e.Rejected(at=105.0, who="bob", version=case.version)
    outcomes = await asyncio.gather(
        desk.casework.apply(case.id, yes, expected_version=case.version),
        desk.casework.apply(case.id, no, expected_version=case.version),
        return_exceptions=True,
    )
    assert [isinstance(outcome, StaleVersion) for outcome in outcomes] == [False, True]
    assert desk.casework.get(case.id).state is State.HEALING


async def test_attempts_follow_their_incident() -> None:
    """Each attempt is ordered, applied and ended in a row of its own."""
    desk = Desk()
    heard: list[Healing] = []
    desk.casework.attempt_listeners.append(heard.append)
    case = await desk.contained()
    await desk.casework.apply(
        case.id, e.Applied(at=110.0, key="inc-1/1", action=Action.REDUCE_AUTONOMY)
    )
    await desk.casework.apply(case.id, relapsed(at=130.0))
    await desk.casework.apply(
        case.id, e.Applied(at=131.0, key="inc-1/2", action=Action.RESET_MEMORY)
    )
    await desk.casework.apply(case.id, e.Verified(at=140.0, fresh_steps=7))
    rows = {row.key: row for row in await desk.workflow.healings()}
    assert rows["inc-1/1"].outcome is Outcome.RELAPSED
    assert rows["inc-1/1"].fresh_steps == 9
    assert rows["inc-1/2"].outcome is Outcome.CURED
    assert rows["inc-1/2"].applied_at == 131.0
    assert [row.outcome for row in heard].count(Outcome.CURED) == 1
    assert not desk.quarantine.refuses("a")
    with pytest.raises(NotFound):
        desk.casework.get(case.id)


async def test_a_case_ended_by_a_person_proves_nothing_about_its_action() -> None:
    """An attempt cut short is superseded: neither cured nor relapsed."""
    desk = Desk()
    case = await desk.contained()
    await desk.casework.apply(case.id, released(e.Verdict.FALSE_ALARM))
    assert [row.outcome for row in await desk.workflow.healings()] == [Outcome.SUPERSEDED]


@pytest.mark.parametrize("steps", range(6))
async def test_a_restart_finds_every_case_as_it_was(steps: int) -> None:
    """In whatever state the process ended, the next one goes on from there."""
    desk = Desk()
    case = await desk.opened()
    events: list[e.AnyEvent] = [
        e.Confirmed(at=101.0, finding=finding(), enforce=True),
        diagnosed("severity 8.0", at=101.0),
        e.Approved(at=105.0, who="ann", plan=(Action.REDUCE_AUTONOMY,), version=3),
        e.Applied(at=110.0, key="inc-1/1", action=Action.REDUCE_AUTONOMY),
        relapsed(at=130.0),
    ]
    for event in events[:steps]:
        case = await desk.casework.apply(case.id, event)
    later = Desk(desk.workflow)
    later.quarantine.load(await later.workflow.fences())
    await later.casework.load()
    assert later.casework.get(case.id) == case
    assert later.casework.open_of("a") == case
    assert later.quarantine.refuses("a") == case.fenced
    assert later.casework.attempt(case.id) == desk.casework.attempt(case.id)
    assert later.casework.new_id() == "inc-2"


async def test_every_commit_is_told_in_order() -> None:
    """Listeners hear each event once, with the state it led to."""
    desk = Desk()
    await desk.contained()
    assert [(line.seq, case.version) for line, case in desk.told] == [(1, 1), (2, 2), (3, 3)]
    assert [case.state for _, case in desk.told] == [
        State.SUSPECTED,
        State.CONTAINED,
        State.HEALING,
    ]


class FullWorkflow(MemoryWorkflow):
    """A store whose disk is full for a while."""

    full = True

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[Unit]:
        if self.full:
            raise StoreDown("disk is full")
        async with super().unit() as unit:
            yield unit


async def test_a_store_that_refuses_writes_is_shown_until_it_takes_them_again() -> None:
    """A full disk: nothing changed, the health says so, and the next write ends it."""
    workflow = FullWorkflow("r")
    desk = Desk(workflow)
    with pytest.raises(StoreDown):
        await desk.opened()
    assert desk.casework.open_incidents() == []
    assert [health.name for health in desk.supervisor.degraded] == ["workflow store"]
    workflow.full = False
    await desk.opened()
    assert desk.supervisor.degraded == []


async def test_of_an_agent_that_is_gone_no_past_case_is_kept() -> None:
    """When its last one ended and how many it had in a day goes with it; the store keeps them."""
    desk = Desk()
    case = await desk.contained()
    await desk.casework.apply(case.id, released(e.Verdict.FALSE_ALARM))
    later = msgspec.structs.replace(case, id="inc-2")
    assert desk.casework.ended_at("a") == 110.0
    assert desk.casework.earlier(later) == [case.opened_at]
    desk.casework.forget("a")
    assert desk.casework.ended_at("a") is None
    assert desk.casework.earlier(later) == []
    assert await desk.workflow.incident(case.id) is not None
