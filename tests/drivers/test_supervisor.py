"""Supervised tasks: they never die in silence."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from immune.clock import ManualClock
from immune.errors import Fatal, IllegalEvent, StoreDown
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


def test_an_episode_is_logged_once_until_its_reason_changes() -> None:
    """A full disk refuses a thousand vitals: one line when it begins, one when it is over."""
    supervisor = Supervisor(ManualClock())

    def append(fault: Exception | None) -> None:
        with supervisor.watching("telemetry store"):
            if fault is not None:
                raise fault

    with structlog.testing.capture_logs() as lines:
        for _ in range(1000):
            with pytest.raises(StoreDown):
                append(StoreDown("disk is full"))
        assert supervisor.degraded[0].failures == 1000
        with pytest.raises(StoreDown):
            append(StoreDown("read-only file system"))
        append(None)
    assert [line["event"] for line in lines] == ["fails", "fails", "recovered"]
    assert supervisor.degraded == []


def test_a_refusal_is_no_failure_of_who_refuses() -> None:
    """The store answered: whoever asked was wrong."""
    supervisor = Supervisor(ManualClock())
    with pytest.raises(IllegalEvent), supervisor.watching("workflow store"):
        raise IllegalEvent("no")
    assert supervisor.degraded == []
