"""The telemetry file: its tables, and writing and reading them, synchronously.

Vitals are written as they come, one row of SQL for a batch (table `batches`). The sweep sorts them
by agent later (table `chunks`, see `telemetry_sweep`) and adds up their minutes (`rollups`). A
reader looks into both, in one snapshot. Step ids lie in a table of their own (`telemetry_steps`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from immune.columns import KIND_CODE, Float64, Interner, Names, Rows, to_vitals
from immune.errors import Fatal
from immune.ports import AgentRow, Rollup
from immune.stores.telemetry_blocks import (
    RECORD,
    Block,
    decode,
    encode,
    join,
    take,
    to_columns,
)
from immune.stores.telemetry_lately import agents_in
from immune.stores.telemetry_names import drop_names
from immune.stores.telemetry_rollups import ROLLUP, Rollups, merge, roll
from immune.stores.telemetry_steps import Step, StepIds, note_unsorted
from immune.vitals import Kind, Vital

SCHEMA_VERSION = 2

_SCHEMA = """
CREATE TABLE runs (
    run INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, written INTEGER NOT NULL);
CREATE TABLE names (
    run INTEGER NOT NULL, family TEXT NOT NULL, code INTEGER NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (run, family, code)) WITHOUT ROWID;
CREATE TABLE batches (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, received_at REAL NOT NULL,
    rows INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, agent INTEGER NOT NULL, first_at REAL NOT NULL,
    last_at REAL NOT NULL, rows INTEGER NOT NULL, step_ids INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX chunks_of_agent ON chunks (run, agent, last_at);
CREATE TABLE rollups (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, agent INTEGER NOT NULL,
    last_minute INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX rollups_of_agent ON rollups (run, agent, last_minute);
CREATE TABLE steps (
    run INTEGER NOT NULL, agent INTEGER NOT NULL, step_id TEXT NOT NULL,
    PRIMARY KEY (run, agent, step_id)) WITHOUT ROWID;
CREATE TABLE totals (raw_bytes INTEGER NOT NULL, batches INTEGER NOT NULL);
INSERT INTO totals VALUES (0, 0);
"""

_PRAGMAS = (
    # pages that retention frees can be given back a few at a time; set before a file has any table
    "auto_vacuum=INCREMENTAL",
    "busy_timeout=5000",
    "journal_mode=WAL",
    # a commit is in the operating system's hands: it survives SIGKILL, and not every power cut
    "synchronous=NORMAL",
    "wal_autocheckpoint=4000",
    # batches are appended and read once: there is little to find again
    "cache_size=-1000",
)


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit, to be used by one thread at a time."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """All of it or none."""
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


class StoredNames(NamedTuple):
    """A run's names in the file, with the codes that they have there."""

    agents: int
    """The highest code. Agents come and go for years: who is called what is looked up."""
    facts: Interner


def open_run(connection: sqlite3.Connection, run_id: str) -> tuple[int, StoredNames]:
    """Make the tables and the run where they are missing; return its number and its names."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise Fatal(
            f"the telemetry file has schema {version}, and this release knows {SCHEMA_VERSION}: "
            "run the newer release, or name another file"
        )
    if version == 0:
        if connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise Fatal("this database is not a telemetry file of Immune")
        connection.executescript(
            f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;"
        )
    with transaction(connection):
        if version == 1:
            for column in ("batch", "row"):
                connection.execute(f"ALTER TABLE steps DROP COLUMN {column}")
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        note_unsorted(connection)
        drop_names(connection)
        # files of earlier releases lack it
        connection.execute("CREATE INDEX IF NOT EXISTS names_by_text ON names (run, family, text)")
        connection.execute("INSERT OR IGNORE INTO runs (run_id, written) VALUES (?, 0)", (run_id,))
    (run,) = connection.execute("SELECT run FROM runs WHERE run_id = ?", (run_id,)).fetchone()

    query = "SELECT coalesce(max(code), 0) FROM names WHERE run = ? AND family = 'agent'"
    (agents,) = connection.execute(query, (run,)).fetchone()
    query = "SELECT text FROM names WHERE run = ? AND family = 'fact' ORDER BY code"
    facts = Interner(text for (text,) in connection.execute(query, (run,)))
    return run, StoredNames(agents, facts)


NewName = tuple[str, int, str]
"""Family (``agent`` or ``fact``), code, text."""


class TelemetryWriter:
    """What the writer thread does for one run."""

    def __init__(self, connection: sqlite3.Connection, run: int) -> None:
        self._db = connection
        self._run = run
        self._steps = StepIds(connection, run)
        self.last_bytes = 0
        """What the last batch takes in the file."""

    def write(self, blocks: Sequence[Block], names: Sequence[NewName]) -> list[Rows | None]:
        """Write the blocks as one batch, leaving out steps that are known by their id.

        Returns the rows written of each block, None where all were.
        """
        if self._steps.many:
            self.note_steps()
        new = self._write(join(blocks), names)
        return [None] * len(blocks) if new is None else _of_each(blocks, new)

    def note_steps(self) -> None:
        """Note the ids of steps that are in no other place than batches: these may be sorted."""
        with transaction(self._db):
            self._steps.note()

    def _write(self, block: Block, names: Sequence[NewName]) -> Rows | None:
        db, run = self._db, self._run
        new, steps = self._new_steps(block)
        if new is not None:
            block = take(block, new)
        with transaction(db):
            db.executemany(
                "INSERT INTO names VALUES (?, ?, ?, ?)", [(run, *name) for name in names]
            )
            records = block.rows()
            if not len(records):
                return new
            # a number of its own, never used again
            db.execute("UPDATE totals SET batches = batches + 1")
            (batch,) = db.execute("SELECT batches FROM totals").fetchone()
            received_at, body = float(records["received_at"].max()), encode(block)
            db.execute(
                "INSERT INTO batches VALUES (?, ?, ?, ?, ?)",
                (batch, run, received_at, len(records), body),
            )
            db.execute("UPDATE runs SET written = written + ? WHERE run = ?", (len(records), run))
            db.execute("UPDATE totals SET raw_bytes = raw_bytes + ?", (len(body),))
            self.last_bytes = len(body)
        self._steps.told(steps)
        return new

    def _new_steps(self, block: Block) -> tuple[Rows | None, Collection[Step]]:
        """Return the rows of the block that were not told before, None for all of them, and the
        steps by their ids."""
        if block.step_ids is None:
            return None, ()
        told = list(zip(block.rows()["agent"].tolist(), block.step_ids, strict=True))
        steps = {(agent, step_id) for agent, step_id in told if step_id}
        known = self._steps.known(steps)
        fresh = steps - known
        if len(fresh) == len(told):
            return None, fresh
        new: list[int] = []
        for row, (agent, step_id) in enumerate(told):
            if not step_id:
                new.append(row)
            elif (agent, step_id) not in known:
                new.append(row)
                known.add((agent, step_id))  # within the batch, too, the first one counts
        return None if len(new) == len(told) else np.array(new, np.intp), fresh


class TelemetryReader:
    """What the reader thread does for one run."""

    def __init__(self, connection: sqlite3.Connection, run: int, facts: Interner) -> None:
        self._db = connection
        self._run = run
        self._facts = facts

    def count(self) -> int:
        query = "SELECT written FROM runs WHERE run = ?"
        return int(self._db.execute(query, (self._run,)).fetchone()[0])

    def codes_of(self, agent_ids: Iterable[str]) -> dict[str, int]:
        """The file's codes of those agents that have one."""
        query = "SELECT code FROM names WHERE run = ? AND family = 'agent' AND text = ?"
        found = {}
        for agent_id in agent_ids:
            if (row := self._db.execute(query, (self._run, agent_id)).fetchone()) is not None:
                found[agent_id] = int(row[0])
        return found

    def read(
        self, agent_id: str, kind: Kind | None, since: float, until: float, limit: int | None
    ) -> list[Vital]:
        agent = self.codes_of([agent_id]).get(agent_id)
        if agent is None:
            return []
        with transaction(self._db, "BEGIN"):
            newest = [_within(block, kind, since, until) for block in self._tail(agent)]
            times = [block.rows()["at"] for block in newest]
            chunks: list[Block] = []
            for last_at, body in self._db.execute(
                "SELECT last_at, body FROM chunks WHERE run = ? AND agent = ? AND last_at >= ?"
                " AND first_at <= ? ORDER BY last_at DESC, id DESC",
                (self._run, agent, since, until),
            ):
                if limit is not None and _count_from(times, last_at) >= limit:
                    break  # all further ones are older than what is wanted
                chunks.append(_within(decode(body), kind, since, until))
                times.append(chunks[-1].rows()["at"])
        block = join([*reversed(chunks), *newest, Block(b"")])
        order = np.argsort(block.rows()["at"], kind="stable")
        if limit is not None:
            order = order[max(0, len(order) - limit) :]
        columns = to_columns(take(block, order))
        columns.agent = np.ones(len(columns), np.int32)
        return to_vitals(columns, Names(Interner([agent_id]), self._facts))

    def rollups(self, agent_id: str, kind: Kind | None, since: float, until: float) -> list[Rollup]:
        agent = self.codes_of([agent_id]).get(agent_id)
        if agent is None:
            return []
        with transaction(self._db, "BEGIN"):
            parts = [
                np.frombuffer(body, ROLLUP)
                for (body,) in self._db.execute(
                    "SELECT body FROM rollups WHERE run = ? AND agent = ? AND last_minute >= ?",
                    (self._run, agent, since),
                )
            ]
            tail = self._tail(agent)
        parts += [roll_block(block) for block in tail]
        return [
            rollup
            for rollup in merge(agent_id, parts)
            if since <= rollup.minute <= until and (kind is None or rollup.kind is kind)
        ]

    def lately(self, seconds: float) -> list[AgentRow]:
        """As `TelemetryStore.lately`, of the batches that are not yet sorted."""
        query = (
            "SELECT body FROM batches WHERE run = ?1 AND received_at >="
            " (SELECT max(received_at) FROM batches WHERE run = ?1) - ?2 ORDER BY id"
        )
        with transaction(self._db, "BEGIN"):
            found = self._db.execute(query, (self._run, seconds))
            parts = [decode(body).rows() for (body,) in found]
        records = np.concatenate([np.zeros(0, RECORD), *parts])
        return agents_in(
            records["agent"],
            records["at"],
            records["received_at"],
            records["facts"][:, :3],
            self._name_of,
            self._facts.text,
        )

    def _name_of(self, agent: int) -> str:
        query = "SELECT text FROM names WHERE run = ? AND family = 'agent' AND code = ?"
        return str(self._db.execute(query, (self._run, agent)).fetchone()[0])

    def _tail(self, agent: int) -> list[Block]:
        """The agent's part of the batches not yet sorted, oldest first."""
        found = []
        query = "SELECT body FROM batches WHERE run = ? ORDER BY id"
        for (body,) in self._db.execute(query, (self._run,)):
            block = decode(body)
            rows = np.flatnonzero(block.rows()["agent"] == agent)
            if len(rows):
                found.append(take(block, rows))
        return found


def roll_block(block: Block) -> Rollups:
    """The minutes of a block."""
    records = block.rows()
    return roll(records["agent"], records["kind"], records["at"], records["values"])


def _of_each(blocks: Sequence[Block], rows: Rows) -> list[Rows | None]:
    """Tell rows of the joined blocks, ascending, as rows of each; None for all of a block."""
    ends = np.cumsum([len(block) for block in blocks])
    parts = np.split(rows, np.searchsorted(rows, ends[:-1]))
    return [
        None if len(part) == len(block) else part - (end - len(block))
        for block, part, end in zip(blocks, parts, ends, strict=True)
    ]


def _within(block: Block, kind: Kind | None, since: float, until: float) -> Block:
    records = block.rows()
    wanted = (records["at"] >= since) & (records["at"] <= until)
    if kind is not None:
        wanted &= records["kind"] == KIND_CODE[kind]
    return block if wanted.all() else take(block, np.flatnonzero(wanted))


def _count_from(times: list[Float64], since: float) -> int:
    return sum(int((part >= since).sum()) for part in times)
