"""Names of agents in the telemetry file that nobody needs any more.

An exporter that makes up an id for each step leaves a name for each. They can go when no vital and
no minute of theirs is left, and only while the file is being opened: later the running system may
write with a code that it looked up a moment ago.
"""

from __future__ import annotations

import sqlite3

import numpy as np

from immune.stores.telemetry_blocks import decode

NAMES_MAX = 100_000
"""Names that go at one opening: about two seconds."""


def drop_names(db: sqlite3.Connection) -> None:
    """Remove agents of whom nothing is left, of whichever run, in the caller's transaction."""
    db.execute(
        "CREATE TEMP TABLE waiting (run INTEGER, agent INTEGER, PRIMARY KEY (run, agent))"
        " WITHOUT ROWID"
    )
    for run, body in db.execute("SELECT run, body FROM batches"):
        db.executemany(
            "INSERT OR IGNORE INTO waiting VALUES (?, ?)",
            [(run, agent) for agent in np.unique(decode(body).rows()["agent"]).tolist()],
        )
    db.execute(
        "DELETE FROM names WHERE (run, family, code) IN ("
        "SELECT run, family, code FROM names AS n WHERE family = 'agent'"
        " AND NOT EXISTS (SELECT 1 FROM chunks WHERE run = n.run AND agent = n.code)"
        " AND NOT EXISTS (SELECT 1 FROM rollups WHERE run = n.run AND agent = n.code)"
        " AND NOT EXISTS (SELECT 1 FROM waiting WHERE run = n.run AND agent = n.code)"
        " LIMIT ?)",
        (NAMES_MAX,),
    )
    db.execute("DROP TABLE waiting")
