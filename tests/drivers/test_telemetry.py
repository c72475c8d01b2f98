"""The collector: durable first, then once to the detector, in order of time."""

from __future__ import annotations

import asyncio
import math

import numpy as np
import pytest
from tests.stores.cases import NOW, vital

from immune.clock import ManualClock
from immune.columns import Names, Rows, VitalColumns, from_vitals, to_vitals
from immune.errors import QueueFull, StoreDown
from immune.settings import IntakeSettings
from immune.supervisor import Supervisor
from immune.telemetry import TelemetryCollector
from immune.testing import MemoryTelemetry
from immune.vitals import Kind, Metric, Vital


class GatedTelemetry(MemoryTelemetry):
    """A store that answers when it is let, and may be down."""

    def __init__(self, names: Names) -> None:
        super().__init__(names)
        self.gate = asyncio.Event()
        self.gate.set()
        self.down = False

    async def append(self, columns: VitalColumns) -> Rows | None:
        await self.gate.wait()
        if self.down:
            raise StoreDown("the telemetry store does not answer")
        return await super().append(columns)


class Ward:
    """A collector on a fake store."""

    def __init__(self, params: IntakeSettings | None = None) -> None:
        self.clock, self.names = ManualClock(NOW), Names()
        self.supervisor = Supervisor(self.clock)
        self.store = GatedTelemetry(self.names)
        self.collector = TelemetryCollector(
            self.store, self.names, self.clock, params or IntakeSettings(), self.supervisor
        )

    async def accept(self, *vitals: Vital) -> None:
        await self.collector.accept(from_vitals(vitals, self.names))

    def drain(self) -> list[Vital]:
        """The next batch, empty where there is none."""
        columns = self.collector.drain()
        return [] if columns is None else to_vitals(columns, self.names)

    def times(self) -> list[float]:
        return [v.at - NOW for v in self.drain()]

    def gaps(self) -> list[float | None]:
        """The intervals of the next batch, None where none is known."""
        columns = self.collector.drain()
        assert columns is not None
        column = columns.values[:, Metric.INTERVAL_S].tolist()
        return [None if math.isnan(gap) else gap for gap in column]


async def test_a_batch_sent_three_times_is_scored_once() -> None:
    """The sender is answered each time as if it had been the first."""
    ward = Ward()
    batch = [vital(NOW + t, step_id=f"s-{t}") for t in range(3)]
    for _ in range(3):
        await ward.accept(*batch)
    assert ward.collector.queued == 3
    assert [v.step_id for v in ward.drain()] == ["s-0", "s-1", "s-2"]
    assert (ward.collector.accepted, await ward.store.count()) == (9, 3)
    await ward.accept(*batch)
    assert not ward.collector.arrived.is_set()
    assert ward.collector.drain() is None


async def test_of_a_batch_known_in_part_the_rest_is_scored() -> None:
    """With its tool calls, and with the steps that have no id: nobody can tell those."""
    ward = Ward()
    await ward.accept(vital(NOW, step_id="s-0", calls=[{"tool": "bank"}]))
    ward.drain()
    await ward.accept(
        vital(NOW, step_id="s-0", calls=[{"tool": "bank"}]),
        vital(NOW + 1),
        vital(NOW + 2, step_id="s-2", calls=[{"tool": "search"}]),
        vital(NOW + 2, step_id="s-2", calls=[{"tool": "search"}]),
    )
    first, second = ward.drain()
    assert (first.at, first.calls) == (NOW + 1, None)
    assert [call.tool for call in second.calls or ()] == ["search"]


async def test_without_step_ids_the_batch_itself_is_handed_on() -> None:
    """Nothing is copied before it is put in order."""
    ward = Ward()
    columns = from_vitals([vital(NOW), vital(NOW)], ward.names)
    await ward.collector.accept(columns)
    assert ward.collector._queue[0][1] is columns


async def test_vitals_are_handed_on_in_order_of_time() -> None:
    """Over all batches that waited; those of the same time as they came."""
    ward = Ward()
    await ward.accept(vital(NOW + 3), vital(NOW + 1, "agent-2"))
    await ward.accept(vital(NOW + 2), vital(NOW + 1))
    assert [(v.at - NOW, v.agent_id) for v in ward.drain()] == [
        (1, "agent-2"),
        (1, "agent-1"),
        (2, "agent-1"),
        (3, "agent-1"),
    ]
    assert not ward.collector.arrived.is_set()


async def test_what_comes_too_late_is_stored_and_not_scored() -> None:
    """More than the setting behind its own series; others are not measured by it."""
    ward = Ward(IntakeSettings(order_s=10.0))
    await ward.accept(vital(NOW + 100))
    ward.drain()
    await ward.accept(
        vital(NOW + 90),
        vital(NOW + 89.5),
        vital(NOW + 50, "agent-2"),
        vital(NOW + 40, kind=Kind.CALL),
    )
    assert ward.times() == [40, 50, 90]
    assert (ward.collector.late, await ward.store.count()) == (1, 5)
    await ward.accept(vital(NOW))
    assert ward.times() == []
    assert (ward.collector.late, ward.collector.queued) == (2, 0)


async def test_a_clock_ahead_makes_nothing_that_follows_late() -> None:
    """One step from the future ends when it arrived; the agent's next ones are scored."""
    ward = Ward()
    await ward.accept(vital(NOW + 290, received_at=NOW))
    assert len(ward.drain()) == 1
    await ward.accept(vital(NOW + 1, received_at=NOW + 1))
    assert len(ward.drain()) == 1
    assert ward.collector.late == 0


