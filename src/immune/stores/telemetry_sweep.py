"""What is done to the telemetry file in the background, a bounded slice at a time.

Batches that have settled are sorted by agent into chunks, so that reading one agent's day reads
only that agent's rows, and their minutes are added up. Then the oldest chunks and minutes go, and
the file gives back what it no longer needs. This is housekeeping of the whole file: an earlier
run's rows grow old and go as well.
"""

from __future__ import annotations

import sqlite3

from immune.stores.telemetry_blocks import Block, by_agent, encode, parts
from immune.stores.telemetry_file import roll_block, transaction
from immune.stores.telemetry_minutes import drop_rollups, insert_rollups
from immune.stores.telemetry_room import (
    TelemetryRetention,
    add_raw_bytes,
    drop_vitals,
    oldest_batches,
)


def sweep_slice(db: sqlite3.Connection, retention: TelemetryRetention, now: float) -> bool:
    """Do one slice of everything; return whether the next one may find something to do."""
    did_sort = _sort(db, retention, now)
    did_drop = drop_vitals(db, retention, now - retention.raw_s) > 0
    did_forget = drop_rollups(
        db, now - retention.rollup_s, retention.rollup_bytes_max, retention.slice_chunks
    )
    return _shrink(db, retention) or did_sort or did_drop or did_forget


def _sort(db: sqlite3.Connection, retention: TelemetryRetention, now: float) -> bool:
    """Turn the oldest batches into chunks and sums; False where all are young."""
    (waiting,) = db.execute("SELECT total(rows) FROM batches").fetchone()
    hurry = waiting > retention.unsorted_rows_max
    oldest = db.execute("SELECT received_at FROM batches ORDER BY id LIMIT 1").fetchone()
    # however often we are called, wait for twice the time and take what is older than once
    if oldest is None or (oldest[0] > now - 2 * retention.settle_s and not hurry):
        return False
    before = float("inf") if hurry else now - retention.settle_s
    run, blocks, last, taken = oldest_batches(db, retention.slice_rows, float("inf"), before)
    if not blocks:
        return False
    grown = -taken
    with transaction(db):
        for part in parts(blocks, retention.part_rows):
            grown += _insert_chunks(db, run, part)
            insert_rollups(db, run, roll_block(part))
        db.execute("DELETE FROM batches WHERE id <= ?", (last,))
        add_raw_bytes(db, grown)
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
