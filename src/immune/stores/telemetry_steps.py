"""Which steps a run has already told, by their ids: one that is sent twice counts once.

Ids are random, so that noting each as it comes would rewrite a page of the file for every one of
them. Those of the latest vitals are kept in memory instead, and noted many at a time in the order
of the key. What a process had only in memory when it ended lies in the batches that are not sorted
yet, and is noted when the file is opened (`note_unsorted`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from operator import itemgetter

import msgspec

from immune.stores.telemetry_blocks import decode

YOUNG_MAX = 50_000
"""Ids kept in memory, of about 170 bytes each; noting so many takes about a tenth of a second, in
which appends wait."""

Step = tuple[int, str]
"""The file's code of an agent, and the step's id: agents number their steps as they like."""


class StepIds:
    """The ids of one run, for the thread that writes."""

    def __init__(self, db: sqlite3.Connection, run: int) -> None:
        self._db = db
        self._run = run
        self._young: set[Step] = set()
        """Not noted in the file yet."""

    def known(self, steps: Collection[Step]) -> set[Step]:
        """Return those of `steps` that were told before."""
        young = self._young.intersection(steps)
        asked = msgspec.json.encode(_by_agent(steps)).decode()
        noted = self._db.execute(
            "SELECT steps.agent, steps.step_id FROM json_each(?) AS asked CROSS JOIN steps"
            " ON steps.run = ? AND steps.agent = json_extract(asked.value, '$[0]')"
            " AND steps.step_id = json_extract(asked.value, '$[1]')",
            (asked, self._run),
        )
        young.update(noted)
        return young

    def told(self, steps: Collection[Step]) -> None:
        """The vitals of these steps are in the file."""
        self._young.update(steps)

    @property
    def many(self) -> bool:
        """Whether it is time to note the young ones."""
        return len(self._young) >= YOUNG_MAX

    def note(self) -> None:
        """Note the young ones in the file."""
        if self._young:
            _note(self._db, self._run, self._young)
            self._young = set()


def note_unsorted(db: sqlite3.Connection) -> None:
    """Note the ids that lie in batches, of whichever run, in the caller's transaction."""
    for run, body in db.execute("SELECT run, body FROM batches ORDER BY id").fetchall():
        block = decode(body)
        if block.step_ids is not None:
            agents = block.rows()["agent"].tolist()
            told = zip(agents, block.step_ids, strict=True)
            _note(db, run, [(agent, step_id) for agent, step_id in told if step_id])


def _by_agent(steps: Collection[Step]) -> list[Step]:
    """Nearly in the order of the key, which takes far longer: what is near lies on one page."""
    return sorted(steps, key=itemgetter(0))


def _note(db: sqlite3.Connection, run: int, steps: Collection[Step]) -> None:
    db.executemany(
        "INSERT OR IGNORE INTO steps VALUES (?, ?, ?)",
        [(run, agent, step_id) for agent, step_id in _by_agent(steps)],
    )
