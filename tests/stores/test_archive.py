"""A backup is the installation as it was, and goes back only where nothing stands."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from immune.columns import Names, from_vitals
from immune.errors import Fatal
from immune.stores.archive import back_up, restore
from immune.stores.place import Place
from immune.stores.telemetry_sqlite import SqliteTelemetry
from immune.testing.postgresql import Postgresql
from tests.stores import cases as c
from tests.stores.cases import NOW, vital
from tests.stores.installation import JOURNAL, contents, furnish, installation, opened

KINDS = ["file", pytest.param("postgresql", marks=pytest.mark.server)]


def place(request: pytest.FixtureRequest, folder: Path) -> Place:
    server: Postgresql | None = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql")
    return installation(folder, server)


@pytest.fixture(params=KINDS)
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where the installation is."""
    return place(request, tmp_path / "here")


@pytest.fixture(params=KINDS)
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where it is to be restored."""
    return place(request, tmp_path / "there")


async def test_an_installation_comes_back_as_it_was(
    here: Place, there: Place, tmp_path: Path
) -> None:
    """From a file or a server to a file or a server: workflow, vitals, spans and salt."""
    before = await furnish(here)
    file = tmp_path / "immune.backup"
    made = await back_up(here, file, NOW)
    assert set(made.parts) == {"workflow.db", "spans.journal", "telemetry.db", "salt"}
    assert file.stat().st_mode & 0o077 == 0
    assert await restore(file, there, NOW) == made
    assert await contents(there) == (before, 2, JOURNAL, b"s" * 32)
    assert set(os.listdir(tmp_path)) == {"here", "there", "immune.backup"}


async def test_a_backup_is_made_while_the_system_writes(here: Place, tmp_path: Path) -> None:
    """Nobody waits for it or is refused, and each unit in it is whole."""
    await furnish(here)
    telemetry = SqliteTelemetry(here.telemetry, "run-a", names := Names())
    await telemetry.open()
    made = tmp_path / "immune.backup"
    async with opened(here.workflow) as store:
        backing_up = asyncio.create_task(back_up(here, made, NOW))
        written = 2
        while not backing_up.done():
            async with store.unit() as unit:
                await unit.save_incident(c.incident(written, agent=f"agent-{written}"), 0)
                await unit.put_fence(c.fence(f"f-{written}"))
            await telemetry.append(from_vitals([vital(NOW + written)], names))
            written += 1
        await backing_up
        assert len(await store.incidents()) == written - 1
    assert await telemetry.count() == written
    await telemetry.close()
    there = installation(tmp_path / "there")
    await restore(made, there, NOW)
    async with opened(there.workflow) as store:
        assert len(await store.incidents()) == len(await store.fences())
    assert len((await contents(there))[0]) == 10


async def test_a_backup_of_an_older_release_has_no_journal(tmp_path: Path) -> None:
    """It is restored as ever, and the journal begins anew."""
    here, there = installation(tmp_path / "here"), installation(tmp_path / "there")
    await furnish(here)
    here.journal.unlink()
    made = await back_up(here, tmp_path / "immune.backup", NOW)
    assert set(made.parts) == {"workflow.db", "telemetry.db", "salt"}
    assert await restore(tmp_path / "immune.backup", there, NOW) == made
    assert not there.journal.exists()


async def test_what_leaves_the_journal_meanwhile_is_in_the_telemetry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that goes out while the journal is being copied is in the backup twice, never not at
    all: it has an id, by which it counts once."""
    here, there = installation(tmp_path / "here"), installation(tmp_path / "there")
    await furnish(here)
    telemetry = SqliteTelemetry(here.telemetry, "run-a", names := Names())
    await telemetry.open()
    copyfile, loop = shutil.copyfile, asyncio.get_running_loop()

    def meanwhile(source: Path, target: Path) -> None:
        copyfile(source, target)
        step = from_vitals([vital(NOW + 2)], names)
        asyncio.run_coroutine_threadsafe(telemetry.append(step), loop).result()
        here.journal.write_bytes(b"nothing waits")

    monkeypatch.setattr(shutil, "copyfile", meanwhile)
    await back_up(here, tmp_path / "immune.backup", NOW)
    await telemetry.close()
    await restore(tmp_path / "immune.backup", there, NOW)
    _, vitals, journal, _ = await contents(there)
    assert (vitals, journal) == (3, JOURNAL)


