"""Room for decisions is given up a slice at a time, and kept again when there is room."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from immune.errors import StoreDown
from immune.stores.reserve import MB, SLICES, Reserve
from immune.stores.sql import SqlStore
from tests.faults.conftest import locked


def reserve_in(folder: Path, most: int = 2 * MB) -> Reserve:
    made = Reserve(folder / "workflow.db", most)
    made.open()
    return made


def blocks(folder: Path) -> int:
    """Bytes that the reserve really takes."""
    return (folder / "workflow.db.reserve").stat().st_blocks * 512


def test_it_is_of_real_blocks(tmp_path: Path) -> None:
    """A sparse file would keep nothing."""
    assert not reserve_in(tmp_path).short
    assert blocks(tmp_path) >= 2 * MB


def test_it_goes_slice_by_slice_and_comes_back_whole(tmp_path: Path) -> None:
    """What is given up is free at once; the next process finds what there is."""
    reserve = reserve_in(tmp_path)
    given = 0
    while reserve.give_up():
        given += 1
        assert blocks(tmp_path) <= 2 * MB - given * 2 * MB // SLICES
        assert reserve.short
        assert reserve.low == (given > SLICES // 2)
    assert given == SLICES
    assert blocks(tmp_path) == 0
    assert "0.0 of 2.0 MB" in reserve.words
    assert reserve.fill()
    assert not reserve.short
    reserve.give_up()
    again = Reserve(tmp_path / "workflow.db", 2 * MB)
    again.open()
    assert not again.short  # there was room


async def test_only_a_full_disk_is_a_reason(tmp_path: Path) -> None:
    """What meets it is tried again in the room given up; somebody else in the file is no reason."""
    path = tmp_path / "workflow.db"
    store = SqlStore(
        f"sqlite:///{path}", "run-a", busy_timeout_ms=50, reserve=Reserve(path, 2 * MB)
    )
    await store.open()
    slice_bytes = 2 * MB // SLICES
    tries = 0

    def write(connection: sa.Connection, room_after: int) -> None:
        nonlocal tries
        tries += 1
        pages = 1_000_000 if tries > room_after else 1  # the file is larger: not one page more
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        connection.exec_driver_sql(f"CREATE TABLE t{room_after} (a)")

    await store._db().write(partial(write, room_after=2))
    assert tries == 3
    assert blocks(tmp_path) == 2 * MB - 2 * slice_bytes
    with locked(path), pytest.raises(StoreDown, match="locked"):
        await store._db().write(partial(write, room_after=0))
    assert blocks(tmp_path) == 2 * MB - 2 * slice_bytes
    tries = 0
    with pytest.raises(StoreDown, match="full"):
        await store._db().write(partial(write, room_after=100))
    assert tries == SLICES - 2 + 1
    assert blocks(tmp_path) == 0
    await store.close()
