"""What only the telemetry file has: it outlives the process, and it is swept."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from immune.columns import Names, from_vitals
from immune.errors import Fatal, StoreDown
from immune.stores.telemetry_sqlite import SqliteTelemetry, TelemetryRetention
from immune.vitals import Vital
from tests.stores import cases as c
from tests.stores.cases import NOW, vital

DAY_S = 86_400.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vitals.db"


@asynccontextmanager
async def opened(
    path: Path,
    run_id: str = "run-a",
    names: Names | None = None,
    retention: TelemetryRetention | None = None,
) -> AsyncIterator[SqliteTelemetry]:
    store = SqliteTelemetry(path, run_id, names or Names(), retention)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def put(store: SqliteTelemetry, *vitals: Vital) -> None:
    await store.append(from_vitals(vitals, store._names))


def size(path: Path) -> int:
    """Bytes of the file, once what is in its log has been moved there."""
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    return path.stat().st_size


def rows(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as file:
        return int(file.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


async def test_a_restart_keeps_everything(path: Path) -> None:
    """The new process gives names other codes, and reads the old ones all the same."""
    async with opened(path) as store:
        await put(store, c.FULL_VITAL, vital(NOW, "agent-2", model="m-2"))
    names = Names()
    names.agents.code("agent-9")
    names.facts.code("m-9")
    async with opened(path, names=names) as store:
        await put(store, vital(NOW + 1, "agent-2", model="m-1", step_id="new"))
        await put(store, vital(NOW + 9, "agent-1", step_id="span-1"))
        assert await store.read("agent-1") == [c.FULL_VITAL]
        assert [v.model for v in await store.read("agent-2")] == ["m-2", "m-1"]
        assert await store.count() == 3


async def test_an_agent_that_was_retired_and_comes_back_has_its_past(path: Path) -> None:
    """Its code is another's by now; no vital of the two is mixed up, and none counts twice."""
    names = Names()
    async with opened(path, names=names) as store:
        await put(store, vital(NOW, "old", step_id="s-1"), vital(NOW, "steady"))
        code = names.agents.code("old")
        names.agents.free(code)
        names.agents.reuse([code])
        await put(store, vital(NOW + 1, "new"))
        assert names.agents.find("new") == code
        await put(store, vital(NOW, "old", step_id="s-1"), vital(NOW + 2, "old", step_id="s-2"))
        for _ in range(2):
            assert [v.at for v in await store.read("old")] == [NOW, NOW + 2]
            assert [v.at for v in await store.read("new")] == [NOW + 1]
            assert {v.agent_id for v in await store.read("old")} == {"old"}
            await store.sweep(NOW + 1000)
    assert rows(path, "names WHERE family = 'agent'") == 3


async def test_names_go_when_nothing_is_left_of_their_agents(path: Path) -> None:
    """With the next start; whoever has a vital, sorted or not, or a minute keeps its name."""
    async with opened(path) as store:
        for agent, at, swept_at in [
            ("gone", NOW, NOW + 31 * DAY_S),
            ("summed", NOW + 31 * DAY_S, NOW + 33 * DAY_S),
            ("sorted", NOW + 33 * DAY_S, NOW + 33 * DAY_S + 1000),
            ("waiting", NOW + 33 * DAY_S + 1000, NOW),
        ]:
            await put(store, vital(at, agent, received_at=at))
            while await store.sweep(swept_at):
                pass
        assert rows(path, "batches") == rows(path, "chunks") == 1
    async with opened(path) as store:
        await put(store, vital(NOW, "new"))
        assert await store.read("gone") == []
        assert await store.rollups("gone") == []
        for agent in ("summed", "sorted", "waiting"):
            assert [r.agent_id for r in await store.rollups(agent)] == [agent]
        assert len(await store.read("waiting")) == 1
    assert rows(path, "names WHERE family = 'agent'") == 4


async def test_new_agents_at_once_are_told_apart(path: Path) -> None:
    """Two requests bring the same strangers side by side: each has one code in the file."""
    async with opened(path) as store:
        crowd = [vital(NOW, f"agent-{n}") for n in range(50)]
        await asyncio.gather(put(store, *crowd), put(store, *reversed(crowd)))
        for n in range(50):
            assert len(await store.read(f"agent-{n}")) == 2
    assert rows(path, "names WHERE family = 'agent'") == 50


