"""What only the SQL store has: a file that outlives the process, runs and a schema."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from immune.clock import ManualClock
from immune.errors import Fatal, StoreDown
from immune.incidents import events as e
from immune.ports import BaselineRow
from immune.stores import migrate
from immune.stores.runs import RunChoice
from immune.stores.schema import metadata
from immune.stores.sql import SqlStore
from immune.vitals import Kind
from tests.stores import cases as c
from tests.stores.cases import NOW
from tests.stores.installation import fill, image


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "immune.db"


@asynccontextmanager
async def opened(
    path: Path, run_id: RunChoice | str = RunChoice.LAST, busy_timeout_ms: int = 5000
) -> AsyncIterator[SqlStore]:
    store = SqlStore(
        f"sqlite:///{path}",
        run_id,
        clock=ManualClock(),
        busy_timeout_ms=busy_timeout_ms,
    )
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def test_a_restart_keeps_everything(path: Path) -> None:
    """The last run goes on as it was, and its timeline goes on numbering."""
    async with opened(path) as store:
        await fill(store)
        run_id, before = store.run_id, await image(store)
    async with opened(path) as store:
        assert (store.run_id, await image(store)) == (run_id, before)
        async with store.unit() as unit:
            row = await unit.append_event(c.incident(), e.Subsided(at=NOW), NOW)
        assert [event.seq for event in await store.events()] == sorted(
            {(await store.events())[0].seq, row.seq}
        )
        assert row.seq > (await store.events())[0].seq
        assert await store.next_incident_number() == 2


async def test_runs_do_not_see_one_another(path: Path) -> None:
    """The same ids in two runs are two things."""
    async with opened(path, RunChoice.NEW) as store:
        await fill(store)
        first, before = store.run_id, await image(store)
    async with opened(path, RunChoice.NEW) as store:
        second = store.run_id
        assert await image(store) == [[], [], [], [], [], [], [], [], None, None]
        await fill(store)
        await store.effect_done("k1", NOW)
        await store.put_setting("mode", "enforce")
        async with store.unit() as unit:
            await unit.put_fence(c.fence(lifted_at=NOW))
    assert (first, second) == ("20231114-221320", "20231114-221320-2")
    async with opened(path, first) as store:
        assert await image(store) == before
    async with opened(path) as store:
        assert store.run_id == second
    async with opened(path, "mine") as store:
        assert store.run_id == "mine"
    async with opened(path) as store:
        assert store.run_id == "mine"


ROOT = Path(__file__).parents[2]


async def test_a_server_that_is_not_there_is_a_store_down() -> None:
    """It may come; whether to wait is the caller's to say."""
    with pytest.raises(StoreDown, match="does not answer"):
        await SqlStore("postgresql://immune@/immune?host=/nowhere").open()


