"""Tasks that never die in silence, and the health of what they lean on.

An unexpected exception in a task is logged with the task's name, counted, shown as degraded, and
the task starts again after a pause that grows while it keeps failing. What a task leans on (a
store, the notifier, the agents' link) has a health of its own under its own name. An episode of
failures is logged when it begins, when its reason changes and when it is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import msgspec
import structlog

from immune.clock import Clock
from immune.errors import Fatal, Transient

log = structlog.get_logger(__name__)

PAUSE_MAX_S = 30.0
WAIT_MAX_S = 1.0
"""The longest pause where nobody is wrong: what was held up goes on soon after a store is back."""


class TaskHealth(msgspec.Struct):
    """How one supervised task, or something that tasks lean on, fares."""

    name: str
    failures: int = 0
    """Failures since the start."""
    failing: bool = False
    """Whether it failed the last time."""
    last_error: str = ""
    last_failure_at: float | None = None
    transient: bool = False
    """Whether the last failure was one of those that end by themselves."""


class Supervisor:
    """Runs rounds of work again and again, and knows what fails."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []
        self.health: dict[str, TaskHealth] = {}
        self.on_fatal: Callable[[Fatal], None] = lambda fault: None
        """Called when a task met what the process must not survive."""
        self.on_change: Callable[[TaskHealth], None] = lambda health: None

    @property
    def degraded(self) -> list[TaskHealth]:
        """What failed the last time it was tried."""
        return [health for health in self.health.values() if health.failing]

    def failed(self, name: str, error: Exception) -> None:
        """Count and show a failure of `name`; logged where it is news."""
        health = self.health.setdefault(name, TaskHealth(name))
        text = f"{type(error).__name__}: {error}"
        began, news = not health.failing, not health.failing or health.last_error != text
        health.failures += 1
        health.failing = True
        health.last_error = text
        health.last_failure_at = self._clock.time()
        health.transient = isinstance(error, Transient)
        if news and isinstance(error, Transient):
            log.error("fails", task=name, failures=health.failures, reason=text)
        elif news:
            log.error("fails", task=name, failures=health.failures, exc_info=error)
        if began:
            self.on_change(health)

    def went_well(self, name: str) -> None:
        """`name` works; an episode of failures is over."""
        health = self.health.get(name)
        if health is not None and health.failing:
            health.failing = False
            log.info("recovered", task=name, failures=health.failures)
            self.on_change(health)

    @contextmanager
    def watching(self, name: str) -> Iterator[None]:
        """Take how the block ends for the health of `name`; what it raises goes on.

        Only a Transient is its failure: who is refused has been answered.
        """
        try:
            yield
        except Transient as fault:
            self.failed(name, fault)
            raise
        self.went_well(name)

    async def round(self, name: str, work: Callable[[], Awaitable[object]]) -> bool:
        """Run one round of `work`; return whether it went well."""
        self.health.setdefault(name, TaskHealth(name))
        try:
            await work()
        except (asyncio.CancelledError, Fatal):
            raise
        except Exception as error:  # noqa: BLE001 - a task must outlive its own faults
            self.failed(name, error)
            return False
        self.went_well(name)
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
                most_s = WAIT_MAX_S if self.health[name].transient else PAUSE_MAX_S
                pause_s = min(max(0.1, 2 * pause_s), most_s)
                await self._clock.sleep(pause_s)

    async def stop(self) -> None:
        """End all tasks and wait for them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
