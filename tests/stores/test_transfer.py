"""Moving a workflow to another database: all of it, or nothing."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest

from immune.errors import Fatal, InvalidInput
from immune.stores import rows
from immune.stores.transfer import migrate_store
from tests.stores.cases import NOW
from tests.stores.installation import fill, image, opened


@pytest.fixture
def source(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/here.db"


@pytest.fixture(params=["file", pytest.param("postgresql", marks=pytest.mark.server)])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of another."""
    if request.param == "file":
        return f"sqlite:///{tmp_path}/there.db"
    made: str = request.getfixturevalue("postgresql").database(f"db_{uuid.uuid4().hex}")
    return made


async def test_every_row_of_every_run_arrives(
    source: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over many pages, there and back again; the numbers go on where they were."""
    monkeypatch.setattr(rows, "PAGE", 7)
    async with opened(source, "run-a") as store:
        await fill(store)
    async with opened(source, "run-b") as store:
        await fill(store, cases=40)
        before = await image(store)
    counts = await migrate_store(source, target, NOW)
    assert (counts["runs"], counts["incidents"], counts["baselines"]) == (2, 41, 2)
    async with opened(target) as store:
        assert store.run_id == "run-b"
        assert await image(store) == before
        assert await store.next_incident_number() == 41
    back = f"sqlite:///{tmp_path}/back.db"
    assert await migrate_store(target, back, NOW) == counts
    async with opened(back, "run-b") as store:
        assert await image(store) == before


async def test_a_target_that_holds_anything_is_refused(source: str, target: str) -> None:
    """A run is enough; it stays as it is."""
    async with opened(source, "run-a") as store:
        await fill(store)
    async with opened(target, "theirs"):
        pass
    with pytest.raises(Fatal, match="the target is not empty: it holds the run theirs"):
        await migrate_store(source, target, NOW)
    async with opened(target) as store:
        assert store.run_id == "theirs"
        assert await store.incidents() == []


async def test_what_does_not_arrive_undoes_the_rest(
    source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A count that differs is told by table, and the target is as empty as it was."""
    async with opened(source, "run-a") as store:
        await fill(store)
        before = await image(store)
    with monkeypatch.context() as patch:
        patch.setattr(rows, "_insert", lambda connection, table, rows: None)
        with pytest.raises(Fatal, match="runs: 1 rows in the source, 0 arrived"):
            await migrate_store(source, target, NOW)
    await migrate_store(source, target, NOW)
    async with opened(target) as store:
        assert await image(store) == before


async def test_a_running_instance_keeps_its_store(source: str, target: str) -> None:
    """Neither side may be in use."""
    async with opened(source, "run-a") as store:
        with pytest.raises(Fatal, match="in use by another instance"):
            await migrate_store(source, target, NOW)
        await store.put_setting("mode", "ask")
    async with opened(target, "run-a"):
        with pytest.raises(Fatal, match="in use by another instance"):
            await migrate_store(source, target, NOW)


async def test_a_url_that_names_no_store_is_refused(source: str, tmp_path: Path) -> None:
    """With the flag that it came from."""
    for text, reason in (
        (f"sqlite:///{tmp_path}/nowhere.db", "does not exist"),
        ("sqlite://", "names no file"),
        ("mysql://host/db", "must begin with sqlite or postgresql"),
        ("nonsense", "no database URL"),
    ):
        with pytest.raises(InvalidInput, match=f"--from: .*{reason}"):
            await migrate_store(text, source, NOW)
    assert os.listdir(tmp_path) == []
