"""A store that hangs, is slow or is full: intake says so, decisions go on, and nothing is lost."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from immune.errors import QueueFull, StoreDown
from immune.incidents.states import FENCED
from tests.faults.conftest import QUEUE_ROWS, Plant

AGENTS = [f"agent-{n}" for n in range(5)]


async def all_is_well(plant: Plant, fenced: set[str]) -> None:
    """What was accepted is stored, scored and acted on, and nothing is degraded any more."""
    await plant.until(lambda: plant.system.collector.queued < QUEUE_ROWS)
    await plant.report(["somebody"])  # a task is known to be well when it has had work again
    await plant.until(lambda: plant.fenced == fenced and plant.link.refused == fenced)
    await plant.until(lambda: not plant.system.collector.queued and not plant.degraded)
    assert await plant.telemetry.count() == plant.sent
    assert {fence.agent_id for fence in await plant.workflow.fences()} == fenced
    cases = await plant.workflow.incidents(open_only=True)
    assert sorted(case.agent_id for case in cases) == sorted(fenced)
    assert all(case.state in FENCED for case in cases)


async def test_a_workflow_that_hangs_is_caught_up_with(live: Plant) -> None:
    """Vitals are taken and wait within their bound, then 429; the fences come when it answers."""
    await live.report(AGENTS)
    await live.sick("agent-0")
    await live.until(lambda: live.link.refused == {"agent-0"})
    with live.workflow_blocked():
        await live.sick("agent-1", "agent-2")
        await live.until(lambda: "workflow store" in live.degraded)
        assert live.fenced == {"agent-0"}
        refused = 0
        for _ in range(3 * QUEUE_ROWS // len(AGENTS)):
            try:
                await live.report(AGENTS[3:])
            except QueueFull:
                refused += 1
            await live.clock.sleep(0.0)
        assert live.system.collector.queued <= QUEUE_ROWS
        with pytest.raises(StoreDown):
            await live.workflow.put_setting("mode", "ask")
    await all_is_well(live, {"agent-0", "agent-1", "agent-2"})


async def test_a_telemetry_store_that_hangs_holds_up_no_decision(live: Plant) -> None:
    """Intake is refused and can be tried again; a person's order and its fence go through."""
    await live.report(AGENTS)
    with live.telemetry_blocked():
        with pytest.raises(StoreDown, match="locked"):
            await live.sick("agent-1")
        assert "telemetry store" in live.degraded
        await live.system.desk.quarantine("agent-2", who="ann", why="audit")
        await live.until(lambda: live.link.refused == {"agent-2"})
    await live.sick("agent-1")
    await live.until(lambda: live.link.refused == {"agent-1", "agent-2"})
    assert await live.telemetry.count() == live.sent
    await live.until(lambda: not live.degraded)


async def test_slow_writes_are_shared(live: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each commit takes its time; a wave waits for a few of them, not for one after the other."""
    database = live.workflow._db()
    write = database.write
    commits = 0

    async def slow(work):  # type: ignore[no-untyped-def]
        nonlocal commits
        commits += 1
        await live.clock.sleep(0.1)
        return await write(work)

    monkeypatch.setattr(database, "write", slow)
    wave = [f"agent-{n}" for n in range(30)]
    await live.sick(*wave)
    await all_is_well(live, set(wave))
    assert commits < len(wave)


async def test_a_full_disk_refuses_vitals_and_lets_fences_stand(on_file: Plant) -> None:
    """503 while it lasts; fences stand, what is decided is written; it ends by itself."""
    live = on_file
    await live.report(AGENTS)
    await live.sick("agent-0")
    await live.until(lambda: live.link.refused == {"agent-0"})
    held = live.telemetry._held()
    (pages,) = held.write.execute("PRAGMA page_count").fetchone()
    held.write.execute(f"PRAGMA max_page_count={pages}")

    async def until_full() -> None:
        for _ in range(2000):
            await live.report(AGENTS)
            await live.until(lambda: not live.system.collector.queued)

    with pytest.raises(StoreDown, match="full"):
        await until_full()
    assert "telemetry store" in live.degraded
    assert live.fenced == {"agent-0"}
    await live.system.desk.quarantine("agent-2", who="ann", why="audit")
    await live.until(lambda: live.link.refused == {"agent-0", "agent-2"})
    held.write.execute("PRAGMA max_page_count=1000000")
    await live.sick("agent-1")
    await live.until(lambda: live.link.refused == {"agent-0", "agent-1", "agent-2"})
    assert await live.telemetry.count() == live.sent
    await live.until(lambda: not live.degraded)


async def test_a_full_disk_of_the_workflow_is_caught_up_with(on_file: Plant) -> None:
    """A finding that could not be written waits, and is brought when there is room."""
    live = on_file
    await live.report(AGENTS)
    await live.sick("agent-0")
    await live.until(lambda: live.link.refused == {"agent-0"})

    async def pages(most: int) -> None:
        def limit(connection: sa.Connection) -> None:
            connection.exec_driver_sql(f"PRAGMA max_page_count={most}")

        await live.workflow._db().write(limit)

    await pages(1)  # the file is larger: not one page more
    wave = [f"agent-{n}" for n in range(1, 21)]
    await live.sick(*wave)
    await live.until(lambda: "workflow store" in live.degraded)
    assert "agent-0" in live.fenced
    await pages(1_000_000)
    await all_is_well(live, {"agent-0", *wave})


async def test_whoever_leaves_during_a_commit_leaves_no_doubt(on_file: Plant) -> None:
    """A request that is broken off while its order is being written: memory and store agree."""
    live = on_file
    await live.report(AGENTS)
    await live.until(lambda: not live.system.collector.queued)
    for number, agent in enumerate(AGENTS):
        order = asyncio.create_task(live.system.desk.quarantine(agent, who="ann", why="audit"))
        for _ in range(number + 1):
            await live.clock.sleep(0.0)
        order.cancel()
        await asyncio.wait([order])
    stored = {fence.agent_id for fence in await live.workflow.fences()}
    assert live.fenced == stored
