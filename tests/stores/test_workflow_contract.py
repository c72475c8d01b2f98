"""What every `WorkflowStore` promises, run against each of them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from immune import keyed
from immune.errors import IllegalEvent, StaleVersion
from immune.healing.actions import Action, TreatmentState
from immune.incidents import effects as fx
from immune.incidents import events as e
from immune.incidents.incident import Subject
from immune.incidents.states import State
from immune.ports import AgentRow, BaselineRow, OrderKey, WorkflowStore
from immune.stores.sql import SqlStore
from immune.testing import MemoryWorkflow
from immune.vitals import Kind
from tests.stores import cases as c
from tests.stores.cases import NOW


@pytest.fixture(
    params=["file", "memory", pytest.param("postgresql", marks=pytest.mark.server), "fake"]
)
def closed(request: pytest.FixtureRequest, tmp_path: Path) -> WorkflowStore:
    match request.param:
        case "file":
            return SqlStore(f"sqlite:///{tmp_path}/immune.db", "run-a")
        case "memory":
            return SqlStore("sqlite://", "run-a")
        case "postgresql":
            server = request.getfixturevalue("postgresql")
            return SqlStore(server.database(f"db_{uuid.uuid4().hex}"), "run-a")
        case _:
            return MemoryWorkflow("run-a")


@pytest.fixture
async def store(closed: WorkflowStore) -> AsyncIterator[WorkflowStore]:
    await closed.open()
    yield closed
    await closed.close()


async def test_an_empty_run_holds_nothing(store: WorkflowStore) -> None:
    """Every question to a new run has an empty answer."""
    assert store.run_id == "run-a"
    assert await store.incident("inc-1") is None
    assert await store.incidents() == []
    assert await store.next_incident_number() == 1
    assert await store.events() == []
    assert await store.fences(standing_only=False) == []
    assert await store.treatments(open_only=False) == []
    assert await store.healings() == []
    assert await store.due_effects(NOW) == []
    assert await store.agents() == []
    assert await store.baselines() == []
    assert await store.setting("mode") is None
    assert await store.order_key("k") is None


async def test_what_no_server_can_hold_is_not_there(store: WorkflowStore) -> None:
    """Anybody may ask for a name with a NUL in it: that says nothing of the store's health."""
    assert await store.incident("inc-\0") is None
    assert await store.incidents(subject="agent-\0") == []


async def test_an_incident_comes_back_as_it_was(store: WorkflowStore) -> None:
    """Nothing of an incident is lost or rounded."""
    known = c.incident()
    async with store.unit() as unit:
        await unit.save_incident(known, 0)
    assert await store.incident("inc-1") == known


async def test_a_unit_is_written_when_it_ends(store: WorkflowStore) -> None:
    """Incident, event, fence, treatment, healing and effects appear together."""
    known = c.incident()
    async with store.unit() as unit:
        await unit.save_incident(known, 0)
        row = await unit.append_event(known, e.Opened(at=NOW, finding=c.FINDING), NOW)
        await unit.put_fence(c.fence())
        await unit.put_treatment(c.treatment("t-1", TreatmentState.IN_FORCE))
        await unit.put_healing(c.healing(1))
        await unit.add_effects([c.push("k1"), c.push("k2")], NOW)
    assert await store.incidents() == [known]
    assert await store.events() == [row]
    assert row.event == e.Opened(at=NOW, finding=c.FINDING)
    assert (row.incident_id, row.version, row.state) == ("inc-1", 1, "probation")
    assert await store.fences() == [c.fence()]
    assert await store.treatments() == [c.treatment("t-1", TreatmentState.IN_FORCE)]
    assert await store.healings() == [c.healing(1)]
    assert [r.effect for r in await store.due_effects(NOW)] == [c.push("k1"), c.push("k2")]


