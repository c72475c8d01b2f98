"""The only module that reads time.

`SystemClock` is the machine's; `ManualClock` moves only when told, so that an hour of the whole
system passes in seconds and every run of it is the same.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from typing import Protocol


class Clock(Protocol):
    """What the drivers know of time."""

    def time(self) -> float:
        """UTC, epoch seconds: for what is stored and shown."""

    def monotonic(self) -> float:
        """Seconds that never jump: for what is waited for."""

    async def sleep(self, seconds: float) -> None:
        """Wait; at once for zero or less, after letting other tasks run."""


class SystemClock:
    """The machine's clock."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0))


class ManualClock:
    """A clock that stands still until `advance` is called.

    `start` is its first reading in epoch seconds; `monotonic` starts at 0. `jump` moves the wall
    clock alone, as an NTP correction would.
    """

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._offset = start
        self._elapsed = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def time(self) -> float:
        return self._offset + self._elapsed

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), done))
        await done

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`, waking in order whoever slept no longer than that."""
        self._elapsed += seconds
        while self._sleepers and self._sleepers[0][0] <= self._elapsed:
            done = heapq.heappop(self._sleepers)[2]
            if not done.done():
                done.set_result(None)

    def jump(self, seconds: float) -> None:
        """Move the wall clock, and nothing else."""
        self._offset += seconds


def cpu_s() -> float:
    """CPU seconds this process has used, all threads: for measurements, never for a decision."""
    return time.process_time()


def stopwatch_s() -> float:
    """Seconds of a monotonic clock of high resolution: for measurements, never for a decision."""
    return time.perf_counter()