CHILD = """
import asyncio, sys
from immune.stores.sql import SqlStore
from immune.incidents import events as e
from tests.stores import cases as c

async def main():
    store = SqlStore(f"sqlite:///{sys.argv[1]}", "run-a")
    await store.open()
    async with store.unit() as unit:
        await unit.save_incident(c.incident(1), 0)
        await unit.put_fence(c.fence("f-1"))
    async with store.unit() as unit:
        await unit.save_incident(c.incident(2, agent="agent-2"), 0)
        await unit.put_fence(c.fence("f-2"))
        print("within", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_crash_within_a_unit_leaves_nothing_of_it(path: Path) -> None:
    """Units that ended are whole, the one under way never was, and the lease is free."""
    with subprocess.Popen(  # noqa: ASYNC220, S603 - our own interpreter, and nothing else runs
        [sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "within\n"
        with pytest.raises(Fatal, match=f"process {child.pid} on "):
            await SqlStore(f"sqlite:///{path}").open()
        child.send_signal(signal.SIGKILL)
    async with opened(path) as store:
        assert [i.id for i in await store.incidents()] == ["inc-1"]
        assert [f.id for f in await store.fences(standing_only=False)] == ["f-1"]


async def test_commits_are_on_the_disk(path: Path) -> None:
    """Write-ahead log, and a sync at each commit."""
    async with opened(path) as store:
        database = store._db()
        assert await database.read(
            lambda connection: [
                connection.exec_driver_sql(f"PRAGMA {pragma}").scalar()
                for pragma in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            ]
        ) == ["wal", 2, 1, 5000]


async def test_a_busy_database_is_a_store_down(path: Path) -> None:
    """Nothing is written, and the next try may succeed."""
    async with opened(path, busy_timeout_ms=50) as store:
        with closing(sqlite3.connect(path)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreDown, match="locked"):
                await fill(store)
            with pytest.raises(StoreDown):
                await store.effect_done("k", NOW)
        await fill(store)
        assert len(await store.incidents()) == 1


async def test_a_full_disk_is_a_store_down(path: Path) -> None:
    """What is there can still be read."""
    async with opened(path) as store:
        await fill(store)
        database = store._db()
        blob = bytes(4_000_000)

        def no_more(connection: sa.Connection) -> None:
            connection.exec_driver_sql("PRAGMA max_page_count=200")

        await database.write(no_more)  # the connection that writes is kept
        with pytest.raises(StoreDown, match="full"):
            await store.put_baselines([BaselineRow("agent-1", Kind.CALL, NOW, blob)])
        assert len(await store.baselines()) == 1
        assert [f.id for f in await store.fences()] == ["f-1"]


async def test_a_store_that_is_not_open_is_down(path: Path) -> None:
    """Before it is opened and after it is closed."""
    store = SqlStore(f"sqlite:///{path}")
    with pytest.raises(StoreDown, match="not open"):
        await store.incidents()
    await store.open()
    await store.close()
    await store.close()
    with pytest.raises(StoreDown, match="not open"):
        async with store.unit():
            pass


async def test_the_migrations_lead_to_the_schema(path: Path) -> None:
    """What the revisions make is what the code writes to."""
    async with opened(path):
        pass
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        assert migrate.present(connection) == migrate.head()
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        inspector = sa.inspect(connection)
        for table in metadata.tables.values():
            made = {index["name"]: index for index in inspector.get_indexes(table.name)}
            assert {i.name for i in table.indexes} == set(made)
            for index in table.indexes:
                assert ("sqlite_where" in made[str(index.name)]["dialect_options"]) == (
                    index.dialect_options["sqlite"]["where"] is not None
                )
    engine.dispose()


async def test_a_migration_that_fails_leaves_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tables are made together or not at all."""
    real = command.upgrade

    def broken(config: Config, revision: str) -> None:
        real(config, revision)
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", broken)
        with pytest.raises(ZeroDivisionError):
            await SqlStore(f"sqlite:///{path}").open()
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT * FROM sqlite_master").fetchall() == []
    async with opened(path) as store:
        await fill(store)


def set_revision(path: Path, revision: str) -> None:
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE alembic_version SET version_num = ?", (revision,))


async def test_a_newer_schema_is_refused(path: Path) -> None:
    """The file stays as it is, and is free for the newer release."""
    async with opened(path) as store:
        await fill(store)
    set_revision(path, "9999")
    for _ in range(2):
        with pytest.raises(Fatal, match=r"revision 9999.*does not know"):
            await SqlStore(f"sqlite:///{path}").open()
    set_revision(path, migrate.head())
    async with opened(path) as store:
        assert len(await store.incidents()) == 1


@pytest.fixture(params=["text", "tables"])
def theirs(request: pytest.FixtureRequest, path: Path) -> Iterator[Path]:
    """A file of somebody else, which is the same afterwards but for its header."""
    if request.param == "text":
        path.write_bytes(b"this is no database, and long enough to tell" * 100)
    else:
        with closing(sqlite3.connect(path)) as file, file:
            file.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    yield path
    assert path.read_bytes()[100:] == before[100:]


async def test_a_file_of_somebody_else_is_refused(theirs: Path) -> None:
    """It is not touched."""
    with pytest.raises(Fatal, match="not a workflow store"):
        await SqlStore(f"sqlite:///{theirs}").open()


async def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The process stops at start, and says where it looked."""
    with pytest.raises(Fatal, match="nowhere"):
        await SqlStore(f"sqlite:///{tmp_path}/nowhere/immune.db").open()