async def test_runs_do_not_see_one_another(path: Path) -> None:
    """The same agent and the same step in two runs are two."""
    async with opened(path, "one") as store:
        await put(store, vital(NOW, step_id="s"), vital(NOW + 1))
    async with opened(path, "two") as store:
        assert (await store.count(), await store.read("agent-1")) == (0, [])
        await put(store, vital(NOW + 5, step_id="s"))
        await store.sweep(NOW + 1000)
        assert [v.at - NOW for v in await store.read("agent-1")] == [5]
        assert sum(r.steps for r in await store.rollups("agent-1")) == 1
    async with opened(path, "one") as store:
        assert [v.at - NOW for v in await store.read("agent-1")] == [0, 1]
        assert sum(r.steps for r in await store.rollups("agent-1")) == 2
        assert await store.count() == 2


ROOT = Path(__file__).parents[2]

CHILD = """
import asyncio, sys
from immune.columns import Names, from_vitals
from immune.stores.telemetry_sqlite import SqliteTelemetry
from tests.stores.cases import NOW, vital

async def main():
    names = Names()
    store = SqliteTelemetry(sys.argv[1], "run-a", names)
    await store.open()
    for i in range(200):
        batch = [vital(NOW + i, f"agent-{i}", model=f"m-{i}", step_id=f"s-{i}")]
        await store.append(from_vitals(batch, names))
        print(i, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("after", [0, 7, 199])
async def test_accepted_survives_sigkill(path: Path, after: int) -> None:
    """Whatever `append` returned for is there when the process is killed."""
    with subprocess.Popen(  # noqa: ASYNC220, S603 - our own interpreter, and nothing else runs
        [sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as child:
        assert child.stdout is not None
        while int(child.stdout.readline()) < after:
            pass
        child.send_signal(signal.SIGKILL)
    async with opened(path) as store:
        assert await store.count() > after
        for i in range(after + 1):
            (found,) = await store.read(f"agent-{i}")
            assert (found.model, found.step_id) == (f"m-{i}", f"s-{i}")


async def test_batches_are_sorted_by_agent_when_they_settled(path: Path) -> None:
    """However often the sweep comes, a chunk is about a minute of its agent."""
    async with opened(path) as store:
        for i in range(240):
            await put(store, vital(NOW + i), vital(NOW + i, "agent-2"))
            await store.sweep(NOW + i)
        assert rows(path, "chunks") <= 8
        assert rows(path, "batches") <= 121
        assert len(await store.read("agent-1")) == 240
        assert sum(r.steps for r in await store.rollups("agent-2")) == 240


async def test_many_rows_are_sorted_whatever_their_age(path: Path) -> None:
    """A burst does not make every read look through all of it."""
    retention = TelemetryRetention(unsorted_rows_max=100, slice_rows=30)
    async with opened(path, retention=retention) as store:
        for i in range(12):
            await put(store, *(vital(NOW + i / 10, step_id=f"{i}-{n}") for n in range(10)))
        await store.sweep(NOW)
        assert rows(path, "batches") < 12
        assert len(await store.read("agent-1")) == 120


async def test_retention_removes_all_that_belongs_to_a_vital(path: Path) -> None:
    """Its row, its step id, and a month later its minute."""
    async with opened(path) as store:
        await put(store, *(vital(NOW + i, step_id=f"s-{i}") for i in range(100)))
        await put(store, vital(NOW + DAY_S, step_id="young"))
        await store.sweep(NOW + 1000)
        while await store.sweep(NOW + DAY_S + 200):
            pass
        assert len(await store.read("agent-1")) == 1
        assert rows(path, "steps") == 1
        assert sum(r.steps for r in await store.rollups("agent-1")) == 101
        await store.sweep(NOW + 30 * DAY_S + 300)
        assert [r.steps for r in await store.rollups("agent-1")] == [1]
        assert await store.count() == 101


async def test_the_oldest_go_early_when_the_file_is_full(path: Path) -> None:
    """Past the limit of bytes, younger than a day or not."""
    retention = TelemetryRetention(raw_bytes_max=20_000, slice_rows=100, slice_chunks=10)
    async with opened(path, retention=retention) as store:
        for i in range(100):
            await put(store, *(vital(NOW + i, f"agent-{n}") for n in range(10)))
            await store.sweep(NOW + i)
        while await store.sweep(NOW + 100):
            pass  # young ones alone: none was sorted
        found = await store.read("agent-3")
        assert 10 < len(found) < 60
        assert found[-1].at == NOW + 99
        assert sum(r.steps for r in await store.rollups("agent-3")) == 100
        with closing(sqlite3.connect(path)) as file:
            (counted,) = file.execute("SELECT raw_bytes FROM totals").fetchone()
            (real,) = file.execute(
                "SELECT (SELECT total(length(body)) FROM batches)"
                " + (SELECT total(length(body)) FROM chunks)"
            ).fetchone()
        assert counted == real <= 20_000


def raw_bytes(path: Path) -> int:
    with closing(sqlite3.connect(path)) as file:
        return int(file.execute("SELECT raw_bytes FROM totals").fetchone()[0])


async def test_who_writes_far_past_the_limit_makes_room(path: Path) -> None:
    """Without any sweep: the file grows no further, minutes stay, and steps that went are new."""
    limit = 40_000
    retention = TelemetryRetention(raw_bytes_max=limit, slice_rows=20)
    async with opened(path, retention=retention) as store:
        largest = 0
        for i in range(200):
            await put(store, *(vital(NOW + i, f"agent-{n}", step_id=f"s-{i}") for n in range(10)))
            largest = max(largest, raw_bytes(path))
        batch = largest - limit * 17 // 16
        assert 0 < batch < 2000
        assert sum(r.steps for r in await store.rollups("agent-3")) == 200
        held = len(await store.read("agent-3"))
        assert 20 < held < 60
        await put(store, vital(NOW, "agent-3", step_id="s-0"))
        await put(store, vital(NOW, "agent-3", step_id="s-199"))
        assert await store.count() == 2001
    async with opened(path, retention=retention):
        assert rows(path, "steps") < 10 * held + 20


async def test_a_limit_that_was_lowered_is_reached_in_steps(path: Path) -> None:
    """No append waits for all of it."""
    async with opened(path) as store:
        for i in range(50):
            await put(store, *(vital(NOW + i, f"agent-{n}") for n in range(10)))
        await store.sweep(NOW + 1000)
        sizes = [raw_bytes(path)]
        store._retention = TelemetryRetention(raw_bytes_max=10_000, slice_rows=10)
        while sizes[-1] > 10_700:
            await put(store, *(vital(NOW + 60, f"agent-{n}") for n in range(10)))
            sizes.append(raw_bytes(path))
            assert sizes[-1] < sizes[-2]
        assert len(sizes) > 5


async def test_slices_of_a_minute_are_one_row_of_sums(path: Path) -> None:
    """However many there are; a vital from hours ago does not have all since then be read."""
    retention = TelemetryRetention(unsorted_rows_max=0, slice_rows=10)
    start = NOW - NOW % 60
    async with opened(path, retention=retention) as store:
        for i in range(30):
            await put(store, *(vital(start + i, f"agent-{n}") for n in range(10)))
            await store.sweep(start)
        assert rows(path, "rollups") == 10
        await put(store, vital(start - 7200, "agent-1"), vital(start + 40, "agent-1"))
        await store.sweep(start)
        assert rows(path, "rollups") == 11
        found = [(r.minute - start, r.steps) for r in await store.rollups("agent-1")]
        assert found == [(-7200, 1), (0, 31)]


async def test_minutes_have_a_limit_of_their_own(path: Path) -> None:
    """Past it the oldest go, younger than 30 days or not."""
    retention = TelemetryRetention(rollup_bytes_max=200 * 15, slice_chunks=4)
    async with opened(path, retention=retention) as store:
        for minute in range(40):
            await put(store, vital(NOW + 60 * minute))
            while await store.sweep(NOW + 60 * minute + 180):
                pass
        found = await store.rollups("agent-1")
        assert [r.minute for r in found] == [NOW - NOW % 60 + 60 * m for m in range(25, 40)]


async def test_a_file_beyond_its_limit_shrinks_while_it_is_in_use(path: Path) -> None:
    """Slice by slice, with appends in between; a good part of what is left stays free for them."""
    async with opened(path) as store:
        for i in range(60):
            await put(store, *(vital(NOW + i + n / 100, f"agent-{n}") for n in range(100)))
        await store.sweep(NOW + 1000)
        full = size(path)
        store._retention = TelemetryRetention(raw_bytes_max=50_000, slice_pages=10)
        sizes = [full]
        for i in range(200):
            await put(store, vital(NOW + 1000 + i))
            await store.sweep(NOW + 1000 + i)
            sizes.append(size(path))
        assert sizes[-1] < full / 3
        assert len(set(sizes)) > 3
        assert len(await store.read("agent-1", since=NOW + 1000)) == 200
        assert sum(r.steps for r in await store.rollups("agent-3")) == 60


async def test_what_arrives_during_a_commit_is_written_by_the_next_together(path: Path) -> None:
    """However many requests bring it: one commit for each would be slow."""
    async with opened(path) as store:
        await put(store, *(vital(NOW, f"agent-{i}") for i in range(40)))
        assert store._open is not None
        committed = threading.Event()
        store._open.write_thread.submit(committed.wait)
        requests = []
        for i in range(40):
            columns = from_vitals([vital(NOW + 1, f"agent-{i}")], store._names)
            requests.append(asyncio.create_task(store.append(columns)))
            await asyncio.sleep(0)  # noqa: TID251 - only to let it come
        committed.set()
        await asyncio.gather(*requests)
        assert rows(path, "batches") <= 3
        assert await store.count() == 80


async def test_a_caller_that_leaves_takes_nothing_with_it(path: Path) -> None:
    """Its batch may be written or not; those of the others are, and so are later ones."""
    async with opened(path) as store:
        names = store._names
        first, second = (
            asyncio.create_task(store.append(from_vitals([vital(NOW + i, f"agent-{i}")], names)))
            for i in range(2)
        )
        await asyncio.sleep(0)  # noqa: TID251 - only to let the others in
        first.cancel()
        await second
        await put(store, vital(NOW + 5, "agent-1"))
        assert [v.at - NOW for v in await store.read("agent-1")] == [1, 5]


async def test_a_locked_file_is_a_store_down_and_writes_nothing(path: Path) -> None:
    """Names that were new in the batch are not lost with it."""
    async with opened(path) as store:
        held = store._held()
        held.write.execute("PRAGMA busy_timeout=20")
        with closing(sqlite3.connect(path)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreDown, match="locked"):
                await put(store, vital(NOW, model="m-7"))
        assert await store.count() == 0
        await put(store, vital(NOW, model="m-7"))
    async with opened(path) as store:
        assert [v.model for v in await store.read("agent-1")] == ["m-7"]


async def test_a_store_that_is_not_open_is_down(path: Path) -> None:
    """Before it is opened and after it is closed."""
    store = SqliteTelemetry(path, "run-a", Names())
    with pytest.raises(StoreDown, match="not open"):
        await put(store, vital(NOW))
    await store.open()
    await store.close()
    await store.close()
    with pytest.raises(StoreDown, match="not open"):
        await store.count()


async def test_a_second_instance_is_refused(path: Path) -> None:
    """Two would give the same codes to different names."""
    async with opened(path):
        with pytest.raises(Fatal, match="in use by another instance"):
            await SqliteTelemetry(path, "run-b", Names()).open()
    async with opened(path):
        pass


async def test_files_of_others_are_refused(path: Path) -> None:
    """Newer ones, other databases, and no databases."""
    async with opened(path):
        pass
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version=99")
    with pytest.raises(Fatal, match="schema 99"):
        await SqliteTelemetry(path, "run-a", Names()).open()
    other = path.with_name("other.db")
    with closing(sqlite3.connect(other)) as file:
        file.execute("CREATE TABLE theirs (x)")
    with pytest.raises(Fatal, match="not a telemetry file"):
        await SqliteTelemetry(other, "run-a", Names()).open()
    text = path.with_name("text.db")
    text.write_bytes(b"no database at all " * 100)
    with pytest.raises(Fatal, match="not a telemetry file"):
        await SqliteTelemetry(text, "run-a", Names()).open()
