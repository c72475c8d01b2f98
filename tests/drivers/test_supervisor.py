"""Supervised tasks: they never die in silence."""

from __future__ import annotations

import asyncio

import pytest

from immune.clock import ManualClock
from immune.errors import Fatal
from immune.supervisor import Supervisor


async def test_a_failing_round_is_counted_and_shown_until_it_goes_well() -> None:
    """An unexpected fault marks the task as degraded, the next good round heals it."""
    supervisor = Supervisor(ManualClock())
    changes: list[tuple[str, bool]] = []
    supervisor.on_change = lambda health: changes.append((health.name, health.failing))

    async def bad() -> None:
        raise RuntimeError("the disk ate it")

    async def good() -> None:
        return None

    assert not await supervisor.round("relay", bad)
    assert not await supervisor.round("relay", bad)
    (health,) = supervisor.degraded
    assert (health.failures, health.last_error) == (2, "RuntimeError: the disk ate it")
    assert await supervisor.round("relay", good)
    assert supervisor.degraded == []
    assert changes == [("relay", True), ("relay", False)]


async def test_a_task_starts_again_after_a_fault() -> None:
    """The loop goes on, after a pause, until it is stopped."""
    clock = ManualClock()
    supervisor = Supervisor(clock)
    rounds = 0
    enough = asyncio.Event()

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            enough.set()
            await asyncio.Event().wait()
        raise RuntimeError("again")

    supervisor.start("tick", work)
    while not enough.is_set():
        await clock.sleep(0)
        clock.advance(60.0)
    await supervisor.stop()
    assert supervisor.health["tick"].failures == 2


async def test_what_must_end_the_process_is_not_caught() -> None:
    """A fatal error passes through."""

    async def fatal() -> None:
        raise Fatal("a newer schema")

    with pytest.raises(Fatal):
        await Supervisor(ManualClock()).round("store", fatal)
