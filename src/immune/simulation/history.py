"""How a long past is cut into batches: big enough to be fast, small enough to hold in memory."""

from __future__ import annotations

from collections.abc import Iterator

ROWS = 20_000
"""Steps in a batch, about: some 10 MB with their tool calls."""

LONGEST_S = 600.0
"""Seconds in a batch at most, so that even a small fleet's hour comes in several."""


def windows(begin: float, end: float, steps_per_s: float) -> Iterator[float]:
    """Yield the ends of the windows from `begin` to `end`, the last being `end` itself."""
    width = min(LONGEST_S, max(1.0, ROWS / steps_per_s))
    at = begin
    while at < end:
        at = min(at + width, end)
        yield at
