"""One-minute sums in the telemetry file: what is left of vitals when their rows are gone.

Under a full intake many slices of a sweep tell of the same minute. What comes is added to the sums
that are there already, so that the file grows by agents and minutes and not by slices.
"""

from __future__ import annotations

import sqlite3

import msgspec
import numpy as np

from immune.stores.telemetry_rollups import MINUTE_S, ROLLUP, Rollups, fold

RECENT_S = 5 * MINUTE_S
"""Minutes so close to the newest are looked for; an older one becomes a part of its own, since a
single vital from last week must not make all of that week be read."""
ROW_BYTES = 200
"""What a row takes in the file with its index: one minute of one kind, mostly."""


def insert_rollups(db: sqlite3.Connection, run: int, sums: Rollups) -> None:
    """Add `sums`, in order of agent, to those of `run`; in the caller's transaction."""
    if not len(sums):
        return
    recent_from = int(sums["minute"].max()) - RECENT_S
    recent = sums["minute"] >= recent_from
    _insert(db, run, sums[~recent])
    sums = sums[recent]
    ids, bodies = [], []
    for row, body in db.execute(
        "SELECT rollups.id, rollups.body FROM json_each(?) AS asked CROSS JOIN rollups"
        " ON rollups.run = ? AND rollups.agent = asked.value AND rollups.last_minute >= ?",
        (
            msgspec.json.encode(np.unique(sums["agent"]).tolist()).decode(),
            run,
            int(sums["minute"].min()),
        ),
    ):
        ids.append(row)
        bodies.append(body)
    known = np.frombuffer(b"".join(bodies), ROLLUP).copy()
    changed, fresh = fold(known, sums)
    ends = np.cumsum([len(body) // ROLLUP.itemsize for body in bodies], dtype=np.intp)
    touched = np.unique(np.searchsorted(ends, changed, "right")).tolist()
    db.executemany(
        "UPDATE rollups SET body = ? WHERE id = ?",
        (
            (known[ends[i] - len(bodies[i]) // ROLLUP.itemsize : ends[i]].tobytes(), ids[i])
            for i in touched
        ),
    )
    _insert(db, run, fresh)


def _insert(db: sqlite3.Connection, run: int, sums: Rollups) -> None:
    """One row for each agent."""
    if not len(sums):
        return
    starts = np.flatnonzero(np.diff(sums["agent"], prepend=-1))
    ends = np.append(starts[1:], len(sums))
    db.executemany(
        "INSERT INTO rollups (run, agent, last_minute, body) VALUES (?, ?, ?, ?)",
        (
            (run, int(own["agent"][0]), int(own["minute"][-1]), own.tobytes())
            for own in (sums[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True))
        ),
    )


def drop_rollups(db: sqlite3.Connection, before: float, bytes_max: int, most: int) -> bool:
    """Remove up to `most` of the oldest rows: those that ended before `before`, epoch seconds, and
    those past so many bytes; return whether there were any."""
    (first, newest) = db.execute("SELECT min(id), max(id) FROM rollups").fetchone()
    if first is None:
        return False
    # they go in the order of their numbers: the span of these is how many there are
    kept_from = newest - bytes_max // ROW_BYTES
    last = 0
    for part, last_minute in db.execute(
        "SELECT id, last_minute FROM rollups ORDER BY id LIMIT ?", (most,)
    ):
        if last_minute >= before and part > kept_from:
            break
        last = part
    if last:
        db.execute("DELETE FROM rollups WHERE id <= ?", (last,))
    return last > 0
