"""From one release to the next: real files of older ones open, and newer ones are refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from immune.errors import Fatal
from immune.stores import migrate
from immune.stores.sql import SqlStore
from immune.testing.postgresql import Postgresql
from tests.stores.installation import fill, image, opened

RELEASED = Path(__file__).parents[1] / "data" / "stores"
"""A dump of each schema that was ever written, `workflow-REVISION.sql`."""

NEXT = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "next", "{head}"

def upgrade():
    op.add_column("agents", sa.Column("note", sa.String))
    op.execute("UPDATE agents SET note = 'upgraded'")
    {more}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "immune.db"


def next_release(patch: pytest.MonkeyPatch, folder: Path, more: str = "") -> None:
    """Let this process be the next release, which has one revision more."""
    head = migrate.head()
    folder.mkdir(exist_ok=True)
    (folder / "next.py").write_text(NEXT.format(head=head, more=more))
    patch.setattr(migrate, "VERSIONS", (*migrate.VERSIONS, str(folder)))
    assert migrate.head() == "next"


def load(dump: Path, path: Path) -> None:
    """Make the file that a dump was taken of."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(dump.read_text("utf-8"))


def copies(path: Path) -> list[Path]:
    """What was kept of the file before its schema changed."""
    return list(path.parent.glob(f"{path.name}.before-*"))


@pytest.mark.parametrize("dump", sorted(RELEASED.glob("workflow-*.sql")), ids=lambda p: p.stem)
async def test_a_file_of_each_release_opens(dump: Path, path: Path) -> None:
    """With everything that was in it."""
    load(dump, path)
    async with opened(f"sqlite:///{path}") as store:
        assert store.run_id == "run-a"
        *rows, mode, key = await image(store)
        assert [len(found) for found in rows if isinstance(found, list)] == [1] * 8
        assert mode == "ask"
        assert (key is None) == (dump.stem == "workflow-0001")


async def test_the_keys_of_orders_move_out_of_the_settings(path: Path) -> None:
    """An order that was carried out by the older release is not carried out by the newer again."""
    load(RELEASED / "workflow-0001.sql", path)
    with closing(sqlite3.connect(path)) as db:
        value = '{"key":"4f","order":"a0","answer":{"state":"rejected","why":"né"}}'
        db.execute("INSERT INTO settings VALUES ('run-a', 'once/7', ?)", (value,))
        db.commit()
    async with opened(f"sqlite:///{path}") as store:
        kept = await store.order_key("4f")
        assert kept is not None
        assert (kept.order, kept.answer) == ("a0", '{"state":"rejected","why":"né"}'.encode())
        assert await store.setting("once/7") is None


def test_each_schema_has_its_file() -> None:
    """A new revision comes with a dump of what it made."""
    assert (RELEASED / f"workflow-{migrate.head()}.sql").exists()


async def test_a_file_is_copied_before_its_schema_changes(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The copy is the store as it was, for the older release; the newer goes on with all of it."""
    url = f"sqlite:///{path}"
    async with opened(url, "run-a") as store:
        await fill(store)
        before = await image(store)
    assert copies(path) == []
    head = migrate.head()
    with monkeypatch.context() as patch:
        next_release(patch, tmp_path / "next")
        for _ in range(2):
            async with opened(url) as store:
                assert await image(store) == before
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT note FROM agents").fetchall() == [("upgraded",)]
    with pytest.raises(Fatal, match=r"revision next, which this release .* does not know"):
        async with opened(url):
            pass
    (copy,) = copies(path)
    assert copy.name == f"immune.db.before-next-was-{head}"
    async with opened(f"sqlite:///{copy}") as store:
        assert await image(store) == before


async def test_an_upgrade_that_fails_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The older release goes on with the file itself."""
    url = f"sqlite:///{path}"
    async with opened(url, "run-a") as store:
        await fill(store)
        before = await image(store)
    with monkeypatch.context() as patch:
        next_release(patch, tmp_path / "next", more="raise ZeroDivisionError")
        with pytest.raises(ZeroDivisionError):
            async with opened(url):
                pass
    async with opened(url) as store:
        assert await image(store) == before


@pytest.mark.server
async def test_an_upgrade_may_take_longer_than_an_answer(
    postgresql: Postgresql, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A large table on a server takes its time to change; no deadline breaks it off."""
    url = postgresql.database("large")
    async with opened(url, "run-a") as store:
        await fill(store)
        before = await image(store)
    next_release(monkeypatch, tmp_path / "next", more='op.execute("SELECT pg_sleep(1.5)")')
    store = SqlStore(url, answer_s=1.0, copies=tmp_path)
    await store.open()
    assert await image(store) == before
    await store.close()


@pytest.mark.server
async def test_a_server_is_copied_to_a_file_before_its_schema_changes(
    postgresql: Postgresql, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """All runs, at the older schema: the older release opens the copy as a store of its own."""
    url, folder = postgresql.database("kept"), tmp_path / "data"
    folder.mkdir()
    async with opened(url, "run-0") as store:
        await fill(store)
    async with opened(url, "run-a") as store:
        await fill(store, cases=3)
        before = await image(store)
    head = migrate.head()
    with monkeypatch.context() as patch:
        next_release(patch, tmp_path / "next")
        for _ in range(2):
            store = SqlStore(url, copies=folder)
            await store.open()
            assert await image(store) == before
            await store.close()
    (copy,) = folder.iterdir()
    assert copy.name == f"workflow.db.before-next-was-{head}"
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("SELECT version_num FROM alembic_version").fetchall() == [(head,)]
    async with opened(f"sqlite:///{copy}") as store:
        assert await image(store) == before
    async with opened(f"sqlite:///{copy}", "run-0") as store:
        assert len(await store.incidents()) == 1


@pytest.mark.server
async def test_a_server_that_cannot_be_copied_is_left_as_it_is(
    postgresql: Postgresql, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a folder for the copy, or with one that is gone; the older release goes on."""
    url = postgresql.database("uncopied")
    async with opened(url, "run-a") as store:
        await fill(store)
        before = await image(store)
    with monkeypatch.context() as patch:
        next_release(patch, tmp_path / "next")
        with pytest.raises(Fatal, match=r"no folder to copy the store to.*--data DIR"):
            await SqlStore(url).open()
        with pytest.raises(Fatal, match="before its schema changes: No such file"):
            await SqlStore(url, copies=tmp_path / "gone").open()
    async with opened(url) as store:
        assert await image(store) == before
