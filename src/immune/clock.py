"""The only module that reads time.

`SystemClock` is the machine's, without its jumps; `ManualClock` moves only when told, so that an
hour of the whole system passes in seconds and every run of it is the same. A deadline is one number
everywhere: UTC on a clock that never jumps, so it means the same in memory and in the store.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """What the drivers know of time."""

    def time(self) -> float:
        """UTC, epoch seconds; it never goes back, nor ahead of the time that has passed."""

    def monotonic(self) -> float:
        """Seconds since no matter when, in which this process could run."""

    async def sleep(self, seconds: float) -> None:
        """Wait; at once for zero or less, after letting other tasks run."""


FOLLOWED = 0.05
"""Share of the time that passes by which `SystemClock` follows a wall clock that was set: an hour
is made up within a day, and a deadline of 15 minutes is off by 45 s at the most meanwhile."""


_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)
"""Linux's clock that goes on while the machine is suspended."""


def _passing_s() -> float:
    """Seconds that pass, while the machine is suspended too where the system counts those."""
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)


class SystemClock:
    """The machine's clock: the wall's time at the start, and what has passed since.

    Somebody who sets the wall clock (a person, NTP) makes no deadline pass and none wait; the
    difference is made up slowly, see `FOLLOWED`. For one thread. `wall` and `passing` are the two
    clocks that it reads.
    """

    def __init__(
        self, wall: Callable[[], float] = time.time, passing: Callable[[], float] = _passing_s
    ) -> None:
        self._wall = wall
        self._passing = passing
        self._utc, self._read_at = wall(), passing()

    def time(self) -> float:
        read_at = self._passing()
        passed_s, self._read_at = max(read_at - self._read_at, 0.0), read_at
        self._utc += passed_s
        most_s = FOLLOWED * passed_s
        self._utc += min(max(self._wall() - self._utc, -most_s), most_s)
        return self._utc

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0))


class ManualClock:
    """A clock that stands still until `advance` is called.

    `start` is its first reading in epoch seconds; `monotonic` starts at 0. `suspend` lets time pass
    in which the process could not run.
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

    def suspend(self, seconds: float) -> None:
        """Move on by `seconds` without a chance for anybody to run: no sleeper comes nearer."""
        self._offset += seconds


def cpu_s() -> float:
    """CPU seconds this process has used, all threads: for measurements, never for a decision."""
    return time.process_time()


def stopwatch_s() -> float:
    """Seconds of a monotonic clock of high resolution: for measurements, never for a decision."""
    return time.perf_counter()
