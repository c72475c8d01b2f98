"""Freed memory goes back to the system at once.

A tick of ten thousand agents works on arrays of a few hundred kilobytes. glibc by itself comes to
keep blocks of that size for later, and the process looks half again as large as what it holds.
"""

from __future__ import annotations

import ctypes
import sys

_M_MMAP_THRESHOLD = -3
_FROM_BYTES = 128 * 1024


def return_freed_memory() -> None:
    """Have blocks from 128 KB on mapped and unmapped one by one; elsewhere than glibc, nothing."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _FROM_BYTES)
