"""Tasks that never die in silence.

An unexpected exception in a task is logged with the task's name, counted, shown as degraded, and
the task starts again after a pause that grows while it keeps failing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from immune.clock import Clock
from immune.errors import Fatal

log = structlog.get_logger(__name__)

PAUSE_MAX_S = 30.0


class TaskHealth(msgspec.Struct):
    """How one supervised task fares."""

    name: str
    failures: int = 0
    """Unexpected exceptions since the start."""
    failing: bool = False
    """Whether its last round failed."""
    last_error: str = ""
    last_failure_at: float | None = None


class Supervisor:
    """Runs rounds of work again and again, and knows which fail."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []
        self.health: dict[str, TaskHealth] = {}
        self.on_fatal: Callable[[Fatal], None] = lambda fault: None
        """Called when a task met what the process must not survive."""
        self.on_change: Callable[[TaskHealth], None] = lambda health: None

    @property
    def degraded(self) -> list[TaskHealth]:
        """The tasks whose last round failed."""
        return [health for health in self.health.values() if health.failing]

    async def round(self, name: str, work: Callable[[], Awaitable[object]]) -> bool:
        """Run one round of `work`; return whether it went well."""
        health = self.health.setdefault(name, TaskHealth(name))
        try:
            await work()
        except (asyncio.CancelledError, Fatal):
            raise
        except Exception as error:
            # the one place that catches everything: a task must outlive its own faults
            was = health.failing
            health.failures += 1
            health.failing = True
            health.last_error = f"{type(error).__name__}: {error}"
            health.last_failure_at = self._clock.time()
            log.exception("task failed", task=name, failures=health.failures)
            if not was:
                self.on_change(health)
            return False
        if health.failing:
            health.failing = False
            log.info("task recovered", task=name)
            self.on_change(health)
        return True

    def start(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        """Run `work` again and again; it must wait for its own cue."""
        self._tasks.append(asyncio.create_task(self._loop(name, work), name=name))

    async def _loop(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        pause_s = 0.0
        while True:
            try:
                well = await self.round(name, work)
            except Fatal as fault:
                log.critical("must stop", task=name, reason=str(fault))
                self.on_fatal(fault)
                return
            if well:
                pause_s = 0.0
            else:
                pause_s = min(max(0.1, 2 * pause_s), PAUSE_MAX_S)
                await self._clock.sleep(pause_s)

    async def stop(self) -> None:
        """End all tasks and wait for them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
