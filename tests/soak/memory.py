"""What a process takes of memory, and how fast that grows.

Readings are taken as time passes; `trend` leaves out the warm-up and fits a line to the rest. The
slope is Theil and Sen's, the median over all pairs of readings (Sen 1968, "Estimates of the
regression coefficient based on Kendall's tau", JASA 63): a page fault here or a burst there does
not move it. The least-squares slope is told beside it.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from immune.columns import Float64

MB = 1e6
SLOPE_MAX = 1.0
"""MB an hour, of the resident memory; from here on the soak has failed."""


class Memory(msgspec.Struct, frozen=True):
    """What a process has resident, MB."""

    rss: float
    """All of it: what the system counts when it is short of memory."""
    pss: float
    """The same with shared pages divided among those who share them."""
    anonymous: float
    """What is no file's: heap, stacks, arrays."""


def memory_of(pid: int | str = "self") -> Memory:
    """Read it from the kernel."""
    kb = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, value = line.partition(":")
        kb[name] = int(value.split()[0])
    rss, pss, anonymous = (kb[name] * 1024 / MB for name in ("Rss", "Pss", "Anonymous"))
    return Memory(rss, pss, anonymous)


class Trend(msgspec.Struct, frozen=True):
    """Memory over time after the warm-up; MB, and MB an hour."""

    hours: float
    readings: int
    start: Memory
    end: Memory
    slope: float
    """Of the resident memory, Theil-Sen."""
    least_squares: float
    """Of the resident memory."""
    anonymous_slope: float
    """Of the anonymous memory, Theil-Sen."""

    @property
    def holds(self) -> bool:
        """Whether it grows slower than was promised."""
        return self.slope < SLOPE_MAX

    def __str__(self) -> str:
        return (
            f"{self.readings} readings over {self.hours:.2f} h after the warm-up\n"
            f"  resident  {self.start.rss:.1f} MB at the start, {self.end.rss:.1f} MB at the end "
            f"({self.end.rss - self.start.rss:+.1f} MB)\n"
            f"  anonymous {self.start.anonymous:.1f} MB at the start, "
            f"{self.end.anonymous:.1f} MB at the end "
            f"({self.end.anonymous - self.start.anonymous:+.1f} MB); "
            f"Pss {self.start.pss:.1f} MB, {self.end.pss:.1f} MB\n"
            f"  slope     {self.slope:+.3f} MB/h (least squares {self.least_squares:+.3f}; "
            f"anonymous {self.anonymous_slope:+.3f})"
        )


def trend(hours: list[float], readings: list[Memory], *, warmup_h: float) -> Trend:
    """The trend of readings taken at `hours`, ascending, from `warmup_h` on.

    Raises ValueError for fewer than two of them.
    """
    at = np.array(hours)
    after = at >= warmup_h
    if np.count_nonzero(after) < 2:
        raise ValueError("a trend takes two readings after the warm-up")
    kept = [reading for reading, late in zip(readings, after.tolist(), strict=True) if late]
    rss = np.array([reading.rss for reading in kept])
    anonymous = np.array([reading.anonymous for reading in kept])
    at = at[after]
    return Trend(
        hours=float(at[-1] - at[0]),
        readings=len(at),
        start=kept[0],
        end=kept[-1],
        slope=theil_sen(at, rss),
        least_squares=float(np.polyfit(at, rss, 1)[0]),
        anonymous_slope=theil_sen(at, anonymous),
    )


def theil_sen(x: Float64, y: Float64) -> float:
    """The median slope over all pairs; x ascends without repetition, (n,) with n >= 2."""
    first, second = np.triu_indices(len(x), 1)
    return float(np.median((y[second] - y[first]) / (x[second] - x[first])))
