"""A backup: one file that holds a whole installation as it was, made while it runs.

A zip archive of the workflow and the telemetry as SQLite files, the journal of the spans that wait
for the rest of their step, the salt without which new hashes would mean something else, and a
manifest. The telemetry is copied last: the vitals that the workflow's cases refer to are in it, and
so is whatever has left the journal. (A span may be in the journal still and in the telemetry too;
its step goes out again then, by the same id, and counts once.) A workflow on a server comes as an
SQLite file too, row by row, so that every backup can be restored to a file or to a server.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import sqlalchemy as sa

from immune import __version__
from immune.errors import Fatal
from immune.stores import dialect, migrate
from immune.stores.database import FileDatabase, MemoryDatabase
from immune.stores.lease import Lease
from immune.stores.place import Place
from immune.stores.sql import database_of
from immune.stores.telemetry_file import SCHEMA_VERSION
from immune.stores.transfer import copy

WORKFLOW, JOURNAL, TELEMETRY, SALT = PARTS = (
    "workflow.db",
    "spans.journal",
    "telemetry.db",
    "salt",
)
MANIFEST, ARCHIVE = "manifest.json", "archive"
FORMAT = 1


class Manifest(msgspec.Struct, frozen=True):
    """What a backup says of itself."""

    format: int
    release: str
    """Of Immune, that made it."""
    made_at: float
    """Epoch seconds."""
    workflow_revision: str
    telemetry_schema: int
    parts: dict[str, int]
    """Bytes of each part."""


async def back_up(place: Place, file: Path, now: float) -> Manifest:
    """Write a backup of the installation at `place` to `file`, which must not exist.

    Raises Fatal where there is nothing to back up, or no way to write `file`.
    """
    try:
        await asyncio.to_thread(_refuse_to_overwrite, file)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as made:
            folder = Path(made)
            revision = await _copy_workflow(place, folder / WORKFLOW)
            await asyncio.to_thread(_copy_rest, place, folder)
            manifest = await asyncio.to_thread(_pack, folder, revision, now)
            (folder / ARCHIVE).rename(file)  # whole, or not there at all
    except OSError as fault:
        raise Fatal(f"the backup {file} cannot be written: {fault.strerror}") from fault
    return manifest


def _refuse_to_overwrite(file: Path) -> None:
    if file.exists():
        raise Fatal(f"{file} exists already: name another file")


async def _copy_workflow(place: Place, to: Path) -> str:
    """Copy the workflow to an SQLite file; return its schema's revision."""
    path = dialect.file_of(place.workflow)
    if path is not None:
        if not path.exists():
            raise Fatal(f"there is nothing to back up: {path} does not exist")
        await asyncio.to_thread(dialect.copy_file, path, to)
        async with _own(to) as copied:
            return await copied.read(migrate.present) or ""
    source = database_of(place.workflow)
    assert not isinstance(source, MemoryDatabase)
    try:
        await source.look()
        async with _own(to) as target:
            await copy(source, target)
    finally:
        await source.close()
    return migrate.head()


@asynccontextmanager
async def _own(path: Path) -> AsyncIterator[FileDatabase]:
    """A workflow file of ours alone."""
    database = FileDatabase(path, busy_timeout_ms=5000)
    try:
        yield database
    finally:
        await database.close()


def _copy_rest(place: Place, folder: Path) -> None:
    if place.journal.exists():
        shutil.copyfile(place.journal, folder / JOURNAL)
    if place.telemetry.exists():
        dialect.copy_file(place.telemetry, folder / TELEMETRY)
    if place.salt.exists():
        (folder / SALT).write_bytes(place.salt.read_bytes())


def _pack(folder: Path, revision: str, now: float) -> Manifest:
    parts = {name: (folder / name).stat().st_size for name in PARTS if (folder / name).exists()}
    manifest = Manifest(FORMAT, __version__, now, revision, SCHEMA_VERSION, parts)
    path = folder / ARCHIVE
    with path.open("xb") as archive:
        os.fchmod(archive.fileno(), 0o600)  # the salt is a secret
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
            packed.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
            for part in parts:
                packed.write(folder / part, part)
        archive.flush()
        os.fsync(archive.fileno())
    return manifest


async def restore(file: Path, place: Place, now: float) -> Manifest:
    """Put a backup in `place`, which must hold nothing yet and is kept from others meanwhile.

    Raises Fatal for a file that is no backup, is damaged or of a newer release, and where anything
    stands in its place; nothing has changed then.
    """
    lease = Lease(place.telemetry)
    try:
        place.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.folder, prefix=".restore.") as made:
            folder = Path(made)
            manifest = await asyncio.to_thread(_unpack, file, folder)
            lease.take(now)
            _refuse_to_replace(place)
            path = dialect.file_of(place.workflow)
            if path is None:
                await _to_server(folder / WORKFLOW, place.workflow, now)
            for part, to in (
                (TELEMETRY, place.telemetry),
                (JOURNAL, place.journal),
                (SALT, place.salt),
                (WORKFLOW, path),
            ):
                if part in manifest.parts and to is not None:
                    (folder / part).rename(to)
    except OSError as fault:
        raise Fatal(f"{fault.filename or file} cannot be restored: {fault.strerror}") from fault
    finally:
        lease.give_back()
    return manifest


def _refuse_to_replace(place: Place) -> None:
    databases = [path for path in (dialect.file_of(place.workflow), place.telemetry) if path]
    # what a killed process left beside its file SQLite would write over the restored one
    beside = [path.with_name(path.name + end) for path in databases for end in ("-wal", "-journal")]
    for path in (*databases, *beside, place.journal, place.salt):
        if path.exists():
            raise Fatal(f"{path} exists already: restore to an empty folder, or move it away")


def _unpack(file: Path, folder: Path) -> Manifest:
    """Unpack the parts of a backup, each checked against its sum."""
    try:
        with zipfile.ZipFile(file) as packed:
            manifest = msgspec.json.decode(packed.read(MANIFEST), type=Manifest)
            if manifest.format > FORMAT or manifest.telemetry_schema > SCHEMA_VERSION:
                raise Fatal(f"{file} was made by a newer release, {manifest.release}: use that one")
            for name in PARTS:
                if name in manifest.parts:
                    packed.extract(name, folder)
                    (folder / name).chmod(0o600)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, msgspec.DecodeError) as fault:
        raise Fatal(f"{file} is no backup of Immune, or is damaged: {fault}") from fault
    if WORKFLOW not in manifest.parts:
        raise Fatal(f"{file} is no backup of Immune: it holds no workflow")
    engine = sa.create_engine(dialect.url_of_file(folder / WORKFLOW))
    try:
        with engine.connect() as connection:
            migrate.present(connection)
    finally:
        engine.dispose()
    return manifest


async def _to_server(path: Path, url: sa.URL, now: float) -> None:
    """Copy a workflow file to a server, at the schema of this release."""
    server = database_of(url)
    assert not isinstance(server, MemoryDatabase)
    try:
        await server.open(now)
        async with _own(path) as source:
            await migrate.bring_up(source, path.parent)
            await copy(source, server)
    finally:
        await server.close()
