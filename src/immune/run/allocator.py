"""What the process does with memory: freed blocks go back to the system at once.

A tick of ten thousand agents works on arrays of up to a few hundred kilobytes. glibc by itself
comes to keep blocks of that size for later, and the process looks half again as large as what it
holds. So large blocks are mapped one by one, and what is free among the small ones is given back
once a second, which takes less than a millisecond.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from functools import cache

from immune.clock import Clock

_M_MMAP_THRESHOLD = -3
_FROM_BYTES = 128 * 1024
_TRIM_S = 1.0


def return_freed_memory() -> None:
    """Have blocks from 128 KB on mapped and unmapped one by one; elsewhere than glibc, nothing."""
    mallopt = getattr(_libc(), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _FROM_BYTES)


def leave_what_stays() -> None:
    """Have Python's collector of garbage pass over what the server is made of, from here on, and
    come by after 10,000 new containers instead of 700: a request of spans makes thousands that
    stay for seconds, and none in circles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def trim() -> None:
    """Give back the free pages among the small blocks; elsewhere than glibc, nothing."""
    malloc_trim = getattr(_libc(), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


async def trim_on_time(clock: Clock) -> None:
    """Trim after a second; for a supervisor, which calls it again and again."""
    await clock.sleep(_TRIM_S)
    trim()


@cache
def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform.startswith("linux") else None
