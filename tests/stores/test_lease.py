"""One instance a store: who holds it is told, and whoever comes after its death finds all of it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from immune.clock import ManualClock, SystemClock
from immune.columns import Names
from immune.errors import Fatal, StoreDown
from immune.stores.database_server import ServerDatabase
from immune.stores.group import Group
from immune.stores.lease import Holder
from immune.stores.sql import SqlStore
from immune.stores.telemetry_sqlite import SqliteTelemetry
from immune.testing.postgresql import Postgresql
from tests.stores import cases as c
from tests.stores.cases import NOW

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["file", pytest.param("postgresql", marks=pytest.mark.server)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A workflow store that two processes can reach."""
    if request.param == "file":
        return f"sqlite:///{tmp_path}/immune.db"
    made: str = request.getfixturevalue("postgresql").database(f"db_{uuid.uuid4().hex}")
    return made


INSTANCE = """
import asyncio, sys
from immune.stores.sql import SqlStore
from tests.stores import cases as c

async def main():
    store = SqlStore(sys.argv[1], "run-a")
    await store.open()
    async with store.unit() as unit:
        await unit.put_fence(c.fence("f-1"))
    print("fenced", flush=True)
    while True:
        await store.put_setting("beat", "1")

asyncio.run(main())
"""


@contextmanager
def instance(url: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the store and writes to it all the time, until it is killed."""
    with subprocess.Popen(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", INSTANCE, url], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "fenced\n"
            yield process
        finally:
            process.kill()


async def test_a_second_instance_is_told_who_is_there(url: str) -> None:
    """The process, the machine and since when; nothing of the first is disturbed."""
    with instance(url) as first:
        with pytest.raises(Fatal) as refused:
            await SqlStore(url).open()
        assert f"in use by another instance (process {first.pid} on {socket.gethostname()}, " in (
            str(refused.value)
        )
        assert "since 20" in str(refused.value)
        assert first.poll() is None


async def test_after_the_holders_death_the_next_finds_its_fences(url: str) -> None:
    """Killed in the midst of writing; whoever restarts until it may come, comes soon."""
    with instance(url) as first:
        with pytest.raises(Fatal, match="in use"):
            await SqlStore(url, "run-a").open()
        first.send_signal(signal.SIGKILL)
        first.wait()
        second = SqlStore(url, "run-a")
        async with asyncio.timeout(10):
            while True:
                try:
                    await second.open()
                    break
                except (Fatal, StoreDown):
                    await SystemClock().sleep(0.05)  # as a supervisor would
        assert [fence.id for fence in await second.fences()] == ["f-1"]
        await second.put_setting("mode", "ask")
        await second.close()


async def test_a_closed_store_is_free(url: str) -> None:
    """The same process may open it again, and so may another object."""
    first = SqlStore(url, "run-a")
    await first.open()
    with pytest.raises(Fatal, match=f"process {os.getpid()}"):
        await SqlStore(url).open()
    await first.close()
    await first.open()
    await first.close()
    second = SqlStore(url, "run-a")
    await second.open()
    await second.close()


async def test_telemetry_has_a_holder_too(tmp_path: Path) -> None:
    """Its file is named, and since when it is held."""
    path = tmp_path / "vitals.db"
    first = SqliteTelemetry(path, "run-a", Names(), clock=ManualClock(NOW))
    await first.open()
    with pytest.raises(Fatal, match=r"vitals\.db is in use.*since 2023-11-14 22:13:20 UTC"):
        await SqliteTelemetry(path, "run-a", Names()).open()
    await first.close()


def test_a_lock_file_of_somebody_else_names_nobody() -> None:
    """What is not ours is not read as ours; a long name is cut, not refused."""
    assert Holder.of_text("4711") is None
    assert Holder.of_text("") is None
    us = Holder(4711, "h" * 100, 1_700_000_000)
    read = Holder.of_text(us.text)
    assert read is not None
    assert (read.pid, read.since, read.host) == (4711, us.since, "h" * len(read.host))
    assert len(us.text) <= 63


async def sessions(url: str, statement: str) -> None:
    """Run a statement about the sessions on a server, from a session without a lease."""
    database = ServerDatabase(sa.make_url(url).set(drivername="postgresql+asyncpg"), 5.0)
    engine = database._engine("a test")
    async with engine.connect() as connection:
        await connection.execute(sa.text(statement))
        await connection.commit()
    await engine.dispose()


BREAK = (
    "SELECT pg_terminate_backend(l.pid, 5000) FROM pg_locks l WHERE l.locktype = 'advisory'"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


@pytest.mark.server
async def test_a_broken_session_is_replaced(postgresql: Postgresql) -> None:
    """The unit that met it is told, the next is written under a lease taken anew."""
    url = postgresql.database("broken")
    store = SqlStore(url, "run-a")
    await store.open()
    await sessions(url, BREAK)
    with pytest.raises(StoreDown):
        await store.put_setting("mode", "ask")
    await store.put_setting("mode", "enforce")
    assert await store.setting("mode") == "enforce"
    with pytest.raises(Fatal, match="in use"):
        await SqlStore(url).open()
    await store.close()


@pytest.mark.server
async def test_whoever_lost_the_lease_writes_nothing_more(postgresql: Postgresql) -> None:
    """Its session broke and another instance came: the first must end, naming the second."""
    url = postgresql.database("lost")
    first = SqlStore(url, "run-a")
    await first.open()
    await sessions(url, BREAK)
    with instance(url) as second:
        with pytest.raises(StoreDown):
            await first.put_setting("mode", "ask")
        with pytest.raises(Fatal, match=f"in use by another instance .process {second.pid} "):
            await first.put_setting("mode", "ask")
        assert await first.setting("mode") is None
    await first.close()


@pytest.mark.server
async def test_a_commit_without_an_answer_is_asked_about(
    postgresql: Postgresql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server hangs between COMMIT and its answer: the unit ends as what really happened, and
    whoever came after it is told at once."""
    store = SqlStore(postgresql.database("doubt"), "run-a", answer_s=1.0)
    await store.open()
    flush = Group.flush

    def hanging(group: Group, connection: sa.Connection) -> None:
        flush(group, connection)
        monkeypatch.undo()
        postgresql.pause()

    monkeypatch.setattr(Group, "flush", hanging)
    known = c.incident()

    async def opened() -> None:
        async with store.unit() as unit:
            await unit.save_incident(known, 0)

    opening = asyncio.create_task(opened())
    async with asyncio.timeout(10):
        commits = store._to_commit()
        while commits._writing is None or commits._waiting:  # until its commit is under way
            await SystemClock().sleep(0.0)
        with pytest.raises(StoreDown, match="is asked about it"):
            await store.put_setting("mode", "observe")
    assert commits._in_doubt
    with pytest.raises(StoreDown, match="is asked about it"):
        await store.put_setting("mode", "ask")
    assert not opening.done()
    postgresql.resume()
    await opening
    assert await store.incident("inc-1") == known
    async with store.unit() as unit:
        await unit.save_incident(c.moved(known, known.state), 1)
    await store.close()