async def test_an_exception_leaves_nothing(store: WorkflowStore) -> None:
    """A unit that fails has never happened."""

    async def failing() -> None:
        async with store.unit() as unit:
            await unit.save_incident(c.incident(), 0)
            await unit.append_event(c.incident(), e.Opened(at=NOW), NOW)
            await unit.put_fence(c.fence())
            await unit.add_effects([c.push("k1")], NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await failing()
    assert await store.incidents() == []
    assert await store.events() == []
    assert await store.fences() == []
    assert await store.due_effects(NOW) == []


async def test_an_incident_is_updated_at_the_version_that_was_read(store: WorkflowStore) -> None:
    """Two steps in one unit and a third in the next all find their version."""
    first = c.incident()
    second = c.moved(first, State.PROBATION)
    third = c.moved(second, State.RESOLVED)
    async with store.unit() as unit:
        await unit.save_incident(first, 0)
        await unit.save_incident(second, 1)
    assert await store.incident("inc-1") == second
    async with store.unit() as unit:
        await unit.save_incident(third, 2)
    assert await store.incident("inc-1") == third


@pytest.mark.parametrize(("expected", "actual"), [(0, 2), (1, 2), (3, 2)])
async def test_a_stale_version_is_refused(store: WorkflowStore, expected: int, actual: int) -> None:
    """Whoever decided on what is no longer so changes nothing at all."""
    known = c.incident(version=actual)
    async with store.unit() as unit:
        await unit.save_incident(known, 0)

    async def too_late() -> None:
        async with store.unit() as unit:
            await unit.put_fence(c.fence())
            await unit.save_incident(c.moved(known, State.RESOLVED), expected)
            await unit.add_effects([c.push("k1")], NOW)

    with pytest.raises(StaleVersion) as caught:
        await too_late()
    assert (caught.value.expected, caught.value.actual) == (expected, actual)
    assert await store.incident("inc-1") == known
    assert await store.fences() == []
    assert await store.due_effects(NOW) == []


async def test_updating_an_unknown_incident_is_stale(store: WorkflowStore) -> None:
    """An incident that is not there is at version 0."""
    with pytest.raises(StaleVersion) as caught:
        async with store.unit() as unit:
            await unit.save_incident(c.incident(version=5), 4)
    assert caught.value.actual == 0


async def test_an_agent_has_one_open_incident(store: WorkflowStore) -> None:
    """A second open one is refused until the first is closed."""
    first = c.incident(1)
    async with store.unit() as unit:
        await unit.save_incident(first, 0)
    with pytest.raises(IllegalEvent, match=r"agent-1 has an open incident already.*inc-1"):
        async with store.unit() as unit:
            await unit.save_incident(c.incident(2), 0)
    async with store.unit() as unit:
        await unit.save_incident(c.moved(first, State.RESOLVED), 1)
        await unit.save_incident(c.incident(2), 0)
    assert [i.id for i in await store.incidents(open_only=True)] == ["inc-2"]


async def test_two_open_incidents_in_one_unit_are_refused(store: WorkflowStore) -> None:
    """The rule holds within a unit too."""

    async def both() -> None:
        async with store.unit() as unit:
            await unit.save_incident(c.incident(1), 0)
            await unit.save_incident(c.incident(2), 0)

    with pytest.raises(IllegalEvent):
        await both()
    assert await store.incidents() == []


async def test_one_subject_of_two_kinds_is_two_subjects(store: WorkflowStore) -> None:
    """A model may be called as an agent is."""
    fleet = msgspec.structs.replace(c.incident(2), subject=Subject("model", "agent-1"))
    async with store.unit() as unit:
        await unit.save_incident(c.incident(1), 0)
        await unit.save_incident(fleet, 0)
    assert len(await store.incidents(open_only=True)) == 2


async def test_incidents_are_filtered_and_newest_first(store: WorkflowStore) -> None:
    """By opening time, and by number where that is equal: the tenth is newer than the ninth."""
    rows = [
        c.incident(9, agent="a", state=State.RESOLVED, opened_at=NOW, updated_at=NOW + 5),
        c.incident(10, agent="b", opened_at=NOW),
        c.incident(11, agent="a", state=State.HEALING, opened_at=NOW - 1, updated_at=NOW + 9),
    ]
    async with store.unit() as unit:
        for row in rows:
            await unit.save_incident(row, 0)

    async def ids(**filters: object) -> list[int]:
        found = await store.incidents(**filters)  # type: ignore[arg-type]
        return [int(i.id.removeprefix("inc-")) for i in found]

    assert await ids() == [10, 9, 11]
    assert await ids(limit=2) == [10, 9]
    assert await ids(open_only=True) == [10, 11]
    assert await ids(states=["healing", "resolved"]) == [9, 11]
    assert await ids(states=[State.HEALING]) == [11]
    assert await ids(subject="a") == [9, 11]
    assert await ids(since=NOW + 5) == [9, 11]
    assert await ids(subject="a", open_only=True, since=NOW + 6) == [11]
    assert await store.next_incident_number() == 12


async def test_events_are_numbered_in_order(store: WorkflowStore) -> None:
    """Reading on after the last seq seen misses nothing and repeats nothing."""
    for number in (1, 2, 1):
        async with store.unit() as unit:
            for _ in range(2):
                await unit.append_event(c.incident(number), e.Subsided(at=NOW), NOW)
    rows = await store.events()
    seqs = [row.seq for row in rows]
    assert seqs == sorted(set(seqs))
    assert seqs[0] > 0
    assert [row.incident_id[-1] for row in rows] == list("112211")
    assert await store.events(after_seq=seqs[1]) == rows[2:]
    assert await store.events(after_seq=seqs[1], limit=2) == rows[2:4]
    assert await store.events(incident_id="inc-1", after_seq=seqs[0]) == [rows[1], *rows[4:]]
    assert await store.events(incident_id="inc-1", limit=3) == [*rows[:2], rows[4]]
    assert await store.events(after_seq=seqs[-1]) == []


EVENTS: list[e.AnyEvent] = [
    e.Opened(at=NOW, finding=c.FINDING),
    e.Confirmed(at=NOW, finding=c.FINDING, enforce=True),
    e.Braked(at=NOW, finding=c.FINDING),
    e.Subsided(at=NOW),
    e.QuarantinedByPerson(at=NOW, who="ana", why="odd"),
    e.Diagnosed(
        at=NOW, diagnosis=c.DIAGNOSIS, ladder=c.incident().ladder, approval_deadline_at=NOW
    ),
    e.Approved(at=NOW, who="ana", plan=(Action.RESET_MEMORY,), version=3),
    e.Rejected(at=NOW, who="ana", version=3),
    e.Overdue(at=NOW, contact=1, approval_deadline_at=NOW),
    e.HealNow(at=NOW, action=Action.CLONE_AGENT),
    e.Applied(at=NOW, key="inc-1/1", action=Action.WAIT),
    e.Failed(at=NOW, key="inc-1/1", action=Action.WAIT, approval_deadline_at=NOW),
    e.Unreachable(at=NOW, key="inc-1/1", action=Action.WAIT),
    e.Verified(at=NOW, fresh_steps=6),
    e.Relapsed(at=NOW, fresh_steps=6, approval_deadline_at=NOW),
    e.Stale(at=NOW),
    e.Resumed(at=NOW),
    e.FindingAdded(at=NOW, finding=c.FINDING, diagnosis=c.DIAGNOSIS),
    e.Released(at=NOW, verdict=e.Verdict.NEW_NORMAL),
    e.Absorbed(at=NOW, by="inc-2"),
    e.Acknowledged(at=NOW, who="ann"),
]

EFFECTS: list[fx.AnyEffect] = [
    fx.PushFence(key="1", agent_id="a"),
    fx.ApplyAction(key="2", agent_id="a", incident_id="inc-1", action=Action.WAIT, trigger="auto"),
    fx.EndTreatments(key="3", agent_id="a", incident_id="inc-1"),
    fx.SetBaseline(key="4", agent_id="a", order=fx.BaselineOrder.LEARN),
    fx.Notify(key="5", agent_id="a", topic=fx.Topic.OVERDUE, incident_id="inc-1", text="é"),
    fx.LiftTreatment(key="6", agent_id="a", treatment_id="inc-1/1"),
    fx.KeepTreatment(key="7", agent_id="a", treatment_id="inc-1/1"),
]


async def test_every_kind_of_event_and_effect_comes_back(store: WorkflowStore) -> None:
    """The closed sets survive the store, each as its own type."""
    assert {type(event) for event in EVENTS} == set(get_args(e.AnyEvent))
    assert {type(effect) for effect in EFFECTS} == set(get_args(fx.AnyEffect))
    async with store.unit() as unit:
        for event in EVENTS:
            await unit.append_event(c.incident(), event, event.at)
        await unit.add_effects(EFFECTS, NOW)
    assert [row.event for row in await store.events()] == EVENTS
    assert [row.effect for row in await store.due_effects(NOW)] == EFFECTS


async def test_a_fence_is_replaced_by_its_id(store: WorkflowStore) -> None:
    """A lifted fence stands no more, and is remembered."""
    async with store.unit() as unit:
        await unit.put_fence(c.fence("f-2", ordered_at=NOW + 1))
        await unit.put_fence(c.fence("f-1"))
    assert [f.id for f in await store.fences()] == ["f-1", "f-2"]
    async with store.unit() as unit:
        await unit.put_fence(c.fence("f-1", lifted_at=NOW + 2))
    assert [f.id for f in await store.fences()] == ["f-2"]
    assert (await store.fences(standing_only=False))[0] == c.fence("f-1", lifted_at=NOW + 2)


async def test_a_treatment_is_open_until_it_is_lifted(store: WorkflowStore) -> None:
    """In force, being lifted and kept are open."""
    rows = [c.treatment(state, state, NOW + i) for i, state in enumerate(TreatmentState)]
    async with store.unit() as unit:
        for row in rows:
            await unit.put_treatment(c.treatment(row.id, TreatmentState.IN_FORCE))
            await unit.put_treatment(row)
    assert await store.treatments(open_only=False) == rows
    open_rows = await store.treatments()
    assert [t.state for t in open_rows] == ["in_force", "lifting", "kept"]


async def test_healings_are_filtered_and_newest_first(store: WorkflowStore) -> None:
    """Memory reads all of a time, an agent's page reads its own."""
    rows = [
        c.healing(1, NOW),
        c.healing(2, NOW + 2),
        c.healing(1, NOW + 1, agent="agent-2", incident_id="inc-2"),
    ]
    async with store.unit() as unit:
        for row in rows:
            await unit.put_healing(row)
        await unit.put_healing(rows[0])
    assert await store.healings() == [rows[1], rows[2], rows[0]]
    assert await store.healings(limit=1) == [rows[1]]
    assert await store.healings(incident_id="inc-1") == [rows[1], rows[0]]
    assert await store.healings(agent_id="agent-2") == [rows[2]]
    assert await store.healings(since=NOW + 1) == [rows[1], rows[2]]


async def test_effects_come_when_due_and_oldest_first(store: WorkflowStore) -> None:
    """By due time, then in the order in which they were added."""
    async with store.unit() as unit:
        await unit.add_effects([c.push("late")], NOW + 10)
        await unit.add_effects([c.push("b"), c.push("a")], NOW)
    assert [r.effect.key for r in await store.due_effects(NOW - 1)] == []
    assert [r.effect.key for r in await store.due_effects(NOW)] == ["b", "a"]
    assert [r.effect.key for r in await store.due_effects(NOW + 10, limit=2)] == ["b", "a"]
    assert [r.effect.key for r in await store.due_effects(NOW + 10)] == ["b", "a", "late"]


async def test_an_effect_is_done_once_and_for_all(store: WorkflowStore) -> None:
    """Its key never comes back: not when done again, put off, or added again."""
    async with store.unit() as unit:
        await unit.add_effects([c.push("k"), c.push("k")], NOW)
    assert len(await store.due_effects(NOW)) == 1
    await store.effect_done("k", NOW)
    await store.effect_done("k", NOW + 1)
    await store.effect_later("k", NOW + 1)
    await store.effect_done("unknown", NOW)
    async with store.unit() as unit:
        await unit.add_effects([c.push("k")], NOW)
    assert await store.due_effects(NOW + 100) == []


async def test_an_effect_put_off_counts_its_attempts(store: WorkflowStore) -> None:
    """It is due at its new time, and knows how often it was tried."""
    async with store.unit() as unit:
        await unit.add_effects([c.push("k")], NOW)
    await store.effect_later("k", NOW + 5)
    assert await store.due_effects(NOW + 4) == []
    await store.effect_later("k", NOW + 9)
    (row,) = await store.due_effects(NOW + 9)
    assert (row.due_at, row.attempts) == (NOW + 9, 2)


async def test_agents_and_baselines_are_replaced_by_key(store: WorkflowStore) -> None:
    """The last row of an agent, and of an agent's kind of step, holds."""
    await store.put_agents([AgentRow("b"), AgentRow("a", "t", "m", "p", 1.5, 2.5, "ask")])
    await store.put_agents([AgentRow("b", last_seen_at=9.0)])
    assert await store.agents() == [
        AgentRow("a", "t", "m", "p", 1.5, 2.5, "ask"),
        AgentRow("b", last_seen_at=9.0),
    ]
    await store.put_baselines(
        [BaselineRow("a", Kind.RUN, 1.0, b"\x00old"), BaselineRow("a", Kind.CALL, 1.0, b"call")]
    )
    await store.put_baselines([BaselineRow("a", Kind.RUN, 2.0, b"\x00new")])
    assert await store.baselines() == [
        BaselineRow("a", Kind.CALL, 1.0, b"call"),
        BaselineRow("a", Kind.RUN, 2.0, b"\x00new"),
    ]
    await store.put_agents([])
    await store.put_baselines([])


async def test_of_forgotten_agents_neither_row_nor_baseline_is_left(store: WorkflowStore) -> None:
    """Others keep theirs; forgetting nobody, or somebody unknown, is no fault."""
    await store.put_agents([AgentRow("a"), AgentRow("b")])
    await store.put_baselines([BaselineRow(name, Kind.RUN, 1.0, b"x") for name in ("a", "b")])
    await store.drop_agents([])
    await store.drop_agents(["a", *(f"unknown-{i}" for i in range(1200))])
    assert await store.agents() == [AgentRow("b")]
    assert await store.baselines() == [BaselineRow("b", Kind.RUN, 1.0, b"x")]


async def test_settings_are_kept(store: WorkflowStore) -> None:
    """What a person set last holds."""
    await store.put_setting("mode", "ask")
    await store.put_setting("mode", "enforce")
    await store.put_setting("mode/researcher", "observe")
    assert await store.setting("mode") == "enforce"
    assert await store.setting("mode/researcher") == "observe"


async def test_an_order_s_key_is_written_with_what_the_order_writes_first(
    store: WorkflowStore,
) -> None:
    """Not with what is refused, and not with what is written after its order has ended."""
    key = OrderKey("k", "o", NOW)
    known = c.incident()
    async with store.unit() as unit:
        await unit.save_incident(known, 0)
    with keyed.along(key):
        with pytest.raises(StaleVersion):
            async with store.unit() as unit:
                await unit.save_incident(c.moved(known, State.RESOLVED), 7)
        async with store.unit():
            """Nothing is written."""
        assert await store.order_key("k") is None
        async with store.unit() as unit:
            await unit.put_fence(c.fence())
        assert await store.order_key("k") == key
        answered = OrderKey("k", "o", NOW, b"{}")
        await store.put_order_key(answered)
        await store.put_setting("mode", "ask")
    assert await store.order_key("k") == answered
    for number, write in enumerate(
        (
            store.put_agents([AgentRow("a")]),
            store.put_baselines([BaselineRow("a", Kind.RUN, NOW, b"b")]),
            store.put_setting("mode", "ask"),
        )
    ):
        with keyed.along(one := OrderKey(f"k-{number}", "o", NOW)):
            await write
        assert await store.order_key(one.key) == one
    with keyed.along(OrderKey("late", "o", NOW)):
        pass
    await store.put_setting("mode", "enforce")
    assert await store.order_key("late") is None


async def test_expired_keys_of_orders_go_in_slices(store: WorkflowStore) -> None:
    """The oldest first, and none that is young enough."""
    for age in range(5):
        await store.put_order_key(OrderKey(f"k-{age}", "o", NOW - age, b"{}"))
    assert await store.drop_order_keys(NOW - 1.5, 2) == 2
    found = [await store.order_key(f"k-{age}") is not None for age in range(5)]
    assert found == [True, True, True, False, False]
    assert await store.drop_order_keys(NOW - 1.5, 2) == 1
    assert await store.drop_order_keys(NOW - 1.5, 2) == 0
    assert await store.order_key("k-1") is not None


async def test_the_first_key_beyond_a_number_is_found(store: WorkflowStore) -> None:
    """Counted from the newest; none where there are no more than that."""
    for age in (2, 0, 1):
        await store.put_order_key(OrderKey(f"k-{age}", "o", NOW - age, b"{}"))
    assert [await store.order_key_beyond(n) for n in (0, 2, 3)] == [NOW, NOW - 2, None]


async def test_units_go_one_after_the_other(store: WorkflowStore) -> None:
    """Many at once number their events without a gap in between that a reader could miss."""

    async def one(number: int) -> None:
        async with store.unit() as unit:
            await unit.save_incident(c.incident(number, agent=f"agent-{number}"), 0)
            await asyncio.sleep(0)  # noqa: TID251 - only to let the others in
            row = await unit.append_event(c.incident(number), e.Subsided(at=NOW), NOW)
        assert (await store.events(after_seq=row.seq - 1))[0] == row

    await asyncio.gather(*map(one, range(1, 9)))
    assert len(await store.events()) == 8


async def test_units_do_not_nest(store: WorkflowStore) -> None:
    """One that would wait for itself says so instead."""
    async with store.unit():
        with pytest.raises(RuntimeError, match="within a unit"):
            await store.unit().__aenter__()


async def test_a_refused_unit_takes_no_other_with_it(store: WorkflowStore) -> None:
    """Of many at once each is written or refused by itself, with all that is in it."""

    async def one(number: int, agent: str) -> None:
        async with store.unit() as unit:
            await unit.save_incident(c.incident(number, agent=agent), 0)
            await unit.put_fence(c.fence(f"f-{number}"))
            await unit.add_effects([c.push(f"k-{number}")], NOW)

    agents = [f"agent-{number // 2}" for number in range(20)]  # every second one has a case
    outcomes = await asyncio.gather(
        *(one(number, agent) for number, agent in enumerate(agents)), return_exceptions=True
    )
    assert [outcome is None for outcome in outcomes] == [True, False] * 10
    assert {type(outcome) for outcome in outcomes[1::2]} == {IllegalEvent}
    written = {str(number) for number in range(0, 20, 2)}
    assert {i.id.removeprefix("inc-") for i in await store.incidents()} == written
    assert {f.id.removeprefix("f-") for f in await store.fences()} == written
    assert {r.effect.key.removeprefix("k-") for r in await store.due_effects(NOW)} == written
