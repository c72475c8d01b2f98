"""What is done to the telemetry file in the background, a bounded slice at a time.

Batches that have settled are sorted by agent into chunks, so that reading one agent's day reads
only that agent's rows, and their minutes are added up. Then the oldest chunks and minutes go, and
the file gives back what it no longer needs. This
is housekeeping of the whole file: an earlier run's rows grow old and go as well.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

import msgspec
import numpy as np

from immune.stores.telemetry_blocks import Block, by_agent, decode, encode, parts
from immune.stores.telemetry_file import roll_block, transaction


class TelemetryRetention(msgspec.Struct, frozen=True, kw_only=True):
    """How long vitals are kept, and how much one slice of a sweep does."""

    raw_s: float = 86_400.0
    """Seconds that single vitals are kept; a day, since an incident's story is read within it."""
    raw_bytes_max: int = 4 * 1024**3
    """Bytes of single vitals in the file, past which the oldest go early; 4 GB, so that a fleet
    ten times the planned one fills no disk."""
    rollup_s: float = 30 * 86_400.0
    """Seconds that one-minute sums are kept; 30 days, to compare with the same day last month."""
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
    slices: int = 20
    """Slices in one sweep at most, with appends in between."""


class Swept(NamedTuple):
    """What one slice did."""

    removed: int
    """Vitals."""
    more: bool
    """Whether the next slice may find something to do."""


def sweep_slice(db: sqlite3.Connection, retention: TelemetryRetention, now: float) -> Swept:
    """Do one slice of everything."""
    did_sort = _sort(db, retention, now)
    removed = _drop_chunks(db, retention, now - retention.raw_s)
    did_drop = _drop_rollups(db, retention, now - retention.rollup_s)
    did_shrink = _shrink(db, retention)
    return Swept(removed, did_sort or removed > 0 or did_drop or did_shrink)


def _sort(db: sqlite3.Connection, retention: TelemetryRetention, now: float) -> bool:
    """Turn the oldest batches into chunks and sums; False where all are young."""
    (waiting,) = db.execute("SELECT total(rows) FROM batches").fetchone()
    hurry = waiting > retention.unsorted_rows_max or _raw_bytes(db) > retention.raw_bytes_max
    oldest = db.execute("SELECT received_at FROM batches ORDER BY id LIMIT 1").fetchone()
    # however often we are called, wait for twice the time and take what is older than once
    if oldest is None or (oldest[0] > now - 2 * retention.settle_s and not hurry):
        return False
    blocks: list[Block] = []
    first_run, rows, last, taken = 0, 0, 0, 0
    for batch, run, received_at, count, body in db.execute(
        "SELECT id, run, received_at, rows, body FROM batches ORDER BY id"
    ):
        young = received_at > now - retention.settle_s and not hurry
        if young or run != (first_run or run) or (blocks and rows + count > retention.slice_rows):
            break
        first_run, last, rows, taken = run, batch, rows + count, taken + len(body)
        blocks.append(decode(body))
    if not blocks:
        return False
    grown = -taken
    with transaction(db):
        for part in parts(blocks, retention.part_rows):
            grown += _insert_chunks(db, first_run, part)
            _insert_rollups(db, first_run, part)
        db.execute("DELETE FROM batches WHERE id <= ?", (last,))
        _add_raw_bytes(db, grown)
    return True


def _insert_chunks(db: sqlite3.Connection, run: int, part: Block) -> int:
    """Write each agent's vitals of a part as one chunk; return the bytes of all."""
    size = 0
    rows = []
    for agent, block in by_agent(part):
        at = block.rows()["at"]
        step_ids = sum(step_id is not None for step_id in block.step_ids or ())
        body = encode(block)
        rows.append((run, agent, float(at[0]), float(at[-1]), len(at), step_ids, body))
        size += len(body)
    db.executemany(
        "INSERT INTO chunks (run, agent, first_at, last_at, rows, step_ids, body)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    return size


def _insert_rollups(db: sqlite3.Connection, run: int, part: Block) -> None:
    """Add up each agent's minutes of a part."""
    sums = roll_block(part)
    starts = np.flatnonzero(np.diff(sums["agent"], prepend=-1))
    ends = np.append(starts[1:], len(sums))
    db.executemany(
        "INSERT INTO rollups (run, agent, last_minute, body) VALUES (?, ?, ?, ?)",
        (
            (run, int(own["agent"][0]), int(own["minute"][-1]), own.tobytes())
            for own in (sums[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True))
        ),
    )


def _drop_chunks(db: sqlite3.Connection, retention: TelemetryRetention, before: float) -> int:
    """Remove the oldest chunks that ended before `before`, or are too many."""
    excess = _raw_bytes(db) - retention.raw_bytes_max
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
        db.executemany("DELETE FROM steps WHERE run = ? AND agent = ? AND step_id = ?", step_ids)
        db.execute("DELETE FROM chunks WHERE id <= ?", (last,))
        _add_raw_bytes(db, -freed)
    return rows


def _drop_rollups(db: sqlite3.Connection, retention: TelemetryRetention, before: float) -> bool:
    last = 0
    for part, last_minute in db.execute(
        "SELECT id, last_minute FROM rollups ORDER BY id LIMIT ?", (retention.slice_chunks,)
    ):
        if last_minute >= before:
            break
        last = part
    if last:
        db.execute("DELETE FROM rollups WHERE id <= ?", (last,))
    return last > 0


def _shrink(db: sqlite3.Connection, retention: TelemetryRetention) -> bool:
    """Give pages back that are not needed again soon; return whether more than a slice is left.

    An eighth of the file stays free: what comes within the next hours of a day goes there.
    """
    (free,), (pages,) = (
        db.execute(f"PRAGMA {pragma}").fetchone() for pragma in ("freelist_count", "page_count")
    )
    spare = int(min(free - pages // 8, retention.slice_pages))
    if spare <= 0:
        return False
    db.execute(f"PRAGMA incremental_vacuum({spare})").fetchall()  # a page a row
    return spare == retention.slice_pages


def _raw_bytes(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT raw_bytes FROM totals").fetchone()[0])


def _add_raw_bytes(db: sqlite3.Connection, more: int) -> None:
    db.execute("UPDATE totals SET raw_bytes = raw_bytes + ?", (more,))
