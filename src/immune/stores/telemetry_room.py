"""Room in the telemetry file: how long and how much is kept, and how the oldest vitals go.

Past its limit of bytes the oldest go early: sorted ones first, as they are the older ones, then
whole batches, whose minutes are added up without sorting them, which costs far less.
"""

from __future__ import annotations

import sqlite3

import msgspec

from immune.stores.telemetry_blocks import Block, decode, join
from immune.stores.telemetry_file import roll_block, transaction
from immune.stores.telemetry_minutes import insert_rollups

OVER = 16
"""The limit of bytes may be passed by one part of so many; from there on who writes makes room."""


class TelemetryRetention(msgspec.Struct, frozen=True, kw_only=True):
    """How long vitals are kept, and how much one slice of a sweep does."""

    raw_s: float = 86_400.0
    """Seconds that single vitals are kept; a day, since an incident's story is read within it."""
    raw_bytes_max: int = 4 * 1024**3
    """Bytes of single vitals in the file, past which the oldest go early; 4 GB, so that a fleet
    ten times the planned one fills no disk."""
    rollup_s: float = 30 * 86_400.0
    """Seconds that one-minute sums are kept; 30 days, to compare with the same day last month."""
    rollup_bytes_max: int = 16 * 1024**3
    """Bytes of one-minute sums, past which the oldest go early; 16 GB hold 30 days of 2,000 agents
    that are never idle."""
    settle_s: float = 60.0
    """Seconds of arrivals that are sorted together, and that are left alone; a minute, so that a
    chunk holds about a minute of its agent and not a single step."""
    unsorted_rows_max: int = 1_000_000
    """Rows that may wait to be sorted whatever their age: each read looks through all of them."""
    slice_rows: int = 50_000
    """Rows sorted or removed in one slice (at least one batch or chunk): about a fifth of a second
    that appends may have to wait."""
    part_rows: int = 4_000
    """Rows of a slice that are sorted at a time: what is copied of them takes memory."""
    slice_chunks: int = 10_000
    """Chunks and sums removed in one slice, for the same reason as `slice_rows`: a slice sorted
    may make one of every five rows, and as many must go as come."""
    slice_pages: int = 2_000
    """Free pages of 4 KB given back to the disk in one slice, for the same reason."""


def far_past(db: sqlite3.Connection, retention: TelemetryRetention) -> bool:
    """Whether the limit is passed by so much that the sweep alone does not keep up."""
    return raw_bytes(db) > retention.raw_bytes_max + retention.raw_bytes_max // OVER


def make_room(db: sqlite3.Connection, retention: TelemetryRetention, bytes_wanted: int) -> None:
    """Remove about so many bytes of the oldest vitals, or all that is past the limit.

    Where who writes removes twice what the one before wrote, the file grows no further, and a limit
    that was lowered is reached in steps. The ids of steps must have been noted.
    """
    least = max(raw_bytes(db) - bytes_wanted, retention.raw_bytes_max)
    while raw_bytes(db) > least and drop_vitals(db, retention, 0.0):
        pass


def drop_vitals(db: sqlite3.Connection, retention: TelemetryRetention, before: float) -> int:
    """Remove a slice of the oldest vitals: sorted ones that ended before `before`, epoch seconds,
    and those past the limit of bytes; return how many."""
    return _drop_chunks(db, retention, before) or _drop_batches(db, retention)


def _drop_chunks(db: sqlite3.Connection, retention: TelemetryRetention, before: float) -> int:
    excess = raw_bytes(db) - retention.raw_bytes_max
    slice_rows = retention.slice_rows
    last, rows, freed = 0, 0, 0
    step_ids: list[tuple[int, int, str]] = []
    for chunk, run, agent, last_at, count, ids, size in db.execute(
        "SELECT id, run, agent, last_at, rows, step_ids, length(body) FROM chunks"
        " ORDER BY id LIMIT ?",
        (retention.slice_chunks,),
    ):
        if (last_at >= before and freed >= excess) or (rows and rows + count > slice_rows):
            break
        last, rows, freed = chunk, rows + count, freed + size
        if ids:
            (body,) = db.execute("SELECT body FROM chunks WHERE id = ?", (chunk,)).fetchone()
            step_ids += [(run, agent, step) for step in decode(body).step_ids or () if step]
    if not rows:
        return 0
    with transaction(db):
        _forget_steps(db, step_ids)
        db.execute("DELETE FROM chunks WHERE id <= ?", (last,))
        add_raw_bytes(db, -freed)
    return rows


def _drop_batches(db: sqlite3.Connection, retention: TelemetryRetention) -> int:
    """Of the oldest batches that are past the limit, keep the minutes alone."""
    excess = raw_bytes(db) - retention.raw_bytes_max
    run, blocks, last, freed = oldest_batches(db, retention.slice_rows, excess)
    if not blocks:
        return 0
    block = join(blocks)
    step_ids = [
        (run, agent, step)
        for agent, step in zip(block.rows()["agent"].tolist(), block.step_ids or (), strict=False)
        if step
    ]
    with transaction(db):
        insert_rollups(db, run, roll_block(block))
        _forget_steps(db, step_ids)
        db.execute("DELETE FROM batches WHERE id <= ?", (last,))
        add_raw_bytes(db, -freed)
    return len(block)


def oldest_batches(
    db: sqlite3.Connection, rows_max: int, bytes_least: float, before: float = float("inf")
) -> tuple[int, list[Block], int, int]:
    """Return the run of the oldest batches, these up to so many rows (or the first one), the number
    of the last, and their bytes.

    None follows where `bytes_least` are reached, or one was received after `before`.
    """
    blocks: list[Block] = []
    first_run, rows, last, taken = 0, 0, 0, 0
    for batch, run, received_at, count, body in db.execute(
        "SELECT id, run, received_at, rows, body FROM batches ORDER BY id"
    ):
        other = run != (first_run or run)
        if other or received_at > before or taken >= bytes_least:
            break
        if blocks and rows + count > rows_max:
            break
        first_run, last, rows, taken = run, batch, rows + count, taken + len(body)
        blocks.append(decode(body))
    return first_run, blocks, last, taken


def _forget_steps(db: sqlite3.Connection, steps: list[tuple[int, int, str]]) -> None:
    db.executemany("DELETE FROM steps WHERE run = ? AND agent = ? AND step_id = ?", steps)


def raw_bytes(db: sqlite3.Connection) -> int:
    """Bytes of all vitals in the file."""
    return int(db.execute("SELECT raw_bytes FROM totals").fetchone()[0])


def add_raw_bytes(db: sqlite3.Connection, more: int) -> None:
    """Count bytes that came or went, in the caller's transaction."""
    db.execute("UPDATE totals SET raw_bytes = raw_bytes + ?", (more,))