async def test_nothing_is_replaced(tmp_path: Path) -> None:
    """Neither a file by a backup, nor an installation by a restored one, nor a running one."""
    here = installation(tmp_path / "here")
    before = await furnish(here)
    file = tmp_path / "immune.backup"
    file.write_text("mine")
    with pytest.raises(Fatal, match=r"immune\.backup exists already"):
        await back_up(here, file, NOW)
    assert file.read_text() == "mine"
    file.unlink()
    await back_up(here, file, NOW)
    with pytest.raises(Fatal, match=r"workflow\.db exists already"):
        await restore(file, here, NOW)
    assert (await contents(here))[0] == before
    assert not list(here.folder.glob(".restore*"))


@pytest.mark.parametrize("beside", ["workflow.db-wal", "telemetry.db-wal", "workflow.db-journal"])
async def test_what_a_killed_process_left_beside_its_files_is_in_the_way(
    tmp_path: Path, beside: str
) -> None:
    """SQLite would write it over the restored file: commits that the backup does not hold."""
    here, there = installation(tmp_path / "here"), installation(tmp_path / "there")
    await furnish(here)
    await back_up(here, tmp_path / "immune.backup", NOW)
    there.folder.mkdir()
    (there.folder / beside).write_bytes(b"w" * 40)
    with pytest.raises(Fatal, match=rf"{beside} exists already: restore to an empty folder"):
        await restore(tmp_path / "immune.backup", there, NOW)
    assert not there.telemetry.exists()
    assert not there.salt.exists()


@pytest.mark.server
async def test_a_server_with_a_run_is_not_restored_to(
    postgresql: Postgresql, tmp_path: Path
) -> None:
    """Nor are the files, so that it can be tried again elsewhere."""
    here, there = installation(tmp_path / "here"), installation(tmp_path / "there", postgresql)
    await furnish(here)
    await back_up(here, tmp_path / "immune.backup", NOW)
    async with opened(there.workflow, "theirs"):
        pass
    with pytest.raises(Fatal, match="not empty: it holds the run theirs"):
        await restore(tmp_path / "immune.backup", there, NOW)
    assert not there.telemetry.exists()
    assert not there.salt.exists()


async def test_a_file_that_is_no_backup_is_refused(tmp_path: Path) -> None:
    """Text, another archive, a damaged one, one of a newer release, and none at all."""
    here, there = installation(tmp_path / "here"), installation(tmp_path / "there")
    await furnish(here)
    file = tmp_path / "immune.backup"
    await back_up(here, file, NOW)
    whole = file.read_bytes()

    async def refused(reason: str) -> None:
        with pytest.raises(Fatal, match=reason):
            await restore(file, there, NOW)
        assert {path.name for path in there.folder.iterdir()} <= {"telemetry.db.lock"}

    middle = len(whole) // 2
    file.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    await refused("is damaged")
    file.write_bytes(whole[:middle])
    await refused("no backup of Immune")
    file.write_text("no archive at all")
    await refused("no backup of Immune")
    with zipfile.ZipFile(file, "w") as other:
        other.writestr("manifest.json", '{"format": 1}')
    await refused("no backup of Immune")
    file.unlink()
    await refused("No such file")
    await restore_of_newer(here, tmp_path)


async def restore_of_newer(here: Place, folder: Path) -> None:
    """The schema of a later release is refused before anything is put in its place."""
    with closing(sqlite3.connect(str(here.workflow.database))) as db, db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Fatal, match=r"revision 9999.*does not know"):
        await back_up(here, folder / "newer.backup", NOW)
    assert not (folder / "newer.backup").exists()


async def test_where_nothing_is_nothing_is_backed_up(tmp_path: Path) -> None:
    """A folder that was mistyped gives no empty backup; neither does one that can't be written."""
    file = tmp_path / "immune.backup"
    with pytest.raises(Fatal, match="nothing to back up"):
        await back_up(installation(tmp_path / "mistyped"), file, NOW)
    assert not file.exists()
    here = installation(tmp_path / "here")
    await furnish(here)
    with pytest.raises(Fatal, match="cannot be written: No such file"):
        await back_up(here, tmp_path / "nowhere" / "immune.backup", NOW)