async def test_the_interval_is_the_time_since_the_agents_previous_step() -> None:
    """Of the same kind, also over batches; unknown for the first and for one out of order."""
    ward = Ward()
    await ward.accept(vital(NOW + 4), vital(NOW, "agent-2"), vital(NOW + 1))
    assert ward.gaps() == [None, None, 3]
    await ward.accept(vital(NOW + 6), vital(NOW + 5, kind=Kind.CALL), vital(NOW + 7, "agent-2"))
    assert ward.gaps() == [None, 2, 7]
    await ward.accept(vital(NOW + 5))
    assert ward.gaps() == [None]
    await ward.accept(vital(NOW + 8))
    assert ward.gaps() == [2]


async def test_a_step_sent_again_leaves_no_trace_in_the_intervals() -> None:
    """The next step is measured from the one before, not from its repetition."""
    ward = Ward()
    await ward.accept(vital(NOW, step_id="s-0"))
    await ward.accept(vital(NOW, step_id="s-0"), vital(NOW + 5, step_id="s-1"))
    assert ward.gaps() == [None, 5]


async def test_batches_are_joined_up_to_a_size() -> None:
    """A batch is never cut, however large it is."""
    ward = Ward(IntakeSettings(batch_rows=3))
    for t in (0, 2, 4):
        await ward.accept(vital(NOW + t), vital(NOW + t + 1))
    await ward.accept(*(vital(NOW + t) for t in (6, 7, 8, 9)))
    assert ward.times() == [0, 1]
    assert ward.collector.arrived.is_set()
    assert [ward.times() for _ in range(4)] == [[2, 3], [4, 5], [6, 7, 8, 9], []]


async def test_a_full_queue_refuses_before_anything_is_written() -> None:
    """What waits for the store counts as well; an empty queue takes any batch."""
    ward = Ward(IntakeSettings(queue_rows=3))
    ward.store.gate.clear()
    waiting = asyncio.create_task(ward.accept(*(vital(NOW + t) for t in range(4))))
    await asyncio.sleep(0)  # noqa: TID251 - only to let it in
    with pytest.raises(QueueFull, match="4 vitals wait") as refused:
        await ward.accept(vital(NOW + 9))
    assert refused.value.retry_after_s == 1.0
    ward.store.gate.set()
    await waiting
    with pytest.raises(QueueFull):
        await ward.accept(vital(NOW + 9))
    assert (ward.collector.accepted, await ward.store.count()) == (4, 4)
    ward.drain()
    await ward.accept(vital(NOW + 9))
    assert ward.times() == [9]


async def test_steps_sent_again_take_no_place_in_the_queue() -> None:
    """A sender that repeats itself does not make the others wait."""
    ward = Ward(IntakeSettings(queue_rows=3))
    for _ in range(5):
        await ward.accept(vital(NOW, step_id="s-0"))
    assert ward.collector.queued == 1
    await ward.accept(vital(NOW + 1), vital(NOW + 2))
    assert ward.times() == [0, 1, 2]


async def test_what_the_store_does_not_take_is_not_scored() -> None:
    """Nor does it take a place; sent again later it is scored."""
    ward = Ward(IntakeSettings(queue_rows=1))
    ward.store.down = True
    for _ in range(2):
        with pytest.raises(StoreDown):
            await ward.accept(vital(NOW, step_id="s-0"))
    assert (ward.collector.accepted, ward.collector.queued) == (0, 0)
    (health,) = ward.supervisor.degraded
    assert (health.name, health.failures) == ("telemetry store", 2)
    ward.store.down = False
    await ward.accept(vital(NOW, step_id="s-0"))
    assert ward.times() == [0]
    assert ward.supervisor.degraded == []


async def test_an_agents_facts_and_times_are_remembered() -> None:
    """The last known fact holds; it is active until it has been silent for the setting."""
    ward = Ward(IntakeSettings(active_s=300.0))
    await ward.accept(vital(NOW, model="m-1", agent_type="researcher"), vital(NOW + 2))
    await ward.accept(vital(NOW + 1, model="m-2"), vital(NOW + 200, "agent-2"))
    ward.drain()
    code = ward.names.agents.find("agent-1")
    assert code is not None
    row = ward.collector.row(code)
    assert (row.agent_id, row.agent_type, row.model) == ("agent-1", "researcher", "m-2")
    assert (row.first_seen_at, row.last_seen_at) == (NOW, NOW + 2)
    ward.clock.advance(400)
    assert [ward.names.agents.text(c) for c in ward.collector.active().tolist()] == ["agent-2"]
    assert len(ward.collector.known()) == 2
    again = Ward()
    again.collector.load([row])
    assert again.collector.row(1) == row


async def test_more_agents_than_there_was_room_for() -> None:
    """What was known of the first ones stays."""
    ward = Ward()
    await ward.accept(vital(NOW, "agent-0"))
    ward.drain()
    await ward.accept(*(vital(NOW + 5, f"agent-{n}") for n in range(1000)))
    columns = ward.collector.drain()
    assert columns is not None
    gaps = columns.values[:, Metric.INTERVAL_S]
    assert gaps[columns.agent == ward.names.agents.find("agent-0")].tolist() == [5]
    assert int(np.isnan(gaps).sum()) == 999
