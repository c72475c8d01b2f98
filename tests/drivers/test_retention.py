"""Telemetry stays in its bounds, and nobody waits for that."""

from __future__ import annotations

import asyncio

from immune.assemble import System, assemble
from immune.clock import ManualClock
from immune.columns import Names
from immune.errors import StoreDown
from immune.orchestrator import HOUSEKEEPING_S, RETENTION_S
from immune.savings import PART_S
from immune.settings import Settings
from immune.testing import MemoryTelemetry, MemoryWorkflow, RecordingNotifier, ScriptedLink


class Overfull(MemoryTelemetry):
    """A store with so many slices to do; each is let through by `gate`."""

    def __init__(self, names: Names) -> None:
        super().__init__(names)
        self.slices = 0
        self.down = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def sweep(self, now: float) -> bool:
        await self.gate.wait()
        if self.down:
            raise StoreDown("the telemetry store does not answer")
        self.slices -= 1
        return self.slices > 0


async def _system() -> tuple[System, Overfull, ManualClock]:
    clock, names = ManualClock(), Names()
    workflow, store = MemoryWorkflow("r"), Overfull(names)
    await workflow.open()
    system = assemble(
        Settings(),
        clock=clock,
        names=names,
        workflow=workflow,
        telemetry=store,
        link=ScriptedLink(clock),
        notifier=RecordingNotifier(),
    )
    await system.orchestrator.start()
    return system, store, clock


async def _pass(clock: ManualClock, seconds: float) -> None:
    """Time passes for the tasks that run."""
    await clock.sleep(0)
    clock.advance(seconds)
    for _ in range(100):
        await asyncio.sleep(0)  # noqa: TID251 - only to let the others in


async def test_retention_goes_on_at_once_while_there_is_more() -> None:
    """Slice after slice, without waiting for the next look."""
    system, store, clock = await _system()
    store.slices = 30
    system.orchestrator.run()
    await _pass(clock, RETENTION_S)
    assert store.slices == 0
    await system.orchestrator.stop()


async def test_timers_do_not_wait_for_retention() -> None:
    """While a sweep takes its time, what was learned is saved as ever."""
    system, store, clock = await _system()
    store.gate.clear()
    system.orchestrator.run()
    await _pass(clock, RETENTION_S)
    await _pass(clock, PART_S)
    assert "savings" in system.orchestrator.supervisor.health
    await system.orchestrator.stop()


async def test_retention_that_fails_is_shown() -> None:
    """Under its name, until it goes well again."""
    system, store, clock = await _system()
    store.down = True
    clock.advance(HOUSEKEEPING_S)
    await system.orchestrator.turn()
    assert [task.name for task in system.orchestrator.supervisor.degraded] == ["retention"]
    store.down = False
    clock.advance(HOUSEKEEPING_S)
    await system.orchestrator.turn()
    assert system.orchestrator.supervisor.degraded == []
