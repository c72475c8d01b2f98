"""What a server does with memory that it has freed."""

from __future__ import annotations

import asyncio
import sys

import pytest

from immune.bench.scale import resident_bytes
from immune.clock import ManualClock
from immune.run.allocator import trim, trim_on_time

PIECE = 60_000


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone is asked to give memory back")
async def test_free_pages_between_small_blocks_are_given_back() -> None:
    """A few blocks that stay do not keep all that was freed around them."""
    trim()  # what earlier tests have left would be taken first
    before = resident_bytes()
    blocks = [b"x" * PIECE for _ in range(1000)]
    held = blocks[::20]
    assert resident_bytes() - before > 900 * PIECE
    del blocks
    clock = ManualClock()
    trimmed = asyncio.create_task(trim_on_time(clock))
    await clock.sleep(0)
    clock.advance(1.0)
    await trimmed
    assert resident_bytes() - before < 300 * PIECE
    assert len(held) == 50
