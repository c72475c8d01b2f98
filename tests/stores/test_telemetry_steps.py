"""A step that is sent twice counts once: while its id is in memory, in the file, or nowhere yet."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from immune.columns import Names
from immune.stores.telemetry_sqlite import TelemetryRetention
from immune.stores.telemetry_steps import YOUNG_MAX
from tests.stores.cases import NOW, vital
from tests.stores.test_sqlite_telemetry import opened, put, rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vitals.db"


async def test_what_the_last_process_had_in_memory_is_known_to_the_next(path: Path) -> None:
    """Of an earlier run, too: it may be gone on with."""
    async with opened(path) as store:
        await put(store, vital(NOW, step_id="s-1"), vital(NOW + 1))
    assert rows(path, "steps") == 0
    async with opened(path, "run-b") as store:
        await put(store, vital(NOW, step_id="s-1"))
        assert await store.count() == 1
    async with opened(path) as store:
        await put(store, vital(NOW + 2, step_id="s-1"), vital(NOW + 3, step_id="s-2"))
        assert await store.count() == 3


async def test_what_is_sorted_is_known_to_the_next_process(path: Path) -> None:
    """Sorting takes the batch away in which a step's id lay."""
    hurry = TelemetryRetention(unsorted_rows_max=0)
    async with opened(path, retention=hurry) as store:
        await put(store, vital(NOW, step_id="s-1"))
        await store.sweep(NOW)
    assert (rows(path, "batches"), rows(path, "steps")) == (0, 1)
    async with opened(path) as store:
        await put(store, vital(NOW, step_id="s-1"), vital(NOW, step_id="s-2"))
        assert await store.count() == 2


async def test_many_ids_leave_the_memory_and_stay_known(path: Path) -> None:
    """In the batch that fills it, in the one that empties it, and later."""
    names = Names()
    async with opened(path, names=names) as store:
        await put(store, *(vital(NOW, step_id=f"s-{i}") for i in range(YOUNG_MAX)))
        await put(store, vital(NOW, step_id="s-0"), vital(NOW, step_id="t-0"))
        assert rows(path, "steps") == YOUNG_MAX
        await put(store, vital(NOW, step_id=f"s-{YOUNG_MAX - 1}"), vital(NOW, step_id="t-0"))
        await put(store, vital(NOW, "other", step_id="s-0"))
        assert await store.count() == YOUNG_MAX + 2


async def test_a_file_of_the_first_schema_is_taken_over(path: Path) -> None:
    """Its steps lay in a table that told their places as well."""
    async with opened(path) as store:
        await put(store, vital(NOW, step_id="s-1"))
        await store.sweep(NOW + 1000)
    with closing(sqlite3.connect(path)) as file:
        for column in ("batch", "row"):
            file.execute(f"ALTER TABLE steps ADD COLUMN {column} INTEGER NOT NULL DEFAULT 1")
        file.execute("PRAGMA user_version = 1")
    async with opened(path) as store:
        await put(store, vital(NOW, step_id="s-1"), vital(NOW, step_id="s-2"))
        await store.sweep(NOW + 2000)
        assert await store.count() == 2
    assert rows(path, "steps") == 2
