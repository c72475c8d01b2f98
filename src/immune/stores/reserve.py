"""Room on the disk that is kept for decisions: a file of real blocks beside the workflow's.

Telemetry and whatever else is on a disk may fill it. What the workflow then needs it takes from
here, a slice at a time, and tries again what it was writing; so an order still gets its answer and
a finding its fence. While anything of it is gone, whoever could do without writing must not write
(see `run.ration`). `fill` makes it whole again once there is room for it and for some more.

The length of the file is all there is to know, also for the next process.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import threading
from pathlib import Path

import structlog
from sqlalchemy.exc import DBAPIError

from immune.errors import StoreDown

log = structlog.get_logger(__name__)

SLICES = 8
"""Whoever else writes to a full disk can take what we give up: one slice of it, not all."""
DISK_PARTS = 4
"""On a small disk the reserve is at most one part of so many."""
PROBE_BYTES = 64 * 1024
MB = 1024 * 1024


class Reserve:
    """The reserve of one workflow file; its methods block, on any thread."""

    def __init__(self, store: Path, most: int) -> None:
        """`store` is the workflow's file, `most` what is kept for it, bytes."""
        self._path = store.with_name(store.name + ".reserve")
        self._most = most
        self._size = 0
        self._held = 0
        self._turn = threading.Lock()

    def open(self) -> None:
        """Take up what there is and fill it; nothing is raised, see `short`.

        On a disk that is full already the first slice goes to the opening of the stores.
        """
        usage = shutil.disk_usage(self._path.parent)
        self._size = min(self._most, usage.total // DISK_PARTS)
        try:
            self._held = min(self._path.stat().st_size, self._size)
        except FileNotFoundError:
            self._held = 0
        if usage.free < self._slice:
            self.give_up()
        self.fill()

    @property
    def _slice(self) -> int:
        return -(-self._size // SLICES)

    @property
    def short(self) -> bool:
        """Whether anything of it is gone."""
        return self._held < self._size

    @property
    def low(self) -> bool:
        """Whether more than half of it is gone."""
        return self._held < self._size / 2

    @property
    def words(self) -> str:
        """What is so while it is short, for people."""
        return (
            f"there is no room left on the disk of {self._path.parent}: vitals are refused; "
            f"decisions go on, from the {self._held / MB:.1f} of {self._size / MB:.1f} MB that "
            "were kept for them; all goes on by itself when there is room"
        )

    def shares_disk(self, folder: Path) -> bool:
        """Whether what is written in `folder` takes the same room."""
        return folder.stat().st_dev == self._path.parent.stat().st_dev

    def give_up(self) -> bool:
        """Give a slice to whoever writes next; False where nothing is left."""
        with self._turn:
            if not self._held:
                return False
            left = max(0, self._held - self._slice)
            try:
                self._cut(left)
            except OSError as fault:
                log.error("reserve cannot be given up", file=str(self._path), reason=str(fault))
                return False
            self._held = left
            log.warning("disk full: room given up for decisions", bytes_left=left)
            return True

    def fill(self) -> bool:
        """Make it whole where there is room for it and half as much again; whether it is whole."""
        with self._turn:
            missing = self._size - self._held
            if missing <= 0:
                return True
            if shutil.disk_usage(self._path.parent).free < missing + self._size // 2:
                return False
            try:
                self._grow()
            except OSError:  # somebody was quicker: leave them the room
                self._cut(self._held)
                return False
            self._held = self._size
            return True

    def _cut(self, length: int) -> None:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(file, length)
            os.fsync(file)  # some file systems let go of blocks only then
        finally:
            os.close(file)

    def _grow(self) -> None:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file, 0, self._size)
            else:
                os.lseek(file, self._held, os.SEEK_SET)
                for start in range(self._held, self._size, MB):
                    os.write(file, bytes(min(MB, self._size - start)))
            os.fsync(file)
        finally:
            os.close(file)


def for_want_of_room(fault: StoreDown, folder: Path) -> bool:
    """Whether a store in `folder` failed because its disk is full, or a quota is used up."""
    error = fault.__cause__
    cause = error.orig if isinstance(error, DBAPIError) else None
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF  # what is above tells what it was doing
    if code == sqlite3.SQLITE_FULL:
        return True
    return code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and not _room(folder)


def _room(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            return file.write(bytes(PROBE_BYTES)) == PROBE_BYTES
    except OSError:
        return False
